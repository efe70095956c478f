//! Engine.IO requests, probes and upgrades, and streams that buffer.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, routing::get};
use dialogue::Dialogue;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message as Frame},
};
use tower::Layer;

use crate::{
    app::{Message, Test, doc},
    peer::Peer,
    polling::{Poller, fetch, request},
    server::{Server, unpaced},
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a WebSocket for a client that polls; an error is the status of the answer.
async fn upgrade(poller: &Poller) -> Result<Socket, u16> {
    let Poller { address, endpoint, session_id: sid, .. } = poller;
    let url = format!("ws://{address}{endpoint}/?EIO=4&transport=websocket&sid={sid}");
    match connect_async(url).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn probe(socket: &mut Socket) {
    socket.send(Frame::text("2probe")).await.unwrap();
    assert_eq!(next(socket).await, "3probe");
}

/// The next packet that is no heartbeat.
async fn next(socket: &mut Socket) -> String {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(10), socket.next()).await;
        let text = next.unwrap().unwrap().unwrap().into_text().unwrap();
        if text != "2" {
            return text.to_string();
        }
        socket.send(Frame::text("3")).await.unwrap();
    }
}

#[tokio::test]
async fn malformed_engine_io_request_is_rejected_and_opens_no_transport() {
    let mut limits = unpaced();
    limits.connections_per_address = 1;
    let server = Server::with_limits(Test::default(), limits).await;
    for query in [
        "",
        "?EIO=4",
        "?transport=polling",
        "?EIO=3&transport=polling",
        "?EIO=4=&transport=polling",
        "?EIO==4&transport=polling",
        "?EIO=4&transport=polling=",
        "?EIO=4&transport=flash",
        "?EIO=4&transport=websocket",
        "?EIO=4&transport=polling&sid=unknown",
        "?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA",
        "?transport=polling&EIO=%34",
    ] {
        for method in ["GET", "POST", "PUT"] {
            let head = format!(
                "{method} /socket.io/{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                 content-length: 2\r\n\r\n40"
            );
            let (head, body) = request(server.address, &head).await;
            assert!(head.starts_with("HTTP/1.1 400"), "{method} {query}: {head}\n{body}");
        }
    }
    assert_eq!(server.dialogue.stats().addresses, 0);
    // The address may still open its only connection.
    server.connect("ann").await;
}

#[tokio::test]
async fn polling_session_whose_websocket_closes_after_the_probe_ends() {
    let server = Server::start(Test::default()).await;
    let poller = Poller::connect(server.address, r#"{"userId":"ann"}"#, "").await.unwrap();
    server.settled(|stats| stats.connections == 1).await;
    let mut socket = upgrade(&poller).await.unwrap();
    probe(&mut socket).await;
    drop(socket);
    server.settled(|stats| (stats.connections, stats.addresses) == (0, 0)).await;
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={}", poller.session_id);
    let (head, _) = fetch(server.address, &path, "").await;
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
}

/// Listens on a free port and serves, as an app does by hand.
async fn serve(router: Router) -> SocketAddr {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(dialogue::listen(tcp), router).await.unwrap() });
    address
}

