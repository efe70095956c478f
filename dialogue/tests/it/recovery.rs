//! What whoever comes back is told, and how logs are read by cursor.

use std::{sync::Arc, time::Instant};

use axum::Router;
use dialogue::{Dialogue, Limits, store::Memory};
use serde_json::{Value, json};
use tokio::sync::{Barrier, Semaphore};

use crate::{
    app::{Message, Notice, Test, doc, general},
    peer::Peer,
    server::{Server, unpaced},
    shaky::Shaky,
};

async fn say(server: &Server<Test>, texts: impl IntoIterator<Item = u32>) {
    for n in texts {
        server.dialogue.room(general::Room).trigger(Message::new(&n.to_string())).await.unwrap();
    }
}

async fn notify(server: &Server<Test>, texts: impl IntoIterator<Item = u32>) {
    for n in texts {
        let notice = Notice { text: n.to_string() };
        server.dialogue.room(general::Room).trigger(notice).await.unwrap();
    }
}

async fn shaky(limits: Limits) -> (Server<Test>, Shaky) {
    let store = Shaky::default();
    let builder = Dialogue::builder(Test::default()).limits(limits).store(store.clone());
    (Server::built(builder, Router::new()).await, store)
}

/// Where an answer says that the log ends.
fn position(answer: &Value) -> Value {
    json!({ "epoch": answer["epoch"], "seq": answer["seq"] })
}

async fn rejoin(peer: &mut Peer, since: &Value) -> Value {
    peer.ask("dialogue:join", json!({ "roomId": "general", "since": since })).await
}

fn texts(events: &Value) -> Vec<&str> {
    events.as_array().unwrap().iter().map(|event| event["data"]["text"].as_str().unwrap()).collect()
}

fn places(events: &Value) -> Vec<(u64, u64)> {
    let place = |event: &Value| (event["seq"].as_u64().unwrap(), event["prev"].as_u64().unwrap());
    events.as_array().unwrap().iter().map(place).collect()
}

#[tokio::test]
async fn who_comes_back_is_told_everything_that_it_missed_oldest_first() {
    let server = Server::start(Test::default()).await;
    say(&server, 1..=3).await;
    let mut ann = server.connect("ann").await;
    let joined = ann.join("general").await;
    assert_eq!((&joined["seq"], joined.get("recovered")), (&json!(3), None));
    ann.close().await;

    say(&server, 4..=5).await;
    notify(&server, 6..=6).await;
    say(&server, 7..=7).await;
    let mut ann = server.connect("ann").await;
    let back = rejoin(&mut ann, &position(&joined)).await;
    assert_eq!((&back["recovered"], &back["more"]), (&json!(true), &json!(false)));
    assert_eq!(texts(&back["events"]), ["4", "5", "6", "7"]);
    assert_eq!(places(&back["events"]), [(4, 3), (5, 4), (6, 0), (7, 5)]);
    assert_eq!((&back["epoch"], &back["seq"]), (&joined["epoch"], &json!(7)));
    // By name, since a place says nothing of what was lost before it.
    assert_eq!((&back["last"], joined.get("last")), (&json!({ "message": 7, "notice": 6 }), None));
    // What comes next is next.
    say(&server, 8..=8).await;
    assert_eq!(ann.message().await["seq"], 8);

    // Only what the join names; nothing missed is nothing missed.
    let named = json!({ "roomId": "general", "subscribe": ["notice"], "since": position(&joined) });
    let back = server.connect("bob").await.ask("dialogue:join", named).await;
    assert_eq!((texts(&back["events"]), &back["recovered"]), (vec!["6"], &json!(true)));
    let back = rejoin(&mut ann, &position(&back)).await;
    assert_eq!((&back["events"], &back["recovered"]), (&json!([]), &json!(true)));
}

#[tokio::test]
async fn without_acknowledgement_what_was_missed_comes_as_history() {
    let server = Server::start(Test::default()).await;
    let joined = server.connect("ann").await.join("general").await;
    say(&server, 1..=2).await;
    let mut ann = server.connect("ann").await;
    let since = json!({ "roomId": "general", "since": position(&joined) });
    ann.emit("dialogue:join", since).await;
    assert_eq!(ann.event().await.0, "dialogue:joined");
    let (name, history) = ann.event().await;
    assert_eq!((&*name, texts(&history["events"])), ("dialogue:history", vec!["1", "2"]));
}

