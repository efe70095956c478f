//! The server that is attacked, in a process of its own.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use axum::{Router, extract::Path, routing::post};
use dialogue::{
    App, Context, Deny, Dialogue, Event, Handshake, RoomConfig,
    auth::{ClaimedUser, TrustClientUserId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::timeout,
};

const LISTENS: &str = "listens on ";

/// Kept.
#[derive(Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(history = 10_000)]
pub struct Note {
    pub text: String,
}

/// Kept nowhere.
#[derive(Clone, Serialize, Deserialize, JsonSchema, Event)]
pub struct Blink {
    pub text: String,
}

/// What takes its time.
#[derive(Clone, Serialize, Deserialize, JsonSchema, Event)]
pub struct Slow;

#[dialogue::room("hall", app = Town, events(Note, Blink, Slow), sync_history = 100)]
pub mod hall {
    use super::*;

    #[before]
    async fn take_time(_: &Context<Town, Room>, _: &mut Slow) -> Result<(), Deny> {
        tokio::time::sleep(Duration::from_mins(1)).await;
        Ok(())
    }
}

#[dialogue::room("own:{n}", app = Town, events(Blink))]
pub mod own {
    #[derive(Clone)]
    pub struct Room {
        pub n: u32,
    }
}

pub struct Town;

#[dialogue::app(rooms(hall, own))]
impl App for Town {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(
        &self,
        who: TrustClientUserId,
        handshake: &Handshake,
    ) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }
}

pub struct Process {
    child: Child,
    pub address: SocketAddr,
}

impl Process {
    /// Starts a server with the default limits, and waits until it listens.
    pub async fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["town::serve", "--exact", "--ignored", "--nocapture"])
            // Memory that is free goes back, as far as it can.
            .env("MALLOC_ARENA_MAX", "2")
            .env("MALLOC_TRIM_THRESHOLD_", "65536")
            .env("MALLOC_MMAP_THRESHOLD_", "65536")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap().expect("the server listens");
            if let Some((_, address)) = line.split_once(LISTENS) {
                break address.parse().unwrap();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, address }
    }

    /// Its memory, in bytes.
    pub fn resident(&self) -> usize {
        let status = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1_024
    }

    /// Fills a room's log.
    pub async fn fill(&self, room: &str, events: usize, size: usize) {
        self.tell(&format!("/fill/{room}/{events}/{size}")).await;
    }

    pub async fn create_rooms(&self, rooms: usize) {
        self.tell(&format!("/create/{rooms}")).await;
    }

    /// Whether it still answers others.
    pub async fn is_alive(&self) {
        self.tell("/alive").await;
    }

    async fn tell(&self, path: &str) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = timeout(Duration::from_secs(20), stream.read_to_string(&mut answer));
        read.await.expect("the server answers in time").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

/// Not a test: the server that tests start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the server that other tests start"]
async fn serve() {
    if !std::env::args().any(|argument| argument == "--nocapture") {
        return;
    }
    let dialogue = Dialogue::builder(Town).build().await.unwrap();
    let filled = dialogue.clone();
    let fill = async move |Path((room, events, size)): Path<(String, usize, usize)>| {
        assert_eq!(room, "hall");
        for _ in 0..events {
            let note = Note { text: "x".repeat(size) };
            filled.room(hall::Room).trigger(note).await.unwrap();
        }
    };
    let created = dialogue.clone();
    let create = async move |Path(rooms): Path<usize>| {
        for n in 0..rooms {
            let config = RoomConfig::new(format!("Room {n}")).description("A room like others");
            created.create_room(&format!("room-{n}"), config).await.unwrap();
        }
    };
    let routes = Router::new()
        .route("/fill/{room}/{events}/{size}", post(fill))
        .route("/create/{rooms}", post(create))
        .route("/alive", post(async || {}));
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{LISTENS}{}", tcp.local_addr().unwrap());
    dialogue.serve_on(tcp, routes).await.unwrap();
}
