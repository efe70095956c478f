//! The byte budget and the rate limits of one address.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    budget::Budget,
    rate_limiter::{ByteRate, RateLimit, RateLimited},
};
use crate::{Limits, Rate};

/// For how long the clients of an address are read more slowly after one has sent too much: up to this part
/// of the time that the others have to answer heartbeats, and at most [`MOST_SHARED_DEBT`].
const MAX_SHARED_DEBT: u32 = 10;
const MOST_SHARED_DEBT: Duration = Duration::from_secs(2);
/// How often the server sees connections of one address end. Thousands that end together would hold up everybody
/// else.
fn ends() -> Rate {
    Rate::per_second(500).burst(32)
}

/// Byte budget and rate limits of one address or one IPv6 /48.
pub(crate) struct Address {
    pub(super) budget: Arc<Budget>,
    /// The part of the budget that memberships may take.
    pub(super) kept: Arc<Budget>,
    /// The third of it that requests of sessions may take, besides one poll of each.
    pub(super) requests: Arc<Budget>,
    pub(super) connects: RateLimit,
    pub(super) triggers: RateLimit,
    pub(super) creations: RateLimit,
    pub(super) answers: ByteRate,
    /// What its clients send.
    pub(super) incoming: Arc<ByteRate>,
    /// Ends of its connections.
    pub(super) ends: Arc<ByteRate>,
    pub(super) network: Option<Arc<Address>>,
    /// When a transport was last opened.
    pub(super) last: Mutex<Instant>,
}

impl Address {
    /// `times` multiplies the limits: 1 for an address, `ADDRESSES_PER_NETWORK` for a /48.
    pub(super) fn new(limits: &Limits, times: u32, network: Option<Arc<Self>>) -> Self {
        let parent = network.as_ref().map(|network| network.budget.clone());
        let rate = |rate: Option<Rate>| RateLimit::new(rate.map(|rate| rate.times(times)));
        let bytes = limits.address_bytes.saturating_mul(times as usize);
        let budget = Budget::new(bytes, parent);
        let most_debt = (limits.heartbeat_timeout / MAX_SHARED_DEBT).min(MOST_SHARED_DEBT);
        Self {
            // What members send and receive has the other half.
            kept: Budget::new(bytes / 2, Some(budget.clone())),
            requests: Budget::new(bytes / 3, Some(budget.clone())),
            budget,
            connects: rate(limits.connects_per_address),
            triggers: rate(limits.triggers_per_address),
            creations: rate(limits.creations_per_address),
            answers: ByteRate::new(limits.answers_per_address.map(|rate| rate.times(times))),
            incoming: Arc::new(ByteRate::with_debt(
                limits.incoming_per_address.map(|rate| rate.times(times)),
                most_debt,
            )),
            ends: Arc::new(ByteRate::with_debt(
                limits.incoming_per_address.map(|_| ends()),
                most_debt,
            )),
            network,
            last: Mutex::new(Instant::now()),
        }
    }

    /// The address and its /48.
    pub(super) fn levels(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.network.as_deref())
    }

    pub(super) fn check(&self, limit: impl Fn(&Self) -> &RateLimit) -> Result<(), RateLimited> {
        self.levels().try_for_each(|level| limit(level).check())
    }

    pub(super) fn check_answers(&self) -> Result<(), RateLimited> {
        self.levels().try_for_each(|level| level.answers.check())
    }

    pub(super) fn pay(&self, bytes: usize) {
        self.levels().for_each(|level| level.answers.pay(bytes));
    }

    pub(super) fn last(&self) -> Instant {
        // No code that can panic runs under the lock.
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_that_sent_too_much_is_read_again_within_two_seconds() {
        for (timeout, most) in [(Duration::from_hours(1), 2), (Duration::from_secs(10), 1)] {
            let limits = Limits { heartbeat_timeout: timeout, ..Limits::default() };
            let address = Address::new(&limits, 1, None);
            let limited = address.incoming.pay_and_check(usize::MAX / 2).unwrap_err();
            assert!(limited.retry_after.as_millis() <= 1_000 * most, "{limited:?}");
        }
    }
}
