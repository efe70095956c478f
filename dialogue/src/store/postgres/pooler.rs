//! Poolers that give each transaction another session, which this store cannot work with: its settings, and the
//! statements that it prepares, belong to a session.

use sqlx::{AssertSqlSafe, Executor, PgConnection, Row, raw_sql};

use crate::Epoch;

const SETTING: &str = "select current_setting('dialogue.session', true)";

/// Whether statements of one connection reach the session of another. What is asked is not prepared, since that fails
/// behind such a pooler.
pub(super) async fn shares_sessions(
    connection: &mut PgConnection,
    other: &mut PgConnection,
) -> sqlx::Result<bool> {
    let mark = Epoch::random().to_string();
    let set = AssertSqlSafe(format!("set dialogue.session = '{mark}'"));
    connection.execute(raw_sql(set)).await?;
    // The pooler has a free session with that setting, which the other connection holds now unless it got another one.
    other.execute(raw_sql("begin")).await?;
    let shares = session(other).await?.is_some_and(|session| session == mark)
        || session(connection).await? != Some(mark);
    other.execute(raw_sql("rollback")).await?;
    Ok(shares)
}

async fn session(connection: &mut PgConnection) -> sqlx::Result<Option<String>> {
    connection.fetch_one(raw_sql(SETTING)).await?.try_get(0)
}
