//! Engine.IO requests, probes and upgrades, and streams that buffer.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

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

use crate::{
    app::Test,
    peer::Peer,
    polling::{Poller, fetch, request},
    server::{Server, unpaced},
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a WebSocket for a client that polls; an error is the status of the answer.
async fn upgrade(poller: &Poller) -> Result<Socket, u16> {
    let (address, sid) = (poller.address, &poller.session_id);
    let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket&sid={sid}");
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

async fn next(socket: &mut Socket) -> String {
    let next = tokio::time::timeout(Duration::from_secs(10), socket.next()).await;
    next.unwrap().unwrap().unwrap().into_text().unwrap().to_string()
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
