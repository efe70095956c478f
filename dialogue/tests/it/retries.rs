//! Triggers that are sent again, because nobody knows whether they arrived.

use dialogue::TriggerError;
use serde_json::{Value, json};

use crate::{
    app::{Message, Test, Typing, general},
    peer::Peer,
    server::Server,
};

async fn trigger(peer: &mut Peer, key: &str, text: &str) -> Value {
    let data = json!({ "text": text });
    let request = json!({ "roomId": "general", "event": "message", "data": data, "key": key });
    peer.ask("dialogue:trigger", request).await
}

#[tokio::test]
async fn the_same_key_stores_once_and_returns_the_first_receipt() {
    let server = Server::start(Test::default()).await;
    let (mut ann, mut bob) =
        (server.join("ann", "general").await, server.join("bob", "general").await);
    let first = trigger(&mut ann, "k1", "hello").await;
    assert_eq!((&first["ok"], &first["seq"]), (&json!(true), &json!(1)));
    assert_eq!(first.get("duplicate"), None);
    server.dialogue.app().noted(5).await;

    // From the same connection, from another one of the same user, and with other hooks in between.
    let mut duplicate = first.clone();
    duplicate["duplicate"] = json!(true);
    assert_eq!(trigger(&mut ann, "k1", "hello").await, duplicate);
    let mut again = server.join("ann", "general").await;
    assert_eq!(trigger(&mut again, "k1", "hello").await, duplicate);
    // No hook saw it again, and nobody heard of it again.
    let notes = server.dialogue.app().notes();
    assert!(notes.iter().all(|note| note.contains("joined")), "{notes:?}");
    assert_eq!(bob.message().await["seq"], 1);
    bob.silent().await;

    // What is sent is what counts, not what hooks make of it.
    let other = trigger(&mut ann, "k1", "  hello ").await;
    assert_eq!((&other["code"], &other["event"]), (&json!("KEY_CONFLICT"), &json!("message")));
    assert_eq!(trigger(&mut bob, "k1", "hello").await["seq"], 2);
    assert_eq!(trigger(&mut ann, "k2", "hello").await["seq"], 3);
    // A refusal is no receipt: it may be tried again.
    assert_eq!(trigger(&mut ann, "k3", "deny").await["code"], "EVENT_DENIED");
    assert_eq!(trigger(&mut ann, "k3", "hello").await["seq"], 4);
    assert_eq!(server.dialogue.stats().stored, 4);
}

#[tokio::test]
async fn of_many_at_once_with_one_key_one_is_stored() {
    let server = Server::start(Test::default()).await;
    let mut peers = Vec::new();
    for _ in 0..10 {
        peers.push(server.join("ann", "general").await);
    }
    let tasks = peers
        .into_iter()
        .map(|mut peer| tokio::spawn(async move { trigger(&mut peer, "k", "order").await }));
    let mut duplicates = 0;
    for receipt in tasks.collect::<Vec<_>>() {
        let receipt = receipt.await.unwrap();
        assert_eq!(receipt["seq"], 1);
        duplicates += u32::from(receipt["duplicate"] == true);
    }
    assert_eq!((server.dialogue.stats().stored, duplicates), (1, 9));
}

#[tokio::test]
async fn ephemeral_events_have_no_use_for_keys_and_keys_are_bounded() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    let ping = json!({ "roomId": "general", "event": "ping", "key": "k" });
    for _ in 0..2 {
        assert_eq!(ann.ask("dialogue:trigger", ping.clone()).await, json!({ "ok": true }));
    }
    for key in [String::new(), "x".repeat(129), "a\nb".into()] {
        assert_eq!(trigger(&mut ann, &key, "hello").await["code"], "INVALID_REQUEST", "{key:?}");
    }
    assert_eq!(trigger(&mut ann, &"x".repeat(128), "hello").await["seq"], 1);
}

#[tokio::test]
async fn the_servers_own_code_has_keys_of_its_own() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    trigger(&mut ann, "k", "hello").await;
    let room = server.dialogue.room(general::Room);
    let first = room.trigger(Message::new("hello")).key("k").await.unwrap();
    let position = first.position.unwrap();
    assert_eq!((first.recipients, position.seq, position.prev), (1, 2, 1));
    assert!(!first.duplicate);
    let again = room.trigger(Message::new("hello")).key("k").await.unwrap();
    assert_eq!((again.recipients, again.position), (0, Some(position)));
    assert!(again.duplicate);
    let other = room.trigger(Message::new("bye")).key("k").await;
    assert_eq!(other, Err(TriggerError::KeyConflict));
    let typing = room.trigger(Typing { is_typing: true }).key("k").await.unwrap();
    assert_eq!((typing.position, typing.duplicate), (None, false));
}

#[tokio::test]
async fn handlers_see_the_place_of_an_event() {
    let server = Server::start(Test::default()).await;
    let room = server.dialogue.room(general::Room);
    let (handled, mut seen) = tokio::sync::mpsc::unbounded_channel();
    room.on(move |message: std::sync::Arc<dialogue::EventMessage<Message>>| {
        let handled = handled.clone();
        async move { handled.send((message.id(), message.position)).unwrap() }
    })
    .keep();
    let position = room.trigger(Message::new("hi")).await.unwrap().position.unwrap();
    let id = format!("{}-1", position.epoch);
    assert_eq!(seen.recv().await, Some((Some(id), Some(position))));
    let stored = room.history::<Message>(0..1).await.unwrap().events;
    assert_eq!(stored[0].position, Some(position));
}

#[tokio::test]
async fn key_of_the_servers_code_that_no_client_may_have_is_refused() {
    let server = Server::start(Test::default()).await;
    let room = server.dialogue.room(general::Room);
    for key in ["", "a\nb", &"x".repeat(129)] {
        let refused = room.trigger(Message::new("hello")).key(key).await;
        assert_eq!(refused, Err(TriggerError::InvalidKey(key.into())));
    }
    let told = TriggerError::InvalidKey(String::new()).to_string();
    assert_eq!(told, r#"a key cannot be "": a key has 1 to 128 printable bytes"#);
    let longest = "x".repeat(128);
    assert_eq!(room.trigger(Message::new("hello")).key(longest).await.unwrap().recipients, 0);
}
