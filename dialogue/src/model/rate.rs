//! How often something may happen.

use std::{num::NonZeroU32, time::Duration};

/// A rate limit: one time per interval, and up to `burst` times at once.
///
/// ```
/// use dialogue::Rate;
///
/// // Two hundred at once; after that, one every ten milliseconds.
/// const TRIGGERS: Rate = Rate::per_second(100).burst(200);
/// assert_eq!(TRIGGERS.interval(), std::time::Duration::from_millis(10));
/// ```
///
/// Unused times accumulate up to the burst. Without [`burst`](Self::burst), the burst is the number of times of the
/// rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    interval: Duration,
    burst: NonZeroU32,
}

impl Rate {
    /// So many times in each span.
    ///
    /// # Panics
    ///
    /// If `times` is zero, or the span too short for as many or longer than 146 years: at compile
    /// time in a constant.
    pub const fn new(times: u32, span: Duration) -> Self {
        let Some(burst) = NonZeroU32::new(times) else { panic!("a rate allows at least one") };
        let Some(interval) = span.checked_div(times) else { panic!("a rate allows at least one") };
        Self { interval, burst }.sane()
    }

    /// So many times a second.
    ///
    /// # Panics
    ///
    /// If `times` is zero: at compile time in a constant.
    pub const fn per_second(times: u32) -> Self {
        Self::new(times, Duration::from_secs(1))
    }

    /// So many times a minute.
    ///
    /// # Panics
    ///
    /// If `times` is zero: at compile time in a constant.
    pub const fn per_minute(times: u32) -> Self {
        Self::new(times, Duration::from_mins(1))
    }

    /// How many at once.
    ///
    /// # Panics
    ///
    /// If `times` is zero, or the burst takes more than 146 years to come back: at compile time in a
    /// constant.
    pub const fn burst(mut self, times: u32) -> Self {
        let Some(burst) = NonZeroU32::new(times) else { panic!("a rate allows at least one") };
        self.burst = burst;
        self.sane()
    }

    /// As many times for `n` together.
    #[cfg(feature = "server")]
    pub(crate) fn times(self, n: u32) -> Self {
        let interval = (self.interval / n.max(1)).max(Duration::from_nanos(1));
        Self {
            interval,
            burst: self.burst.saturating_mul(NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN)),
        }
    }

    const fn sane(self) -> Self {
        assert!(!self.interval.is_zero(), "a rate allows at most one per nanosecond");
        // Sums of such times must fit where they are kept.
        let burst = self.interval.as_nanos() * self.burst.get() as u128;
        assert!(burst <= (u64::MAX / 4) as u128, "a burst comes back within 146 years");
        self
    }

    /// The time after which one more may happen.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// How many may happen at once.
    pub const fn at_once(&self) -> NonZeroU32 {
        self.burst
    }
}
