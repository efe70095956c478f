//! What somebody with bad intentions tries first. Each has one test, here or where the table in
//! `docs/reference.md` says.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    lobby::{Lobby, Say, hall},
    peer::{Incoming, Peer},
    polling::Poller,
    server::{Server, unpaced},
};

/// A history that somebody outside the room would like to have.
async fn with_secrets() -> (Server<Lobby>, Peer) {
    let server = Server::start(Lobby::default()).await;
    let mut ann = server.guest("ann").await;
    ann.join("hall").await;
    for n in 0..10 {
        ann.trigger("hall", "say", json!({ "text": format!("secret {n}") })).await;
        ann.message().await;
    }
    (server, ann)
}

#[tokio::test]
async fn whoever_is_in_no_room_reads_and_says_nothing_there() {
    let (server, mut ann) = with_secrets().await;
    let mut eve = server.guest("eve").await;
    let in_hall = json!({ "roomId": "hall", "eventName": "say", "start": 0, "end": 10 });
    for answer in [
        eve.trigger("hall", "say", json!({ "text": "hi" })).await,
        eve.ask("dialogue:getHistory", in_hall.clone()).await,
        eve.ask("dialogue:subscribe", in_hall.clone()).await,
        eve.ask("dialogue:subscribeAll", in_hall.clone()).await,
        eve.ask("dialogue:unsubscribe", in_hall.clone()).await,
        eve.leave("hall").await,
    ] {
        assert_eq!(answer["code"], "NOT_IN_ROOM");
        assert!(!answer.to_string().contains("secret"), "{answer}");
    }
    // A refused join leaves nothing behind, and who left is outside again.
    let mut limits = unpaced();
    limits.rooms_per_connection = 0;
    let closed = Server::with_limits(Lobby::default(), limits).await;
    let mut bob = closed.guest("bob").await;
    assert_eq!(bob.join("hall").await["code"], "LIMIT_EXCEEDED");
    assert_eq!(bob.ask("dialogue:getHistory", in_hall.clone()).await["code"], "NOT_IN_ROOM");
    assert_eq!(closed.dialogue.stats().members, 0);
    ann.leave("hall").await;
    assert_eq!(ann.ask("dialogue:getHistory", in_hall).await["code"], "NOT_IN_ROOM");
    ann.silent().await;
    eve.silent().await;
}

