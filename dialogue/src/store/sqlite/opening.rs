//! Opening the file, at first and after a failure.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, query, query_as, query_scalar,
    sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions},
};

use super::{
    super::sql::{self, Failure, Result},
    identity::Files,
    state::BUSY,
};

/// What makes the tables.
const TABLES: [(&str, &str); 2] = [
    ("logs", include_str!("../../../migrations/sqlite/1_logs.sql")),
    ("owners", include_str!("../../../migrations/sqlite/2_owners.sql")),
];
/// How many reads there are at once.
const READERS: u32 = 4;
/// The error code for another process that writes to the file.
const LOCKED: &str = "5";

/// The latest times in the file.
pub(super) const LATEST: &str = "
    select ifnull((select max(at) from dialogue_keys), 0),
        ifnull((select max(seen) from dialogue_servers), 0)";

/// The statement of the guide for a file that was replaced.
const END_EPOCHS: &str = "update dialogue_rooms set epoch = lower(hex(randomblob(8)))";

/// How the file is opened.
pub(super) struct Opener {
    pub(super) path: PathBuf,
    pub(super) reading: SqliteConnectOptions,
    pub(super) writing: SqliteConnectOptions,
}

/// The file, open for writing.
pub(super) struct Open {
    pub(super) connection: SqliteConnection,
    pub(super) files: Files,
    /// The latest time in the file.
    pub(super) latest: i64,
}

impl Opener {
    /// Opens the file, which is made if it is not there.
    pub(super) async fn create(&self) -> Result<Open> {
        self.connect(&self.writing.clone().create_if_missing(true)).await
    }

    /// Opens the file again.
    pub(super) async fn open(&self) -> Result<Open> {
        self.connect(&self.writing).await
    }

    async fn connect(&self, options: &SqliteConnectOptions) -> Result<Open> {
        let mut connection = patiently(options).await.map_err(|error| self.unopened(error))?;
        match self.prepare(&mut connection).await {
            Ok((files, latest)) => Ok(Open { connection, files, latest }),
            Err(failure) => {
                let _ = connection.close().await;
                Err(failure)
            }
        }
    }

    /// Makes the tables. Writes to the file, too: `SQLite` opens one that it can only read without an error.
    async fn prepare(&self, connection: &mut SqliteConnection) -> Result<(Files, i64)> {
        let unopened = |error| self.unopened(error);
        // Of several processes that open the file at once, one makes the tables.
        let mut tables = connection.begin_with("begin immediate").await.map_err(unopened)?;
        // A task could not be spawned with the future of `run`: its `Send` is not general enough.
        sql::migrator(TABLES).run_direct(None, &mut *tables, false).await?;
        let version = query_scalar("pragma user_version").fetch_one(&mut *tables);
        let version: i64 = version.await.map_err(unopened)?;
        let write = AssertSqlSafe(format!("pragma user_version = {version}"));
        query(write).execute(&mut *tables).await.map_err(unopened)?;
        let latest: (i64, i64) = query_as(LATEST).fetch_one(&mut *tables).await?;
        tables.commit().await.map_err(unopened)?;
        let files = Files::at(&self.path).map_err(|error| unopened(error.into()))?;
        Ok((files, latest.0.max(latest.1)))
    }

    pub(super) fn readers(&self) -> SqlitePool {
        SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(BUSY)
            .test_before_acquire(false)
            .connect_lazy_with(self.reading.clone())
    }

    fn unopened(&self, error: sqlx::Error) -> Failure {
        Failure::Unopened(self.path.display().to_string(), error)
    }

    pub(super) fn moved(&self) -> Failure {
        Failure::Moved(self.path.display().to_string())
    }
}

/// Ends every epoch: the file is another one than before, and may lack events.
pub(super) async fn end_epochs(mut open: Open) -> Result<Open> {
    match query(END_EPOCHS).execute(&mut open.connection).await {
        Ok(_) => Ok(open),
        Err(error) => {
            close(open.connection).await;
            Err(error.into())
        }
    }
}

/// Moves everything from the write-ahead log into the file, so that a copy of the file has it.
pub(super) async fn empty_log(connection: &mut SqliteConnection, path: &Path) {
    let path = path.display();
    let emptied = query_as("pragma wal_checkpoint(truncate)").fetch_one(connection).await;
    match emptied.map(|(busy, _, _): (i64, i64, i64)| busy == 0) {
        Ok(true) => {}
        Ok(false) => {
            tracing::warn!(%path, "another process reads the database: a copy needs its `-wal` file, too");
        }
        Err(error) => {
            tracing::warn!(%path, %error, "a copy of the database needs its `-wal` file, too");
        }
    }
}

pub(super) async fn close(connection: SqliteConnection) {
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the database was not closed cleanly");
    }
}

/// Connects. Where several do so to a new file, and one of them sets its journal up, the others do not wait
/// by themselves.
async fn patiently(options: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    let begun = Instant::now();
    loop {
        match options.connect().await {
            Err(sqlx::Error::Database(error))
                if error.code().as_deref() == Some(LOCKED) && begun.elapsed() < BUSY =>
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            connected => return connected,
        }
    }
}
