//! Reads of a log that several clients share: many that come back at once read the store once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::future::{BoxFuture, Shared};

use super::room_log::Log;
use crate::{
    Epoch,
    connection::budget::{Budget, Holding},
    store::{self, Page, Query, erased::Unavailable},
};

/// For how long what was read for one client is there for others who ask for the same: many who come
/// back at once read the store once.
pub(super) const SHARED_FOR: Duration = Duration::from_secs(10);
/// How many different reads a room shares at once.
const MOST_SHARED: usize = 16;

/// How old a shared read may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// As long as the room remembers what happened since.
    Remembered,
    /// Only if nothing happened since.
    Current,
}

pub(super) type SharedRead = Shared<BoxFuture<'static, Result<Arc<Page>, Unavailable>>>;

/// What is being read of a log, or was a moment ago.
#[derive(Default)]
pub(crate) struct Reads(Mutex<Known>);

#[derive(Default)]
struct Known {
    readings: HashMap<Query, Entry>,
    /// Whether a task clears old reads.
    tended: bool,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) epoch: Epoch,
    /// Where the log ended when the reading began.
    pub(super) seq: u64,
    pub(super) begun: Instant,
    pub(super) reading: SharedRead,
    /// Charges the page, once it is read, to the budget of all rooms.
    pub(super) held_page: Option<Arc<Holding>>,
}

impl Entry {
    /// Whether what it reads is good enough.
    pub(super) fn is(&self, age: Age, log: &Log) -> bool {
        self.epoch == log.epoch
            && match age {
                Age::Current => self.seq == log.seq,
                Age::Remembered => log.remembers(self.seq),
            }
    }
}

impl Reads {
    pub(super) fn find(&self, query: &Query) -> Option<Entry> {
        let known = self.lock();
        let entry = known.readings.get(query).filter(|entry| entry.begun.elapsed() < SHARED_FOR);
        entry.cloned()
    }

    /// Charges a page that others may be given. Returns false if the budget has no bytes left for it.
    pub(super) fn hold(
        &self,
        query: &Query,
        reading: &SharedRead,
        page: &Page,
        budget: &Arc<Budget>,
    ) -> bool {
        let mut held = Holding::new(budget.clone());
        let fits = held.set(page.events.iter().map(|event| store::weight(event)).sum());
        if let Some(entry) = self.lock().readings.get_mut(query)
            && entry.reading.ptr_eq(reading)
        {
            entry.held_page = Some(Arc::new(held));
        }
        fits
    }

    /// Lets others take part. Returns whether the caller must start the task that clears old reads.
    pub(super) fn share(&self, query: Query, entry: Entry) -> bool {
        let mut known = self.lock();
        if known.readings.len() >= MOST_SHARED && !known.readings.contains_key(&query) {
            return false;
        }
        known.readings.insert(query, entry);
        !std::mem::replace(&mut known.tended, true)
    }

    pub(super) fn remove(&self, query: &Query, reading: &SharedRead) {
        let mut known = self.lock();
        if known.readings.get(query).is_some_and(|entry| entry.reading.ptr_eq(reading)) {
            known.readings.remove(query);
        }
    }

    /// Removes old reads. Returns whether any are left.
    pub(super) fn clear(&self) -> bool {
        let mut known = self.lock();
        known.readings.retain(|_, entry| entry.begun.elapsed() < SHARED_FOR);
        known.tended = !known.readings.is_empty();
        known.tended
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // No code that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
