//! A client's trigger, from the text of its message to the hand-over to the one subscriber's connection,
//! which is its own: set up so that nothing else is measured.
#![allow(clippy::missing_panics_doc, reason = "what cannot be set up cannot be measured")]

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use axum::Router;
use dialogue::{
    App, Client, Deny, Dialogue, Event, EventMessage, Handshake, Limits,
    auth::{ClaimedUser, TrustClientUserId},
    bench::{self, Message},
};
use futures_util::{FutureExt, SinkExt, StreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message as Packet,
};
use validator::Validate;

/// An event that is kept.
#[derive(Clone, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(rename_all = "camelCase")]
#[event(history = 100)]
pub struct Stored {
    /// What it says.
    #[validate(length(min = 1, max = 2000))]
    pub text: String,
    /// Whose it is.
    pub sender_id: String,
}

/// The same, not kept.
#[derive(Clone, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(rename_all = "camelCase")]
pub struct Ephemeral {
    /// What it says.
    #[validate(length(min = 1, max = 2000))]
    pub text: String,
    /// Whose it is.
    pub sender_id: String,
}

/// A payload of 200 bytes.
pub fn payload() -> Ephemeral {
    Ephemeral { text: "x".repeat(172), sender_id: "ann".into() }
}

#[dialogue::room("plain", app = Measured, events(Stored, Ephemeral))]
mod plain {}

#[dialogue::room("handled", app = Measured, events(Stored))]
mod handled {
    use dialogue::{Context, EventMessage};

    use super::*;

    #[before]
    async fn sign(_: &Context<Measured, Room>, stored: &mut Stored) -> Result<(), Deny> {
        stored.sender_id.make_ascii_uppercase();
        Ok(())
    }

    #[on]
    async fn read(_: &Context<Measured, Room>, stored: &EventMessage<Stored>) {
        std::hint::black_box(stored);
    }
}

/// The app that is measured.
pub struct Measured;

#[dialogue::app(rooms(plain, handled))]
impl App for Measured {
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

/// What is triggered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An event without history.
    Ephemeral,
    /// An event with history.
    Stored,
    /// The same, acknowledged.
    Acknowledged,
    /// An event with history, and a key of its own.
    StoredWithKey,
    /// An event with history, a `#[before]` and an `#[on]` handler.
    Handled,
}

/// How long the other end waits for a packet.
const PATIENCE: Duration = Duration::from_secs(20);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One client's way through a server, all on one thread.
pub struct Path {
    kind: Kind,
    runtime: Runtime,
    client: Client<Measured>,
    /// The other end of the client's connection.
    socket: RefCell<Socket>,
    triggered: Cell<u64>,
    /// How many packets the other end has not read.
    unread: Cell<u64>,
}

impl Path {
    /// Before it is measured, the log is full and what a room remembers of it too.
    pub fn open(kind: Kind) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (client, socket) = runtime.block_on(connect(kind));
        let socket = RefCell::new(socket);
        let (triggered, unread) = (Cell::new(0), Cell::new(0));
        let path = Self { kind, runtime, client, socket, triggered, unread };
        for _ in 0..500 {
            path.trigger(path.message());
        }
        path
    }

    /// The next message to trigger. Before that, the other end reads whatever there is.
    pub fn message(&self) -> Message {
        self.read();
        self.triggered.update(|triggered| triggered + 1);
        Message::new(self.text(), self.is_acknowledged().then_some(1))
    }

    /// The other end reads whatever there is.
    pub fn read(&self) {
        let mut socket = self.socket.borrow_mut();
        for _ in 0..self.unread.take() {
            let packet = self.runtime.block_on(next(&mut socket));
            let refused = [r#""ok":false"#, r#""dialogue:error""#];
            assert!(refused.iter().all(|refused| !packet.contains(refused)), "{packet}");
        }
    }

    fn is_acknowledged(&self) -> bool {
        self.kind == Kind::Acknowledged
    }

    fn text(&self) -> String {
        let (room, event) = match self.kind {
            Kind::Ephemeral => ("plain", "ephemeral"),
            Kind::Stored | Kind::Acknowledged | Kind::StoredWithKey => ("plain", "stored"),
            Kind::Handled => ("handled", "stored"),
        };
        let key = match self.kind {
            Kind::StoredWithKey => format!(r#","key":"{}""#, self.triggered.get()),
            _ => String::new(),
        };
        let Ephemeral { text, sender_id } = payload();
        let data = format!(r#"{{"text":"{text}","senderId":"{sender_id}"}}"#);
        assert_eq!(data.len(), 200);
        format!(
            r#"["dialogue:trigger",{{"roomId":"{room}","event":"{event}","data":{data}{key}}}]"#
        )
    }

    /// The whole path. Packets wait until the other end reads, at most 128 of them.
    pub fn trigger(&self, message: Message) {
        self.unread.update(|unread| unread + 1 + u64::from(self.is_acknowledged()));
        self.at_once(bench::handle(&self.client, message));
    }

    /// The end of it: encodes and broadcasts to the one subscriber.
    pub fn hand_over<E: Event>(&self, message: &EventMessage<E>) {
        self.unread.update(|unread| unread + 1);
        bench::deliver(&self.client, message);
    }

    /// Whatever has to wait would be measured together with what it waits for.
    fn at_once<T>(&self, future: impl Future<Output = T>) -> T {
        let done = self.runtime.block_on(async { future.now_or_never() });
        done.expect("what is measured waits for nothing")
    }
}

/// A server, and a client in the kind's room.
async fn connect(kind: Kind) -> (Client<Measured>, Socket) {
    let mut limits = Limits::default();
    (limits.triggers, limits.triggers_per_address, limits.triggers_in_all) = (None, None, None);
    let dialogue = Dialogue::builder(Measured).limits(limits).build().await.unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", tcp.local_addr().unwrap());
    let app = Router::new().layer(dialogue.layer());
    tokio::spawn(async { axum::serve(dialogue::listen(tcp), app).await });

    let (mut socket, _) = connect_async(url).await.unwrap();
    socket.send(Packet::text(r#"40{"userId":"ann"}"#)).await.unwrap();
    while !next(&mut socket).await.starts_with(r#"42["dialogue:connected""#) {}
    let client = dialogue.clients().pop().unwrap();
    match kind {
        Kind::Handled => client.join(handled::Room).await,
        _ => client.join(plain::Room).await,
    }
    .unwrap();
    while !next(&mut socket).await.starts_with(r#"42["dialogue:joined""#) {}
    (client, socket)
}

/// The next text that is no ping.
async fn next(socket: &mut Socket) -> String {
    loop {
        let next = timeout(PATIENCE, socket.next()).await.expect("a packet that was sent arrives");
        let text = next.unwrap().unwrap().into_text().unwrap();
        if text != "2" {
            return text.to_string();
        }
        socket.send(Packet::text("3")).await.unwrap();
    }
}
