//! Logs in a Postgres database.

mod append;
mod columns;
mod connections;
mod pooler;
mod tables;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};

use self::{append::append, connections::Connections};
use super::{
    Appended, Batch, Created, Head, Key, KeyUse, LogId, Page, Query, Store, StoreError,
    sql::{self, Failure, Retention, Sweeper},
};
use crate::Epoch;

/// What makes the tables.
const TABLES: [(&str, &str); 4] = [
    ("logs", include_str!("../../../migrations/postgres/1_logs.sql")),
    ("owners", include_str!("../../../migrations/postgres/2_owners.sql")),
    ("identity", include_str!("../../../migrations/postgres/3_identity.sql")),
    ("empty_logs", include_str!("../../../migrations/postgres/4_empty_logs.sql")),
];

/// Logs in a `PostgreSQL` database, which several servers may share.
///
/// Servers do not hear each other yet: an event reaches the clients of another server only when somebody joins
/// the room there, reads its history or stores an event in it, or when the room is quiet there. What joins, pages of history and positions say of
/// a log holds for all servers.
///
/// ```no_run
/// # async fn connect() -> Result<(), dialogue::store::StoreError> {
/// use dialogue::store::Postgres;
///
/// let store = Postgres::connect("postgres://chat:secret@db.example.org/chat").await?;
/// # Ok(())
/// # }
/// ```
///
/// The tables are made if they are not there, in the schema that comes first in the connection's search
/// path; all have names that begin with `dialogue_`. An append is one statement, as durable as the
/// database's `synchronous_commit` makes it. When the database goes away, calls fail until it is back.
///
/// Every epoch ends when the database answers with another system identifier or another timeline: after a
/// failover, and where a backup was restored. Clients are reset then, since acknowledged events may be missing.
/// Where the functions `pg_control_system` and `pg_walfile_name` are not allowed, and where a dump is restored into
/// the server that it came from, nothing tells the store: run
/// `update dialogue_identity set generation = generation + 1` before the app starts again.
///
/// Of each event, a log keeps as many as the event declares, and up to ten seconds' worth more.
///
/// A connection must have a session of its own: connect to `PostgreSQL` itself, or through a pooler that holds
/// sessions, as `PgBouncer` does with `pool_mode = session`. Where transactions share sessions, connecting fails.
#[must_use = "a store does nothing until `Builder::store` takes it"]
pub struct Postgres {
    connections: Arc<Connections>,
    retention: Arc<Retention>,
    sweeper: Sweeper,
}

/// How a [`Postgres`] is connected to: [`Postgres::options`].
#[derive(Clone)]
#[must_use = "nothing is connected before `connect`"]
pub struct PostgresOptions {
    url: String,
    connections: u32,
    keep_for: Option<Duration>,
    keep_bytes: Option<u64>,
}

impl PostgresOptions {
    /// How many connections to have at most. Default: 10.
    pub fn connections(mut self, most: u32) -> Self {
        self.connections = most.max(1);
        self
    }

    /// For how long events are kept at most, by their timestamps. Default: as long as their number allows.
    pub fn keep_for(mut self, time: Duration) -> Self {
        self.keep_for = Some(time);
        self
    }

    /// How many bytes of `data` and `meta` a room's log keeps at most; the oldest events go first. Default:
    /// as many as there are.
    pub fn keep_bytes(mut self, bytes: u64) -> Self {
        self.keep_bytes = Some(bytes);
        self
    }

    /// Connects, and makes the tables if they are not there. Fails if the database does not answer within
    /// five seconds or lets nobody in, if the URL is none, or if a pooler gives each transaction another session.
    pub async fn connect(self) -> Result<Postgres, StoreError> {
        let connections = self.prepare().await.map_err(StoreError::new)?;
        let connections = Arc::new(connections);
        let retention = Arc::new(Retention::new(self.keep_for, self.keep_bytes));
        let sweeper = Sweeper::start(retention.clone(), connections.clone());
        Ok(Postgres { connections, retention, sweeper })
    }

