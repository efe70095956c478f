//! Limits on how often something happens.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use dashmap::{DashMap, Entry};
use governor::{
    NotUntil, Quota, RateLimiter as Governor,
    clock::MonotonicClock,
    middleware::{NoOpMiddleware, StateInformationMiddleware, StateSnapshot},
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};

use crate::{
    Rate,
    protocol::{ErrorCode, Failure},
};

fn quota(rate: Rate) -> Quota {
    // A rate's interval is not zero, which is all that could be wrong.
    let quota = Quota::with_period(rate.interval());
    quota.unwrap_or(Quota::per_second(rate.at_once())).allow_burst(rate.at_once())
}

/// Something happened too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too often; try again in {} ms", .retry_after.as_micros().div_ceil(1_000))]
#[non_exhaustive]
pub struct RateLimited {
    /// After how long it may happen again.
    pub retry_after: Duration,
}

impl From<RateLimited> for Failure {
    fn from(limited: RateLimited) -> Self {
        // Rounded up: a client that waits as told is not refused again.
        let retry_after = limited.retry_after.as_micros().div_ceil(1_000);
        let failure = Self::new(ErrorCode::RateLimited, limited.to_string());
        Self { retry_after_ms: u64::try_from(retry_after).ok(), ..failure }
    }
}

/// One thing that may happen only so often, or as often as it likes.
pub(crate) struct RateLimit(
    Option<Governor<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<Instant>>>,
);

impl RateLimit {
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self(rate.map(|rate| Governor::direct_with_clock(quota(rate), MonotonicClock)))
    }

    pub(crate) fn check(&self) -> Result<(), RateLimited> {
        let Some(governor) = &self.0 else { return Ok(()) };
        governor.check().map_err(|until| wait(&until))
    }
}

fn wait(until: &NotUntil<Instant>) -> RateLimited {
    RateLimited { retry_after: until.wait_time_from(Instant::now()) }
}

/// Limits how often each of many may do something: users, addresses, keys of an API.
///
/// ```
/// use dialogue::{Rate, RateLimiter};
///
/// let limiter = RateLimiter::new(Rate::per_second(10));
/// for _ in 0..10 {
///     assert!(limiter.check("ann").is_ok());
/// }
/// let limited = limiter.check("ann").unwrap_err();
/// assert!(limited.retry_after.as_millis() <= 100);
/// assert_eq!((limiter.remaining("ann"), limiter.remaining("bob")), (0, 10));
///
/// limiter.clear("ann");
/// assert!(limiter.check("ann").is_ok());
/// ```
///
/// A key that was not used for as long as its burst takes to come back is forgotten.
pub struct RateLimiter {
    governor: Governor<Attempt, Cells, MonotonicClock, StateInformationMiddleware>,
    cells: Cells,
    start: Instant,
    /// How many keys there may be before those that no longer matter are looked for.
    sweep_at: AtomicUsize,
    rate: Rate,
}

/// How many keys are kept without looking for those that no longer matter.
const FEW: usize = 1_024;

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys();
        f.debug_struct("RateLimiter")
            .field("rate", &self.rate)
            .field("keys", &keys)
            .finish_non_exhaustive()
    }
}

impl RateLimiter {
    /// Every key has this rate for itself.
    pub fn new(rate: Rate) -> Self {
        let (cells, start) = (Cells::default(), Instant::now());
        let governor = Governor::new(quota(rate), cells.clone(), MonotonicClock);
        Self { governor, cells, start, sweep_at: AtomicUsize::new(FEW), rate }
    }

    /// Lets it happen once more, or says when it may.
    pub fn check(&self, key: &str) -> Result<(), RateLimited> {
        self.sweep();
        self.ask(key, true).map(drop)
    }

    /// How often it may happen right now.
    pub fn remaining(&self, key: &str) -> u32 {
        // What the governor says of an attempt does not count the attempt itself.
        self.ask(key, false).map_or(0, |state| state.remaining_burst_capacity() + 1)
    }

    /// Forgets what a key did so far.
    pub fn clear(&self, key: &str) {
        self.cells.0.remove(key);
    }

    /// How many keys it remembers.
    pub fn keys(&self) -> usize {
        self.cells.0.len()
    }

    fn ask(&self, key: &str, spend: bool) -> Result<StateSnapshot, RateLimited> {
        self.governor
            .check_key(&Attempt { key: key.to_owned(), spend })
            .map_err(|until| wait(&until))
    }

    /// Forgets keys whose whole burst has come back, now and then.
    fn sweep(&self) {
        if self.cells.0.len() < self.sweep_at.load(Ordering::Relaxed) {
            return;
        }
        let now = Nanos::from(self.start.elapsed());
        self.cells.0.retain(|_, next| *next > now);
        self.sweep_at.store(FEW.max(2 * self.cells.0.len()), Ordering::Relaxed);
    }
}

/// A question about a key.
#[derive(Clone, Hash, PartialEq, Eq)]
struct Attempt {
    key: String,
    /// Whether it counts.
    spend: bool,
}

/// Per key, when the next attempt would come if attempts came evenly: governor's whole state.
#[derive(Clone, Default)]
struct Cells(Arc<DashMap<String, Nanos>>);

impl StateStore for Cells {
    type Key = Attempt;

