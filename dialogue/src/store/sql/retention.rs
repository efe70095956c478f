//! What a store lets go of: in small steps, beside everything else.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::task::JoinHandle;

use super::{Place, Places, Result, STEP, Tables, millis, now, signed};

/// How often a store is swept.
const SWEEP: Duration = Duration::from_secs(10);
/// How long others have the database for themselves between two steps.
const PAUSE: Duration = Duration::from_millis(5);

/// What a store keeps, beside what each event declares.
pub(in crate::store) struct Retention {
    keep_for: Option<Duration>,
    keep_bytes: Option<u64>,
    /// The keys of the rooms that were appended to since they were last looked at.
    written: Mutex<HashSet<i64>>,
    sweeping: tokio::sync::Mutex<()>,
}

impl Retention {
    pub(in crate::store) fn new(keep_for: Option<Duration>, keep_bytes: Option<u64>) -> Self {
        let (written, sweeping) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { keep_for, keep_bytes, written, sweeping }
    }

    pub(in crate::store) fn wrote(&self, rooms: impl IntoIterator<Item = i64>) {
        self.written().extend(rooms);
    }

    pub(in crate::store) async fn sweep(&self, tables: &impl Tables) -> Result<()> {
        let _alone = self.sweeping.lock().await;
        while tables.tend().await? {
            tokio::time::sleep(PAUSE).await;
        }
        while tables.forget_keys().await? >= STEP as u64 {
            tokio::time::sleep(PAUSE).await;
        }
        if let Some(keep_for) = self.keep_for {
            let before = now().saturating_sub(millis(keep_for));
            while step(tables, tables.aged(before).await?).await? {}
        }
        let rooms: Vec<_> = self.written().iter().copied().collect();
        for room in rooms {
            self.written().remove(&room);
            let trimmed = self.trim(tables, room).await;
            if trimmed.is_err() {
                self.wrote([room]);
            }
            trimmed?;
        }
        Ok(())
    }

    async fn trim(&self, tables: &impl Tables, room: i64) -> Result<()> {
        while step(tables, tables.surplus(room).await?).await? {}
        if let Some(bytes) = self.keep_bytes {
            while step(tables, tables.heavy(room, signed(bytes)).await?).await? {}
        }
        Ok(())
    }

    fn written(&self) -> MutexGuard<'_, HashSet<i64>> {
        // No code that can panic runs under the lock.
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes these events, and says whether there may be more. What another server has removed meanwhile
/// is not there any more, and nothing else goes in its place.
async fn step(tables: &impl Tables, places: Vec<Place>) -> Result<bool> {
    let full = places.len() >= STEP;
    let mut names = Places::new();
    for (name, seq) in places {
        names.entry(name).or_default().push(seq);
    }
    let more = tables.remove(names).await? > 0 && full;
    if more {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(more)
}

/// The task that sweeps a store, for as long as this exists.
pub(in crate::store) struct Sweeper(JoinHandle<()>);

impl Sweeper {
    pub(in crate::store) fn start(retention: Arc<Retention>, tables: Arc<impl Tables>) -> Self {
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                if let Err(error) = retention.sweep(&*tables).await {
                    tracing::warn!(%error, "a store could not be swept");
                }
            }
        }))
    }

    pub(in crate::store) fn stop(&self) {
        self.0.abort();
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.stop();
    }
}
