//! What rooms remember.

use axum::Router;
use dialogue::{Dialogue, store::Memory};
use serde_json::{Value, json};

use crate::{
    app::{Message, Notice, Test, doc, general},
    server::{Server, unpaced},
};

async fn say(server: &Server<Test>, texts: impl IntoIterator<Item = u32>) {
    for n in texts {
        let room = server.dialogue.room(general::Room);
        room.trigger(Message::new(&n.to_string())).from("ann").await.unwrap();
    }
}

/// A server that remembers so many empty rooms of families.
async fn remembering(rooms: usize) -> Server<Test> {
    let store = Memory::new().released_rooms(rooms);
    let builder = Dialogue::builder(Test::default()).limits(unpaced()).store(store);
    Server::built(builder, Router::new()).await
}

fn texts(events: &Value) -> Vec<&str> {
    events.as_array().unwrap().iter().map(|event| event["data"]["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_joiner_receives_the_newest_first() {
    let server = Server::start(Test::default()).await;
    say(&server, 1..=7).await;
    let mut ann = server.connect("ann").await;
    let joined = ann.join("general").await;
    assert_eq!(texts(&joined["events"]), ["7", "6", "5", "4", "3"]);
    assert_eq!(joined["more"], true);
    let first = &joined["events"][0];
    assert_eq!((&first["event"], &first["from"]), (&json!("message"), &json!("ann")));

    // Events of several names are in the order in which they happened.
    let notice = Notice { text: "noon".into() };
    server.dialogue.room(general::Room).trigger(notice).await.unwrap();
    say(&server, [8]).await;
    let joined = server.connect("bob").await.join("general").await;
    assert_eq!(texts(&joined["events"]), ["8", "noon", "7", "6", "5", "4"]);
}

#[tokio::test]
async fn what_is_subscribed_to_bounds_what_is_replayed() {
    let server = Server::start(Test::default()).await;
    say(&server, 1..=2).await;
    let mut ann = server.connect("ann").await;
    let notices = json!({ "roomId": "general", "subscribe": ["notice"] });
    let joined = ann.ask("dialogue:join", notices).await;
    assert_eq!((&joined["events"], &joined["more"]), (&json!([]), &json!(false)));
}

#[tokio::test]
async fn pages_count_from_the_newest() {
    let server = Server::start(Test::default()).await;
    say(&server, 1..=120).await;
    let mut ann = server.join("ann", "general").await;
    let mut page = async |start: i64, end: i64| {
        let range =
            json!({ "roomId": "general", "eventName": "message", "start": start, "end": end });
        ann.ask("dialogue:getHistory", range).await
    };
    let newest = page(0, 3).await;
    assert_eq!(newest["complete"], true);
    assert_eq!(texts(&newest["events"]), ["120", "119", "118"]);
    assert_eq!(texts(&page(3, 5).await["events"]), ["117", "116"]);
    // A hundred are kept: what is older is gone.
    assert_eq!(texts(&page(98, 200).await["events"]), ["22", "21"]);
    assert_eq!(page(98, 200).await["complete"], true);
    assert_eq!(page(100, 110).await["events"], json!([]));
    assert_eq!(page(5, 5).await["events"], json!([]));
    let most = page(0, 1_000_000_000).await;
    assert_eq!(most["events"].as_array().unwrap().len(), 100);
    assert_eq!(page(5, 4).await["code"], "INVALID_REQUEST");
    assert_eq!(page(-1, 4).await["code"], "INVALID_REQUEST");

    let by_default = json!({ "roomId": "general", "eventName": "message" });
    let page = ann.ask("dialogue:getHistory", by_default.clone()).await;
    assert_eq!(page["events"].as_array().unwrap().len(), 50);

    ann.emit("dialogue:getHistory", by_default).await;
    let (name, response) = ann.event().await;
    assert_eq!(name, "dialogue:historyResponse");
    assert_eq!(
        (&response["roomId"], &response["eventName"], &response["start"], &response["end"]),
        (&json!("general"), &json!("message"), &json!(0), &json!(50))
    );
    assert_eq!(response["events"].as_array().unwrap().len(), 50);
}

#[tokio::test]
async fn a_page_holds_so_much() {
    let mut limits = unpaced();
    limits.page_events = 10;
    limits.page_bytes = 5_600;
    let server = Server::with_limits(Test::default(), limits).await;
    say(&server, 1..=20).await;
    let mut ann = server.join("ann", "general").await;
    let all = json!({ "roomId": "general", "eventName": "message", "end": 100 });
    let page = ann.ask("dialogue:getHistory", all.clone()).await;
    assert_eq!(page["events"].as_array().unwrap().len(), 10);
    assert_eq!(page["complete"], false);

    for n in 0..5 {
        let text = format!("{n}{}", "x".repeat(1_500));
        server.dialogue.room(general::Room).trigger(Message::new(&text)).await.unwrap();
    }
    let page = ann.ask("dialogue:getHistory", all).await;
    assert_eq!(page["events"].as_array().unwrap().len(), 3);
    assert_eq!(page["complete"], false);
}

#[tokio::test]
async fn events_without_history_are_not_kept() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    ann.trigger("general", "typing", json!({ "isTyping": true })).await;
    let of = |event: &str| json!({ "roomId": "general", "eventName": event });
    let page = ann.ask("dialogue:getHistory", of("typing")).await;
    assert_eq!((&page["events"], &page["complete"]), (&json!([]), &json!(true)));
    assert_eq!(ann.ask("dialogue:getHistory", of("wiped")).await["code"], "EVENT_NOT_ALLOWED");
    assert_eq!(server.dialogue.stats().stored, 0);
}

#[tokio::test]
async fn an_empty_room_of_a_family_remembers() {
    let server = remembering(2).await;
    let before = server.dialogue.stats();
    for id in 1..=3 {
        let room = server.dialogue.room(doc::Room { id });
        room.trigger(Message::new("hello")).await.unwrap();
        // Emptied again and again, it is still one room.
        for _ in 0..3 {
            let mut ann = server.connect("ann").await;
            let joined = ann.join(&format!("doc:{id}")).await;
            assert_eq!(texts(&joined["events"]), ["hello"]);
            assert_eq!(ann.leave(&format!("doc:{id}")).await["ok"], true);
        }
    }
    // Not without end: the one that has been empty for longest is forgotten.
    let stats = server.settled(|stats| stats.connections == 0).await;
    assert_eq!((stats.rooms, stats.stored), (before.rooms, 2));
    let mut ann = server.connect("ann").await;
    assert_eq!(ann.join("doc:1").await["events"], json!([]));
    assert_eq!(texts(&ann.join("doc:3").await["events"]), ["hello"]);
}

#[tokio::test]
async fn the_room_that_has_been_empty_for_longest_is_forgotten_first() {
    let server = remembering(2).await;
    let mut ann = server.connect("ann").await;
    let mut visit = async |id: u32| {
        let joined = ann.join(&format!("doc:{id}")).await;
        assert_eq!(ann.leave(&format!("doc:{id}")).await["ok"], true);
        joined["events"].as_array().unwrap().len()
    };
    for id in 1..=2 {
        server.dialogue.room(doc::Room { id }).trigger(Message::new("hello")).await.unwrap();
    }
    // The first is used again, so the second has been empty for longer than it.
    assert_eq!(visit(1).await, 1);
    server.dialogue.room(doc::Room { id: 3 }).trigger(Message::new("hello")).await.unwrap();
    assert_eq!((visit(2).await, visit(1).await, visit(3).await), (0, 1, 1));
}

#[tokio::test]
async fn the_answer_to_a_join_holds_so_much() {
    let mut limits = unpaced();
    limits.page_bytes = 5_600;
    let server = Server::with_limits(Test::default(), limits).await;
    for n in 0..5 {
        let text = format!("{n}{}", "x".repeat(1_500));
        server.dialogue.room(general::Room).trigger(Message::new(&text)).await.unwrap();
    }
    let joined = server.connect("ann").await.join("general").await;
    assert_eq!((joined["events"].as_array().unwrap().len(), &joined["more"]), (3, &json!(true)));
}
