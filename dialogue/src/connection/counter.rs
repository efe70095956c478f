//! How many there are of each.

use std::{
    borrow::Borrow,
    hash::Hash,
    sync::atomic::{AtomicUsize, Ordering},
};

use dashmap::{DashMap, Entry};

/// Counts by key. A key of which there is none takes no room.
pub(crate) struct Counter<K> {
    counts: DashMap<K, usize>,
    total: AtomicUsize,
}

impl<K: Eq + Hash> Default for Counter<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Eq + Hash> Counter<K> {
    pub(crate) fn new() -> Self {
        Self { counts: DashMap::new(), total: AtomicUsize::new(0) }
    }

    /// Counts one more of a key, unless the limit is reached. Returns whether it did.
    pub(crate) fn add(&self, key: K, most: usize) -> bool {
        let count = self.counts.entry(key);
        let present = match &count {
            Entry::Occupied(count) => *count.get(),
            Entry::Vacant(_) => 0,
        };
        let fits = present < most;
        if fits {
            count.insert(present + 1);
            self.total.fetch_add(1, Ordering::Relaxed);
        }
        fits
    }

    /// Counts one less of a key.
    pub(crate) fn remove(&self, key: K) {
        if let Entry::Occupied(mut count) = self.counts.entry(key) {
            self.total.fetch_sub(1, Ordering::Relaxed);
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// How many there are of a key.
    pub(crate) fn count<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.counts.get(key).map_or(0, |count| *count)
    }

    /// How many keys there are some of.
    pub(crate) fn keys(&self) -> usize {
        self.counts.len()
    }

    /// How many there are of all keys together.
    pub(crate) fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }
}
