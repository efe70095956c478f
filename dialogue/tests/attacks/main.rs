//! What somebody with bad intentions makes a server hold. Each attack has a server in a process of its
//! own, whose memory is measured, and comes from one address.
#![cfg(target_os = "linux")]
#![allow(missing_docs, unreachable_pub)]

mod attacker;
mod town;

use std::time::Duration;

use serde_json::json;

use crate::{
    attacker::{Attacker, Poller, event, request},
    town::Process,
};

/// How many bytes the clients of one address make a server hold with the default limits, at most.
const MOST: usize = 64_000_000;

/// Says what an attack took, and that it was not too much.
fn judge(name: &str, server: &Process, before: usize, sent: usize) {
    let held = server.resident().saturating_sub(before);
    println!("FIGURE {name}: {sent} bytes sent, {held} held, {} % of them", held * 100 / sent);
    assert!(held < MOST, "{name}: {held} bytes are held for {sent}");
    // Beyond a fixed budget, what a client sends is held once or twice.
    assert!(held < 16_000_000 + 4 * sent, "{name}: {held} bytes are held for {sent}");
}

/// Waits until the server has done what it was asked, as far as its memory tells.
async fn settled(server: &Process) {
    let (mut last, mut same) = (0, 0);
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = server.resident();
        same = if now.abs_diff(last) < 200_000 { same + 1 } else { 0 };
        last = now;
        if same >= 10 {
            break;
        }
    }
}

#[tokio::test]
async fn joins_whose_answers_are_not_read_hold_little() {
    for size in [2_500, 240_000] {
        let server = Process::start().await;
        server.fill("hall", 100, size).await;
        let before = server.resident();
        let mut sent = 0;
        let mut pollers = Vec::new();
        for n in 0..10 {
            let poller = Poller::connect(server.address, &format!("reader{n}")).await;
            let joins: Vec<_> = (0..100)
                .map(|id| request("dialogue:join", id, &json!({ "roomId": "hall" })))
                .collect();
            sent += poller.post(&joins.join("\u{1e}")).await;
            pollers.push(poller);
        }
        settled(&server).await;
        judge(&format!("unread joins of {size}"), &server, before, sent);
        server.is_alive().await;
    }
}

#[tokio::test]
async fn lists_of_rooms_that_are_not_read_hold_little() {
    let server = Process::start().await;
    server.create_rooms(10_000).await;
    let before = server.resident();
    let mut attacker = Attacker::connect(server.address, "reader").await;
    let mut sent = 0;
    for id in 0..200 {
        sent += attacker.send(&request("dialogue:listRooms", id, &json!(null))).await;
    }
    settled(&server).await;
    judge("unread lists", &server, before, sent);
    server.is_alive().await;
}

#[tokio::test]
async fn pings_whose_pongs_are_not_read_hold_little_before_login_and_after() {
    for login in [false, true] {
        let server = Process::start().await;
        let before = server.resident();
        let mut attacker = if login {
            Attacker::connect(server.address, "pinger").await
        } else {
            Attacker::open(server.address).await
        };
        let ping = attacker::frame(9, &[b'p'; 125]);
        let sent = attacker.flood(&ping.repeat(100), 100_000_000, Duration::from_secs(3)).await;
        settled(&server).await;
        judge(&format!("pings, login {login}"), &server, before, sent);
        server.is_alive().await;
    }
}

#[tokio::test]
async fn names_of_namespaces_that_are_echoed_hold_little() {
    let server = Process::start().await;
    let before = server.resident();
    let (mut sent, mut attackers) = (0, Vec::new());
    for _ in 0..20 {
        let mut attacker = Attacker::open(server.address).await;
        let connect = attacker::frame(1, format!("40/{},", "n".repeat(900_000)).as_bytes());
        sent += attacker.flood(&connect, 20_000_000, Duration::from_millis(300)).await;
        attackers.push(attacker);
    }
    settled(&server).await;
    judge("namespaces", &server, before, sent.max(1));
    server.is_alive().await;
}

#[tokio::test]
async fn messages_that_never_end_hold_little() {
    let server = Process::start().await;
    let before = server.resident();
    let (mut sent, mut attackers) = (0, Vec::new());
    for n in 0..300 {
        let mut attacker = Attacker::connect(server.address, &format!("slow{n}")).await;
        let frame = attacker::frame(1, &vec![b'x'; 999_000]);
        sent += attacker.flood(&frame[..900_000], 900_000, Duration::from_secs(2)).await;
        attackers.push(attacker);
    }
    settled(&server).await;
    judge("messages that never end", &server, before, sent);
    server.is_alive().await;
}

