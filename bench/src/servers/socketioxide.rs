//! The transport by itself: what one writes with socketioxide alone, without validation, order or history.

use std::{
    error::Error,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{Router, serve::ListenerExt};
use serde::{Deserialize, Serialize};
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, SocketRef},
    handler::ConnectHandler,
};
use tokio::net::TcpListener;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Join {
    room_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trigger {
    room_id: String,
    event: String,
    data: Payload,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    at: u64,
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    event: &'a str,
    room_id: &'a str,
    data: &'a Payload,
    from: &'a str,
    timestamp: u64,
}

#[derive(Serialize)]
struct Done {
    ok: bool,
}

/// Registers what must not miss the first message.
async fn register(socket: SocketRef) -> Result<(), std::convert::Infallible> {
    socket.on(
        "dialogue:join",
        async |socket: SocketRef, Data(join): Data<Join>, ack: AckSender| {
            socket.join(join.room_id);
            ack.send(&Done { ok: true }).ok();
        },
    );
    socket.on(
        "dialogue:trigger",
        async |io: SocketIo, socket: SocketRef, Data(trigger): Data<Trigger>| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let message = Message {
                event: &trigger.event,
                room_id: &trigger.room_id,
                data: &trigger.data,
                from: socket.id.as_str(),
                timestamp: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            };
            io.to(trigger.room_id.clone()).emit("dialogue:event", &message).await.ok();
        },
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", (async |_: SocketRef| {}).with(register));
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", tcp.local_addr()?);
    let tcp = tcp.tap_io(|stream| {
        stream.set_nodelay(true).ok();
    });
    axum::serve(tcp, Router::new().layer(layer)).await?;
    Ok(())
}