#[tokio::test]
async fn layer_in_a_nested_router_serves_socket_io_and_its_documents_under_the_prefix() {
    let chat = Dialogue::builder(Test::default()).path("/api/ws");
    let chat = chat.limits(unpaced()).build().await.unwrap();
    let own = Router::new().route("/own", get(async || "own"));
    let app = Router::new().nest_service("/app", chat.layer().layer(own));
    let app = app.route("/", get(async || "outside"));
    let address = serve(app).await;
    assert_eq!(fetch(address, "/", "").await.1, "outside");
    assert_eq!(fetch(address, "/app/own", "").await.1, "own");
    assert_eq!(fetch(address, "/app/dialogue/ready", "").await.1, "ready");
    let (head, _) = fetch(address, "/app/dialogue/client.js", "").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    for elsewhere in ["/socket.io/", "/api/ws/", "/app/socket.io/", "/dialogue/ready"] {
        let path = format!("{elsewhere}?EIO=4&transport=polling");
        let (head, _) = fetch(address, &path, "").await;
        assert!(head.starts_with("HTTP/1.1 404"), "{path}: {head}");
    }

    let ann = r#"{"userId":"ann"}"#;
    let poller = Poller::connect_at(address, "/app/api/ws", ann, "").await.unwrap();
    poller.poll().await;
    let mut socket = upgrade(&poller).await.unwrap();
    probe(&mut socket).await;
    socket.send(Frame::text("5")).await.unwrap();
    socket.send(Frame::text(r#"427["dialogue:listRooms"]"#)).await.unwrap();
    while !next(&mut socket).await.starts_with("437") {}
    // One that ends while it upgrades.
    let poller = Poller::connect_at(address, "/app/api/ws", ann, "").await.unwrap();
    let mut socket = upgrade(&poller).await.unwrap();
    probe(&mut socket).await;
    drop(socket);
    let path = format!("/app/api/ws/?EIO=4&transport=polling&sid={}", poller.session_id);
    while !fetch(address, &path, "").await.0.starts_with("HTTP/1.1 400") {}
}

#[tokio::test]
async fn invalid_path_of_socket_io_is_rejected_when_the_server_is_built() {
    for path in
        ["", "/", "api", "/api/", "//api", "/a//b", "/a?b", "/a b", "/ä", "/a/../b", "/dialogue/ws"]
    {
        let built = Dialogue::builder(Test::default()).path(path).build().await.map(drop);
        assert!(matches!(built, Err(dialogue::Error::Path(text)) if text == path), "{path}");
    }
    Dialogue::builder(Test::default()).path("/dialogues/v1.0").build().await.unwrap();
}

#[tokio::test]
async fn heartbeat_of_the_limits_is_in_the_handshake_and_ends_a_silent_client() {
    let mut limits = unpaced();
    limits.heartbeat_interval = Duration::from_millis(50);
    limits.heartbeat_timeout = Duration::from_millis(150);
    let server = Server::with_limits(Test::default(), limits).await;
    let (_, open) = fetch(server.address, "/socket.io/?EIO=4&transport=polling", "").await;
    let open: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
    assert_eq!((&open["pingInterval"], &open["pingTimeout"]), (&json!(50), &json!(150)));
    // It reads nothing, and so answers no heartbeat.
    let _silent = server.connect("noted").await;
    let notes = server.dialogue.app().noted(2).await;
    assert_eq!(notes, ["connected", "disconnected TimedOut in []"]);
}

#[tokio::test]
async fn heartbeat_out_of_range_is_rejected_when_the_server_is_built() {
    for (interval, timeout, field) in [
        (Duration::ZERO, Duration::from_secs(20), "heartbeat_interval"),
        (Duration::from_secs(3_601), Duration::from_secs(20), "heartbeat_interval"),
        (Duration::from_secs(25), Duration::ZERO, "heartbeat_timeout"),
        (Duration::from_secs(25), Duration::MAX, "heartbeat_timeout"),
    ] {
        let mut limits = unpaced();
        (limits.heartbeat_interval, limits.heartbeat_timeout) = (interval, timeout);
        let built = Dialogue::builder(Test::default()).limits(limits).build().await.map(drop);
        let error = built.unwrap_err();
        assert!(matches!(error, dialogue::Error::Limit { limit, .. } if limit == field), "{error}");
        assert!(error.to_string().contains("from 1 ms to 1 h"), "{error}");
    }
}

#[tokio::test]
async fn packets_that_a_poll_had_no_room_for_arrive_after_the_upgrade() {
    const ROOMS: u32 = 7;
    let mut limits = unpaced();
    // More than one poll takes.
    limits.outgoing_bytes = 100 * limits.payload;
    let server = Server::with_limits(Test::default(), limits).await;
    for id in 0..ROOMS {
        let room = server.dialogue.room(doc::Room { id });
        for _ in 0..120 {
            room.trigger(Message::new(&"x".repeat(1_900))).await.unwrap();
        }
    }
    let poller = Poller::connect(server.address, r#"{"userId":"ann"}"#, "").await.unwrap();
    poller.poll().await;
    let join = |n| format!("42{n}{}", json!(["dialogue:join", { "roomId": format!("doc:{n}") }]));
    let joins: Vec<_> = (0..ROOMS).map(join).collect();
    poller.send(&joins.join("\u{1e}")).await;
    server.settled(|stats| stats.members == ROOMS as usize).await;

    let mut answers = poller.poll().await;
    assert!((1..ROOMS as usize).contains(&answers.len()), "{} answers fit a poll", answers.len());
    let mut socket = upgrade(&poller).await.unwrap();
    probe(&mut socket).await;
    socket.send(Frame::text("5")).await.unwrap();
    while answers.len() < ROOMS as usize {
        answers.push(next(&mut socket).await);
    }
    for (n, answer) in answers.iter().enumerate() {
        assert!(answer.starts_with(&format!(r#"43{n}[{{"ok":true"#)), "{n}: {answer:.80}");
    }
}

#[tokio::test]
async fn answer_to_a_poll_has_up_to_16_384_bytes() {
    let server = Server::start(Test::default()).await;
    let poller = Poller::connect(server.address, r#"{"userId":"ann"}"#, "").await.unwrap();
    poller.send(r#"420["dialogue:join",{"roomId":"general"}]"#).await;
    while !poller.poll().await.iter().any(|packet| packet.starts_with("430")) {}
    let mut bob = server.join("bob", "general").await;
    for n in 0..60 {
        let text = format!("{n} {}", "x".repeat(1_000));
        assert_eq!(bob.trigger("general", "message", json!({ "text": text })).await["ok"], true);
    }
    let (mut packets, mut polls) = (0, 0);
    while packets < 60 {
        let answer = poller.poll().await;
        let bytes: usize = answer.iter().map(|packet| packet.len() + 1).sum();
        assert!(bytes <= 16_384, "{bytes}");
        packets += answer.iter().filter(|packet| packet.contains("xxx")).count();
        polls += 1;
    }
    assert!(polls >= 4, "{polls}");
}

#[tokio::test]
async fn second_websocket_of_an_upgraded_session_is_rejected_and_the_first_stays() {
    let server = Server::start(Test::default()).await;
    let poller = Poller::connect(server.address, r#"{"userId":"ann"}"#, "").await.unwrap();
    poller.poll().await;
    let mut socket = upgrade(&poller).await.unwrap();
    probe(&mut socket).await;
    socket.send(Frame::text("5")).await.unwrap();
    socket.send(Frame::text(r#"421["dialogue:join",{"roomId":"general"}]"#)).await.unwrap();
    let joined = next(&mut socket).await;
    assert!(joined.starts_with(r#"431[{"ok":true"#), "{joined}");

    for _ in 0..3 {
        match upgrade(&poller).await {
            Err(status) => assert_eq!(status, 400),
            // The server may also accept it and close it.
            Ok(mut second) => {
                let _ = second.send(Frame::text("2probe")).await;
                let answer = tokio::time::timeout(Duration::from_secs(10), second.next()).await;
                let answer = answer.expect("it is closed");
                assert!(!matches!(answer, Some(Ok(Frame::Text(_)))), "{answer:?}");
            }
        }
    }
    socket.send(Frame::text(r#"422["dialogue:leave",{"roomId":"general"}]"#)).await.unwrap();
    assert_eq!(next(&mut socket).await, r#"432[{"ok":true}]"#);
    assert_eq!(server.dialogue.stats().connections, 1);
}

#[tokio::test]
async fn binary_packet_without_its_attachments_affects_no_other_client() {
    let server = Server::start(Test::default()).await;
    let mut bob = server.join("bob", "general").await;
    let mut ann = server.connect("ann").await;
    ann.send_text(r#"453-["dialogue:trigger",{"_placeholder":true,"num":0}]"#).await;
    ann.send_binary(b"first").await;
    // A text in place of the second attachment.
    ann.send_text(r#"42["dialogue:listRooms"]"#).await;
    assert_eq!(bob.trigger("general", "message", json!({ "text": "hi" })).await["ok"], true);
    ann.close().await;
    server.settled(|stats| stats.connections == 1).await;
}

#[tokio::test]
async fn ipv6_48_has_four_times_the_connections_of_a_64() {
    let mut limits = unpaced();
    limits.connections_per_address = 1;
    let builder = Dialogue::builder(Test::default()).limits(limits).proxies(["127.0.0.0/8"]);
    let server = Server::built(builder, axum::Router::new()).await;
    let mut places = Vec::new();
    for network in 0..6 {
        let from = format!("2001:db8:0:{network}::1");
        match Peer::via(server.address, &from, r#"{"userId":"ann"}"#).await {
            Ok(peer) => places.push(peer),
            Err(refused) => assert_eq!(refused, json!(429)),
        }
    }
    assert_eq!(places.len(), 4);
    Peer::via(server.address, "2001:db8:1::1", r#"{"userId":"ann"}"#).await.unwrap();
}

/// A stream that buffers until it is flushed and has no vectored writes, as a TLS stream may.
struct Buffered(BufWriter<TcpStream>);

impl AsyncRead for Buffered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Buffered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

struct BufferedListener(TcpListener);

impl axum::serve::Listener for BufferedListener {
    type Io = Buffered;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Buffered, SocketAddr) {
        let (stream, address) = self.0.accept().await.unwrap();
        (Buffered(BufWriter::with_capacity(1_000_000, stream)), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

#[tokio::test]
async fn packets_on_a_stream_that_buffers_are_flushed() {
    let dialogue = Dialogue::builder(Test::default()).limits(unpaced()).build().await.unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let routes = axum::Router::new().layer(dialogue.layer());
    tokio::spawn(axum::serve(BufferedListener(tcp), routes).into_future());
    let mut ann = Peer::connect(address, r#"{"userId":"ann"}"#).await.unwrap();
    assert_eq!(ann.join("general").await["ok"], true);
    for length in [1, 1_000, 2_000] {
        let text = "x".repeat(length);
        assert_eq!(ann.trigger("general", "message", json!({ "text": text })).await["ok"], true);
        assert_eq!(ann.message().await["data"]["text"], text);
    }
    let poller = Poller::connect(address, r#"{"userId":"bob"}"#, "").await.unwrap();
    assert!(poller.poll().await[0].contains("dialogue:connected"));
}
