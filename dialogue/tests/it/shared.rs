//! Two servers on one database, which do not hear each other.

use std::time::Duration;

use axum::Router;
use dialogue::{Dialogue, store::Postgres};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{
    app::{Message, Test, general},
    server::{Server, unpaced},
    shaky::Shaky,
    skipped::skipped,
};

/// Runs `test` with two servers on one new schema of the database.
async fn on_two_servers(
    quiet_time: Duration,
    test: impl AsyncFnOnce(&Server<Test>, &Server<Test>, &mut PgConnection),
) {
    let Ok(database) = std::env::var("DIALOGUE_TEST_POSTGRES") else {
        return skipped("set DIALOGUE_TEST_POSTGRES or run `cargo xtask test`");
    };
    let mut connection = PgConnection::connect(&database).await.unwrap();
    let schema = format!("test_{}", dialogue::Epoch::random());
    let make = format!("create schema {schema}; set search_path = {schema}");
    connection.execute(AssertSqlSafe(make)).await.unwrap();
    let serve = async || {
        let url = format!("{database}?options[search_path]={schema}");
        let mut limits = unpaced();
        limits.quiet_time = quiet_time;
        let store = Postgres::connect(url).await.unwrap();
        let builder = Dialogue::builder(Test::default()).limits(limits).store(store);
        Server::built(builder, Router::new()).await
    };
    let (one, other) = (serve().await, serve().await);
    Box::pin(test(&one, &other, &mut connection)).await;
    let drop = AssertSqlSafe(format!("drop schema {schema} cascade"));
    connection.execute(drop).await.unwrap();
}

const NEVER: Duration = Duration::from_mins(10);

async fn say(server: &Server<Test>, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        let room = server.dialogue.room(general::Room);
        room.trigger(Message::new(&n.to_string())).await.unwrap();
    }
}

fn end(answer: &Value) -> (&Value, u64) {
    (&answer["epoch"], answer["seq"].as_u64().unwrap())
}

fn since(answer: &Value) -> Value {
    json!({ "roomId": "general", "since": { "epoch": answer["epoch"], "seq": answer["seq"] } })
}

fn texts(events: &Value) -> Vec<&str> {
    events.as_array().unwrap().iter().map(|event| event["data"]["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn join_on_another_server_says_where_the_log_ends_now() {
    on_two_servers(NEVER, async |one, other, _| {
        say(one, 1..=11).await;
        // The other server has the room open, and knows the log as it is now.
        let mut bob = other.connect("bob").await;
        assert_eq!(end(&bob.join("general").await).1, 11);
        say(one, 12..=21).await;

        let mut ann = other.connect("ann").await;
        let joined = ann.join("general").await;
        assert_eq!(end(&joined).1, 21);
        assert_eq!(texts(&joined["events"]), ["21", "20", "19", "18", "17"]);
        // Members on that server hear it, too, once and in order.
        for n in 12..=21 {
            assert_eq!(bob.message().await["data"]["text"], n.to_string());
        }
        bob.silent().await;
    })
    .await;
}

#[tokio::test]
async fn client_that_moves_to_another_server_recovers_what_it_missed() {
    on_two_servers(NEVER, async |one, other, _| {
        other.connect("bob").await.join("general").await;
        say(one, 1..=11).await;
        let mut ann = one.connect("ann").await;
        let joined = ann.join("general").await;
        ann.close().await;
        say(one, 12..=21).await;

        let mut ann = other.connect("ann").await;
        let moved = ann.ask("dialogue:join", since(&joined)).await;
        assert_eq!(moved["recovered"], true);
        let missed: Vec<_> = (12..=21).map(|n| n.to_string()).collect();
        assert_eq!(texts(&moved["events"]), missed);
        assert_eq!(end(&moved), (&joined["epoch"], 21));

        let there = ann.ask("dialogue:join", since(&moved)).await;
        assert_eq!((&there["recovered"], &there["events"]), (&json!(true), &json!([])));
    })
    .await;
}

#[tokio::test]
async fn empty_room_has_one_epoch_on_two_servers() {
    on_two_servers(NEVER, async |one, other, connection| {
        let joined = one.connect("ann").await.join("general").await;
        let mut bob = other.connect("bob").await;
        let there = bob.join("general").await;
        assert_eq!(end(&there), end(&joined));
        say(one, 1..=1).await;
        let moved = bob.ask("dialogue:join", since(&there)).await;
        assert_eq!((&moved["recovered"], end(&moved)), (&json!(true), (&joined["epoch"], 1)));

        // One that was deleted while both have the room open goes on in another epoch, in which no number is one
        // of a log between the two.
        let (mut ann, mut bob) = (one.connect("ann").await, other.connect("bob").await);
        let before = ann.join("doc:1").await;
        assert_eq!(end(&bob.join("doc:1").await), end(&before));
        connection.execute("delete from dialogue_rooms where id = 'doc:1'").await.unwrap();
        let after = bob.ask("dialogue:join", json!({ "roomId": "doc:1" })).await;
        assert_ne!(after["epoch"], before["epoch"]);
        let there = ann.ask("dialogue:join", json!({ "roomId": "doc:1" })).await;
        assert_eq!(end(&there), end(&after));
    })
    .await;
}

#[tokio::test]
async fn page_of_another_servers_events_ends_where_they_do() {
    on_two_servers(NEVER, async |one, other, _| {
        let mut bob = other.connect("bob").await;
        bob.join("general").await;
        say(one, 1..=3).await;
        let asked = json!({ "roomId": "general", "after": 0 });
        let page = bob.ask("dialogue:getHistory", asked).await;
        assert_eq!((page["seq"].as_u64(), texts(&page["events"]).len()), (Some(3), 3));
    })
    .await;
}

#[tokio::test]
async fn page_with_events_that_the_server_has_not_delivered_says_their_end() {
    let store = Shaky::default();
    let serve = async || {
        let builder = Dialogue::builder(Test::default()).limits(unpaced()).store(store.clone());
        Server::built(builder, Router::new()).await
    };
    let (one, other) = (serve().await, serve().await);
    say(&one, 1..=1).await;
    let mut bob = other.connect("bob").await;
    bob.join("general").await;
    // As where an event is stored while the page is read.
    say(&one, 2..=3).await;
    for asked in [json!({ "after": 0 }), json!({ "before": 9 }), json!({ "eventName": "message" })]
    {
        let mut asked = asked;
        asked["roomId"] = "general".into();
        let page = bob.ask("dialogue:getHistory", asked).await;
        assert_eq!((page["seq"].as_u64(), texts(&page["events"]).len()), (Some(3), 3));
    }
}

#[tokio::test]
async fn quiet_room_is_told_where_the_log_ends_for_all_servers() {
    on_two_servers(Duration::from_millis(300), async |one, other, _| {
        let mut bob = other.connect("bob").await;
        bob.join("general").await;
        say(other, 1..=1).await;
        say(one, 2..=2).await;
        assert_eq!(bob.message().await["data"]["text"], "1");
        assert_eq!(bob.message().await["data"]["text"], "2");
        let (name, position) = bob.event().await;
        assert_eq!((&*name, &position["seq"]), ("dialogue:position", &json!(2)));
    })
    .await;
}
