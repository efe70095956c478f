//! The baseline: tokio and WebSocket, with only the part of Socket.IO that the load generator uses.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, Sender},
};
use tokio_tungstenite::{
    accept_async_with_config,
    tungstenite::{self, Message, Utf8Bytes, protocol::WebSocketConfig},
};

/// Maximum number of queued messages of a connection. Further ones are dropped.
const WAITING: usize = 128;
/// Size of the read buffer, in bytes.
const READ: usize = 4_096;
const OPEN: &str = r#"0{"sid":"floor","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100000}"#;
const CONNECTED: &str = r#"40{"sid":"floor"}"#;

type Rooms = Arc<Mutex<HashMap<String, Vec<Sender<Utf8Bytes>>>>>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    room_id: String,
    #[serde(default)]
    event: String,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", tcp.local_addr()?);
    let rooms = Rooms::default();
    loop {
        let (stream, _) = tcp.accept().await?;
        tokio::spawn(serve(stream, rooms.clone()));
    }
}

/// Serves a connection. A closed one stays in its rooms: clients of the benchmark do not reconnect.
async fn serve(stream: TcpStream, rooms: Rooms) -> Result<(), Box<dyn Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(READ);
    let (mut outgoing, mut incoming) =
        accept_async_with_config(stream, Some(config)).await?.split();
    let (inbox, mut deliveries) = mpsc::channel(WAITING);
    inbox.send(OPEN.into()).await?;
    tokio::spawn(async move {
        let mut ready = Vec::new();
        while deliveries.recv_many(&mut ready, WAITING).await > 0 {
            for text in ready.drain(..) {
                outgoing.feed(Message::Text(text)).await?;
            }
            outgoing.flush().await?;
        }
        Ok::<(), tungstenite::Error>(())
    });
    while let Some(message) = incoming.next().await {
        if let Message::Text(text) = message? {
            answer(&text, &inbox, &rooms)?;
        }
    }
    Ok(())
}

/// Handles CONNECT, a join or a trigger.
fn answer(text: &str, inbox: &Sender<Utf8Bytes>, rooms: &Rooms) -> serde_json::Result<()> {
    if text.starts_with("40") {
        inbox.try_send(CONNECTED.into()).ok();
    }
    let Some(request) = text.strip_prefix("42") else { return Ok(()) };
    let digits = request.find('[').unwrap_or_default();
    let (ack, body) = request.split_at(digits);
    let (_, Request { room_id, event, data }): (&str, Request<'_>) = serde_json::from_str(body)?;
    let mut rooms = rooms.lock().expect("nothing panics under the lock");
    let Some(data) = data else {
        rooms.entry(room_id).or_default().push(inbox.clone());
        inbox.try_send(format!(r#"43{ack}[{{"ok":true}}]"#).into()).ok();
        return Ok(());
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let message = Utf8Bytes::from(format!(
        r#"42["dialogue:event",{{"event":"{event}","roomId":"{room_id}","data":{data},"from":"floor","timestamp":{now}}}]"#,
    ));
    for member in rooms.get(&room_id).into_iter().flatten() {
        member.try_send(message.clone()).ok();
    }
    Ok(())
}
