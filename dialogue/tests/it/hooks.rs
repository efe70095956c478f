//! Hooks and handlers: their order, and what their failures cost.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use dialogue::{
    CreateError, DeleteError, EventMessage, HistoryError, JoinError, SendError, SubscribeError,
    TriggerError,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    app::{Message, Ping, Test, general, open},
    server::{Server, unpaced},
};

#[tokio::test]
async fn hooks_run_in_their_order() {
    let app = Test::default();
    let server = Server::start(app.clone()).await;
    let mut peer = server.join("noted", "general").await;
    assert_eq!(peer.join("doc:1").await["ok"], true);
    peer.trigger("general", "message", json!({ "text": " shout hi " })).await;
    assert_eq!(peer.message().await["data"]["text"], "HI");
    let notes = app.noted(10).await;
    assert_eq!(peer.leave("doc:1").await["ok"], true);
    peer.send_text("41").await;
    let after = app.noted(4).await;
    assert_eq!(
        notes,
        [
            "connected",
            "before_join general",
            "general: joined noted size 1",
            "joined general",
            "doc 1: may noted read?",
            "before_join doc:1",
            "joined doc:1",
            "before HI",
            "on HI from noted",
            "second on HI",
        ]
    );
    assert_eq!(
        after,
        [
            "left doc:1",
            "disconnected ClientLeft in [\"general\"]",
            "general: left noted size 0",
            "left general",
        ]
    );
}

#[tokio::test]
async fn a_hook_that_refuses_or_fails_costs_that_request() {
    let mut limits = unpaced();
    limits.hook_time = Duration::from_millis(50);
    let app = Test::default();
    let server = Server::with_limits(app.clone(), limits).await;
    let mut ann = server.join("ann", "general").await;
    let mut bob = server.join("bob", "general").await;
    for (text, code, message) in [
        ("deny", "EVENT_DENIED", "not that"),
        ("panic", "INTERNAL", "something failed in the server"),
        ("hang", "INTERNAL", "something failed in the server"),
        ("again", "EVENT_DENIED", "no end"),
    ] {
        let answer = ann.trigger("general", "message", json!({ "text": text })).await;
        assert_eq!(
            (&answer["code"], &answer["message"]),
            (&json!(code), &json!(message)),
            "{text}"
        );
    }
    let answer = ann.trigger("general", "message", json!({ "text": "empty" })).await;
    assert_eq!(answer["code"], "VALIDATION_FAILED");
    bob.silent().await;

    // Everything still works, `#[on]` handlers after one of theirs panicked too.
    app.notes();
    for text in ["panic later", "fine"] {
        assert_eq!(ann.trigger("general", "message", json!({ "text": text })).await["ok"], true);
        assert_eq!(bob.message().await["data"]["text"], text);
    }
    let notes = app.noted(5).await;
    assert!(notes.contains(&"on fine from ann".into()), "{notes:?}");
    assert!(notes.contains(&"second on panic later".into()), "{notes:?}");
}

#[tokio::test]
async fn a_hook_that_hangs_delays_only_its_connection() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    let mut bob = server.join("bob", "general").await;
    let hang = json!({ "roomId": "general", "event": "message", "data": { "text": "hang" } });
    ann.emit("dialogue:trigger", hang).await;
    let start = tokio::time::Instant::now();
    assert_eq!(bob.trigger("general", "message", json!({ "text": "hi" })).await["ok"], true);
    assert_eq!(ann.message().await["data"]["text"], "hi");
    assert!(start.elapsed() < Duration::from_secs(4), "waited for the hook's limit of 5 s");
}

#[tokio::test]
async fn a_hook_that_panics_on_connect_disconnects_nobody() {
    let server = Server::start(Test::default()).await;
    let mut peer = server.connect("crash on connect").await;
    assert_eq!(peer.join("general").await["ok"], true);
}

#[tokio::test]
async fn handlers_added_at_run_time_run_until_their_guard_is_dropped() {
    let server = Server::start(Test::default()).await;
    let room = server.dialogue.room(general::Room);
    let (sender, mut seen) = mpsc::unbounded_channel();
    let guard = room.on(move |message: Arc<EventMessage<Message>>| {
        let sender = sender.clone();
        async move { sender.send(message.data.text.clone()).unwrap() }
    });
    for text in ["one", "two"] {
        room.trigger(Message::new(text)).await.unwrap();
    }
    assert_eq!(seen.recv().await.as_deref(), Some("one"));
    assert_eq!(seen.recv().await.as_deref(), Some("two"));
    drop(guard);
    room.trigger(Message::new("three")).await.unwrap();
    // The handler, and with it the sender, is gone.
    assert_eq!(seen.recv().await, None);
}

