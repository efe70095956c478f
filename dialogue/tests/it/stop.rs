//! Going down.

use std::time::Duration;

use axum::{Router, routing::get};
use dialogue::{Dialogue, TriggerError};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    app::{Message, Test, general},
    peer::{Incoming, Peer},
    server::{Server, unpaced},
    shaky::Shaky,
};

const LONG: Duration = Duration::from_secs(10);

async fn http(server: &Server<Test>, path: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn what_was_accepted_is_finished_and_nobody_comes_in() {
    let store = Shaky::default();
    let builder = Dialogue::builder(Test::default()).limits(unpaced()).store(store.clone());
    let server = Server::built(builder, Router::new()).await;
    let (mut ann, mut bob) =
        (server.join("ann", "general").await, server.join("bob", "general").await);
    assert!(http(&server, "/dialogue/ready").await.starts_with("HTTP/1.1 200"));
    store.set_open(false);
    let request = json!(["dialogue:trigger", {
        "roomId": "general", "event": "message", "data": { "text": "last words" },
    }]);
    ann.send_text(format!("427{request}")).await;
    // It waits for the store.
    server.dialogue.app().noted(3).await;
    let dialogue = server.dialogue.clone();
    let stopped = tokio::spawn(async move { dialogue.stop(LONG).await });
    for peer in [&mut ann, &mut bob] {
        let (name, draining) = peer.event().await;
        assert_eq!(name, "dialogue:draining");
        assert!(draining["reconnectAfterMs"].as_u64().unwrap() < 5_000);
    }

    let ready = http(&server, "/dialogue/ready").await;
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("retry-after"), "{ready}");
    let refused = http(&server, "/socket.io/?EIO=4&transport=polling").await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    // A proxy that keeps its connections is told that this one ends.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /dialogue/ready HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(!stopped.is_finished());

    store.set_open(true);
    let mut answered = false;
    loop {
        match ann.incoming().await {
            Incoming::Ack(id, body) => {
                assert_eq!((id, &body["seq"]), (7, &json!(1)));
                answered = true;
            }
            Incoming::Event(..) => {}
            // The transport is closed: clients come back from that by themselves.
            Incoming::Disconnected => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(answered);
    assert_eq!(bob.message().await["data"]["text"], "last words");
    assert!(stopped.await.unwrap());
    let stats = server.dialogue.stats();
    assert_eq!((stats.connections, stats.members, stats.queued), (0, 0, 0));
    // Hooks ran to their end, handlers saw what waited for them.
    let notes = server.dialogue.app().notes();
    assert!(notes.contains(&"second on last words".into()), "{notes:?}");
    assert!(
        notes.contains(&"general: left bob size 0".into())
            || notes.contains(&"general: left ann size 0".into()),
        "{notes:?}"
    );

    // Nothing is stored any more, and stopping again changes nothing.
    let late = server.dialogue.room(general::Room).trigger(Message::new("late")).await;
    assert_eq!(late, Err(TriggerError::StoreUnavailable));
    assert!(server.dialogue.stop(LONG).await);
    assert!(TcpStream::connect(server.address).await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn who_is_connected_may_not_join_while_the_server_stops() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    // It is busy with this for a while, and the join waits behind it.
    let slow = json!({ "roomId": "general", "event": "message", "data": { "text": "slow" } });
    ann.send_text(format!("421{}", json!(["dialogue:trigger", slow]))).await;
    ann.send_text(format!("422{}", json!(["dialogue:join", { "roomId": "general" }]))).await;
    server.dialogue.app().noted(2).await;
    server.settled(|stats| stats.queued > 0).await;
    assert!(server.dialogue.stop(LONG).await);
    let mut answers = Vec::new();
    loop {
        match ann.incoming().await {
            Incoming::Ack(id, body) => answers.push((id, body)),
            Incoming::Event(..) => {}
            Incoming::Disconnected => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((answers[0].0, &answers[0].1["ok"]), (1, &json!(true)));
    assert_eq!((answers[1].0, &answers[1].1["code"]), (2, &json!("DRAINING")));
}

#[tokio::test]
async fn who_reads_nothing_is_not_waited_for() {
    let mut limits = unpaced();
    limits.outgoing_packets = 2;
    let server = Server::with_limits(Test::default(), limits).await;
    let mut ann = server.join("ann", "general").await;
    // Answers that nobody reads, more than everything on the way holds.
    let text = "x".repeat(1_900);
    for n in 0..3_000 {
        let message = json!({ "roomId": "general", "event": "message", "data": { "text": text } });
        ann.try_send_text(format!("42{n}{}", json!(["dialogue:trigger", message]))).await;
    }
    server.dialogue.stop(Duration::from_secs(4)).await;
    // The connection ends a moment later where the machine is busy.
    server.settled(|stats| (stats.connections, stats.members) == (0, 0)).await;
}

#[tokio::test]
async fn an_apps_own_requests_are_answered() {
    let slow = get(async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        "done"
    });
    let routes = Router::new().route("/slow", slow);
    let server = Server::with_routes(Test::default(), unpaced(), routes).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    // A second connection is answered after the first one was accepted.
    assert!(http(&server, "/dialogue/ready").await.starts_with("HTTP/1.1 200"));
    assert!(server.dialogue.stop(LONG).await);
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.ends_with("done"), "{response}");
}

#[tokio::test]
async fn a_deadline_may_be_as_long_as_it_likes() {
    let server = Server::start(Test::default()).await;
    server.join("ann", "general").await;
    let (one, other) =
        tokio::join!(server.dialogue.stop(Duration::MAX), server.dialogue.stop(Duration::MAX));
    assert!(one && other);
}

#[tokio::test]
async fn a_handler_that_runs_is_waited_for() {
    let server = Server::start(Test::default()).await;
    let room = server.dialogue.room(general::Room);
    let again = room.clone();
    room.on(move |message: std::sync::Arc<dialogue::EventMessage<Message>>| {
        let again = again.clone();
        async move {
            if message.data.text == "first" {
                tokio::time::sleep(Duration::from_millis(300)).await;
                again.trigger(Message::new("second")).await.unwrap();
            }
        }
    })
    .keep();
    room.trigger(Message::new("first")).await.unwrap();
    assert!(server.dialogue.stop(LONG).await);
    let notes = server.dialogue.app().notes();
    assert!(notes.contains(&"second on second".into()), "{notes:?}");
}

#[tokio::test]
async fn nobody_connects_on_a_transport_that_was_open_before() {
    let server = Server::start(Test::default()).await;
    let socket = Peer::open(server.address).await;
    let mut ann = server.join("ann", "general").await;
    let slow = json!({ "roomId": "general", "event": "message", "data": { "text": "slow" } });
    ann.send_text(format!("421{}", json!(["dialogue:trigger", slow]))).await;
    server.dialogue.app().noted(2).await;
    let dialogue = server.dialogue.clone();
    let stopped = tokio::spawn(async move { dialogue.stop(LONG).await });
    assert_eq!(ann.event().await.0, "dialogue:draining");
    let refused = Peer::connect_on(socket, "").await.err().unwrap();
    assert_eq!(refused["code"], "DRAINING");
    assert!(stopped.await.unwrap());
}

#[tokio::test]
async fn address_that_cannot_be_listened_on_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let dialogue = Dialogue::builder(Test::default()).build().await.unwrap();
    let refused = dialogue.serve(address).await.unwrap_err();
    let told = refused.to_string();
    assert!(told.starts_with(&format!("the server cannot listen on {address}: ")), "{told}");
    // What `main` prints.
    assert_eq!(format!("{refused:?}"), told);

    let unknown = dialogue.serve("no such host:80").await.unwrap_err().to_string();
    assert!(unknown.starts_with("the server cannot listen: "), "{unknown}");
}