    async fn prepare(&self) -> sql::Result<Connections> {
        let options: PgConnectOptions = self.url.parse()?;
        let options = options.disable_statement_logging();
        let name = format!("{}:{}", options.get_host(), options.get_port());
        let first = tokio::time::timeout(connections::PATIENCE, options.connect()).await;
        let first = first.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        let mut first = match first {
            Ok(first) => first,
            Err(error) => return Err(Failure::Unopened(name, error)),
        };
        // Where a second connection is not to be had, nothing is known.
        let shares = async {
            let mut second = options.connect().await?;
            let shares = pooler::shares_sessions(&mut first, &mut second).await?;
            second.close().await?;
            Ok::<_, sqlx::Error>(shares)
        };
        if let Ok(Ok(true)) = tokio::time::timeout(connections::PATIENCE, shares).await {
            return Err(Failure::SharedSessions(name));
        }
        // Of several servers that start at once, one makes the tables.
        sql::migrator(TABLES).run(&mut first).await?;
        first.close().await?;
        Ok(Connections::new(options, self.connections))
    }
}

impl fmt::Debug for PostgresOptions {
    /// Without the URL, which may have a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("connections", &self.connections)
            .field("keep_for", &self.keep_for)
            .field("keep_bytes", &self.keep_bytes)
            .finish_non_exhaustive()
    }
}

impl Postgres {
    /// Connects with the defaults of [`PostgresOptions`]. Fails like [`PostgresOptions::connect`].
    pub async fn connect(url: impl Into<String>) -> Result<Self, StoreError> {
        Self::options(url).connect().await
    }

    /// How to connect otherwise. The URL is what other programs take: with `sslmode`, `sslrootcert` and
    /// the like; a password that it does not have may be in `PGPASSWORD` or `~/.pgpass`.
    ///
    /// ```no_run
    /// # async fn connect() -> Result<(), dialogue::store::StoreError> {
    /// use std::time::Duration;
    ///
    /// use dialogue::store::Postgres;
    ///
    /// let store = Postgres::options("postgres://chat@db.example.org/chat?sslmode=verify-full")
    ///     .connections(20)
    ///     .keep_for(Duration::from_hours(24 * 30))
    ///     .keep_bytes(10_000_000)
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn options(url: impl Into<String>) -> PostgresOptions {
        PostgresOptions { url: url.into(), connections: 10, keep_for: None, keep_bytes: None }
    }

    /// Lets go of what is not to be kept. That happens every ten seconds anyway; a log that this server has
    /// not appended to since it was last looked at is looked at for old events alone.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        self.retention.sweep(&*self.connections).await.map_err(StoreError::new)
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.connections.options();
        f.debug_struct("Postgres")
            .field("host", &options.get_host())
            .field("port", &options.get_port())
            .field("database", &options.get_database())
            .finish_non_exhaustive()
    }
}

impl Store for Postgres {
    async fn create(&self, log: &LogId, epoch: Epoch) -> Result<Created, StoreError> {
        self.connections.create(log, epoch).await.map_err(StoreError::new)
    }

    async fn head(&self, log: &LogId) -> Result<Option<Head>, StoreError> {
        self.connections.head(log).await.map_err(StoreError::new)
    }

    async fn begin(&self, log: &LogId, epoch: Epoch) -> Result<Head, StoreError> {
        self.connections.begin(log, epoch).await.map_err(StoreError::new)
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn append(&self, batch: Batch) -> Result<Vec<Appended>, StoreError> {
        let (room, appended) =
            append(&self.connections, batch).await.map_err(Failure::of_append)?;
        self.retention.wrote([room]);
        Ok(appended)
    }

    async fn find(&self, log: &LogId, key: &Key) -> Result<Option<KeyUse>, StoreError> {
        self.connections.find(log, key).await.map_err(StoreError::new)
    }

    async fn read(&self, log: &LogId, query: &Query) -> Result<Page, StoreError> {
        sql::read(&*self.connections, log, query).await.map_err(StoreError::new)
    }

    async fn end_epoch(&self, log: &LogId, ended: Epoch, next: Epoch) -> Result<(), StoreError> {
        self.connections.end_epoch(log, ended, next).await.map_err(StoreError::new)
    }

    async fn delete(&self, log: &LogId) -> Result<(), StoreError> {
        self.connections.delete(log).await.map_err(StoreError::new)
    }

    /// Returns when every call has ended and every connection is closed.
    async fn close(&self) {
        self.sweeper.stop();
        self.connections.leave().await;
        self.connections.close().await;
    }
}
