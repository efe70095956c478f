//! The rate limits of one client.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::rate_limiter::{Pace, RateLimited};
use crate::{Limits, Rate, model::room::RoomEvent};

/// The rate limits of one client.
pub(crate) struct ClientRates {
    pub(crate) triggers: Pace,
    pub(crate) joins: Pace,
    pub(crate) creations: Pace,
    /// Everything else but history, which is the user's.
    pub(crate) requests: Pace,
    /// Of events with a rate limit of their own. There are only as many as rooms list.
    events: Mutex<HashMap<(Cow<'static, str>, Rate), Pace>>,
}

impl ClientRates {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            triggers: Pace::new(limits.triggers),
            joins: Pace::new(limits.joins),
            creations: Pace::new(limits.creations),
            requests: Pace::new(limits.requests),
            events: Mutex::default(),
        }
    }

    /// Lets the client trigger an event once more, where the event itself says how often.
    pub(crate) fn check_event(&self, event: &RoomEvent) -> Result<(), RateLimited> {
        let Some(rate) = event.rate else { return Ok(()) };
        // No code that can panic runs under the lock.
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.entry((event.name.clone(), rate)).or_insert_with(|| Pace::new(Some(rate))).check()
    }
}
