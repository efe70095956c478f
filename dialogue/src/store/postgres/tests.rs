//! What cannot be seen from outside.

use std::{
    env,
    io::{self, Write},
};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use super::{super::sql, append, tables};
use crate::Epoch;

/// What a statement goes through from end to end, whatever its parameters are.
async fn scans(connection: &mut PgConnection, statement: &str) -> Vec<String> {
    let parameters = (1..100).take_while(|n| statement.contains(&format!("${n}"))).count();
    let nothing = match parameters {
        0 => String::new(),
        some => format!("({})", vec!["null"; some].join(", ")),
    };
    let prepare = format!("prepare plan as {statement}");
    connection.execute(AssertSqlSafe(prepare)).await.unwrap();
    let explain = AssertSqlSafe(format!("explain execute plan{nothing}"));
    let plan = sqlx::raw_sql(explain).fetch_all(&mut *connection).await.unwrap();
    connection.execute("deallocate plan").await.unwrap();
    let steps = plan.iter().map(|step| step.get::<String, _>(0));
    // Of identities, there is one.
    let is_scan =
        |step: &String| step.contains("Seq Scan on dialogue_") && !step.contains("_identity");
    steps.filter(is_scan).collect()
}

#[tokio::test]
async fn no_statement_goes_through_a_whole_table() {
    let Ok(database) = env::var("DIALOGUE_TEST_POSTGRES") else {
        let skipped = "SKIPPED store::postgres::tests::no_statement_goes_through_a_whole_table: set \
                       DIALOGUE_TEST_POSTGRES or run `cargo xtask test`";
        let _ = writeln!(io::stderr(), "{skipped}");
        return;
    };
    let mut connection = PgConnection::connect(&database).await.unwrap();
    // What is not committed is nobody else's.
    let mut connection = connection.begin().await.unwrap();
    let schema = format!("test_{}", Epoch::random());
    let own = format!("create schema {schema}; set local search_path = {schema}");
    connection.execute(AssertSqlSafe(own)).await.unwrap();
    for (_, step) in super::TABLES {
        connection.execute(step).await.unwrap();
    }
    // As many as make looking up cheaper than reading everything.
    let fill = "
        insert into dialogue_rooms (id, epoch, seq, owner, server)
            select 'room' || n, '', 100, '', 'server' || n / 10 from generate_series(1, 1000) n;
        insert into dialogue_servers (id, seen) select 'server' || n, n from generate_series(1, 1000) n;
        insert into dialogue_names (room, event, last, prev, keep, count, bytes)
            select n % 1000, 'name' || n, 100, 99, 10, 10, 1000 from generate_series(1, 4000) n;
        insert into dialogue_events (room, seq, name, prev, sender, at, data)
            select n % 1000, n / 1000, n % 4000, 0, '', n, repeat('x', 100) from generate_series(1, 40000) n;
        insert into dialogue_keys (room, owner, key, digest, seq, prev, at)
            select n % 1000, '', n, '', n / 1000, 0, n from generate_series(1, 40000) n;
        insert into dialogue_empty_logs (room, at) select n, n from generate_series(1, 40000) n;
        analyze dialogue_servers, dialogue_rooms, dialogue_names, dialogue_events, dialogue_keys,
            dialogue_empty_logs;
        set local plan_cache_mode = force_generic_plan";
    connection.execute(fill).await.unwrap();
    let statements = [
        sql::HEAVY,
        sql::END_EPOCH,
        sql::CREATE,
        sql::ORPHANS,
        sql::FORGET_SERVER,
        sql::LEAVE,
        tables::HEAD,
        tables::RENEW,
        tables::BEGIN,
        tables::EMPTY,
        tables::OWNED,
        tables::SEEN,
        tables::GONE,
        tables::AFTER,
        tables::BEFORE,
        tables::NEWEST,
        tables::FIND,
        tables::FORGET,
        tables::AGED,
        tables::SURPLUS,
        tables::REMOVE,
        append::APPEND,
        append::APPEND_CREATED,
        append::LOCK,
        append::LOCK_CREATED,
        append::FORGET,
        append::KNOWN,
    ];
    for statement in statements.into_iter().chain(tables::DELETE) {
        let scans = scans(&mut connection, statement).await;
        assert!(scans.is_empty(), "{scans:?} in {statement}");
    }
    let whole = scans(&mut connection, "select data from dialogue_events where prev = 1").await;
    assert_eq!(whole.len(), 1, "that is what it would look like");
}