#[tokio::test]
async fn uploads_that_never_end_hold_little() {
    let server = Process::start().await;
    let before = server.resident();
    let (mut sent, mut uploads) = (0, Vec::new());
    for n in 0..200 {
        let poller = Poller::connect(server.address, &format!("slow{n}")).await;
        uploads.push(poller.begin_upload(999_000, 900_000).await);
        sent += 900_000;
    }
    settled(&server).await;
    judge("uploads that never end", &server, before, sent);
    server.is_alive().await;
}

#[tokio::test]
async fn heads_that_stay_hold_little() {
    let server = Process::start().await;
    let before = server.resident();
    let (mut sent, mut attackers) = (0, Vec::new());
    for n in 0..100 {
        let padding = "x".repeat(if n % 2 == 0 { 380_000 } else { 14_000 });
        let (bytes, attacker) = Attacker::with_head(server.address, &padding).await;
        sent += bytes;
        attackers.push(attacker);
    }
    settled(&server).await;
    judge("heads", &server, before, sent);
    server.is_alive().await;
}

#[tokio::test]
async fn requests_that_wait_hold_little() {
    let server = Process::start().await;
    let before = server.resident();
    let (mut sent, mut attackers) = (0, Vec::new());
    for n in 0..40 {
        let mut attacker = Attacker::connect(server.address, &format!("waiter{n}")).await;
        attacker.join("hall").await;
        // The first one's hook takes its time.
        let slow = json!({ "roomId": "hall", "event": "slow", "data": null });
        attacker.send(&request("dialogue:trigger", 1, &slow)).await;
        let waits =
            attacker::frame(1, event("dialogue:unheard-of", &json!("x".repeat(50))).as_bytes());
        sent += attacker.flood(&waits.repeat(100), 12_000_000, Duration::from_millis(500)).await;
        attackers.push(attacker);
    }
    settled(&server).await;
    judge("requests that wait", &server, before, sent);
    server.is_alive().await;
}

#[tokio::test]
async fn events_that_are_not_read_hold_little() {
    let server = Process::start().await;
    let before = server.resident();
    let (mut sent, mut attackers) = (0, Vec::new());
    for n in 0..100 {
        let room = format!("own:{n}");
        let mut attacker = Attacker::connect(server.address, &format!("talker{n}")).await;
        attacker.join(&room).await;
        let data =
            json!({ "roomId": room, "event": "blink", "data": { "text": "x".repeat(500_000) } });
        let blink = attacker::frame(1, event("dialogue:trigger", &data).as_bytes());
        sent += attacker.flood(&blink, 12_000_000, Duration::from_millis(300)).await;
        attackers.push(attacker);
    }
    settled(&server).await;
    judge("unread events", &server, before, sent);
    server.is_alive().await;
}

#[tokio::test]
async fn one_event_to_many_who_do_not_read_is_held_once() {
    let server = Process::start().await;
    let mut attackers = Vec::new();
    for n in 0..200 {
        let mut attacker = Attacker::connect(server.address, &format!("idler{n}")).await;
        attacker.join("hall").await;
        attackers.push(attacker);
    }
    let before = server.resident();
    let mut sent = 0;
    let mut talker = Attacker::connect(server.address, "talker").await;
    talker.join("hall").await;
    for _ in 0..20 {
        let data =
            json!({ "roomId": "hall", "event": "blink", "data": { "text": "x".repeat(900_000) } });
        sent += talker.send(&event("dialogue:trigger", &data)).await;
        talker.read_some().await;
    }
    settled(&server).await;
    judge("one event to many", &server, before, sent);
    server.is_alive().await;
}

#[tokio::test]
async fn context_of_events_is_held_as_it_was_sent() {
    let server = Process::start().await;
    let before = server.resident();
    let mut attacker = Attacker::connect(server.address, "talker").await;
    attacker.join("hall").await;
    let entries: Vec<_> = (0..60).map(|n| format!(r#""k{n}":[0,[1,[2]],{{}},[]]"#)).collect();
    let meta = format!("{{{}}}", entries.join(","));
    let mut sent = 0;
    for id in 0..7_000 {
        let trigger = format!(
            r#"42{id}["dialogue:trigger",{{"roomId":"hall","event":"note","data":{{"text":""}},"meta":{meta}}}]"#
        );
        sent += attacker.send(&trigger).await;
        attacker.read_some().await;
    }
    settled(&server).await;
    judge("context", &server, before, sent);
    server.is_alive().await;
}
