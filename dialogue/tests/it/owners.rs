//! Whose a created room's log is, on servers that share a store and after a restart.

use axum::Router;
use dialogue::{
    CreateError, Dialogue, RoomConfig,
    store::{Memory, Postgres, Sqlite, Store},
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{
    lobby::{Lobby, Say},
    peer::Peer,
    server::{Server, unpaced},
    shaky::Shaky,
    skipped::skipped,
};

async fn serve(store: impl Store) -> Server<Lobby> {
    let builder = Dialogue::builder(Lobby::default()).limits(unpaced()).store(store);
    Server::built(builder, Router::new()).await
}

async fn create(peer: &mut Peer, id: &str) -> Value {
    peer.ask("dialogue:createRoom", json!({ "id": id, "name": "Den" })).await
}

async fn say(peer: &mut Peer, room: &str, text: &str) -> Value {
    peer.trigger(room, "say", json!({ "text": text })).await
}

async fn past(peer: &mut Peer, room: &str) -> Vec<String> {
    let page = json!({ "roomId": room, "eventName": "say" });
    let page = peer.ask("dialogue:getHistory", page).await;
    let events = page["events"].as_array().unwrap_or_else(|| panic!("{page}")).iter();
    events.map(|event| event["data"]["text"].as_str().unwrap().to_owned()).collect()
}

fn board() -> RoomConfig {
    RoomConfig::new("Board").event::<Say>()
}

/// What somebody tries who knows the id of another's room.
async fn nobody_takes_a_room_over(one: impl Store, other: impl Store) {
    let (here, there) = (serve(one).await, serve(other).await);
    let (mut ann, mut eve) = (here.guest("ann").await, there.guest("eve").await);
    assert_eq!(create(&mut ann, "den").await["ok"], true);
    // Before anything was said there, and after.
    assert_eq!(create(&mut eve, "den").await["code"], "PERMISSION_DENIED");
    ann.join("den").await;
    assert_eq!(say(&mut ann, "den", "secret").await["seq"], 1);
    assert_eq!(create(&mut eve, "den").await["code"], "PERMISSION_DENIED");
    assert_eq!(eve.join("den").await["code"], "ROOM_NOT_FOUND");
    let gone = eve.ask("dialogue:deleteRoom", json!({ "roomId": "den" })).await;
    assert_eq!(gone["code"], "ROOM_NOT_FOUND");
    // Nor does the code of the other server take it over, whoever for.
    for config in [board(), board().created_by("ann"), board().created_by("eve")] {
        let refused = there.dialogue.create_room("den", config).await.map(drop);
        assert_eq!(refused, Err(CreateError::Exists));
    }
    assert_eq!(say(&mut ann, "den", "more").await["seq"], 2);
    assert_eq!(past(&mut ann, "den").await, ["more", "secret"]);

    // Once it is deleted, the id is free, and nothing is left of it.
    let deleted = ann.ask("dialogue:deleteRoom", json!({ "roomId": "den" })).await;
    assert_eq!(deleted["ok"], true);
    assert_eq!(create(&mut eve, "den").await["ok"], true);
    let joined = eve.join("den").await;
    assert_eq!((&joined["seq"], &joined["events"]), (&json!(0), &json!([])));
    assert_eq!(say(&mut eve, "den", "mine").await["seq"], 1);
    assert_eq!(past(&mut eve, "den").await, ["mine"]);
    assert_eq!(create(&mut ann, "den").await["code"], "PERMISSION_DENIED");

    // A room without history has its id for itself, too.
    let mut mute = here.guest("mute").await;
    assert_eq!(create(&mut mute, "quiet").await["ok"], true);
    assert_eq!(create(&mut eve, "quiet").await["code"], "PERMISSION_DENIED");
    let deleted = mute.ask("dialogue:deleteRoom", json!({ "roomId": "quiet" })).await;
    assert_eq!(deleted["ok"], true);
    assert_eq!(create(&mut eve, "quiet").await["ok"], true);
}

/// What the app's code creates is one room on all servers, which no client gets before it.
async fn the_app_goes_on_with_its_own(one: impl Store, other: impl Store) {
    let (here, there) = (serve(one).await, serve(other).await);
    let room = here.dialogue.create_room("board", board()).await.unwrap();
    room.trigger(Say::new("one")).await.unwrap();
    let annex = here.dialogue.create_room("annex", board().created_by("ann")).await.unwrap();
    annex.trigger(Say::new("hers")).await.unwrap();

    let mut eve = there.guest("eve").await;
    for id in ["board", "annex"] {
        assert_eq!(create(&mut eve, id).await["code"], "PERMISSION_DENIED", "{id}");
        assert_eq!(eve.join(id).await["code"], "ROOM_NOT_FOUND");
    }
    let again = there.dialogue.create_room("board", board()).await.unwrap();
    let said = again.history_raw("say", 0..9).await.unwrap();
    assert_eq!(said.len(), 1);
    again.trigger(Say::new("two")).await.unwrap();
    assert_eq!(room.history_raw("say", 0..9).await.unwrap().len(), 2);
    // A user's room is that user's, whichever code asks for it.
    for config in [board().created_by("eve"), board()] {
        let refused = there.dialogue.create_room("annex", config).await.map(drop);
        assert_eq!(refused, Err(CreateError::Exists));
    }
    let annex = there.dialogue.create_room("annex", board().created_by("ann")).await.unwrap();
    assert_eq!(annex.history_raw("say", 0..9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn created_room_on_two_servers_with_one_memory_is_taken_over_by_nobody() {
    let store = Shaky::default();
    Box::pin(nobody_takes_a_room_over(store.clone(), store)).await;
    let store = Shaky::default();
    the_app_goes_on_with_its_own(store.clone(), store).await;
}

#[tokio::test]
async fn created_room_on_two_servers_with_one_file_is_taken_over_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    for (n, path) in ["one.db", "other.db"].into_iter().enumerate() {
        let path = folder.path().join(path);
        let (one, other) = (Sqlite::open(&path).await.unwrap(), Sqlite::open(path).await.unwrap());
        if n == 0 {
            Box::pin(nobody_takes_a_room_over(one, other)).await;
        } else {
            the_app_goes_on_with_its_own(one, other).await;
        }
    }
}

#[tokio::test]
async fn created_room_on_two_servers_with_one_database_is_taken_over_by_nobody() {
    let Ok(database) = std::env::var("DIALOGUE_TEST_POSTGRES") else {
        return skipped("set DIALOGUE_TEST_POSTGRES or run `cargo xtask test`");
    };
    let mut connection = PgConnection::connect(&database).await.unwrap();
    for n in 0..2 {
        let schema = format!("test_{}", dialogue::Epoch::random());
        let make = AssertSqlSafe(format!("create schema {schema}"));
        connection.execute(make).await.unwrap();
        let url = format!("{database}?options[search_path]={schema}");
        let one = Postgres::connect(url.clone()).await.unwrap();
        let other = Postgres::connect(url).await.unwrap();
        if n == 0 {
            Box::pin(nobody_takes_a_room_over(one, other)).await;
        } else {
            the_app_goes_on_with_its_own(one, other).await;
        }
        let drop = AssertSqlSafe(format!("drop schema {schema} cascade"));
        connection.execute(drop).await.unwrap();
    }
}

#[tokio::test]
async fn created_room_after_a_restart_is_the_apps_again_and_no_clients() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs.db");
    let open = async || serve(Sqlite::open(&path).await.unwrap()).await;
    let server = open().await;
    let room = server.dialogue.create_room("board", board()).await.unwrap();
    room.trigger(Say::new("secret")).await.unwrap();
    let mut ann = server.guest("ann").await;
    assert_eq!(create(&mut ann, "den").await["ok"], true);
    ann.join("den").await;
    say(&mut ann, "den", "secret").await;
    assert!(server.dialogue.stop(std::time::Duration::from_secs(10)).await);
    drop(server);

    // The app creates its rooms when they are needed; a client is faster.
    let server = open().await;
    let mut eve = server.guest("eve").await;
    assert_eq!(create(&mut eve, "board").await["code"], "PERMISSION_DENIED");
    let room = server.dialogue.create_room("board", board()).await.unwrap();
    assert_eq!(room.history_raw("say", 0..9).await.unwrap().len(), 1);
    assert!(server.dialogue.stop(std::time::Duration::from_secs(10)).await);
    drop(server);

    // What the client's room kept ended with its server.
    let store = Sqlite::open(&path).await.unwrap();
    store.sweep().await.unwrap();
    let server = serve(store).await;
    let mut eve = server.guest("eve").await;
    assert_eq!(create(&mut eve, "den").await["ok"], true);
    assert_eq!(eve.join("den").await["events"], json!([]));
    assert!(past(&mut eve, "den").await.is_empty());
}

#[tokio::test]
async fn created_room_that_lost_its_log_ends() {
    let store = Shaky::default();
    let server = serve(store.clone()).await;
    let idle = server.dialogue.stats();
    let mut ann = server.guest("ann").await;
    let mut bob = server.guest("bob").await;
    assert_eq!(create(&mut ann, "den").await["ok"], true);
    for peer in [&mut ann, &mut bob] {
        assert_eq!(peer.event().await.0, "dialogue:roomCreated");
        peer.join("den").await;
    }
    say(&mut ann, "den", "hi").await;
    bob.message().await;
    ann.message().await;
    // As if the server had been away for so long that another one took it for gone.
    store.lose_created().await;
    let refused = say(&mut ann, "den", "still here?").await;
    let codes = ["ROOM_NOT_FOUND", "NOT_IN_ROOM"];
    assert!(codes.contains(&refused["code"].as_str().unwrap()), "{refused}");
    for peer in [&mut ann, &mut bob] {
        let ended = ("dialogue:roomDeleted".into(), json!({ "roomId": "den" }));
        assert_eq!(peer.event().await, ended);
    }
    assert_eq!(create(&mut bob, "den").await["ok"], true, "the id is free");
    bob.ask("dialogue:deleteRoom", json!({ "roomId": "den" })).await;
    drop((ann, bob));
    server.settled(|stats| *stats == idle).await;
}

#[tokio::test]
async fn creation_during_store_outage_fails_and_keeps_nothing() {
    let store = Shaky::default();
    let server = serve(store.clone()).await;
    let mut ann = server.guest("ann").await;
    store.set_down(true);
    assert_eq!(create(&mut ann, "den").await["code"], "STORE_UNAVAILABLE");
    let refused = server.dialogue.create_room("board", board()).await.map(drop);
    assert_eq!(refused, Err(CreateError::StoreUnavailable));
    // What stores nothing needs no store, if the app's code creates it.
    server.dialogue.create_room("lamp", RoomConfig::new("Lamp")).await.unwrap();
    store.set_down(false);
    assert_eq!(create(&mut ann, "den").await["ok"], true);
    server.dialogue.create_room("board", board()).await.unwrap();

    // What was created after all, and then said to have failed, is deleted again.
    store.set_deaf(true);
    assert_eq!(create(&mut ann, "nest").await["code"], "STORE_UNAVAILABLE");
    store.set_deaf(false);
    assert_eq!(create(&mut ann, "nest").await["code"], "PERMISSION_DENIED");
    store.is_free("nest").await;
    assert_eq!(create(&mut ann, "nest").await["ok"], true);
}

#[tokio::test]
async fn created_room_in_memory_takes_a_log_from_nobody() {
    let server = serve(Memory::new()).await;
    let mut ann = server.guest("ann").await;
    assert_eq!(create(&mut ann, "den").await["ok"], true);
    let refused = server.dialogue.create_room("den", board()).await.map(drop);
    assert_eq!(refused, Err(CreateError::Exists));
}
