//! Logs in a Postgres database.

use std::{env, thread, time::Duration};

use dialogue::{
    Epoch,
    store::{
        Batch, Created, KeyUse, LogId, Owner, Postgres, PostgresOptions, Store, StoreError,
        conformance,
    },
};
use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, query};

use super::{
    server::{self, Server},
    skipped::skipped,
    sql::{self, Kept, append, batch, event, key, keyed, position},
};

impl Kept for Postgres {
    async fn sweep(&self) -> Result<(), StoreError> {
        Postgres::sweep(self).await
    }
}

/// A schema of the test's own, in the database that it is given.
struct Schema {
    database: String,
    name: String,
}

impl Schema {
    async fn new() -> Option<Self> {
        let Ok(database) = env::var("DIALOGUE_TEST_POSTGRES") else {
            skipped("set DIALOGUE_TEST_POSTGRES or run `cargo xtask test`");
            return None;
        };
        Some(Self::of(database).await)
    }

    async fn of(database: String) -> Self {
        let schema = Self { database, name: format!("test_{}", Epoch::random()) };
        let mut connection = PgConnection::connect(&schema.database).await.unwrap();
        let create = AssertSqlSafe(format!("create schema {}", schema.name));
        connection.execute(create).await.unwrap();
        schema
    }

    fn url(&self) -> String {
        format!("{}?options[search_path]={}", self.database, self.name)
    }

    fn options(&self) -> PostgresOptions {
        Postgres::options(self.url())
    }

    async fn store(&self) -> Postgres {
        Postgres::connect(self.url()).await.unwrap()
    }

