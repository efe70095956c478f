//! The servers that are measured, each a process of its own.

use std::{env, fs, io, net::SocketAddr, process::Stdio, time::Duration};

use nix::{
    time::{ClockId, clock_getcpuclockid},
    unistd::Pid,
};
use serde::Serialize;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// Where the packages of Node and Bun are.
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");

/// A program that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) enum Program {
    /// tokio and WebSocket, without a framework.
    Floor,
    Socketioxide,
    Dialogue(Logs),
    SocketIoOnNode,
    ReferenceOnNode,
    ReferenceOnBun,
}

/// Where Dialogue keeps logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) enum Logs {
    Memory,
    Sqlite,
    Postgres,
}

/// A running server. Dropping it ends the server.
pub(crate) struct Server {
    process: Child,
    pid: u32,
    /// CPU clock of its process.
    clock: ClockId,
    pub(crate) address: SocketAddr,
    /// Folder of its database, deleted on drop.
    _folder: Option<TempDir>,
}

impl Server {
    /// Starts a server, and waits until it listens. `postgres` is the URL of a database server.
    pub(crate) async fn start(program: Program, postgres: Option<&str>) -> io::Result<Self> {
        let mut folder = None;
        let mut command = match program {
            Program::Floor => sibling("bench-floor")?,
            Program::Socketioxide => sibling("bench-socketioxide")?,
            Program::Dialogue(logs) => {
                let mut command = sibling("bench-dialogue")?;
                match logs {
                    Logs::Memory => command.arg("memory"),
                    Logs::Sqlite => {
                        command.arg(folder.insert(tempfile::tempdir()?).path().join("logs.db"))
                    }
                    Logs::Postgres => command.arg(postgres.unwrap_or_default()),
                };
                command
            }
            Program::SocketIoOnNode => script("node", "socketio.js"),
            Program::ReferenceOnNode => script("node", "reference.js"),
            Program::ReferenceOnBun => script(&bun(), "reference.js"),
        };
        let mut process = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.as_mut() {
            BufReader::new(stdout).read_line(&mut line).await?;
        }
        let address = line.trim().strip_prefix("listening on ").and_then(|at| at.parse().ok());
        let address = address.ok_or_else(|| {
            io::Error::other(format!("{program:?} says {line:?} and does not listen"))
        })?;
        let pid = process.id().ok_or_else(|| io::Error::other("the server ended"))?;
        let clock = clock_getcpuclockid(Pid::from_raw(pid.cast_signed()))?;
        Ok(Self { process, pid, clock, address, _folder: folder })
    }

    /// CPU time of the process, ended threads included.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        Ok(self.clock.now()?.into())
    }

    /// Resident memory, in bytes.
    pub(crate) fn memory(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("the server's memory is not told"))
    }

    pub(crate) async fn stop(mut self) -> io::Result<()> {
        self.process.kill().await
    }
}

/// A program in the folder of this one.
fn sibling(name: &str) -> io::Result<Command> {
    let ours = env::current_exe()?;
    Ok(Command::new(ours.with_file_name(name).with_extension(env::consts::EXE_EXTENSION)))
}

/// Where Bun is.
pub(crate) fn bun() -> String {
    format!("{PEERS}/node_modules/.bin/bun")
}

fn script(runtime: &str, script: &str) -> Command {
    let mut command = Command::new(runtime);
    command.arg(script).current_dir(PEERS);
    command
}
