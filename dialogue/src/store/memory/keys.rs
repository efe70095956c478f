//! The keys that a log was appended to with.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use tokio::time::Instant;

use super::super::{Before, KEY_WINDOW, Key};
use crate::Position;

/// The keys of a log's last two minutes.
#[derive(Default)]
pub(super) struct Keys {
    known: HashMap<KeyName, ([u8; 16], Position)>,
    /// Oldest first.
    order: VecDeque<(Instant, KeyName)>,
}

/// Whose key it is, and which.
type KeyName = (Arc<str>, Arc<str>);

impl Keys {
    pub(super) fn find(&mut self, key: &Key) -> Option<Before> {
        self.expire();
        let (digest, position) = self.known.get(&(key.user.clone(), key.text.clone()))?;
        Some(if *digest == key.digest { Before::Same(*position) } else { Before::Other })
    }

    pub(super) fn note(&mut self, key: Key, position: Position) {
        let Key { user, text, digest } = key;
        self.order.push_back((Instant::now(), (user.clone(), text.clone())));
        self.known.insert((user, text), (digest, position));
    }

    pub(super) fn expire(&mut self) {
        while let Some((at, _)) = self.order.front()
            && at.elapsed() >= KEY_WINDOW
            && let Some((_, key)) = self.order.pop_front()
        {
            self.known.remove(&key);
        }
    }
}
