//! Joining, leaving, connecting: who is where, and what they are told.

use std::sync::Arc;

use dialogue::RoomConfig;
use serde_json::{Value, json};

use crate::{
    app::{Message, Test, general},
    peer::{Incoming, Peer},
    server::{Server, unpaced},
};

#[tokio::test]
async fn a_client_is_told_who_it_is() {
    let server = Server::start(Test::default()).await;
    let peer = server.connect("ann").await;
    assert_eq!(peer.user_id, "ann");
    assert!(!peer.client_id.is_empty());
}

#[tokio::test]
async fn a_client_without_a_user_id_is_known_by_its_client_id() {
    let server = Server::start(Test::default()).await;
    for auth in ["", "{}", r#"{"theme":"dark"}"#] {
        let peer = Peer::connect(server.address, auth).await.unwrap();
        assert_eq!(peer.user_id, peer.client_id, "auth {auth:?}");
    }
}

#[tokio::test]
async fn refused_credentials_are_a_connect_error_that_can_be_read() {
    let server = Server::start(Test::default()).await;
    let error = Peer::connect(server.address, r#"{"userId":"nobody"}"#).await.err().unwrap();
    assert_eq!(error, json!({ "code": "UNAUTHENTICATED", "message": "you are \"nobody\"" }));

    // What was sent is not repeated: it may be a token.
    let error =
        Peer::connect(server.address, r#"{"userId":{"token":"s3cret"}}"#).await.err().unwrap();
    assert_eq!(error["code"], "UNAUTHENTICATED");
    assert!(!error.to_string().contains("s3cret"));
    assert_eq!(server.dialogue.stats().connections, 0);
}

#[tokio::test]
async fn a_user_id_that_nobody_may_have_is_refused() {
    let server = Server::start(Test::default()).await;
    let long = "x".repeat(257);
    for id in ["system", "", "a\\nb", &long] {
        let error =
            Peer::connect(server.address, &format!(r#"{{"userId":"{id}"}}"#)).await.err().unwrap();
        assert_eq!(error["code"], "UNAUTHENTICATED", "{id:?}");
    }
}

#[tokio::test]
async fn a_panic_while_authenticating_costs_that_connection() {
    let server = Server::start(Test::default()).await;
    let error = Peer::connect(server.address, r#"{"userId":"panic"}"#).await.err().unwrap();
    assert_eq!(error["code"], "INTERNAL");
    server.connect("ann").await;
}

#[tokio::test]
async fn a_join_is_answered_in_full() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.connect("ann").await;
    let joined = ann.join("general").await;
    assert_eq!(
        joined,
        json!({
            "ok": true,
            "roomId": "general",
            "roomName": "General",
            "subscriptions": ["message", "notice"],
            "stored": ["message", "notice"],
            "epoch": joined["epoch"],
            "seq": 0,
            "events": [],
            "more": false,
        })
    );
    joined["epoch"].as_str().unwrap().parse::<dialogue::Epoch>().unwrap();
    assert_eq!(server.dialogue.room(general::Room).size(), 1);
}

#[tokio::test]
async fn a_join_without_acknowledgement_is_answered_by_events() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.connect("ann").await;
    ann.emit("dialogue:join", json!({ "roomId": "general" })).await;
    let joined = json!({ "roomId": "general", "roomName": "General" });
    assert_eq!(ann.event().await, ("dialogue:joined".into(), joined));
    let history = json!({ "roomId": "general", "events": [] });
    assert_eq!(ann.event().await, ("dialogue:history".into(), history));

    // A room that syncs no history sends none.
    ann.emit("dialogue:join", json!({ "roomId": "news" })).await;
    let joined = json!({ "roomId": "news", "roomName": "news" });
    assert_eq!(ann.event().await, ("dialogue:joined".into(), joined));
    ann.emit("dialogue:leave", json!({ "roomId": "news" })).await;
    assert_eq!(ann.event().await, ("dialogue:left".into(), json!({ "roomId": "news" })));
}

#[tokio::test]
async fn a_member_is_a_connection_not_a_user() {
    let server = Server::start(Test::default()).await;
    let _laptop = server.join("ann", "general").await;
    let _phone = server.join("ann", "general").await;
    let stats = server.dialogue.stats();
    assert_eq!((stats.connections, stats.users, stats.members), (2, 1, 2));
}

#[tokio::test]
async fn joining_twice_changes_nothing() {
    let app = Test::default();
    let server = Server::start(app.clone()).await;
    let mut ann = server.connect("noted").await;
    let first = ann.join("general").await;
    let again = ann.join("general").await;
    assert_eq!(first, again);
    assert_eq!(server.dialogue.stats().members, 1);
    let notes = app.noted(5).await;
    let count = |note: &str| notes.iter().filter(|noted| *noted == note).count();
    assert_eq!((count("before_join general"), count("joined general")), (2, 1), "{notes:?}");
}

#[tokio::test]
async fn joining_again_keeps_what_was_subscribed_to_since() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    ann.ask("dialogue:subscribe", json!({ "roomId": "general", "eventName": "typing" })).await;
    ann.ask("dialogue:unsubscribe", json!({ "roomId": "general", "eventName": "notice" })).await;
    let again = ann.join("general").await;
    assert_eq!(again["subscriptions"], json!(["message", "typing", "notice"]));
    let named =
        ann.ask("dialogue:join", json!({ "roomId": "general", "subscribe": ["ping"] })).await;
    assert_eq!(named["subscriptions"], json!(["ping"]));
}

#[tokio::test]
async fn an_unknown_room_is_not_found() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.connect("ann").await;
    for id in ["nowhere", "doc:", "doc:x", "doc:01", "doc:+1", "doc:1:2", "doc:4294967296"] {
        let answer = ann.join(id).await;
        assert_eq!(answer["code"], "ROOM_NOT_FOUND", "{id}: {answer}");
        assert_eq!(answer["roomId"], id);
    }
    // What can be no room's id is not repeated.
    let answer = ann.join(&"x".repeat(1025)).await;
    assert_eq!((&answer["code"], &answer["roomId"]), (&json!("ROOM_NOT_FOUND"), &Value::Null));
    assert_eq!(server.dialogue.stats().rooms, 6 - 1);
}

#[tokio::test]
async fn a_refused_join_leaves_no_trace() {
    let app = Test::default();
    let server = Server::start(app.clone()).await;
    let before = server.dialogue.stats();

    let mut eve = server.connect("eve").await;
    let answer = eve.join("doc:1").await;
    assert_eq!(
        answer,
        json!({ "ok": false, "code": "JOIN_DENIED", "message": "not a reader", "roomId": "doc:1" })
    );
    let mut banned = server.connect("banned").await;
    let answer = banned.join("general").await;
    assert_eq!(answer["code"], "JOIN_DENIED");
    assert_eq!(answer["message"], "not into General");
    banned.emit("dialogue:join", json!({ "roomId": "general" })).await;
    let (name, error) = banned.event().await;
    assert_eq!((&*name, &error["code"]), ("dialogue:error", &json!("JOIN_DENIED")));

    let mut crash = server.connect("crash").await;
    assert_eq!(crash.join("doc:1").await["code"], "INTERNAL");

    assert!(!app.notes().iter().any(|note| note.contains("joined")));
    drop((eve, banned, crash));
    assert_eq!(server.settled(|stats| stats.connections == 0).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_joins_at_once_to_a_room_of_one_one_succeeds() {
    let server = Arc::new(Server::start(Test::default()).await);
    let mut peers = Vec::new();
    for n in 0..200 {
        peers.push(server.connect(&format!("user {n}")).await);
    }
    let start = Arc::new(tokio::sync::Barrier::new(peers.len()));
    let joins: Vec<_> = peers
        .into_iter()
        .map(|mut peer| {
            let start = start.clone();
            tokio::spawn(async move {
                start.wait().await;
                let answer = peer.join("single").await;
                (answer, peer)
            })
        })
        .collect();
    let mut joined = Vec::new();
    let mut full = 0;
    for join in joins {
        let (answer, peer) = join.await.unwrap();
        match answer["code"].as_str() {
            None => joined.push(peer),
            Some(code) => {
                assert_eq!(code, "ROOM_FULL");
                full += 1;
            }
        }
    }
    assert_eq!((joined.len(), full), (1, 199));
    assert_eq!(server.dialogue.stats().members, 1);

    // The place is free again once its holder leaves.
    let mut peer = joined.pop().unwrap();
    assert_eq!(peer.leave("single").await, json!({ "ok": true }));
    let mut next = server.connect("next").await;
    assert_eq!(next.join("single").await["ok"], true);
}

#[tokio::test]
async fn leaving_ends_the_membership() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    assert_eq!(ann.leave("general").await, json!({ "ok": true }));
    assert_eq!(ann.leave("general").await["code"], "NOT_IN_ROOM");
    assert_eq!(ann.leave("nowhere").await["code"], "ROOM_NOT_FOUND");
    let stats = server.dialogue.stats();
    assert_eq!((stats.members, stats.subscriptions), (0, 0));
}

#[tokio::test]
async fn a_connection_may_be_in_so_many_rooms() {
    let mut limits = unpaced();
    limits.rooms_per_connection = 3;
    let server = Server::with_limits(Test::default(), limits).await;
    let mut ann = server.connect("ann").await;
    for n in 1..=3 {
        assert_eq!(ann.join(&format!("doc:{n}")).await["ok"], true);
    }
    assert_eq!(ann.join("doc:4").await["code"], "LIMIT_EXCEEDED");
    assert_eq!(ann.join("doc:3").await["ok"], true);
    assert_eq!(server.dialogue.stats().members, 3);
}

#[tokio::test]
async fn the_server_may_join_and_disconnect_clients() {
    let server = Server::start(Test::default()).await;
    let mut guest = server.connect("guest").await;
    assert_eq!(guest.event().await.0, "dialogue:joined");
    assert_eq!(guest.event().await.0, "dialogue:history");
    assert_eq!(server.dialogue.room(general::Room).size(), 1);

    let mut kicked = server.connect("kicked").await;
    assert_eq!(kicked.incoming().await, Incoming::Disconnected);
    server.settled(|stats| stats.connections == 1).await;
}

#[tokio::test]
async fn every_count_returns_to_where_it_was() {
    let server = Server::start(Test::default()).await;
    let before = server.dialogue.stats();
    let mut peers = Vec::new();
    for n in 0..20 {
        let mut peer = server.join(&format!("user {}", n % 7), "general").await;
        for room in ["open", "news", "doc:1", "doc:2"] {
            assert_eq!(peer.join(room).await["ok"], true);
        }
        let all = json!({ "roomId": "open", "eventName": "*" });
        assert_eq!(peer.ask("dialogue:subscribe", all).await["subscriptions"], json!(["*"]));
        peers.push(peer);
    }
    let stats = server.dialogue.stats();
    assert_eq!((stats.connections, stats.users, stats.members), (20, 7, 100));
    assert_eq!(stats.rooms, before.rooms + 2);
    // Some say goodbye, the others just go.
    for (n, mut peer) in peers.into_iter().enumerate() {
        if n % 2 == 0 {
            peer.send_text("41").await;
        }
        if n % 3 == 0 {
            peer.close().await;
        }
    }
    assert_eq!(server.settled(|stats| *stats == before).await, before);
}

#[tokio::test]
async fn join_that_names_unknown_events_gets_the_others_and_is_told() {
    let server = Server::start(Test::default()).await;
    let (mut ann, mut bob) = (server.connect("ann").await, server.connect("bob").await);
    let names = json!(["old", "message", "older", "old"]);
    let join = json!({ "roomId": "general", "subscribe": names });
    let joined = ann.ask("dialogue:join", join.clone()).await;
    assert_eq!((&joined["ok"], &joined["subscriptions"]), (&json!(true), &json!(["message"])));
    assert_eq!(joined["unknownEvents"], json!(["old", "older"]));
    assert_eq!(bob.join("general").await.get("unknownEvents"), None);
    bob.trigger("general", "message", json!({ "text": "hi" })).await;
    assert_eq!(ann.message().await["event"], "message");
    // The answer of one is not another's.
    let joined = bob.ask("dialogue:join", json!({ "roomId": "general", "subscribe": ["message"] }));
    assert_eq!(joined.await.get("unknownEvents"), None);
    let joined = bob.ask("dialogue:join", join).await;
    assert_eq!(joined["unknownEvents"], json!(["old", "older"]));
}

#[tokio::test]
async fn join_that_names_only_unknown_events_is_of_a_member_without_subscriptions() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.connect("ann").await;
    let join = json!({ "roomId": "general", "subscribe": ["old"] });
    let joined = ann.ask("dialogue:join", join.clone()).await;
    assert_eq!((&joined["ok"], &joined["subscriptions"]), (&json!(true), &json!([])));
    let stats = server.dialogue.stats();
    assert_eq!((stats.members, stats.subscriptions), (1, 0));
    // Without an acknowledgement, the event that answers says so.
    ann.emit("dialogue:join", join).await;
    let joined = json!({ "roomId": "general", "roomName": "General", "unknownEvents": ["old"] });
    assert_eq!(ann.event().await, ("dialogue:joined".to_owned(), joined));
    // A name that no event can have is no other version's.
    let join = json!({ "roomId": "general", "subscribe": ["dialogue:event"] });
    assert_eq!(ann.ask("dialogue:join", join).await["code"], "INVALID_REQUEST");
}

#[tokio::test]
async fn join_with_more_names_than_a_member_may_have_loses_the_names_beyond_and_never_the_room() {
    let mut limits = unpaced();
    limits.subscriptions_per_room = 3;
    let server = Server::with_limits(Test::default(), limits).await;
    let yard = RoomConfig::new("Yard").event::<Message>().events_any().subscribe(["message"]);
    server.dialogue.create_room("yard", yard).await.unwrap();
    let mut ann = server.connect("ann").await;
    let mut join = async |names: Value, defaults: bool| {
        let join = json!({ "roomId": "yard", "subscribe": names, "defaults": defaults });
        let joined = ann.ask("dialogue:join", join).await;
        assert_eq!(joined["ok"], true, "{joined}");
        (joined["subscriptions"].clone(), joined.get("unknownEvents").cloned())
    };
    // The most names that there may be, and the defaults.
    let joined = join(json!(["a", "b", "c"]), true).await;
    assert_eq!(joined, (json!(["message", "a", "b", "c"]), None));
    let joined = join(json!(["a", "b", "message", "c", "d", "e", "d"]), true).await;
    assert_eq!(joined, (json!(["message", "a", "b", "c"]), Some(json!(["d", "e"]))));
    let joined = join(json!(["a", "b", "c", "message"]), false).await;
    assert_eq!(joined, (json!(["a", "b", "c"]), Some(json!(["message"]))));
    assert_eq!(server.dialogue.stats().subscriptions, 3);
}

#[tokio::test]
async fn join_with_defaults_and_names_is_subscribed_to_both() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.connect("ann").await;
    let join = json!({ "roomId": "general", "subscribe": ["typing", "old"], "defaults": true });
    let joined = ann.ask("dialogue:join", join).await;
    assert_eq!(joined["subscriptions"], json!(["message", "notice", "typing"]));
    assert_eq!(joined["unknownEvents"], json!(["old"]));
    let join = json!({ "roomId": "open", "subscribe": ["a"], "defaults": true });
    assert_eq!(ann.ask("dialogue:join", join).await["ok"], true);
}