    fn measure_and_replace<T, F, E>(&self, attempt: &Attempt, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        if !attempt.spend {
            let present = self.0.get(&attempt.key).map(|next| *next);
            return decide(present).map(|(answer, _)| answer);
        }
        let cell = self.0.entry(attempt.key.clone());
        let present = match &cell {
            Entry::Occupied(cell) => Some(*cell.get()),
            Entry::Vacant(_) => None,
        };
        let (answer, next) = decide(present)?;
        cell.insert(next);
        Ok(answer)
    }
}

/// Bytes of answers: a bucket that fills evenly. An answer is paid for once its length is known, so that
/// the bucket may be overdrawn; then nothing more is answered until it is not.
pub(crate) struct ByteRate(Option<Bucket>);

struct Bucket {
    /// Bytes for each second, and at most.
    per_second: f64,
    most: f64,
    /// The level below which nothing more is taken.
    floor: f64,
    /// How much there was, and when.
    level: Mutex<(f64, Instant)>,
}

impl ByteRate {
    /// A full bucket; each time that `rate` allows something is a byte.
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self(rate.map(|rate| {
            let most = f64::from(rate.at_once().get());
            let level = Mutex::new((most, Instant::now()));
            let per_second = rate.interval().as_secs_f64().recip();
            Bucket { per_second, most, floor: f64::NEG_INFINITY, level }
        }))
    }

    /// A full bucket that is overdrawn by what comes in this time at most.
    pub(crate) fn with_debt(rate: Option<Rate>, time: Duration) -> Self {
        let mut meter = Self::new(rate);
        if let Some(bucket) = &mut meter.0 {
            bucket.floor = -bucket.per_second * time.as_secs_f64();
        }
        meter
    }

    /// Whether another answer may be given, or when.
    pub(crate) fn check(&self) -> Result<(), RateLimited> {
        self.pay_and_check(0)
    }

    /// Pays for bytes.
    pub(crate) fn pay(&self, bytes: usize) {
        let _ = self.pay_and_check(bytes);
    }

    /// Pays for bytes. Says whether more may follow, or when.
    pub(crate) fn pay_and_check(&self, bytes: usize) -> Result<(), RateLimited> {
        let Some(bucket) = &self.0 else { return Ok(()) };
        #[allow(clippy::cast_precision_loss, reason = "messages are far from 2^52 bytes")]
        let level = bucket.pay(bytes as f64);
        if level > 0.0 {
            return Ok(());
        }
        // A byte more than is owed.
        let retry_after = Duration::try_from_secs_f64((1.0 - level) / bucket.per_second);
        Err(RateLimited { retry_after: retry_after.unwrap_or(Duration::MAX) })
    }

    /// Whether it is as if nothing had been paid.
    pub(crate) fn is_full(&self) -> bool {
        self.0.as_ref().is_none_or(|bucket| bucket.pay(0.0) >= bucket.most)
    }
}

impl Bucket {
    /// Takes bytes; returns what is left.
    fn pay(&self, bytes: f64) -> f64 {
        // No code that can panic runs under the lock.
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let come = now.saturating_duration_since(level.1).as_secs_f64() * self.per_second;
        *level = (((level.0 + come).min(self.most) - bytes).max(self.floor), now);
        level.0
    }
}

/// A meter for each of many.
pub(crate) struct ByteRates {
    by_key: DashMap<Arc<str>, Arc<ByteRate>>,
    /// How many there may be before those that no longer matter are looked for.
    sweep_at: AtomicUsize,
    rate: Option<Rate>,
}

impl ByteRates {
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self { by_key: DashMap::new(), sweep_at: AtomicUsize::new(FEW), rate }
    }

    pub(crate) fn of(&self, key: &Arc<str>) -> Arc<ByteRate> {
        if self.by_key.len() >= self.sweep_at.load(Ordering::Relaxed) {
            self.by_key.retain(|_, meter| Arc::strong_count(meter) > 1 || !meter.is_full());
            self.sweep_at.store(FEW.max(2 * self.by_key.len()), Ordering::Relaxed);
        }
        let meter = self.by_key.entry(key.clone());
        meter.or_insert_with(|| Arc::new(ByteRate::new(self.rate))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meter_that_is_overdrawn_waits_until_it_is_paid_off() {
        let meter = ByteRate::new(Some(Rate::per_second(1_000).burst(5_000)));
        assert!(meter.is_full());
        meter.pay(4_000);
        assert!(meter.check().is_ok());
        meter.pay(11_000);
        let limited = meter.check().unwrap_err();
        assert!((9..=11).contains(&limited.retry_after.as_secs()), "{limited:?}");
        assert!(!meter.is_full());
        assert!(ByteRate::new(None).check().is_ok());
    }

    #[test]
    fn meters_are_kept_while_they_matter() {
        let meters = ByteRates::new(Some(Rate::new(1_000, Duration::from_hours(1))));
        meters.of(&"owes".into()).pay(10);
        let held = meters.of(&"held".into());
        for n in 0..2 * FEW {
            meters.of(&n.to_string().into());
        }
        assert!(!meters.of(&"owes".into()).is_full());
        assert!(Arc::ptr_eq(&held, &meters.of(&"held".into())));
        assert!(meters.by_key.len() <= FEW + 2, "{}", meters.by_key.len());
    }
}
