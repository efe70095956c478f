//! The keys that a log was appended to with.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use tokio::time::Instant;

use super::super::{KEY_WINDOW, Key, KeyUse, weight::weight_of_key};
use crate::{Epoch, Position};

/// The keys of a log's last two minutes.
#[derive(Default)]
pub(super) struct Keys {
    known: HashMap<KeyName, ([u8; 16], Position)>,
    /// Oldest first.
    order: VecDeque<(Instant, KeyName)>,
    bytes: usize,
}

/// Whose key it is, and which.
type KeyName = (Arc<str>, Arc<str>);

impl Keys {
    /// How much memory they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn find(&mut self, key: &Key) -> Option<KeyUse> {
        self.expire();
        let (digest, position) = self.known.get(&(key.user.clone(), key.text.clone()))?;
        Some(if *digest == key.digest { KeyUse::Same(*position) } else { KeyUse::Other })
    }

    pub(super) fn note(&mut self, key: Key, position: Position) {
        let Key { user, text, digest } = key;
        self.bytes += weight_of_key(&user, &text);
        self.order.push_back((Instant::now(), (user.clone(), text.clone())));
        self.known.insert((user, text), (digest, position));
    }

    /// The log has another epoch now.
    pub(super) fn move_to(&mut self, epoch: Epoch) {
        self.known.values_mut().for_each(|(_, position)| position.epoch = epoch);
    }

    pub(super) fn expire(&mut self) {
        while self.order.front().is_some_and(|(at, _)| at.elapsed() >= KEY_WINDOW) {
            self.forget();
        }
    }

    /// Forgets the oldest. Returns whether there was one.
    pub(super) fn forget(&mut self) -> bool {
        let Some((_, key)) = self.order.pop_front() else { return false };
        self.bytes -= weight_of_key(&key.0, &key.1);
        self.known.remove(&key);
        // A log that had many keeps no room for them.
        if self.order.capacity() > 64 && self.order.len() < self.order.capacity() / 4 {
            self.order.shrink_to(self.order.len() * 2);
            self.known.shrink_to(self.order.len() * 2);
        }
        true
    }
}
