//! What cannot be seen from outside.

use std::{num::NonZeroUsize, sync::Arc};

use serde_json::value::to_raw_value;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection, query};

use super::{
    super::{Appended, Batch, Key, KeyUse, LogId, NewEvent, Owner, Part, Query, Store, sql},
    Sqlite, append, clock, known, opening, tables,
};
use crate::{Epoch, RawMessage};

/// What a statement goes through from end to end, instead of looking it up.
async fn scans(connection: &mut SqliteConnection, statement: &str) -> Vec<String> {
    let explain = AssertSqlSafe(format!("explain query plan {statement}"));
    let plan = query(explain).fetch_all(connection).await.unwrap();
    let steps = plan.iter().map(|step| step.get::<String, _>("detail"));
    steps.filter(|step| step.starts_with("SCAN")).collect()
}

#[tokio::test]
async fn no_statement_goes_through_a_whole_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs.db");
    let _store = Sqlite::open(&path).await.unwrap();
    let url = format!("sqlite://{}", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let statements = [
        opening::LATEST,
        tables::HEAD,
        sql::HEAVY,
        sql::CREATE,
        sql::ORPHANS,
        sql::FORGET_SERVER,
        sql::LEAVE,
        tables::AFTER,
        tables::BEFORE,
        tables::NEWEST,
        append::FIND,
        tables::AGED,
        tables::SURPLUS,
        tables::OLDEST,
        known::ROOM,
        known::NAME,
        append::OWNED,
        append::GONE,
        append::ROOMS,
        append::NAMES,
        append::REMOVE,
        append::REMOVED,
        append::FORGET,
    ];
    // What a statement has made itself, and what it was given.
    let own = [
        "SCAN found",
        "SCAN w",
        "SCAN oldest",
        "SCAN summed",
        "SCAN (subquery",
        "SCAN CONSTANT ROW",
    ];
    for statement in statements.into_iter().chain(append::DELETE) {
        for scan in scans(&mut connection, statement).await {
            let bounded =
                scan.contains("VIRTUAL TABLE") || own.iter().any(|own| scan.starts_with(own));
            assert!(bounded, "{scan} in {statement}");
        }
    }
    let whole = scans(&mut connection, "select data from dialogue_events where prev = 1").await;
    assert_eq!(whole, ["SCAN dialogue_events"], "that is what it would look like");
}

#[tokio::test]
async fn a_full_file_takes_events_again_when_a_room_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Sqlite::options(folder.path().join("logs.db"));
    options.pages = Some(100);
    let store = options.open().await.unwrap();
    let append = async |room: &str| {
        let room: Arc<str> = room.into();
        let data = to_raw_value(&"x".repeat(10_000)).unwrap();
        let message = RawMessage::new("a", room.clone(), data);
        let keep = NonZeroUsize::new(1_000).unwrap();
        let event = NewEvent { message, keep, key: None };
        store
            .append(Batch { log: room.into(), epoch: Epoch::random(), events: vec![event; 10] })
            .await
    };
    let mut seq = 0;
    let error = loop {
        match append("big").await {
            Ok(_) => seq += 10,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("full"), "{error}");
    assert!(append("small").await.is_err());
    assert_eq!(store.head(&"big".into()).await.unwrap().unwrap().seq, seq, "all or none");
    let part = Part::After { seq: 0, events: vec!["a".into()] };
    let query = Query { part, limit: usize::MAX, bytes: usize::MAX };
    let read = store.read(&"big".into(), &query).await.unwrap();
    assert_eq!(read.events.len() as u64, seq, "what was acknowledged is there");

    store.delete(&"big".into()).await.unwrap();
    append("small").await.unwrap();
    assert_eq!(store.head(&"small".into()).await.unwrap().unwrap().seq, 10);
}

/// Steps the system's time.
fn step(millis: i64) {
    clock::STEP.set(clock::STEP.get() + millis);
}

async fn append_keyed(store: &Sqlite, key: &str) -> Appended {
    let message = RawMessage::new("a", "room", to_raw_value(&1).unwrap());
    let key = Key { user: "ann".into(), text: key.into(), digest: [1; 16] };
    let event = NewEvent { message, keep: NonZeroUsize::MIN, key: Some(key) };
    let batch = Batch { log: "room".into(), epoch: Epoch::random(), events: vec![event] };
    store.append(batch).await.unwrap().remove(0)
}

#[tokio::test]
async fn key_is_remembered_although_the_system_time_steps() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path().join("logs.db")).await.unwrap();
    for (n, millis) in [180_000, -180_000, -180_000, 180_000].into_iter().enumerate() {
        let key = n.to_string();
        assert!(matches!(append_keyed(&store, &key).await, Appended::Now(_)));
        step(millis);
        store.sweep().await.unwrap();
        let again = append_keyed(&store, &key).await;
        assert!(matches!(again, Appended::KeyUsed(KeyUse::Same(_))), "{millis}: {again:?}");
    }
}

#[tokio::test]
async fn key_from_before_a_step_back_is_remembered_for_two_minutes_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs.db");
    let store = Sqlite::open(&path).await.unwrap();
    append_keyed(&store, "k").await;
    store.close().await;
    step(-180_000);
    let store = Sqlite::open(&path).await.unwrap();
    assert!(matches!(append_keyed(&store, "k").await, Appended::KeyUsed(KeyUse::Same(_))));
    // Two minutes later, as the file sees it.
    let mut other =
        SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let older = query("update dialogue_keys set at = at - 120000").execute(&mut other).await;
    assert_eq!(older.unwrap().rows_affected(), 1);
    assert!(matches!(append_keyed(&store, "k").await, Appended::Now(_)), "it is forgotten");
}

#[tokio::test]
async fn server_is_not_gone_because_the_system_time_steps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs.db");
    let (one, other) = (Sqlite::open(&path).await.unwrap(), Sqlite::open(&path).await.unwrap());
    let log = LogId::new("room", Owner::creation());
    one.create(&log, Epoch::random()).await.unwrap();
    step(660_000);
    other.sweep().await.unwrap();
    assert!(one.head(&log).await.unwrap().is_some(), "its server is there");
}