#[tokio::test]
async fn a_handler_keeps_a_room_of_a_family_open_until_it_is_dropped() {
    let server = Server::start(Test::default()).await;
    let before = server.dialogue.stats();
    let room = server.dialogue.room(crate::app::doc::Room { id: 1 });
    let guard = room.on(|_: Arc<EventMessage<Message>>| async {});
    assert_eq!(server.dialogue.stats().rooms, before.rooms + 1);
    drop(guard);
    assert_eq!(server.dialogue.stats(), before);
    room.on(|_: Arc<EventMessage<Message>>| async {}).keep();
    assert_eq!(server.dialogue.stats().rooms, before.rooms + 1);
}

#[tokio::test]
async fn a_typed_handler_sees_what_passed_undeclared() {
    let server = Server::start(Test::default()).await;
    let room = server.dialogue.room(open::Room);
    let seen = Arc::new(Mutex::new(0));
    let (sender, mut pings) = mpsc::unbounded_channel();
    let count = seen.clone();
    let _guard = room.on(move |message: Arc<EventMessage<Ping>>| {
        *count.lock().unwrap() += 1;
        sender.send(message.from.clone()).unwrap();
        async {}
    });
    let mut ann = server.join("ann", "open").await;
    // Not a `Ping`: skipped.
    assert_eq!(ann.trigger("open", "ping", json!({ "not": "a ping" })).await["ok"], true);
    assert_eq!(ann.trigger("open", "ping", Value::Null).await["ok"], true);
    assert_eq!(pings.recv().await.as_deref(), Some("ann"));
    room.trigger(Ping).await.unwrap();
    assert_eq!(pings.recv().await.as_deref(), Some("system"));
    assert_eq!(*seen.lock().unwrap(), 2);
}

#[tokio::test]
async fn when_the_queue_of_handlers_is_full_triggers_wait_and_lose_nothing() {
    let mut limits = unpaced();
    limits.waiting_events = 2;
    let app = Test::default();
    let server = Server::with_limits(app.clone(), limits).await;
    let room = server.dialogue.room(general::Room);
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let held = gate.clone();
    let _guard = room.on(move |_: Arc<EventMessage<Message>>| {
        let held = held.clone();
        async move { held.acquire().await.unwrap().forget() }
    });
    // One is being handled, two wait, so the fourth has to.
    for text in ["1", "2", "3"] {
        room.trigger(Message::new(text)).await.unwrap();
    }
    app.noted(5).await;
    let fourth = tokio::spawn(room.trigger(Message::new("4")).into_future());
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!fourth.is_finished());
    assert_eq!(server.dialogue.stats().queued, 2);
    gate.add_permits(10);
    fourth.await.unwrap().unwrap();
    let notes = app.noted(7).await;
    assert!(notes.contains(&"second on 4".into()), "{notes:?}");
}

#[tokio::test]
async fn an_error_as_a_response_has_a_fitting_status() {
    use axum::response::IntoResponse;

    let server = Server::start(Test::default()).await;
    let room = server.dialogue.room(general::Room);
    for (text, status) in [("", 422), ("deny", 403), ("panic", 500)] {
        let error: TriggerError = room.trigger(Message::new(text)).await.unwrap_err();
        assert_eq!(error.into_response().status(), status);
    }
    let others = [
        (JoinError::Full.into_response(), 409),
        (JoinError::Denied("not you".into()).into_response(), 403),
        (JoinError::Draining.into_response(), 503),
        (CreateError::InvalidId.into_response(), 422),
        (CreateError::Exists.into_response(), 409),
        (DeleteError::RoomNotFound.into_response(), 404),
        (HistoryError::StoreUnavailable.into_response(), 503),
        (SendError::Closed.into_response(), 500),
        (SubscribeError::NotInRoom.into_response(), 409),
    ];
    for (response, status) in others {
        assert_eq!(response.status(), status);
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let failure: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(failure["code"].is_string() && failure["message"].is_string(), "{failure}");
    }
}
