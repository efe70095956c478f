//! How a client comes back.

use std::time::Duration;

use crate::timers::LONGEST;

/// How a client comes back when its connection is lost.
///
/// By default as often as it takes, one second after the loss, then two, four, and five after each
/// attempt that fails. Each wait is from half of that to one and a half, at random, so that many clients
/// do not return at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it does nothing until `Builder::reconnect` takes it"]
pub struct Reconnect {
    attempts: Option<u32>,
    first: Duration,
    most: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { attempts: None, first: Duration::from_secs(1), most: Duration::from_secs(5) }
    }
}

impl Reconnect {
    /// Not at all: a lost connection closes the client.
    pub fn never() -> Self {
        Self::default().attempts(0)
    }

    /// How many attempts in a row may fail before the client is closed. Default: any number.
    pub fn attempts(mut self, most: u32) -> Self {
        self.attempts = Some(most);
        self
    }

    /// How long to wait before the first attempt, which doubles with each that fails, up to `most`.
    /// Default: one second, and five.
    pub fn delay(mut self, first: Duration, most: Duration) -> Self {
        (self.first, self.most) = (first, most);
        self
    }

    /// How long to wait after so many attempts failed; `None` to give up.
    pub(crate) fn wait(&self, failed: u32) -> Option<Duration> {
        if self.attempts.is_some_and(|most| failed >= most) {
            return None;
        }
        let wait =
            self.first.saturating_mul(2_u32.saturating_pow(failed)).min(self.most).min(LONGEST);
        Some(wait.mul_f64(0.5 + fastrand::f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_with_jitter() {
        let (first, most) = (Duration::from_secs(1), Duration::from_secs(5));
        let reconnect = Reconnect::default().delay(first, most).attempts(4);
        for (failed, expected) in [(0, first), (1, first * 2), (2, first * 4), (3, most)] {
            let wait = reconnect.wait(failed).unwrap();
            assert!(wait >= expected / 2 && wait < expected * 3 / 2, "{failed}: {wait:?}");
        }
        assert_eq!(reconnect.wait(4), None);
        assert_eq!(Reconnect::never().wait(0), None);
        let most = Duration::MAX;
        assert!(Reconnect::default().delay(most, most).wait(0).unwrap() >= LONGEST / 2);
    }
}
