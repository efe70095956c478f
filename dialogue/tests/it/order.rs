//! The order in which the requests of one connection are handled, while the store of one room is slow.

use axum::Router;
use dialogue::Dialogue;
use serde_json::{Value, json};

use crate::{
    app::Test,
    peer::{Incoming, Peer},
    server::{Server, unpaced},
    shaky::Shaky,
};

async fn start() -> (Server<Test>, Shaky) {
    let store = Shaky::default();
    let builder = Dialogue::builder(Test::default()).limits(unpaced()).store(store.clone());
    (Server::built(builder, Router::new()).await, store)
}

/// Sends a request that asks for an acknowledgement, and does not wait for it.
async fn send(peer: &mut Peer, ack: u64, name: &str, payload: Value) {
    peer.send_text(format!("42{ack}{}", json!([name, payload]))).await;
}

async fn trigger(peer: &mut Peer, ack: u64, room: &str, event: &str, n: u64) {
    let data = if event == "ping" { Value::Null } else { json!({ "text": "hi", "n": n }) };
    let payload = json!({ "roomId": room, "event": event, "data": data });
    send(peer, ack, "dialogue:trigger", payload).await;
}

/// The next acknowledgements, and what arrives between them of events.
async fn acknowledged(peer: &mut Peer, count: usize) -> (Vec<(u64, Value)>, Vec<Value>) {
    let (mut acks, mut events) = (Vec::new(), Vec::new());
    while acks.len() < count {
        match peer.incoming().await {
            Incoming::Ack(ack, body) => acks.push((ack, body)),
            Incoming::Event(name, body) if name == "dialogue:event" => events.push(body),
            Incoming::Event(..) => {}
            other => panic!("{other:?}"),
        }
    }
    (acks, events)
}

fn numbers(acks: &[(u64, Value)]) -> Vec<u64> {
    assert!(acks.iter().all(|(_, body)| body["ok"] == true), "{acks:?}");
    acks.iter().map(|(ack, _)| *ack).collect()
}

#[tokio::test]
async fn stored_trigger_of_a_slow_room_holds_up_no_other_room() {
    let (server, store) = start().await;
    let mut ann = server.join("ann", "general").await;
    assert_eq!(ann.join("doc:1").await["ok"], true);
    store.hold(Some("doc:1"));
    for n in 1..=3 {
        trigger(&mut ann, 900 + n, "doc:1", "message", n).await;
    }
    trigger(&mut ann, 910, "general", "message", 1).await;
    trigger(&mut ann, 911, "general", "ping", 0).await;
    send(&mut ann, 912, "dialogue:join", json!({ "roomId": "doc:2" })).await;
    let (mut acks, events) = acknowledged(&mut ann, 3).await;
    acks.sort_by_key(|(ack, _)| *ack);
    assert_eq!(numbers(&acks), [910, 911, 912]);
    let heard: Vec<_> = events.iter().map(|event| event["roomId"].as_str().unwrap()).collect();
    assert!(heard.iter().all(|room| *room == "general"), "{heard:?}");

    store.hold(None);
    let (acks, _) = acknowledged(&mut ann, 3).await;
    assert_eq!(numbers(&acks), [901, 902, 903]);
    let seqs: Vec<_> = acks.iter().map(|(_, body)| body["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [1, 2, 3]);
}

#[tokio::test]
async fn requests_of_a_slow_room_keep_their_order() {
    let (server, store) = start().await;
    let mut ann = server.connect("ann").await;
    let all = json!({ "roomId": "general", "subscribe": ["*"] });
    assert_eq!(ann.ask("dialogue:join", all.clone()).await["ok"], true);
    store.hold(Some("general"));
    trigger(&mut ann, 900, "general", "message", 1).await;
    trigger(&mut ann, 901, "general", "ping", 0).await;
    let page = json!({ "roomId": "general", "eventName": "message" });
    send(&mut ann, 902, "dialogue:getHistory", page).await;
    send(&mut ann, 903, "dialogue:leave", json!({ "roomId": "general" })).await;
    send(&mut ann, 904, "dialogue:join", all).await;
    trigger(&mut ann, 905, "general", "message", 2).await;
    server.settled(|stats| stats.queued >= 5).await;
    store.hold(None);
    let (acks, events) = acknowledged(&mut ann, 6).await;
    assert_eq!(numbers(&acks), [900, 901, 902, 903, 904, 905]);
    assert_eq!(acks[2].1["events"][0]["data"]["n"], 1);
    let events: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["message", "ping", "message"]);
}

#[tokio::test]
async fn request_about_no_room_waits_for_all_before_it_and_holds_all_after_it() {
    let (server, store) = start().await;
    let mut ann = server.join("ann", "general").await;
    assert_eq!(ann.join("doc:1").await["ok"], true);
    store.hold(Some("doc:1"));
    trigger(&mut ann, 900, "doc:1", "message", 1).await;
    trigger(&mut ann, 901, "general", "ping", 0).await;
    send(&mut ann, 902, "dialogue:listRooms", Value::Null).await;
    send(&mut ann, 903, "dialogue:authenticate", json!({ "userId": "ann" })).await;
    trigger(&mut ann, 904, "general", "ping", 0).await;
    let (acks, _) = acknowledged(&mut ann, 1).await;
    assert_eq!(numbers(&acks), [901]);
    // What waits for the store, and three requests.
    server.settled(|stats| stats.queued >= 3).await;
    store.hold(None);
    let (acks, _) = acknowledged(&mut ann, 4).await;
    assert_eq!(numbers(&acks), [900, 902, 903, 904]);
}

#[tokio::test]
async fn connection_that_is_lost_while_a_room_is_slow_ends_and_what_it_asked_for_is_done() {
    let (server, store) = start().await;
    let mut ann = server.join("ann", "general").await;
    let mut bob = server.join("bob", "doc:1").await;
    assert_eq!(ann.join("doc:1").await["ok"], true);
    store.hold(Some("doc:1"));
    for n in 1..=3 {
        trigger(&mut ann, n, "doc:1", "message", n).await;
    }
    trigger(&mut ann, 4, "general", "ping", 0).await;
    acknowledged(&mut ann, 1).await;
    ann.close().await;
    store.hold(None);
    for n in 1..=3 {
        assert_eq!(bob.message().await["data"]["n"], n);
    }
    let stats = server.settled(|stats| stats.connections == 1 && stats.queued == 0).await;
    assert_eq!(stats.members, 1);
}

#[tokio::test]
async fn connection_that_the_server_ends_while_a_room_is_slow_ends_when_the_store_has_answered() {
    let (server, store) = start().await;
    let mut ann = server.join("ann", "doc:1").await;
    assert_eq!(ann.join("doc:2").await["ok"], true);
    store.hold(Some("doc:1"));
    trigger(&mut ann, 1, "doc:1", "message", 1).await;
    trigger(&mut ann, 2, "doc:1", "message", 2).await;
    trigger(&mut ann, 3, "doc:2", "message", 3).await;
    acknowledged(&mut ann, 1).await;
    server.dialogue.clients_of("ann")[0].disconnect();
    while ann.incoming().await != Incoming::Disconnected {}
    store.hold(None);
    server.settled(|stats| (stats.connections, stats.members, stats.queued) == (0, 0, 0)).await;
    let mut bob = server.connect("bob").await;
    assert_eq!(bob.join("doc:1").await["seq"], 1, "what was begun is stored, what waited is not");
}
