//! The time by which keys are forgotten.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Instant,
};

use super::super::{
    KEY_WINDOW,
    sql::{self, millis},
};

/// A clock that does not step, in milliseconds since about the Unix epoch: it starts at the system's time, or
/// at the latest time in the file if that is later, and goes on by itself.
pub(super) struct Clock {
    started: Instant,
    /// What it said then.
    base: AtomicI64,
}

impl Clock {
    pub(super) fn starting_at(latest: i64) -> Self {
        Self { started: Instant::now(), base: AtomicI64::new(system().max(latest)) }
    }

    pub(super) fn now(&self) -> i64 {
        self.base.load(Ordering::Relaxed).saturating_add(self.elapsed())
    }

    /// Keys that were used then, or before, are forgotten.
    pub(super) fn oldest_key(&self) -> i64 {
        self.now().saturating_sub(millis(KEY_WINDOW))
    }

    /// Goes on from a time, if that is later.
    pub(super) fn advance_to(&self, latest: i64) {
        self.base.fetch_max(latest.saturating_sub(self.elapsed()), Ordering::Relaxed);
    }

    fn elapsed(&self) -> i64 {
        millis(self.started.elapsed())
    }
}

/// The system's time, which tests step.
fn system() -> i64 {
    #[cfg(test)]
    let stepped = STEP.get();
    #[cfg(not(test))]
    let stepped = 0;
    sql::now().saturating_add(stepped)
}

#[cfg(test)]
thread_local! {
    /// How far the system's time was stepped in a test, which runs on one thread.
    pub(super) static STEP: std::cell::Cell<i64> = const { std::cell::Cell::new(0) };
}