#[tokio::test]
async fn who_comes_back_to_another_log_or_a_place_that_it_never_had_starts_anew() {
    let server = Server::start(Test::default()).await;
    say(&server, 1..=7).await;
    let mut ann = server.connect("ann").await;
    let joined = ann.join("general").await;
    for since in [
        json!({ "epoch": "0123456789abcdef", "seq": 7 }),
        json!({ "epoch": "what is this?", "seq": 7 }),
        json!({ "epoch": joined["epoch"], "seq": 8 }),
        json!({ "epoch": joined["epoch"], "seq": u64::MAX }),
    ] {
        let back = rejoin(&mut ann, &since).await;
        assert_eq!(back["recovered"], false, "{since}");
        assert_eq!(texts(&back["events"]), ["7", "6", "5", "4", "3"], "{since}");
        assert_eq!(position(&back), position(&joined));
    }
    for since in [json!(7), json!({ "epoch": "0123456789abcdef" }), json!({ "seq": 7 })] {
        assert_eq!(rejoin(&mut ann, &since).await["code"], "INVALID_REQUEST", "{since}");
    }
}

#[tokio::test]
async fn a_part_of_what_was_missed_is_not_told() {
    let mut limits = unpaced();
    limits.recovery_events = 3;
    let server = Server::with_limits(Test::default(), limits).await;
    let joined = server.connect("ann").await.join("general").await;
    // Three notices are kept.
    notify(&server, 1..=3).await;
    let back = rejoin(&mut server.connect("ann").await, &position(&joined)).await;
    assert_eq!((texts(&back["events"]), &back["recovered"]), (vec!["1", "2", "3"], &json!(true)));
    // The room itself remembers more, as long as it is open: a new server does not.
    let (server, store) = shaky(Limits::default()).await;
    let joined = server.connect("ann").await.join("general").await;
    notify(&server, 1..=4).await;
    let mut limits = unpaced();
    limits.recovery_events = 3;
    let builder = Dialogue::builder(Test::default()).limits(limits).store(store);
    let server = Server::built(builder, Router::new()).await;
    let mut ann = server.connect("ann").await;
    let back = rejoin(&mut ann, &position(&joined)).await;
    assert_eq!((texts(&back["events"]), &back["recovered"]), (vec!["4", "3", "2"], &json!(false)));
    // More than is sent at once.
    say(&server, 5..=5).await;
    let since = json!({ "epoch": joined["epoch"], "seq": 1 });
    let back = rejoin(&mut server.connect("bob").await, &since).await;
    assert_eq!(back["recovered"], false);
    let since = json!({ "epoch": joined["epoch"], "seq": 2 });
    let back = rejoin(&mut server.connect("bob").await, &since).await;
    assert_eq!((texts(&back["events"]), &back["recovered"]), (vec!["3", "4", "5"], &json!(true)));
}

