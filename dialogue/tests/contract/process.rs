//! A server in a process of its own, which may be killed.

use std::{net::SocketAddr, process::Stdio};

use dialogue::{Builder, Dialogue};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};

use crate::{app::Town, world::limits};

/// Which store the server is to use: `memory`, a path, or a URL.
const STORE: &str = "DIALOGUE_CONTRACT_STORE";
const LISTENS: &str = "listens on ";

pub struct Process {
    child: Child,
    pub address: SocketAddr,
}

impl Process {
    /// Starts a server and waits until it listens.
    pub async fn start(store: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["process::serve", "--exact", "--ignored", "--nocapture"])
            .env(STORE, store)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
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

    /// Its memory, in KiB.
    #[cfg(target_os = "linux")]
    pub fn resident(&self) -> usize {
        let status = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Ends it at once, as if the machine had.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to end, and waits until it has; returns whether all was well.
    pub async fn terminate(mut self) -> bool {
        let id = self.child.id().unwrap().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().await.unwrap();
        assert!(asked.success());
        self.child.wait().await.unwrap().success()
    }
}

/// Not a test: the server that tests start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the server that other tests start"]
async fn serve() {
    let Ok(store) = std::env::var(STORE) else { return };
    let mut limits = limits();
    limits.stop_time = std::time::Duration::from_secs(6);
    let town: Builder<Town> = Dialogue::builder(Town::default()).limits(limits);
    let town = if store == "memory" {
        town
    } else if store.contains("://") {
        town.store(dialogue::store::Postgres::connect(&store).await.unwrap())
    } else {
        town.store(dialogue::store::Sqlite::open(&store).await.unwrap())
    };
    let dialogue = town.build().await.unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{LISTENS}{}", tcp.local_addr().unwrap());
    dialogue.serve_on(tcp, axum::Router::new()).await.unwrap();
}
