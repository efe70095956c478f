//! What all logs in memory may take together, and what gives way.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, atomic::Ordering},
};

use super::{Shared, seq_of};
use crate::store::weight::weight;

impl Shared {
    /// Notes that a log takes as much as it does now, where it took less or more before.
    pub(super) fn account(&self, before: usize, now: usize) {
        if now >= before {
            self.bytes.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.bytes.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    /// If all logs together take more than they may, the largest let go of their oldest events until a tenth is
    /// free. No log may be held by whoever calls this.
    pub(super) fn keep_within(self: &Arc<Self>) {
        let most = self.max_bytes.load(Ordering::Relaxed);
        let taken = || self.bytes.load(Ordering::Relaxed);
        if taken() <= most {
            self.evict_at.store(0, Ordering::Relaxed);
            return;
        }
        if taken() <= self.evict_at.load(Ordering::Relaxed) {
            return;
        }
        // Whoever comes while another one makes room waits for it, and finds it made.
        let _one = self.evicting.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = taken();
        if taken <= most.max(self.evict_at.load(Ordering::Relaxed)) {
            return;
        }
        let mut logs: Vec<_> =
            self.logs.iter().map(|log| (log.bytes(), log.key().clone())).collect();
        logs.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let level = level(logs.iter().map(|(bytes, _)| *bytes), taken - (most - most / 10));
        for (bytes, room) in logs {
            if bytes <= level {
                break;
            }
            self.trim(&room, level);
        }
        // Many logs without events free nothing: the next search waits until a tenth more is taken.
        let left = self.bytes.load(Ordering::Relaxed);
        let evict_at = if left > most { left.saturating_add(most / 10) } else { 0 };
        self.evict_at.store(evict_at, Ordering::Relaxed);
    }

    /// Has a log let go of its oldest events, and then of its oldest keys, until it takes no more than this.
    fn trim(self: &Arc<Self>, room: &Arc<str>, most: usize) {
        let Some(mut log) = self.logs.get_mut(room) else { return };
        let before = log.bytes();
        let log = &mut *log;
        while log.bytes() > most {
            let names = log.names.iter_mut().filter(|(_, kept)| !kept.events.is_empty());
            let oldest = names.min_by_key(|(_, kept)| kept.events.front().map(seq_of));
            let Some((name, kept)) = oldest else {
                if log.keys.forget() {
                    continue;
                }
                break;
            };
            let Some(event) = kept.events.pop_front() else { break };
            log.event_bytes -= weight(&event);
            self.event_count.fetch_sub(1, Ordering::Relaxed);
            if let Some(archive) = self.archive() {
                let leaving = kept.leaving.get_or_insert_default();
                self.hand_over(archive, room, name.clone(), leaving, VecDeque::from([event]));
            }
        }
        for kept in log.names.values_mut() {
            kept.events.shrink_to(kept.events.len() * 2);
        }
        self.account(before, log.bytes());
        if let Some(place) = log.released {
            self.lock_released().resize(place, log.bytes());
        }
    }
}

/// To how many bytes each of these, the largest first, is cut if as many as `surplus` go in all.
fn level(sizes: impl Iterator<Item = usize>, surplus: usize) -> usize {
    let (mut sum, mut count, mut level) = (0, 0, 0);
    for size in sizes {
        // All before this one could be cut to its size, and that is enough.
        if sum - count * size >= surplus {
            break;
        }
        sum += size;
        count += 1;
        level = sum.saturating_sub(surplus) / count;
    }
    level
}

#[cfg(test)]
mod tests {
    use super::level;

    #[test]
    fn level_cuts_the_largest_and_leaves_the_others() {
        for (sizes, surplus, expected) in [
            (&[100, 10, 10][..], 50, 50),
            (&[100, 90, 10], 50, 70),
            (&[100, 100, 100], 30, 90),
            (&[100, 10], 90, 10),
            (&[100, 10], 100, 5),
            (&[10], 100, 0),
            (&[], 100, 0),
        ] {
            assert_eq!(level(sizes.iter().copied(), surplus), expected, "{sizes:?} by {surplus}");
        }
    }
}
