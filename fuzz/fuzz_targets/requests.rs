//! Whatever a connected client sends: frames are decoded, routed and answered, or end the connection.
//! Nothing panics in the server, nothing hangs, and nobody else notices.
//!
//! An input is lines; each is a WebSocket text frame, sent as it is by a client that is in a room.
#![no_main]

use std::{net::SocketAddr, sync::OnceLock, time::Duration};

use dialogue::{
    App, Client, CreateRoom, Deny, Dialogue, Event, Handshake, Limits, RoomConfig,
    auth::{ClaimedUser, TrustClientUserId},
};
use futures_util::{SinkExt, StreamExt};
use libfuzzer_sys::fuzz_target;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message as Frame,
};
use validator::Validate;

#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(rename_all = "camelCase")]
#[event(name = "message", history = 10)]
struct Message {
    #[validate(length(min = 1, max = 20), contains(pattern = "i"))]
    text: String,
    #[validate(range(max = 10))]
    line_count: Option<u8>,
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
enum Shape {
    Circle { radius: f64 },
    Square(f64),
    Point,
}

#[dialogue::room("general", app = Fuzzed, events(Message, Shape, any), sync_history = all)]
mod general {
    use super::*;
    use dialogue::Context;

    #[before]
    async fn tidy(_: &Context<Fuzzed, Room>, message: &mut Message) -> Result<(), Deny> {
        message.text = message.text.trim().to_owned();
        Ok(())
    }
}

#[dialogue::room("doc:{a}:{b}", app = Fuzzed, events(Message), max_size = 2, listed)]
mod document {
    #[derive(Clone)]
    pub struct Room {
        pub a: String,
        pub b: i8,
    }
}

struct Fuzzed;

#[dialogue::app(rooms(general, document))]
impl App for Fuzzed {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(
        &self,
        who: TrustClientUserId,
        handshake: &Handshake,
    ) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }

    async fn create_room(
        &self,
        _: &Client<Self>,
        request: CreateRoom,
    ) -> Result<RoomConfig, Deny> {
        Ok(request.config().event::<Message>())
    }
}

struct Fuzzer {
    runtime: Runtime,
    address: SocketAddr,
}

fn fuzzer() -> &'static Fuzzer {
    static FUZZER: OnceLock<Fuzzer> = OnceLock::new();
    FUZZER.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        let address = runtime.block_on(async {
            let mut limits = Limits::default();
            (limits.triggers, limits.requests, limits.history) = (None, None, None);
            (limits.creations, limits.connects, limits.joins) = (None, None, None);
            (limits.connects_per_address, limits.connects_in_all) = (None, None);
            (limits.triggers_per_address, limits.triggers_in_all) = (None, None);
            limits.rooms_per_user = usize::MAX;
            let dialogue = Dialogue::builder(Fuzzed).limits(limits).build().await.unwrap();
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = tcp.local_addr().unwrap();
            tokio::spawn(async move { dialogue.serve_on(tcp, axum::Router::new()).await });
            address
        });
        Fuzzer { runtime, address }
    })
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A client that is in a room.
async fn join(address: SocketAddr) -> Socket {
    let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
    let (mut socket, _) = connect_async(url).await.unwrap();
    // What comes before the answer to the first is none of a client's business yet.
    for (frame, answer) in [
        (r#"40{"userId":"fuzz"}"#, "40"),
        (r#"421["dialogue:join",{"roomId":"general"}]"#, "431["),
    ] {
        socket.send(Frame::text(frame)).await.unwrap();
        while !text(&mut socket).await.expect("it is let in").starts_with(answer) {}
    }
    socket
}

/// The next frame; `None` if the connection has ended.
async fn text(socket: &mut Socket) -> Option<String> {
    let next = tokio::time::timeout(Duration::from_secs(10), socket.next());
    match next.await.expect("the server answers, or ends the connection") {
        Some(Ok(Frame::Text(text))) => Some(text.to_string()),
        Some(Ok(Frame::Close(_)) | Err(_)) | None => None,
        Some(Ok(_)) => Some(String::new()),
    }
}

async fn send(address: SocketAddr, input: &str) {
    let mut socket = join(address).await;
    for line in input.split('\n') {
        if socket.send(Frame::text(line)).await.is_err() {
            return;
        }
    }
    // Whoever disconnects hears nothing more.
    if input.split('\n').any(|line| line.starts_with("41") || line.starts_with('1')) {
        return;
    }
    // Asked last, answered last.
    if socket.send(Frame::text(r#"4299999999["dialogue:listRooms"]"#)).await.is_err() {
        return;
    }
    while let Some(text) = text(&mut socket).await {
        assert!(!text.contains(r#""code":"INTERNAL""#), "{text}");
        if text.starts_with("4399999999[") || text == "1" || text.starts_with("41") {
            break;
        }
    }
    socket.close(None).await.ok();
}

fuzz_target!(|input: &[u8]| {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let fuzzer = fuzzer();
    fuzzer.runtime.block_on(send(fuzzer.address, input));
});
