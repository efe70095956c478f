//! Servers in processes of their own, which run ignored tests of this program.
#![allow(dead_code, reason = "each program uses a part of it")]

use std::{net::SocketAddr, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};

const LISTENS: &str = "listens on ";

pub struct Process {
    child: Child,
    pub address: SocketAddr,
}

/// The command line that runs one ignored test of this program.
pub fn runs(test: &str) -> Vec<String> {
    let program = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
    let arguments = [test, "--exact", "--ignored", "--nocapture"].map(str::to_owned);
    [program].into_iter().chain(arguments).collect()
}

/// A command of a program and its arguments. Dropping its process kills it.
pub fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).kill_on_drop(true);
    command
}

/// Listens on a free port, and tells the parent process which one.
pub async fn listen() -> TcpListener {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{LISTENS}{}", tcp.local_addr().unwrap());
    tcp
}

impl Process {
    /// Starts a server and waits until it listens.
    pub async fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap().expect("the server listens");
            // The test harness may have begun the line.
            if let Some((_, address)) = line.split_once(LISTENS) {
                break address.parse().unwrap();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, address }
    }

    fn id(&self) -> u32 {
        self.child.id().expect("the server runs")
    }

    /// Its resident memory, in bytes.
    #[cfg(target_os = "linux")]
    pub fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1_024
    }

    /// Its processor time, on all processors.
    #[cfg(target_os = "linux")]
    pub fn cpu(&self) -> std::time::Duration {
        /// The unit of times in `/proc`: 100 per second on every Linux.
        const TICK: std::time::Duration = std::time::Duration::from_millis(10);
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let spent = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u32>().unwrap());
        TICK * spent.sum::<u32>()
    }

    /// Kills it.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Terminates it and waits for its end. Returns whether it succeeded.
    pub async fn terminate(mut self) -> bool {
        let id = self.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().await.unwrap();
        assert!(asked.success());
        self.child.wait().await.unwrap().success()
    }
}
