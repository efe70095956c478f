//! Order, and that nothing is lost on the way.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::{
    app::{Message, Test, general},
    peer::{Incoming, Peer},
    polling::Poller,
    server::{Server, unpaced},
};

fn trigger(n: u64) -> String {
    let data = json!({ "text": "order", "n": n });
    json!(["dialogue:trigger", { "roomId": "general", "event": "message", "data": data }])
        .to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_triggers_of_one_connection_arrive_in_order_at_another() {
    let server = Server::start(Test::default()).await;
    let mut sender = server.connect("sender").await;
    // The sender does not hear itself, so that the test is of the reader.
    let nothing = json!({ "roomId": "general", "subscribe": [] });
    assert_eq!(sender.ask("dialogue:join", nothing).await["ok"], true);
    let mut reader = server.join("reader", "general").await;
    let reading = tokio::spawn(async move {
        for n in 0..10_000 {
            assert_eq!(reader.message().await["data"]["n"], n);
        }
        reader.silent().await;
    });
    for n in 0..10_000 {
        sender.feed(format!("42{}", trigger(n))).await;
    }
    sender.flush().await;
    reading.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn none_of_ten_thousand_acknowledgements_asked_for_in_one_go_is_lost() {
    let server = Server::start(Test::default()).await;
    let mut peer = server.connect("ann").await;
    let nothing = json!({ "roomId": "general", "subscribe": [] });
    let joined = peer.ask("dialogue:join", nothing).await;
    assert_eq!(joined["ok"], true);
    for n in 1..=10_000 {
        peer.feed(format!("42{n}{}", trigger(n))).await;
    }
    peer.flush().await;
    for n in 1..=10_000 {
        let receipt = json!({ "ok": true, "epoch": joined["epoch"], "seq": n });
        assert_eq!(peer.incoming().await, Incoming::Ack(n, receipt));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_sent_as_soon_as_the_connect_reply_is_read_is_never_lost() {
    let server = Server::start(Test::default()).await;
    let connect = async |n: u64| {
        let auth = format!(r#"{{"userId":"user {n}"}}"#);
        let mut peer = Peer::reply_only(server.address, &auth).await.unwrap();
        peer.send_text(format!(r#"42{n}["dialogue:join",{{"roomId":"general"}}]"#)).await;
        let Incoming::Event(name, _) = peer.incoming().await else { panic!("no greeting") };
        assert_eq!(name, "dialogue:connected");
        let Incoming::Ack(ack, joined) = peer.incoming().await else { panic!("no answer") };
        assert_eq!((ack, &joined["ok"]), (n, &json!(true)));
    };
    stream::iter(0..1_000).for_each_concurrent(50, connect).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyone_in_a_room_sees_one_order() {
    const SENDERS: usize = 4;
    const EACH: usize = 200;
    let server = Server::start(Test::default()).await;
    let mut readers = Vec::new();
    for n in 0..3 {
        readers.push(server.join(&format!("reader {n}"), "general").await);
    }
    let mut senders = Vec::new();
    for user in 0..SENDERS {
        let mut peer = server.connect(&format!("sender {user}")).await;
        let nothing = json!({ "roomId": "general", "subscribe": [] });
        peer.ask("dialogue:join", nothing).await;
        senders.push(tokio::spawn(async move {
            for n in 0..EACH {
                let data = json!({ "text": "order", "n": n });
                assert_eq!(peer.trigger("general", "message", data).await["ok"], true);
            }
        }));
    }
    let mut orders = Vec::new();
    for mut reader in readers {
        let mut order = Vec::new();
        for _ in 0..SENDERS * EACH {
            let message = reader.message().await;
            order.push((message["from"].to_string(), message["data"]["n"].as_u64().unwrap()));
        }
        orders.push(order);
    }
    for sender in senders {
        sender.await.unwrap();
    }
    assert!(orders.iter().all(|order| *order == orders[0]), "readers disagree");
    for user in 0..SENDERS {
        let from = format!("\"sender {user}\"");
        let sent = orders[0].iter().filter(|(who, _)| *who == from).map(|(_, n)| *n);
        assert!(sent.eq(0..EACH as u64), "{from} out of order");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_and_what_follows_it_neither_overlap_nor_leave_a_gap() {
    let server = Server::start(Test::default()).await;
    let dialogue = server.dialogue.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let producer = tokio::spawn(async move {
        let room = dialogue.room(general::Room);
        for n in 0.. {
            if stopped.load(Ordering::Relaxed) {
                break;
            }
            room.trigger(Message { text: "order".into(), n }).await.unwrap();
            if n % 20 == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
    });
    let mut with_history = 0;
    while with_history < 40 {
        let mut peer = server.connect("ann").await;
        let joined = peer.join("general").await;
        let Some(newest) = joined["events"][0]["data"]["n"].as_u64() else { continue };
        for n in newest + 1..newest + 4 {
            assert_eq!(peer.message().await["data"]["n"], n);
        }
        with_history += 1;
    }
    stop.store(true, Ordering::Relaxed);
    producer.await.unwrap();
}

/// Its buffer has room for few answers, and it does not take them in for a while.
#[tokio::test]
async fn a_joiner_that_cannot_be_answered_misses_nothing() {
    let mut limits = unpaced();
    limits.outgoing_packets = 4;
    let server = Server::with_limits(Test::default(), limits).await;
    let poller = Poller::connect(server.address, r#"{"userId":"ann"}"#, "").await.unwrap();
    for n in 0..8 {
        poller.send(&format!(r#"42{n}["dialogue:listRooms"]"#)).await;
    }
    poller.send(r#"429["dialogue:join",{"roomId":"general"}]"#).await;
    let room = server.dialogue.room(general::Room);
    for n in 1..=3 {
        room.trigger(Message { text: "order".into(), n }).await.unwrap();
    }
    assert_eq!(room.size(), 0);
    let mut seen = Vec::new();
    let mut joined = false;
    let mut sent = 3;
    while seen.len() < 6 {
        for packet in poller.poll().await {
            if let Some(answer) = packet.strip_prefix("439") {
                let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
                let events = answer[0]["events"].as_array().unwrap();
                assert!(seen.is_empty(), "an event came before the answer");
                seen.extend(events.iter().rev().map(|event| event["data"]["n"].as_u64().unwrap()));
                joined = true;
            } else if packet.starts_with("42[\"dialogue:event\"") {
                let event: serde_json::Value = serde_json::from_str(&packet[2..]).unwrap();
                seen.push(event[1]["data"]["n"].as_u64().unwrap());
            }
        }
        // Once it is a member, it hears what comes next.
        while joined && sent < 6 {
            sent += 1;
            room.trigger(Message { text: "order".into(), n: sent }).await.unwrap();
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn what_a_client_sent_before_it_left_is_done() {
    let app = Test::default();
    let server = Server::start(app.clone()).await;
    let mut bob = server.join("bob", "general").await;
    let mut ann = server.join("ann", "general").await;
    for n in 0..100 {
        ann.feed(format!("42{}", trigger(n))).await;
    }
    ann.feed("41").await;
    ann.flush().await;
    for n in 0..100 {
        assert_eq!(bob.message().await["data"]["n"], n);
    }
}

#[tokio::test]
async fn more_requests_than_may_wait_are_refused_one_by_one() {
    let mut limits = unpaced();
    limits.waiting_requests = 4;
    limits.hook_time = std::time::Duration::from_millis(500);
    let app = Test::default();
    let server = Server::with_limits(app.clone(), limits).await;
    let mut ann = server.join("ann", "general").await;
    app.noted(1).await;
    let hang = json!(["dialogue:trigger", {
        "roomId": "general", "event": "message", "data": { "text": "hang" },
    }]);
    ann.send_text(format!("42900{hang}")).await;
    // While the first is being handled, four wait, and the others are refused at once.
    assert_eq!(app.noted(1).await, ["hanging"]);
    for n in 901..=910 {
        ann.feed(format!("42{n}{}", trigger(n))).await;
    }
    ann.flush().await;
    let mut refused = Vec::new();
    let mut done = Vec::new();
    while refused.len() + done.len() < 11 {
        match ann.incoming().await {
            Incoming::Ack(n, answer) if answer["code"] == "LIMIT_EXCEEDED" => refused.push(n),
            Incoming::Ack(n, _) => done.push(n),
            Incoming::Event(..) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(done, [900, 901, 902, 903, 904]);
    assert_eq!(refused, [905, 906, 907, 908, 909, 910]);
}
