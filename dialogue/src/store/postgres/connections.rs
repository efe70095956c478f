//! Connections, of which none is used again in the middle of something.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use futures_util::FutureExt;
use sqlx::{
    Connection, Executor, PgConnection, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
    query, query_scalar,
};

use super::super::sql::{Failure, Result};
use crate::Epoch;

/// How long to wait for a connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that were used less than this ago are not tried before they are used again.
const FRESH: Duration = Duration::from_secs(1);

/// A server that was held up, or its network, is not to hold up others: a room's log is locked no longer
/// than this. Appends rely on seeing what was committed while they waited for the lock.
const SETTINGS: &str = "
    set lock_timeout = '5s';
    set idle_in_transaction_session_timeout = '10s';
    set default_transaction_isolation = 'read committed'";

/// Which database server answers, and on which timeline.
const IDENTITY: &str = "
    select system_identifier || ' ' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)
    from pg_control_system()";

/// Takes an identity.
const IDENTIFY: &str = "
    insert into dialogue_identity as i (one, identity, generation) values (true, $1, 0)
    on conflict (one) do update
    set identity = excluded.identity, generation = i.generation + (i.identity <> '')::int
    where i.identity <> excluded.identity";

/// What a database says that has no such function, or does not let everybody call it.
const UNKNOWN: [&str; 3] = ["42883", "42501", "0A000"];

pub(super) struct Connections {
    pool: PgPool,
    /// What tells this server from others.
    pub(super) server: String,
    /// Whether logs end with this server.
    pub(super) creates: AtomicBool,
}

/// A connection in use. One that is dropped in the middle of something is closed.
pub(super) struct Lease {
    connection: PoolConnection<Postgres>,
    done: bool,
}

impl Connections {
    pub(super) fn new(options: PgConnectOptions, most: u32) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                async move {
                    if about.idle_for >= FRESH {
                        connection.ping().await?;
                    }
                    Ok(true)
                }
                .boxed()
            })
            .after_connect(|connection, _| {
                async move {
                    connection.execute(SETTINGS).await?;
                    identify(connection).await
                }
                .boxed()
            })
            .connect_lazy_with(options);
        let server = Epoch::random().to_string();
        Self { pool, server, creates: AtomicBool::new(false) }
    }

    pub(super) async fn lease(&self) -> Result<Lease> {
        match self.pool.acquire().await {
            Ok(connection) => Ok(Lease { connection, done: false }),
            Err(sqlx::Error::PoolTimedOut) => Err(Failure::Unreachable(PATIENCE)),
            Err(sqlx::Error::PoolClosed) => Err(Failure::Closed),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn options(&self) -> Arc<PgConnectOptions> {
        self.pool.connect_options()
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// Ends all epochs if another database server answers than before.
async fn identify(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let identity = query_scalar(IDENTITY).fetch_one(&mut *connection).await;
    let identity: String = match identity {
        Err(sqlx::Error::Database(error))
            if error.code().is_some_and(|code| UNKNOWN.contains(&&*code)) =>
        {
            return Ok(());
        }
        identity => identity?,
    };
    let identified = query(IDENTIFY).bind(identity).execute(connection).await?;
    if identified.rows_affected() > 0 {
        tracing::info!("another database server answers, or another timeline of it");
    }
    Ok(())
}

impl Lease {
    /// Gives the connection back: what it was used for came to an end, this or that way.
    pub(super) fn end<T>(mut self, result: T) -> T {
        self.done = true;
        result
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.done {
            self.connection.close_on_drop();
        }
    }
}
