//! Logs in a file.

mod append;
mod clock;
mod identity;
mod known;
mod opening;
mod state;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    ConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use self::{clock::Clock, opening::Opener, state::State, tables::File, writer::Writer};
use super::{
    Appended, Batch, Created, Head, Key, KeyUse, LogId, Page, Query, Store, StoreError,
    sql::{self, Failure, Retention, Sweeper},
};
use crate::Epoch;

/// Logs in a file: a `SQLite` database, for one server.
///
/// ```no_run
/// # async fn open() -> Result<(), dialogue::store::StoreError> {
/// use dialogue::store::Sqlite;
///
/// let store = Sqlite::open("chat.db").await?;
/// # Ok(())
/// # }
/// ```
///
/// The file is made if it is not there; two more are beside it while it is open. Once the store is closed or
/// dropped, the file has everything by itself. What waits to be appended to any room goes in together, so that
/// many rooms cost the disk little more than one.
///
/// Where the disk is full, or the file cannot be written, was deleted or replaced, calls fail until the file can be
/// used again, and [`Store::ready`] says why. Where it is another file then, the epochs of its logs end.
///
/// Of each event, a log keeps as many as the event declares, and up to ten seconds' worth more.
#[must_use = "a store does nothing until `Builder::store` takes it"]
pub struct Sqlite {
    file: Arc<File>,
    retention: Arc<Retention>,
    sweeper: Sweeper,
}

/// How a [`Sqlite`] is opened: [`Sqlite::options`].
#[derive(Clone, Debug)]
#[must_use = "no store is open before `open`"]
pub struct SqliteOptions {
    path: PathBuf,
    synchronous: Synchronous,
    keep_for: Option<Duration>,
    keep_bytes: Option<u64>,
    /// The most pages that the file may have.
    #[cfg(test)]
    pages: Option<u32>,
}

/// What is left of acknowledged events when the power fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// All of them: an append waits for the disk.
    #[default]
    Full,
    /// The last ones may be missing. Nothing is if only the process ends.
    Normal,
}

impl SqliteOptions {
    /// What is to be left when the power fails. Default: [`Synchronous::Full`].
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
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

    /// Opens the file. Fails if its folder is not there, or if the file is something else or cannot be written, also
    /// because the disk is full.
    pub async fn open(self) -> Result<Sqlite, StoreError> {
        let retention = Arc::new(Retention::new(self.keep_for, self.keep_bytes));
        let file = Arc::new(self.file(&retention).await.map_err(StoreError::new)?);
        let sweeper = Sweeper::start(retention.clone(), file.clone());
        Ok(Sqlite { file, retention, sweeper })
    }

    async fn file(&self, retention: &Arc<Retention>) -> sql::Result<File> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(Failure::NoFolder(folder.into()));
        }
        let opener =
            Opener { path: self.path.clone(), reading: self.reading(), writing: self.writing() };
        let open = opener.create().await?;
        let clock = Arc::new(Clock::starting_at(open.latest));
        let state = Arc::new(State::new(self.path.display().to_string(), opener.readers()));
        let writer = Writer::start(opener, open, state.clone(), clock.clone(), retention.clone());
        Ok(File { path: self.path.clone(), state, clock, writer })
    }

    fn reading(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .read_only(true)
            .busy_timeout(state::BUSY)
            .disable_statement_logging()
    }

    fn writing(&self) -> SqliteConnectOptions {
        let synchronous = match self.synchronous {
            Synchronous::Full => SqliteSynchronous::Full,
            Synchronous::Normal => SqliteSynchronous::Normal,
        };
        let options = self
            .reading()
            .read_only(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous);
        #[cfg(test)]
        if let Some(pages) = self.pages {
            return options.pragma("max_page_count", pages.to_string());
        }
        options
    }
}

impl Sqlite {
    /// Opens a file, with the defaults of [`SqliteOptions`]. Fails like [`SqliteOptions::open`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::options(path).open().await
    }

    /// How to open a file otherwise.
    ///
    /// ```no_run
    /// # async fn open() -> Result<(), dialogue::store::StoreError> {
    /// use std::time::Duration;
    ///
    /// use dialogue::store::{Sqlite, Synchronous};
    ///
    /// let store = Sqlite::options("chat.db")
    ///     .synchronous(Synchronous::Normal)
    ///     .keep_for(Duration::from_hours(24 * 30))
    ///     .keep_bytes(10_000_000)
    ///     .open()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn options(path: impl AsRef<Path>) -> SqliteOptions {
        SqliteOptions {
            path: path.as_ref().to_path_buf(),
            synchronous: Synchronous::default(),
            keep_for: None,
            keep_bytes: None,
            #[cfg(test)]
            pages: None,
        }
    }

    /// Lets go of what is not to be kept. That happens every ten seconds anyway; a log that nothing was
    /// appended to since the file was opened is looked at for old events alone.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        self.retention.sweep(&*self.file).await.map_err(StoreError::new)
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("path", &self.file.path).finish_non_exhaustive()
    }
}

impl Store for Sqlite {
    async fn create(&self, log: &LogId, epoch: Epoch) -> Result<Created, StoreError> {
        sql::no_zero(&log.room).map_err(StoreError::new)?;
        self.file.writer.create(log, epoch).await.map_err(StoreError::new)
    }

    async fn head(&self, log: &LogId) -> Result<Option<Head>, StoreError> {
        self.file.head(log).await.map_err(StoreError::new)
    }

    async fn append(&self, batch: Batch) -> Result<Vec<Appended>, StoreError> {
        sql::storable(&batch).map_err(StoreError::new)?;
        self.file.writer.append(batch).await.map_err(Failure::of_append)
    }

    async fn find(&self, log: &LogId, key: &Key) -> Result<Option<KeyUse>, StoreError> {
        self.file.find(log, key).await.map_err(StoreError::new)
    }

    async fn read(&self, log: &LogId, query: &Query) -> Result<Page, StoreError> {
        sql::read(&*self.file, log, query).await.map_err(StoreError::new)
    }

    async fn end_epoch(&self, log: &LogId, ended: Epoch, next: Epoch) -> Result<(), StoreError> {
        self.file.writer.end_epoch(log, ended, next).await.map_err(StoreError::new)
    }

    async fn delete(&self, log: &LogId) -> Result<(), StoreError> {
        self.file.writer.delete(log).await.map_err(StoreError::new)
    }

    fn ready(&self) -> Result<(), StoreError> {
        self.file
            .state
            .failure()
            .map_or(Ok(()), |failure| Err(StoreError::new(Failure::from(failure))))
    }

    /// Returns when everything that was to be appended is, and the file is closed.
    async fn close(&self) {
        self.sweeper.stop();
        self.file.writer.close().await;
    }
}
