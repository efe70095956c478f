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
                async move { connection.execute(SETTINGS).await.map(drop) }.boxed()
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