    /// Another client.
    async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let drop = AssertSqlSafe(format!("drop schema {} cascade", self.name));
        let database = self.database.clone();
        let dropping = async move {
            if let Ok(mut connection) = PgConnection::connect(&database).await {
                let _ = connection.execute(drop).await;
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _ = thread::spawn(move || runtime.block_on(dropping)).join();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_a_store() {
    let Some(schema) = Schema::new().await else { return };
    conformance::check(&schema.store().await).await;
}

#[tokio::test]
async fn what_is_stored_outlives_the_process() {
    let Some(schema) = Schema::new().await else { return };
    let store = schema.store().await;
    let log = sql::fill(&store).await;
    store.close().await;
    let late = store.append(batch("room", vec![event("room", "a", 0)])).await.unwrap_err();
    assert_eq!(late.to_string(), "the store is closed");
    sql::goes_on(&schema.store().await, log).await;
}

#[tokio::test]
async fn a_key_is_remembered_for_two_minutes() {
    let Some(schema) = Schema::new().await else { return };
    let store = schema.store().await;
    let first = append(&store, "room", vec![keyed(event("room", "a", 0), "k")]).await;
    let mut other = schema.connect().await;
    let age = async |connection: &mut PgConnection, millis: i64| {
        let keys = query("update dialogue_keys set at = at - $1").bind(millis);
        assert_eq!(keys.execute(connection).await.unwrap().rows_affected(), 1);
    };
    age(&mut other, 110_000).await;
    let same = Some(KeyUse::Same(position(&first[0])));
    assert_eq!(store.find(&"room".into(), &key("k")).await.unwrap(), same);
    store.sweep().await.unwrap();
    let again = append(&store, "room", vec![keyed(event("room", "a", 0), "k")]).await;
    assert_eq!(position(&again[0]), position(&first[0]));

    age(&mut other, 10_000).await;
    assert_eq!(store.find(&"room".into(), &key("k")).await.unwrap(), None);
    let anew = append(&store, "room", vec![keyed(event("room", "a", 0), "k")]).await;
    assert_eq!(position(&anew[0]).seq, 2);
    age(&mut other, 120_000).await;
    store.sweep().await.unwrap();
    let keys = query("select 1 from dialogue_keys").fetch_all(&mut other);
    assert!(keys.await.unwrap().is_empty(), "swept keys are gone");
}

#[tokio::test]
async fn pages_are_those_of_memory() {
    let Some(schema) = Schema::new().await else { return };
    sql::pages_are_those_of_memory(&schema.store().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_of_each_name_are_kept_as_declared() {
    let Some(schema) = Schema::new().await else { return };
    sql::as_many_of_each_name_are_kept(&[schema.store().await]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_sweep_at_once_let_go_of_no_more() {
    let Some(schema) = Schema::new().await else { return };
    let stores = [schema.store().await, schema.store().await, schema.store().await];
    sql::as_many_of_each_name_are_kept(&stores).await;
}

#[tokio::test]
async fn events_that_are_older_than_allowed_are_let_go_of() {
    let Some(schema) = Schema::new().await else { return };
    let store = schema.options().keep_for(Duration::from_hours(24)).connect().await.unwrap();
    sql::old_events_are_let_go_of(&store).await;
}

#[tokio::test]
async fn a_room_that_is_too_heavy_lets_go_of_its_oldest_events() {
    let Some(schema) = Schema::new().await else { return };
    let store = schema.options().keep_bytes(10_000).connect().await.unwrap();
    sql::heavy_rooms_let_go_of_their_oldest(&store).await;
}

#[tokio::test]
async fn a_large_batch_is_one_batch() {
    let Some(schema) = Schema::new().await else { return };
    sql::a_large_batch_is_one_batch(&schema.store().await).await;
}

#[tokio::test]
async fn appends_whose_callers_go_away_are_in_nobodys_way() {
    let Some(schema) = Schema::new().await else { return };
    let store = schema.options().connections(2).connect().await.unwrap();
    sql::abandoned_appends_are_in_nobodys_way(&store).await;
}

#[tokio::test]
async fn an_append_that_is_given_up_while_it_waits_is_none() {
    let Some(schema) = Schema::new().await else { return };
    let store = schema.options().connections(1).connect().await.unwrap();
    append(&store, "room", vec![event("room", "a", 0)]).await;
    let mut other = schema.connect().await;
    let mut lock = other.begin().await.unwrap();
    query("select 1 from dialogue_rooms for update").execute(&mut *lock).await.unwrap();
    let waits = async {
        let mut watch = schema.connect().await;
        let waiting = "select 1 from pg_locks where not granted and pid in
            (select pid from pg_stat_activity where query like '%dialogue_rooms%')";
        while query(waiting).fetch_optional(&mut watch).await.unwrap().is_none() {}
    };
    tokio::select! {
        _ = append(&store, "room", vec![event("room", "a", 1)]) => panic!("it is locked"),
        () = waits => {}
    }
    assert_eq!(sql::head(&store, "room").await.seq, 1, "the one connection is free again");
    lock.rollback().await.unwrap();
    append(&store, "room", vec![event("room", "a", 2)]).await;
    let (head, events) = sql::everything(&store, "room").await;
    assert_eq!(sql::seqs(&events), (1..=head.seq).collect::<Vec<_>>());
}

#[tokio::test]
async fn zero_characters_are_refused() {
    let Some(schema) = Schema::new().await else { return };
    sql::zero_characters_are_refused(&schema.store().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_agree() {
    let Some(schema) = Schema::new().await else { return };
    sql::two_servers_agree(&schema.store().await, &schema.store().await).await;
}

#[tokio::test]
async fn a_database_of_the_first_version_opens_and_keeps_its_logs() {
    let Some(schema) = Schema::new().await else { return };
    let mut old = schema.connect().await;
    let tables = include_str!("../../migrations/postgres/1_logs.sql");
    sql::first_tables(tables).run(&mut old).await.unwrap();
    for (key, room) in [(1, "declared"), (2, "created")] {
        old.execute(AssertSqlSafe(sql::first_rows(room, key, "prev"))).await.unwrap();
    }
    old.close().await.unwrap();
    sql::logs_of_the_first_version_are_the_apps(&schema.store().await).await;
}

#[tokio::test]
async fn logs_of_created_rooms_end_with_their_server() {
    let Some(schema) = Schema::new().await else { return };
    let (one, other, third) = (schema.store().await, schema.store().await, schema.store().await);
    let age = async |millis: i64| {
        let mut connection = schema.connect().await;
        let aged = query("update dialogue_servers set seen = seen - $1").bind(millis);
        aged.execute(&mut connection).await.unwrap();
    };
    sql::creations_end_with_their_server(one, &other, third, age).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_servers_may_start_at_once() {
    let Some(schema) = Schema::new().await else { return };
    let stores = join_all((0..8).map(|_| schema.store())).await;
    for store in &stores {
        append(store, "room", vec![event("room", "a", 0)]).await;
    }
    assert_eq!(sql::head(&stores[0], "room").await.seq, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_deleted_while_it_is_appended_to_leaves_nothing_behind() {
    let Some(schema) = Schema::new().await else { return };
    let (one, other) = (schema.store().await, schema.store().await);
    let appends = (0..200).map(|n| append(&one, "room", vec![keyed(event("room", "a", n), "k")]));
    let deletes = async {
        for _ in 0..50 {
            other.delete(&"room".into()).await.unwrap();
        }
    };
    tokio::join!(join_all(appends), deletes);
    other.delete(&"room".into()).await.unwrap();
    let mut connection = schema.connect().await;
    for table in ["rooms", "names", "events", "keys"] {
        let rows = AssertSqlSafe(format!("select 1 from dialogue_{table}"));
        let rows = query(rows).fetch_all(&mut connection).await.unwrap();
        assert_eq!(rows.len(), 0, "dialogue_{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_restarted_is_used_again() {
    if Schema::new().await.is_none() {
        return;
    }
    let Some(programs) = server::find() else {
        return skipped("install PostgreSQL's server programs");
    };
    let mut server = Server::start(&programs).unwrap();
    let store = Postgres::options(server.url()).connections(4).connect().await.unwrap();
    let appends =
        || join_all((0..8).map(|n| store.append(batch("room", vec![event("room", "a", n)]))));
    assert!(appends().await.iter().all(Result::is_ok));
    let acknowledged = sql::head(&store, "room").await;

    server.crash().unwrap();
    let room = "room".into();
    let (lost, _) = tokio::join!(appends(), store.head(&room));
    assert!(lost.iter().all(Result::is_err), "nothing is acknowledged that is not stored");
    server.boot().unwrap();
    // Connections that broke are found to be so when they are used.
    while store.head(&"room".into()).await.is_err() {}
    assert!(appends().await.iter().all(Result::is_ok));
    let (head, events) = sql::everything(&store, "room").await;
    assert_eq!((head.epoch, head.seq), (acknowledged.epoch, 16));
    assert_eq!(sql::seqs(&events), (1..=16).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn promoted_replica_that_lagged_ends_all_epochs() {
    if Schema::new().await.is_none() {
        return;
    }
    let Some(programs) = server::find() else {
        return skipped("install PostgreSQL's server programs");
    };
    let mut primary = Server::start(&programs).unwrap();
    let store = Postgres::options(primary.url()).connections(2).connect().await.unwrap();
    let add = async |room: &str, count| {
        for n in 0..count {
            append(&store, room, vec![event(room, "a", n)]).await;
        }
    };
    add("room", 5).await;
    add("quiet", 5).await;
    let acknowledged = sql::head(&store, "room").await;
    let replica = primary.replicate().unwrap();
    replica.detach().unwrap();
    add("room", 5).await;
    primary.crash().unwrap();
    let _promoted = replica.replace(&primary).unwrap();
    // Connections that broke are found to be so when they are used.
    while store.find(&"room".into(), &key("k")).await.is_err() {}

    let next = position(&append(&store, "room", vec![event("room", "a", 9)]).await[0]);
    assert_eq!(next.seq, 6, "the replica had five");
    assert_ne!(next.epoch, acknowledged.epoch, "6 was another event in that epoch");
    let quiet = sql::head(&store, "quiet").await;
    assert_eq!((quiet.epoch == acknowledged.epoch, quiet.seq), (false, 5));
    let (head, events) = sql::everything(&store, "room").await;
    assert_eq!((head.epoch, head.seq), (next.epoch, 6));
    assert!(events.iter().all(|event| event.position.unwrap().epoch == next.epoch));
    // That was once.
    store.close().await;
    let store = Postgres::connect(primary.url()).await.unwrap();
    assert_eq!(sql::head(&store, "room").await.epoch, next.epoch);
}

#[tokio::test]
async fn next_generation_ends_all_epochs() {
    let Some(schema) = Schema::new().await else { return };
    let store = schema.store().await;
    for room in ["read", "written", "keyed"] {
        append(&store, room, vec![keyed(event(room, "a", 0), "k")]).await;
    }
    let created = LogId::new("created", Owner::creation());
    let first = Epoch::random();
    assert_eq!(store.create(&created, first).await.unwrap(), Created::Owned);
    assert_eq!(store.head(&created).await.unwrap().unwrap().epoch, first);
    let before = sql::head(&store, "read").await.epoch;
    let mut other = schema.connect().await;
    let next = "update dialogue_identity set generation = generation + 1";
    assert!(include_str!("../../../docs/guide.md").contains(next));
    other.execute(next).await.unwrap();

    let read = sql::head(&store, "read").await;
    assert!(read.epoch != before && read.seq == 1);
    assert_eq!(sql::head(&store, "read").await.epoch, read.epoch, "once");
    let written = position(&append(&store, "written", vec![event("written", "a", 1)]).await[0]);
    assert_eq!((sql::head(&store, "written").await.epoch, written.seq), (written.epoch, 2));
    // A key that is known leads to another statement.
    let events = vec![keyed(event("keyed", "a", 0), "k"), event("keyed", "a", 1)];
    let keyed = append(&store, "keyed", events).await;
    let epochs = keyed.iter().map(|event| position(event).epoch);
    let head = sql::head(&store, "keyed").await;
    assert_eq!((epochs.collect::<Vec<_>>(), head.seq), (vec![head.epoch; 2], 2));
    let second = Epoch::random();
    let batch =
        Batch { log: created.clone(), epoch: second, events: vec![event("created", "a", 1)] };
    store.append(batch).await.unwrap();
    assert_eq!(store.head(&created).await.unwrap().unwrap().epoch, second);
}

#[tokio::test]
async fn what_cannot_be_connected_to_says_why() {
    let connect = async |url: &str| Postgres::connect(url).await.map(drop).unwrap_err().to_string();
    let refused = connect("postgres://chat:secret@127.0.0.1:1/chat").await;
    assert!(refused.contains("`127.0.0.1:1` cannot be opened"), "{refused}");
    assert!(!refused.contains("secret"), "{refused}");
    let url = connect("chat.db").await;
    assert!(url.contains("relative URL"), "{url}");
    let Some(schema) = Schema::new().await else { return };
    let missing = connect(&format!("{}?dbname=missing", schema.database)).await;
    assert!(missing.contains("database \"missing\" does not exist"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pooler_that_shares_sessions_is_refused() {
    if Schema::new().await.is_none() {
        return;
    }
    let (Some(programs), Some(pooler)) = (server::find(), server::find_pooler()) else {
        return skipped("install PostgreSQL's server programs and PgBouncer");
    };
    let server = Server::start(&programs).unwrap();
    let shares = server.pool(&pooler, "transaction").unwrap();
    let refused = Postgres::connect(shares.url()).await.unwrap_err().to_string();
    assert!(refused.contains("pool_mode = session"), "{refused}");

    let holds = server.pool(&pooler, "session").unwrap();
    let store = Postgres::connect(holds.url()).await.unwrap();
    conformance::check(&store).await;
    store.close().await;
}

#[tokio::test]
async fn passwords_are_not_shown() {
    let options = Postgres::options("postgres://chat:secret@db/chat");
    assert!(!format!("{options:?}").contains("secret"));
    let Some(schema) = Schema::new().await else { return };
    let url = schema.url().replace('@', ":secret@");
    let store = Postgres::connect(url).await.unwrap();
    assert!(!format!("{store:?}").contains("secret"));
}