#[tokio::test]
async fn join_with_a_limit_answers_the_first_missed_or_the_newest_events() {
    let server = Server::start(Test::default()).await;
    let joined = server.connect("ann").await.join("general").await;
    say(&server, 1..=4).await;
    let mut bob = server.connect("bob").await;
    for (limit, expected) in [(0, vec![]), (2, vec!["1", "2"]), (4, vec!["1", "2", "3", "4"])] {
        let join = json!({ "roomId": "general", "since": position(&joined), "limit": limit });
        let back = bob.ask("dialogue:join", join).await;
        let whole = (&back["recovered"], &back["more"]);
        assert_eq!((texts(&back["events"]), whole), (expected, (&json!(true), &json!(limit < 4))));
        // The log ends there; the history has the events beyond the limit.
        assert_eq!((&back["seq"], &back["last"]["message"]), (&json!(4), &json!(4)));
    }
    let after = json!({ "roomId": "general", "after": 2 });
    assert_eq!(texts(&bob.ask("dialogue:getHistory", after).await["events"]), ["3", "4"]);
    for (limit, expected) in [(0, vec![]), (2, vec!["4", "3"])] {
        let first = bob.ask("dialogue:join", json!({ "roomId": "general", "limit": limit })).await;
        assert_eq!((texts(&first["events"]), &first["more"]), (expected, &json!(true)));
        assert_eq!(first.get("recovered"), None);
    }
    // Another answer than that of a join without a limit, in the same room.
    assert_eq!(texts(&bob.join("general").await["events"]).len(), 4);
    for limit in [json!(-1), json!("2"), json!(1.5)] {
        let join = json!({ "roomId": "general", "limit": limit });
        assert_eq!(bob.ask("dialogue:join", join).await["code"], "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn unrecovered_join_with_since_answers_the_last_event_of_names_that_are_kept_no_more() {
    let store = Memory::new().bytes(100_000);
    let builder = Dialogue::builder(Test::default()).limits(unpaced()).store(store);
    let server = Server::built(builder, Router::new()).await;
    let joined = server.connect("ann").await.join("general").await;
    notify(&server, 1..=1).await;
    // More than the room remembers by itself, and than the store keeps of all events.
    for _ in 0..300 {
        let message = Message::new(&"x".repeat(1_000));
        server.dialogue.room(general::Room).trigger(message).await.unwrap();
    }
    let mut ann = server.connect("ann").await;
    let back = rejoin(&mut ann, &position(&joined)).await;
    assert_eq!(back["recovered"], false);
    assert_eq!(back["last"], json!({ "message": 301, "notice": 1 }));
    let notices = json!({ "roomId": "general", "eventName": "notice", "after": 0 });
    let page = ann.ask("dialogue:getHistory", notices).await;
    assert_eq!((&page["events"], &page["complete"]), (&json!([]), &json!(true)));
    assert_eq!(server.connect("bob").await.join("general").await.get("last"), None);
}

#[tokio::test]
async fn an_empty_room_is_found_as_it_was_left() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.connect("ann").await;
    ann.join("doc:1").await;
    ann.trigger("doc:1", "message", json!({ "text": "hi" })).await;
    let joined = ann.join("doc:1").await;
    ann.leave("doc:1").await;
    let open = server.dialogue.stats().rooms;
    server.dialogue.room(doc::Room { id: 1 }).trigger(Message::new("later")).await.unwrap();
    assert_eq!(server.dialogue.stats().rooms, open);
    let since = json!({ "roomId": "doc:1", "since": position(&joined) });
    let back = ann.ask("dialogue:join", since).await;
    assert_eq!((texts(&back["events"]), &back["recovered"]), (vec!["later"], &json!(true)));

    // Deleted, it is another one.
    assert_eq!(ann.leave("doc:1").await["ok"], true);
    server.dialogue.delete_room("doc:1").await.unwrap();
    server.dialogue.delete_room("doc:1").await.unwrap_err();
    let since = json!({ "roomId": "doc:1", "since": position(&back) });
    let back = ann.ask("dialogue:join", since).await;
    assert_eq!((&back["events"], &back["recovered"]), (&json!([]), &json!(false)));
}

#[tokio::test]
async fn in_a_room_that_stores_nothing_nothing_is_missed() {
    let server = Server::start(Test::default()).await;
    let joined = server.connect("ann").await.join("single").await;
    let since = json!({ "roomId": "single", "since": position(&joined) });
    server.settled(|stats| stats.connections == 0).await;
    let back = server.connect("ann").await.ask("dialogue:join", since).await;
    assert_eq!((&back["recovered"], &back["seq"]), (&json!(true), &json!(0)));
}

#[tokio::test]
async fn cursors_read_on_from_where_a_reader_is() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    say(&server, 1..=4).await;
    notify(&server, 5..=6).await;
    say(&server, 7..=8).await;
    let mut page = async |query: Value| {
        let mut request = json!({ "roomId": "general" });
        request.as_object_mut().unwrap().extend(query.as_object().unwrap().clone());
        ann.ask("dialogue:getHistory", request).await
    };
    let after = page(json!({ "after": 3, "limit": 3 })).await;
    assert_eq!((texts(&after["events"]), &after["complete"]), (vec!["4", "5", "6"], &json!(false)));
    assert_eq!(after["seq"], 8);
    after["epoch"].as_str().unwrap();
    let rest = page(json!({ "after": 6 })).await;
    assert_eq!((texts(&rest["events"]), &rest["complete"]), (vec!["7", "8"], &json!(true)));
    let before = page(json!({ "before": 6, "limit": 3 })).await;
    assert_eq!(texts(&before["events"]), ["5", "4", "3"]);
    assert_eq!(before["complete"], false);
    let first = page(json!({ "before": 3, "limit": 2 })).await;
    assert_eq!((texts(&first["events"]), &first["complete"]), (vec!["2", "1"], &json!(true)));
    let notices = page(json!({ "after": 0, "eventName": "notice" })).await;
    assert_eq!(texts(&notices["events"]), ["5", "6"]);
    assert_eq!(page(json!({ "after": 8 })).await["events"], json!([]));
    assert_eq!(page(json!({ "after": 0, "eventName": "typing" })).await["events"], json!([]));
    for wrong in [
        json!({}),
        json!({ "after": 1, "before": 2 }),
        json!({ "after": 1, "start": 0 }),
        json!({ "before": 1, "end": 5 }),
        json!({ "eventName": "message", "limit": 5 }),
        json!({ "after": -1 }),
        json!({ "after": "1" }),
    ] {
        assert_eq!(page(wrong.clone()).await["code"], "INVALID_REQUEST", "{wrong}");
    }
    assert_eq!(
        page(json!({ "after": 0, "eventName": "wiped" })).await["code"],
        "EVENT_NOT_ALLOWED"
    );

    // By cursor, it is what one is subscribed to.
    let notices = json!({ "roomId": "general", "eventName": "notice" });
    ann.ask("dialogue:unsubscribe", notices).await;
    let after = json!({ "roomId": "general", "after": 3 });
    let after = ann.ask("dialogue:getHistory", after).await;
    assert_eq!(texts(&after["events"]), ["4", "7", "8"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_come_back_at_once_and_the_store_is_read_once_for_what_they_ask() {
    const CLIENTS: usize = 2_000;
    let mut limits = unpaced();
    limits.connections_per_address = 2 * CLIENTS;
    let (server, store) = shaky(limits.clone()).await;
    say(&server, 1..=20).await;
    let mut ann = server.connect("ann").await;
    let joined = ann.join("general").await;

    // Another server with the same store, which remembers nothing.
    let builder = Dialogue::builder(Test::default()).limits(limits).store(store.clone());
    let server = Server::built(builder, Router::new()).await;
    let (heads, reads) = store.asked();
    // The system queues only so many connections that nobody has accepted yet.
    let queue = Arc::new(Semaphore::new(200));
    let connected = Arc::new(Barrier::new(CLIENTS));
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (address, epoch) = (server.address, joined["epoch"].clone());
            let (queue, connected) = (queue.clone(), connected.clone());
            tokio::spawn(async move {
                let place = queue.acquire().await.unwrap();
                let mut peer = Peer::connect(address, r#"{"userId":"crowd"}"#).await.unwrap();
                drop(place);
                // It answers heartbeats meanwhile.
                tokio::select! {
                    _ = connected.wait() => {}
                    event = peer.event() => panic!("{event:?} before the join"),
                }
                // Of ten different places.
                let seq = 10 + n % 10;
                let back = rejoin(&mut peer, &json!({ "epoch": epoch, "seq": seq })).await;
                let expected: Vec<_> = (seq + 1..=20).map(|n| n.to_string()).collect();
                assert_eq!(
                    (&back["recovered"], texts(&back["events"])),
                    (&json!(true), expected.iter().map(|text| &**text).collect())
                );
                peer
            })
        })
        .collect();
    let begun = Instant::now();
    let mut peers = Vec::new();
    for task in tasks {
        peers.push(task.await.unwrap());
    }
    let (heads, reads) = (store.asked().0 - heads, store.asked().1 - reads);
    // A read is shared for ten seconds. On a busy machine the joins may take longer than that.
    let periods = 1 + usize::try_from(begun.elapsed().as_secs() / 10).unwrap();
    assert!(heads == 1 && (10..=10 * periods).contains(&reads), "{heads} heads, {reads} reads");
    // What is read for one is not kept for long.
    say(&server, 21..=21).await;
    for peer in &mut peers {
        assert_eq!(peer.message().await["seq"], 21);
    }
}
