//! A server whose process has few file descriptors, in a process of its own.

use std::time::Duration;

use axum::{Router, routing::get};
use dialogue::Dialogue;
use tokio::net::TcpStream;
use tracing::Level;

use crate::{
    app::Test,
    log::log,
    polling::fetch,
    process::{Process, command, listen, runs},
    server::unpaced,
};

const DESCRIPTORS: u64 = 48;

#[tokio::test]
#[ignore = "a server, which a test runs in a process of its own"]
async fn serves_with_few_descriptors() {
    let (lines, _guard) = log(Level::WARN);
    rlimit::Resource::NOFILE.set(DESCRIPTORS, DESCRIPTORS).unwrap();
    let mut limits = unpaced();
    (limits.connections, limits.connections_per_address) = (1_000, 1_000);
    limits.handshake_time = Duration::from_hours(1);
    let chat = Dialogue::builder(Test::default()).limits(limits).build().await.unwrap();
    let log = get(async move || lines.take().join("\n"));
    let tcp = listen().await;
    chat.serve_on(tcp, Router::new().route("/log", log)).await.unwrap();
}

#[tokio::test]
async fn connection_without_a_file_descriptor_is_answered_503_and_logged() {
    let server = Process::start(&mut command(&runs("files::serves_with_few_descriptors"))).await;
    let address = server.address;
    let mut connections = Vec::new();
    for _ in 0..DESCRIPTORS {
        connections.push(TcpStream::connect(address).await.unwrap());
    }
    for _ in 0..3 {
        let answered = fetch(address, "/socket.io/?EIO=4&transport=polling", "");
        let answered = tokio::time::timeout(Duration::from_secs(20), answered).await;
        let (head, _) = answered.expect("an answer");
        assert!(head.starts_with("HTTP/1.1 503") && head.contains("retry-after"), "{head}");
    }
    drop(connections);
    let log = loop {
        let (head, body) = fetch(address, "/log", "").await;
        if head.starts_with("HTTP/1.1 200") {
            break body;
        }
    };
    let lines: Vec<_> = log.lines().filter(|line| line.contains("open files")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    server.kill().await;
}
