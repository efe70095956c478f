//! Created rooms that nobody needs, and how many there may be.

use std::{collections::HashSet, sync::Arc, time::Duration};

use axum::Router;
use dialogue::{Dialogue, EventMessage, Limits, RoomConfig, store::Memory};
use serde_json::{Value, json};

use crate::{
    lobby::{Lobby, Say, desk},
    peer::Peer,
    server::{Server, unpaced},
    shaky::Shaky,
};

async fn create(peer: &mut Peer, id: &str) -> Value {
    peer.ask("dialogue:createRoom", json!({ "id": id, "name": "Den" })).await
}

/// A server whose clients are where a proxy says that they are.
async fn proxied(limits: Limits) -> Server<Lobby> {
    let builder = Dialogue::builder(Lobby::default()).limits(limits).proxies(["127.0.0.1"]);
    Server::built(builder, Router::new()).await
}

async fn from(server: &Server<Lobby>, address: &str, user: &str) -> Peer {
    let ticket = format!(r#"{{"userId":"{user}"}}"#);
    let mut peer = Peer::via(server.address, address, &ticket).await.unwrap();
    assert_eq!(peer.event().await.0, "server-info");
    peer.greeting().await;
    peer
}

#[tokio::test]
async fn created_room_that_stays_empty_ends_with_its_log() {
    let mut limits = unpaced();
    limits.empty_time = Duration::from_secs(2);
    let (app, store) = (Lobby::default(), Shaky::default());
    let builder = Dialogue::builder(app.clone()).limits(limits).store(store.clone());
    let server = Server::built(builder, Router::new()).await;
    let idle = server.dialogue.stats();
    // What stays: rooms of the app's code, rooms that somebody is in, rooms with handlers.
    server.dialogue.create_room("board", RoomConfig::new("Board").event::<Say>()).await.unwrap();
    let mut bob = server.guest("bob").await;
    assert_eq!(create(&mut bob, "used").await["ok"], true);
    assert_eq!(bob.event().await.0, "dialogue:roomCreated");
    bob.join("used").await;
    assert_eq!(create(&mut bob, "heard").await["ok"], true);
    assert_eq!(bob.event().await.0, "dialogue:roomCreated");
    let heard = server.dialogue.find("heard").unwrap();
    let guard = heard.on(async |_: Arc<EventMessage<Say>>| {});
    app.notes();

    let mut ann = server.guest("ann").await;
    for _ in 0..2 {
        assert_eq!(create(&mut ann, "den").await["ok"], true);
        let joined = ann.join("den").await;
        assert_eq!((&joined["seq"], &joined["events"]), (&json!(0), &json!([])), "a new log");
        ann.trigger("den", "say", json!({ "text": "hi" })).await;
        ann.leave("den").await;
        for expected in ["dialogue:roomCreated", "dialogue:event", "dialogue:roomDeleted"] {
            let (name, body) = ann.event().await;
            assert_eq!(
                (&*name, body["id"].as_str().is_some()),
                (expected, expected != "dialogue:roomDeleted")
            );
        }
        store.is_free("den").await;
        assert_eq!(ann.join("den").await["code"], "ROOM_NOT_FOUND");
    }
    while !app.notes().contains(&"room_deleted den".to_owned()) {
        tokio::task::yield_now().await;
    }
    // They were empty for longer.
    for id in ["board", "used", "heard"] {
        assert!(server.dialogue.find(id).is_some(), "{id}");
    }
    drop(guard);
    bob.leave("used").await;
    server.settled(|stats| stats.rooms == idle.rooms + 1).await;
    server.dialogue.delete_room("board").await.unwrap();
    drop((ann, bob));
    server.settled(|stats| *stats == idle).await;
}

#[tokio::test]
async fn rooms_of_one_address_are_limited_whoever_creates_them() {
    let mut limits = unpaced();
    limits.rooms_per_address = 2;
    let server = proxied(limits).await;
    let mut peers = Vec::new();
    for (n, address) in ["2001:db8::1", "2001:db8::2", "2001:db8::3"].into_iter().enumerate() {
        peers.push(from(&server, address, &format!("user-{n}")).await);
    }
    assert_eq!(create(&mut peers[0], "a").await["ok"], true);
    assert_eq!(create(&mut peers[1], "b").await["ok"], true);
    assert_eq!(create(&mut peers[2], "c").await["code"], "LIMIT_EXCEEDED", "it is the same /64");
    let mut other = from(&server, "2001:db8:0:1::1", "user-2").await;
    assert_eq!(create(&mut other, "c").await["ok"], true);
    let deleted = peers[0].ask("dialogue:deleteRoom", json!({ "roomId": "a" })).await;
    assert_eq!(deleted["ok"], true);
    assert_eq!(create(&mut peers[2], "d").await["ok"], true, "a deleted room does not count");
    assert_eq!(create(&mut peers[2], "e").await["code"], "LIMIT_EXCEEDED");
    // A creation that fails does not count either.
    let deleted = peers[1].ask("dialogue:deleteRoom", json!({ "roomId": "b" })).await;
    assert_eq!(deleted["ok"], true);
    assert_eq!(create(&mut peers[2], "d").await["code"], "ROOM_EXISTS");
    assert_eq!(create(&mut peers[2], "e").await["ok"], true);
}

#[tokio::test]
async fn last_tenth_of_created_rooms_is_for_users_that_have_none() {
    let mut limits = unpaced();
    limits.created_rooms = 10;
    let server = proxied(limits).await;
    let mut eve = from(&server, "192.0.2.1", "eve").await;
    for n in 0..9 {
        assert_eq!(create(&mut eve, &format!("eve {n}")).await["ok"], true);
    }
    assert_eq!(create(&mut eve, "eve 9").await["code"], "LIMIT_EXCEEDED");
    // Another name does not help, nor does another address.
    let mut alias = from(&server, "192.0.2.1", "alias").await;
    assert_eq!(create(&mut alias, "alias").await["code"], "LIMIT_EXCEEDED");
    let mut moved = from(&server, "192.0.2.2", "eve").await;
    assert_eq!(create(&mut moved, "moved").await["code"], "LIMIT_EXCEEDED");
    let mut ann = from(&server, "192.0.2.3", "ann").await;
    assert_eq!(create(&mut ann, "ann").await["ok"], true);
    let mut bob = from(&server, "192.0.2.4", "bob").await;
    assert_eq!(create(&mut bob, "bob").await["code"], "LIMIT_EXCEEDED", "there are ten");
}

#[tokio::test]
async fn room_deleted_before_anybody_is_told_is_announced_to_nobody() {
    const ROOMS: usize = 200;
    let mut limits = unpaced();
    limits.outgoing_packets = 4 * ROOMS;
    let server = Server::with_limits(Lobby::default(), limits).await;
    let mut ann = server.guest("ann").await;
    let rooms = (0..ROOMS).map(|n| {
        let dialogue = server.dialogue.clone();
        tokio::spawn(async move {
            let config = RoomConfig::new("Door");
            let room = dialogue.create_room(&format!("door {n}"), config).await.unwrap();
            room.delete().await.unwrap();
        })
    });
    for room in rooms.collect::<Vec<_>>() {
        room.await.unwrap();
    }
    server.dialogue.create_room("last", RoomConfig::new("Last")).await.unwrap();
    let (mut there, mut told) = (HashSet::new(), 0);
    loop {
        let (name, body) = ann.event().await;
        match (&*name, body["id"].as_str(), body["roomId"].as_str()) {
            ("dialogue:roomCreated", Some("last"), _) => break,
            ("dialogue:roomCreated", Some(id), _) => assert!(there.insert(id.to_owned()), "{id}"),
            ("dialogue:roomDeleted", _, Some(id)) => assert!(there.remove(id), "{id}"),
            other => panic!("{other:?}"),
        }
        told += 1;
    }
    assert!(there.is_empty(), "nobody was told that these are gone: {there:?}");
    assert!(told < 2 * ROOMS, "each of {told} announcements was made");
}

#[tokio::test]
async fn missed_events_that_gave_way_to_others_are_not_recovered() {
    // Ten events are kept, if there is memory for them.
    for (bytes, recovered) in [(64_000_000, true), (4_000, false)] {
        let store = Memory::new().bytes(bytes);
        let builder = Dialogue::builder(Lobby::default()).limits(unpaced()).store(store);
        let server = Server::built(builder, Router::new()).await;
        // Empty, it remembers nothing of its own.
        let desk = server.dialogue.room(desk::Room { name: "ann".into() });
        desk.trigger(Say::new("seen")).await.unwrap();
        let mut ann = server.guest("ann").await;
        let joined = ann.join("desk:ann").await;
        let since = json!({ "epoch": joined["epoch"], "seq": joined["seq"] });
        ann.leave("desk:ann").await;
        for n in 0..8 {
            desk.trigger(Say::new(&format!("{n} {}", "x".repeat(90)))).await.unwrap();
        }
        let again = ann.ask("dialogue:join", json!({ "roomId": "desk:ann", "since": since })).await;
        assert_eq!(again["recovered"], recovered, "{again}");
    }
}
