//! The rate limits of one client.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::rate_limiter::{RateLimit, RateLimited};
use crate::{Limits, Rate, model::room::RoomEvent};

/// The rate limits of one client.
pub(crate) struct ClientRates {
    pub(crate) triggers: RateLimit,
    pub(crate) joins: RateLimit,
    pub(crate) creations: RateLimit,
    /// Everything else but history, which is the user's.
    pub(crate) requests: RateLimit,
    /// Of events with a rate limit of their own. There are only as many as rooms list.
    events: Mutex<HashMap<(Cow<'static, str>, Rate), RateLimit>>,
}

impl ClientRates {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            triggers: RateLimit::new(limits.triggers),
            joins: RateLimit::new(limits.joins),
            creations: RateLimit::new(limits.creations),
            requests: RateLimit::new(limits.requests),
            events: Mutex::default(),
        }
    }

    /// Lets the client trigger an event once more, where the event itself says how often.
    pub(crate) fn check_event(&self, event: &RoomEvent) -> Result<(), RateLimited> {
        let Some(rate) = event.rate else { return Ok(()) };
        // No code that can panic runs under the lock.
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events
            .entry((event.name.clone(), rate))
            .or_insert_with(|| RateLimit::new(Some(rate)))
            .check()
    }
}
