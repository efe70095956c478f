//! The servers that are measured, each a process of its own.

use std::{env, fs, io, net::SocketAddr, process::Stdio, time::Duration};

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
    /// tokio and WebSocket, and nothing else.
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

/// A running server; it ends with this.
pub(crate) struct Server {
    process: Child,
    pid: u32,
    pub(crate) address: SocketAddr,
    /// Where its database is, gone with this.
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
        Ok(Self { process, pid, address, _folder: folder })
    }

    /// The time that the server's threads have run for.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid))? {
            // A thread may end while it is looked at; what it did was little.
            let Ok(times) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let ran = times.split(' ').next().and_then(|ran| ran.parse::<u64>().ok());
            nanos += ran
                .ok_or_else(|| io::Error::other("the system does not say how long threads ran"))?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// The bytes of the server's memory that are resident.
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

/// A program that is built with this one.
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
