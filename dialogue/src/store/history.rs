//! Events in memory, on their own: for apps that keep what never went through a room.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::RawMessage;

/// The newest events of rooms, by event name, in memory. Rooms have a log of their own; this is for
/// events that come from elsewhere.
///
/// ```
/// use dialogue::{RawMessage, store::History};
/// # use serde_json::value::to_raw_value;
///
/// let history = History::new().per_event(2);
/// for n in 1..=3 {
///     let evicted = history.push(RawMessage::new("tick", "clock", to_raw_value(&n)?));
///     assert_eq!(evicted.len(), usize::from(n > 2));
/// }
/// let newest = history.get("clock", "tick", 0..10);
/// assert_eq!(newest.iter().map(|tick| tick.data.get()).collect::<Vec<_>>(), ["3", "2"]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a history does nothing until events are pushed"]
pub struct History {
    per_event: usize,
    rooms: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    rooms: HashMap<Arc<str>, Room>,
    /// Rooms by when something was last pushed to them.
    order: BTreeMap<u64, Arc<str>>,
    next: u64,
}

#[derive(Debug, Default)]
struct Room {
    place: u64,
    events: HashMap<Cow<'static, str>, VecDeque<Arc<RawMessage>>>,
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

impl History {
    /// Keeps 100 events of each name in a room, and 1,000 rooms.
    pub fn new() -> Self {
        Self { per_event: 100, rooms: 1_000, kept: Mutex::default() }
    }

    /// How many events of each name to keep in a room; at least one.
    pub fn per_event(mut self, most: usize) -> Self {
        self.per_event = most.max(1);
        self
    }

    /// Maximum number of rooms, at least one. For one more, the history drops the room whose last push is the
    /// oldest.
    pub fn rooms(mut self, most: usize) -> Self {
        self.rooms = most.max(1);
        self
    }

    /// Keeps an event; returns what had to go for it, oldest first.
    pub fn push(&self, message: RawMessage) -> Vec<Arc<RawMessage>> {
        let mut kept = self.lock();
        let Kept { rooms, order, next } = &mut *kept;
        let id = message.room_id.clone();
        let room = rooms.entry(id.clone()).or_default();
        order.remove(&room.place);
        *next += 1;
        room.place = *next;
        order.insert(room.place, id);
        let events = room.events.entry(message.event.clone()).or_default();
        events.push_back(Arc::new(message));
        let mut evicted = Vec::new();
        if events.len() > self.per_event {
            evicted.extend(events.pop_front());
        }
        if rooms.len() > self.rooms
            && let Some((_, oldest)) = order.pop_first()
            && let Some(room) = rooms.remove(&oldest)
        {
            evicted.extend(room.into_events());
        }
        evicted
    }

    /// The events of one name in a room, newest first, 0 being the newest.
    pub fn get(&self, room: &str, event: &str, range: Range<usize>) -> Vec<Arc<RawMessage>> {
        let kept = self.lock();
        let events = kept.rooms.get(room).and_then(|room| room.events.get(event));
        let newest = events.into_iter().flat_map(|events| events.iter().rev());
        newest.skip(range.start).take(range.len()).cloned().collect()
    }

    /// Forgets a room; returns what it had, by name and oldest first.
    pub fn remove(&self, room: &str) -> Vec<Arc<RawMessage>> {
        let mut kept = self.lock();
        let Some(room) = kept.rooms.remove(room) else { return Vec::new() };
        kept.order.remove(&room.place);
        room.into_events().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // No code that can panic runs under the lock.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    fn into_events(self) -> impl Iterator<Item = Arc<RawMessage>> {
        self.events.into_values().flatten()
    }
}