#[tokio::test]
async fn nobody_speaks_for_another() {
    let (server, mut ann) = with_secrets().await;
    let mut eve = server.guest("eve").await;
    eve.join("hall").await;
    for request in [
        json!({ "from": "ann", "userId": "ann", "clientId": ann.client_id }),
        json!({ "token": "ann", "auth": { "userId": "ann" } }),
        json!({ "meta": { "from": "ann", "userId": "ann" } }),
        json!({ "__proto__": { "from": "ann", "userId": "ann" } }),
        json!({ "constructor": { "prototype": { "from": "ann" } } }),
    ] {
        let mut request = request;
        request["roomId"] = json!("hall");
        request["event"] = json!("say");
        request["data"] = json!({ "text": "it is me", "from": "ann", "__proto__": { "x": 1 } });
        assert_eq!(eve.ask("dialogue:trigger", request).await["ok"], true);
        let message = ann.message().await;
        assert_eq!(message["from"], "eve", "{message}");
        assert_eq!(message["data"], json!({ "text": "it is me" }));
    }
    let (mut seen, deadline) = (0, 5);
    while seen < deadline {
        assert_eq!(eve.message().await["from"], "eve");
        seen += 1;
    }
    // Nor does a new proof of oneself make one another.
    let renewed = eve.ask("dialogue:authenticate", json!({ "userId": "ann" })).await;
    assert_eq!(renewed["code"], "UNAUTHENTICATED");
    eve.trigger("hall", "say", json!({ "text": "still me" })).await;
    assert_eq!(ann.message().await["from"], "eve");
    let refused = Peer::connect(server.address, r#"{"userId":"system"}"#).await.map(drop);
    assert_eq!(refused.unwrap_err()["code"], "UNAUTHENTICATED");
}

#[tokio::test]
async fn two_thousand_rooms_are_not_created_by_one_client() {
    let server = Server::start(Lobby::default()).await;
    let before = server.dialogue.stats().rooms;
    let mut eve = server.guest("eve").await;
    let mut created = 0;
    for n in 0..2_000 {
        let request = json!({ "id": format!("room-{n}"), "name": "Mine" });
        let answer = eve.ask("dialogue:createRoom", request).await;
        match answer["code"].as_str() {
            None => created += 1,
            code => assert_eq!(code, Some("LIMIT_EXCEEDED")),
        }
    }
    assert_eq!(created, 20);
    assert_eq!(server.dialogue.stats().rooms, before + 20);
}

#[tokio::test]
async fn declared_rooms_are_deleted_by_nobody() {
    let (server, mut ann) = with_secrets().await;
    for room in ["hall", "playground"] {
        let answer = ann.ask("dialogue:deleteRoom", json!({ "roomId": room })).await;
        assert_eq!(answer["code"], "PERMISSION_DENIED", "{room}");
    }
    assert!(server.dialogue.delete_room("hall").await.is_err());
    let page =
        ann.ask("dialogue:getHistory", json!({ "roomId": "hall", "eventName": "say" })).await;
    assert_eq!(page["events"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn a_history_of_a_billion_events_is_a_page() {
    let (_server, mut ann) = with_secrets().await;
    for (start, end, events) in
        [(0_u64, 1_000_000_000, 10), (9, u64::MAX, 1), (1_000_000_000, 2_000_000_000, 0)]
    {
        let range = json!({ "roomId": "hall", "eventName": "say", "start": start, "end": end });
        let page = ann.ask("dialogue:getHistory", range).await;
        assert_eq!(page["events"].as_array().unwrap().len(), events, "{start}..{end}");
    }
    for (start, end) in [(json!(5), json!(4)), (json!(-1), json!(4)), (json!(0), json!("x"))] {
        let range = json!({ "roomId": "hall", "eventName": "say", "start": start, "end": end });
        assert_eq!(ann.ask("dialogue:getHistory", range).await["code"], "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn nobody_subscribes_to_ten_thousand_names() {
    let server = Server::start(Lobby::default()).await;
    let mut eve = server.guest("eve").await;
    let names: Vec<String> = (0..10_000).map(|n| format!("event-{n}")).collect();
    let join = json!({ "roomId": "playground", "subscribe": names });
    assert_eq!(eve.ask("dialogue:join", join).await["code"], "LIMIT_EXCEEDED");
    assert_eq!(server.dialogue.stats().members, 0);
    eve.ask("dialogue:join", json!({ "roomId": "playground", "subscribe": [] })).await;
    let mut refused = 0;
    for name in &names[..200] {
        let request = json!({ "roomId": "playground", "eventName": name });
        let answer = eve.ask("dialogue:subscribe", request).await;
        refused += u32::from(answer["code"] == "LIMIT_EXCEEDED");
    }
    assert_eq!((refused, server.dialogue.stats().subscriptions), (100, 100));
    let join = json!({ "roomId": "hall", "subscribe": names });
    assert_eq!(eve.ask("dialogue:join", join).await["code"], "LIMIT_EXCEEDED");
    // What the room does not list costs the server no more than an answer of a hundred names.
    let join = json!({ "roomId": "hall", "subscribe": names[..1_000] });
    let answer = eve.ask("dialogue:join", join).await;
    assert_eq!((&answer["ok"], &answer["subscriptions"]), (&json!(true), &json!([])));
    assert_eq!(answer["unknownEvents"], json!(names[..100]));
}

#[tokio::test]
async fn what_is_too_long_closes_the_connection_on_either_transport() {
    let (server, mut ann) = with_secrets().await;
    let long = "x".repeat(1_000_001);
    let mut eve = server.guest("eve").await;
    eve.try_send_text(format!("42{}", json!(["dialogue:trigger", { "roomId": long }]))).await;
    assert_eq!(eve.incoming().await, Incoming::Disconnected);
    let poller = Poller::connect(server.address, r#"{"userId":"eve"}"#, "").await.unwrap();
    let (head, _) =
        poller.post(&format!("42{}", json!(["dialogue:join", { "roomId": long }]))).await;
    assert!(!head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(ann.trigger("hall", "say", json!({ "text": "hi" })).await["ok"], true);
}

#[tokio::test]
async fn a_hook_that_panics_hangs_or_calls_back_harms_nobody_else() {
    let mut limits = unpaced();
    limits.hook_time = Duration::from_millis(100);
    let server = Server::with_limits(Lobby::default(), limits).await;
    let room = server.dialogue.room(hall::Room);
    let back = room.clone();
    let _guard = room.before(move |message: dialogue::EventMessage<Say>| {
        let back = back.clone();
        async move {
            match &*message.data.text {
                "panic" => panic!("told to"),
                "hang" => std::future::pending().await,
                // Into the very room whose event it is about, and to everyone in it.
                "again" => {
                    back.trigger(Say::new("again")).await.ok();
                    for client in back.participants() {
                        client.join(hall::Room).await.ok();
                    }
                }
                _ => {}
            }
            Ok(message)
        }
    });
    let mut eve = server.guest("eve").await;
    let mut ann = server.guest("ann").await;
    eve.join("hall").await;
    ann.join("hall").await;
    for text in ["panic", "hang"] {
        assert_eq!(eve.trigger("hall", "say", json!({ "text": text })).await["code"], "INTERNAL");
    }
    // Nesting ends where it would go on without end; what came out of it is in order.
    eve.emit(
        "dialogue:trigger",
        json!({ "roomId": "hall", "event": "say", "data": { "text": "again" } }),
    )
    .await;
    let answer = ann.trigger("hall", "say", json!({ "text": "fine" })).await;
    assert_eq!(answer["ok"], true, "{answer}");
    loop {
        let (name, body) = ann.event().await;
        if name == "dialogue:event" && body["data"]["text"] == "fine" {
            break;
        }
    }
    server.settled(|stats| stats.queued == 0).await;
}

#[tokio::test]
async fn connections_that_never_authenticate_are_closed() {
    let mut limits = unpaced();
    limits.handshake_time = Duration::from_millis(200);
    let server = Server::with_limits(Lobby::default(), limits).await;
    // A transport without CONNECT.
    let mut socket = Peer::open(server.address).await;
    let closed = async {
        while let Some(Ok(message)) = futures_util::StreamExt::next(&mut socket).await {
            assert!(
                !message.is_text() || !message.to_text().unwrap().starts_with('4'),
                "{message}"
            );
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed).await.expect("closed by the server");
    assert_eq!(server.dialogue.stats().connections, 0);
}

/// What the wire says of a refusal, for those above.
#[tokio::test]
async fn a_refusal_tells_no_more_than_it_must() {
    let (server, _ann) = with_secrets().await;
    let mut eve = server.guest("eve").await;
    let answer =
        eve.ask("dialogue:getHistory", json!({ "roomId": "hall", "eventName": "say" })).await;
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["code", "message", "ok", "roomId"]);
    assert_eq!(answer["ok"], Value::Bool(false));
}
