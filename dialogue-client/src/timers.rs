//! What is to happen at a moment, in order of moments.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

pub(crate) struct Timers<T> {
    queue: BTreeMap<TimerId, T>,
    made: u64,
}

pub(crate) type TimerId = (Instant, u64);

/// Longer than anything waits here, and within what clocks count.
pub(crate) const LONGEST: Duration = Duration::from_hours(24 * 365);

/// The moment when so much time has passed.
pub(crate) fn after(wait: Duration) -> Instant {
    Instant::now() + wait.min(LONGEST)
}

impl<T> Timers<T> {
    pub(crate) fn new() -> Self {
        Self { queue: BTreeMap::new(), made: 0 }
    }

    pub(crate) fn after(&mut self, wait: Duration, what: T) -> TimerId {
        self.made += 1;
        let id = (after(wait), self.made);
        self.queue.insert(id, what);
        id
    }

    pub(crate) fn cancel(&mut self, id: TimerId) {
        self.queue.remove(&id);
    }

    /// What is due next, when it is. Nothing is lost if this is dropped.
    pub(crate) async fn next(&mut self) -> T {
        let Some(first) = self.queue.first_entry() else { return std::future::pending().await };
        tokio::time::sleep_until(first.key().0).await;
        first.remove()
    }
}
