//! Rate limits of what clients send, before anything is known of it: a client that sends more is read more
//! slowly.

use std::{sync::Arc, time::Duration};

use super::rate_limiter::ByteRate;

/// The weight of a message besides its bytes: what reading and answering the smallest one costs.
const MESSAGE: usize = 1_024;
/// The weight of a microsecond of decoding and validating.
const MICROSECOND: usize = 50;

/// The most weight that the time of one message is given: it may have waited for a processor.
const MOST_TIME: usize = 1_000_000;

/// What one client sends: against its own limit, that of its address and that of its /48. And when its connection
/// ends, among those of its address.
pub(crate) struct Intake {
    meters: Vec<Arc<ByteRate>>,
    ends: Arc<ByteRate>,
}

impl Intake {
    pub(crate) fn new(meters: Vec<Arc<ByteRate>>, ends: Arc<ByteRate>) -> Self {
        Self { meters, ends }
    }

    /// Counts the end of the connection. Returns how long the server waits before it sees the end, if many
    /// connections of the address end at once.
    pub(crate) fn ended(&self) -> Option<Duration> {
        self.ends.pay_and_check(1).err().map(|limited| limited.retry_after)
    }

    /// Counts bytes, and messages that they end. Returns how long the server waits before it reads on, if the
    /// client has sent more than it may.
    pub(crate) fn received(&self, bytes: usize, messages: usize) -> Option<Duration> {
        self.pay(bytes.saturating_add(messages.saturating_mul(MESSAGE)))
    }

    /// Counts the time that a message took to decode and to validate.
    pub(crate) fn took(&self, time: Duration) {
        let micros = usize::try_from(time.as_micros()).unwrap_or(usize::MAX);
        // The next read waits for it.
        let _ = self.pay(micros.saturating_mul(MICROSECOND).min(MOST_TIME));
    }

    fn pay(&self, weight: usize) -> Option<Duration> {
        let waits = self.meters.iter().filter_map(|meter| meter.pay_and_check(weight).err());
        waits.map(|limited| limited.retry_after).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rate;

    #[test]
    fn intake_over_a_limit_waits_until_it_is_paid_off() {
        let meter = |burst| Arc::new(ByteRate::new(Some(Rate::per_second(10_000).burst(burst))));
        let unlimited = Arc::new(ByteRate::new(None));
        let intake = Intake::new(vec![meter(20_000), meter(100_000)], unlimited);
        assert_eq!(intake.received(10_000, 1), None);
        let wait = intake.received(10_000, 10).unwrap();
        assert!(wait > Duration::from_millis(900) && wait < Duration::from_secs(2), "{wait:?}");
        intake.took(Duration::from_mins(1));
        let wait = intake.received(0, 0).unwrap();
        assert!(wait > Duration::from_secs(95) && wait < Duration::from_secs(105), "{wait:?}");
    }

    #[test]
    fn intake_without_limits_never_waits() {
        let unlimited = || Arc::new(ByteRate::new(None));
        let intake = Intake::new(vec![unlimited()], unlimited());
        assert_eq!(intake.received(usize::MAX, usize::MAX), None);
        assert_eq!(intake.ended(), None);
    }

    #[test]
    fn ends_of_one_address_wait_for_one_another() {
        let ends = Arc::new(ByteRate::new(Some(Rate::per_second(10).burst(2))));
        let ended = || Intake::new(Vec::new(), ends.clone()).ended();
        assert_eq!(ended(), None);
        ends.pay(10);
        let waits: Vec<_> = (0..3).map(|_| ended().unwrap().as_millis()).collect();
        assert!(waits.is_sorted() && waits[2] - waits[0] > 150 && waits[2] < 1_500, "{waits:?}");
    }
}
