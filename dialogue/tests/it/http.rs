//! What is served over HTTP: the client's script, the app's own routes, long polling.

use axum::{Router, routing::get};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{app::Test, server::Server};

/// One request on a connection of its own; returns status line and headers, and body.
async fn request(server: &Server<Test>, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut bytes = Vec::new();
    // A server that refuses a long body may close the connection while we write or read.
    let _ = stream.write_all(request.as_bytes()).await;
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head.to_owned(), body.to_owned())
}

async fn fetch(server: &Server<Test>, path: &str, headers: &str) -> (String, String) {
    request(
        server,
        &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n"),
    )
    .await
}

async fn post(server: &Server<Test>, sid: &str, body: &str) -> (String, String) {
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    request(server, &format!("{head}{body}")).await
}

async fn server() -> Server<Test> {
    let routes = Router::new()
        .route("/", get(async || "the app's own"))
        .fallback(async || (axum::http::StatusCode::NOT_FOUND, "the app's fallback"));
    Server::with_routes(Test::default(), dialogue::Limits::default(), routes).await
}

#[tokio::test]
async fn the_clients_script_is_served_and_cached() {
    let server = server().await;
    let (head, body) = fetch(&server, "/dialogue/client.js", "").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("text/javascript"), "{head}");
    assert_eq!(body, include_str!("../../assets/client.js"));
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let (head, body) =
        fetch(&server, "/dialogue/client.js", &format!("if-none-match: {tag}\r\n")).await;
    assert!(head.starts_with("HTTP/1.1 304"), "{head}");
    assert_eq!(body, "");
    let (head, _) = request(
        &server,
        "DELETE /dialogue/client.js HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(head.starts_with("HTTP/1.1 405"), "{head}");
}

#[tokio::test]
async fn the_apps_routes_and_fallback_answer_the_rest() {
    let server = server().await;
    assert_eq!(fetch(&server, "/", "").await.1, "the app's own");
    assert_eq!(fetch(&server, "/else", "").await.1, "the app's fallback");
    server.connect("ann").await;
}

/// Opens a polling session and connects; returns its id.
async fn poll_open(server: &Server<Test>, auth: &str, headers: &str) -> (String, String) {
    let (_, open) = fetch(server, "/socket.io/?EIO=4&transport=polling", headers).await;
    let open: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
    let sid = open["sid"].as_str().unwrap().to_owned();
    assert_eq!(open["maxPayload"], 1_000_000);
    let (head, _) = post(server, &sid, &format!("40{auth}")).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    let (_, reply) = fetch(server, &path, "").await;
    (sid, reply)
}

#[tokio::test]
async fn polling_has_the_same_payload_limit() {
    let server = server().await;
    let (sid, reply) = poll_open(&server, r#"{"userId":"ann"}"#, "").await;
    assert!(reply.starts_with("40{"), "{reply}");
    let long = "x".repeat(1_000_001);
    let frame = format!("42{}", json!(["dialogue:trigger", { "roomId": long }]));
    let (head, _) = post(&server, &sid, &frame).await;
    assert!(!head.starts_with("HTTP/1.1 200"), "{head}");
    server.connect("bob").await;
}

#[tokio::test]
async fn cookies_reach_no_hook() {
    let server = server().await;
    // The test's app refuses this user if it sees a cookie.
    let (_, reply) = poll_open(&server, r#"{"userId":"cookie"}"#, "cookie: session=1\r\n").await;
    assert!(reply.starts_with("40{"), "{reply}");
}
