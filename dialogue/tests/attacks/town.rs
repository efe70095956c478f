//! The server that is attacked, in a process of its own.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, extract::Path, routing::post};
use dialogue::{
    App, Client, Context, CreateRoom, Deny, Dialogue, Event, EventMessage, Handshake, Payload,
    RoomConfig,
    auth::{ClaimedUser, TrustClientUserId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::process::{listen, runs};

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

/// A part of an [`Order`].
#[derive(Clone, Serialize, Deserialize, JsonSchema, Validate, Payload)]
pub struct Line {
    #[validate(length(min = 1))]
    pub text: String,
}

/// An event whose parts have rules.
#[derive(Clone, Serialize, Deserialize, JsonSchema, Validate, Event)]
pub struct Order {
    #[validate(nested)]
    pub lines: Vec<Line>,
}

#[dialogue::room("board:{n}", app = Town, events(Note, Order))]
pub mod board {
    #[derive(Clone)]
    pub struct Room {
        pub n: u32,
    }
}

#[dialogue::room("open:{n}", app = Town, events(any))]
pub mod open {
    #[derive(Clone)]
    pub struct Room {
        pub n: u32,
    }
}

#[dialogue::room("job:{n}", app = Town, events(Blink))]
pub mod job {
    use super::*;

    #[derive(Clone)]
    pub struct Room {
        pub n: u32,
    }

    #[on]
    async fn take_time(_: &Context<Town, Room>, _: &EventMessage<Blink>) {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

pub struct Town;

#[dialogue::app(rooms(hall, own, board, open, job))]
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

    async fn create_room(&self, _: &Client<Self>, request: CreateRoom) -> Result<RoomConfig, Deny> {
        Ok(request.config())
    }
}

/// The server under attack, with the routes that prepare it.
#[derive(Clone, Copy)]
pub struct Site {
    pub address: SocketAddr,
}

impl Site {
    /// Fills a room's log.
    pub async fn fill(self, room: &str, events: usize, size: usize) {
        self.tell(&format!("/fill/{room}/{events}/{size}")).await;
    }

    pub async fn create_rooms(self, rooms: usize) {
        self.tell(&format!("/create/{rooms}")).await;
    }

    /// Panics unless the server answers within 20 s.
    pub async fn assert_alive(self) {
        self.tell("/alive").await;
    }

    async fn tell(self, path: &str) {
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

/// The command line that runs the server.
pub fn serves() -> Vec<String> {
    runs("town::serve")
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
    dialogue.serve_on(listen().await, routes).await.unwrap();
}
