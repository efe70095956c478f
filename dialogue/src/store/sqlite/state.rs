//! What the writer and the readers share: whether the file can be used.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::sqlite::SqlitePool;

use super::super::sql::{Failure, Result};

/// How long to wait for another process that writes to the file.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// Whether the file can be used, as the writer finds out.
pub(super) struct State {
    path: String,
    held: Mutex<Held>,
}

struct Held {
    readers: SqlitePool,
    failure: Option<Arc<Failure>>,
}

impl State {
    pub(super) fn new(path: String, readers: SqlitePool) -> Self {
        Self { path, held: Mutex::new(Held { readers, failure: None }) }
    }

    /// The connections to read by. A file that cannot be written can be read, unless it is another one.
    pub(super) fn readers(&self) -> Result<SqlitePool> {
        let held = self.held();
        match &held.failure {
            Some(failure) if failure.is_of_another_file() => Err(failure.clone().into()),
            _ => Ok(held.readers.clone()),
        }
    }

    /// Why nothing can be appended, if nothing can.
    pub(super) fn failure(&self) -> Option<Arc<Failure>> {
        self.held().failure.clone()
    }

    /// Takes in whether the file can be used, and logs it where that has changed.
    pub(super) fn report(&self, failure: Option<Arc<Failure>>) {
        let before = std::mem::replace(&mut self.held().failure, failure.clone());
        let said = before.as_ref().map(ToString::to_string);
        match failure {
            Some(failure) if said.as_ref() != Some(&failure.to_string()) => tracing::error!(
                path = self.path,
                %failure,
                "the database cannot be used: stored events are rejected until it can be"
            ),
            None if before.is_some() => {
                tracing::info!(path = self.path, "the database is used again");
            }
            _ => {}
        }
    }

    /// Closes the connections to read by. A reader that takes longer keeps nobody waiting.
    pub(super) async fn close_readers(&self) {
        let readers = self.held().readers.clone();
        let _ = tokio::time::timeout(BUSY, readers.close()).await;
    }

    /// Makes new connections to read by, if the last ones were closed.
    pub(super) fn renew_readers(&self, new: impl FnOnce() -> SqlitePool) {
        let mut held = self.held();
        if held.readers.is_closed() {
            held.readers = new();
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // No code that can panic runs under the lock.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
