//! What leaves memory: the queue of what the app has yet to take, and what it has taken.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::super::{Archive, Stored};
use crate::{Position, RawMessage};

/// How many events the app is handed at once.
const HAND_OVER: usize = 100;
/// How many events of one name may wait for the app to take them; with more, appending waits.
const MAX_LEAVING: usize = 1_000;

/// What the app is to take, in order.
#[derive(Default)]
pub(super) struct Leaving {
    queue: Mutex<LeavingQueue>,
    taken: Notify,
}

#[derive(Default)]
struct LeavingQueue {
    /// Oldest first. What the app is taking is still among them.
    events: VecDeque<Stored>,
    busy: bool,
}

impl Leaving {
    /// Appends events. Whoever is told so has the app take them.
    pub(super) fn push(&self, events: VecDeque<Stored>) -> bool {
        let mut queue = self.lock();
        queue.events.extend(events);
        !std::mem::replace(&mut queue.busy, true)
    }

    /// The next that the app is to take; they stay until it has.
    pub(super) fn next(&self) -> Option<Vec<RawMessage>> {
        let mut queue = self.lock();
        queue.busy = !queue.events.is_empty();
        let batch = queue.events.iter().take(HAND_OVER).map(|event| (**event).clone());
        queue.busy.then(|| batch.collect())
    }

    pub(super) fn took(&self, count: usize) {
        self.lock().events.drain(..count);
        self.taken.notify_waiters();
    }

    pub(super) async fn has_room(&self) {
        self.has(|events| events <= MAX_LEAVING).await;
    }

    pub(super) async fn is_empty(&self) {
        self.has(|events| events == 0).await;
    }

    /// Waits until it has as few events.
    async fn has(&self, few: impl Fn(usize) -> bool) {
        loop {
            let taken = self.taken.notified();
            if few(self.lock().events.len()) {
                return;
            }
            taken.await;
        }
    }

    pub(super) fn events(&self) -> VecDeque<Stored> {
        self.lock().events.clone()
    }

    fn lock(&self) -> MutexGuard<'_, LeavingQueue> {
        // No code that can panic runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Loads a range of what the app has taken. While it does, the app may take more: what was in memory
/// before is then among what it returns, and is asked for further on.
pub(super) async fn load(
    archive: &Archive,
    room: &str,
    event: &str,
    mut range: Range<usize>,
    oldest: Option<Position>,
) -> Vec<Stored> {
    let seen = |message: &RawMessage| {
        let known = message.position.zip(oldest);
        known.is_some_and(|(at, oldest)| at.epoch == oldest.epoch && at.seq >= oldest.seq)
    };
    let mut loaded = Vec::new();
    while !range.is_empty() {
        let found = archive.load(room, event, range.clone()).await;
        let (asked, count) = (range.len(), found.len());
        let new = found.into_iter().take(asked).filter(|message| !seen(message)).map(Arc::new);
        let before = loaded.len();
        loaded.extend(new);
        let missing = asked - (loaded.len() - before);
        // The app has no more, or it took nothing meanwhile.
        if count < asked {
            break;
        }
        range = range.end..range.end + missing;
    }
    loaded
}
