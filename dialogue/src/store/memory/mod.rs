//! Logs in memory.

mod budget;
mod keys;
mod leaving;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use dashmap::{
    DashMap, Entry,
    mapref::one::{Ref, RefMut},
};
use tokio::{sync::Notify, time::Instant};

use self::{
    keys::Keys,
    leaving::{Leaving, load},
};
use super::{
    Appended, Archive, Batch, Created, Head, Key, KeyUse, LogId, NewEvent, Owner, Page, Part,
    Query, Store, StoreError, Stored, weight::weight,
};
use crate::{Epoch, Position};

/// How long the log of a room without members stays in memory.
const RELEASED_LOG_LIFETIME: Duration = Duration::from_mins(10);
/// How often the store removes the logs that are past [`RELEASED_LOG_LIFETIME`], and expired keys.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// Estimated memory of a log without events, in bytes.
const LOG_BYTES: usize = 512;
/// Estimated memory of one event name in a log, in bytes.
const NAME_BYTES: usize = 256;

/// Logs in memory: the default store. A log keeps the newest `history = N` events of each event type, and
/// fewer when all logs together exceed [`Memory::bytes`].
///
/// The store passes evicted events to [`App::evicted`](crate::App::evicted). It evicts
///
/// - on overflow,
/// - when a room is deleted,
/// - ten minutes after the last member left a room, or sooner over [`Memory::released_rooms`] or
///   [`Memory::released_bytes`],
/// - when the server stops.
///
/// Reading by index continues in [`App::load`](crate::App::load), without gaps or duplicates. Reading by
/// `seq` covers only the events in memory.
///
/// The logs end with the process. The next process starts new epochs.
#[must_use = "a store does nothing until `Builder::store` takes it"]
pub struct Memory {
    shared: Arc<Shared>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

struct Shared {
    logs: DashMap<Arc<str>, Log>,
    archive: OnceLock<Archive>,
    released: Mutex<Released>,
    released_rooms: AtomicUsize,
    released_bytes: AtomicUsize,
    /// Number of events in all logs.
    event_count: AtomicUsize,
    /// Memory of all logs, in bytes.
    bytes: AtomicUsize,
    /// Limit of `bytes`.
    max_bytes: AtomicUsize,
    /// Up to how many bytes nothing is evicted although it is over the limit: the logs have no more events.
    evict_at: AtomicUsize,
    /// Held by the task that evicts, never across an await and never while it holds a log.
    evicting: Mutex<()>,
    /// Memory of the evicted events that the app does not have yet, in bytes.
    leaving_bytes: AtomicUsize,
    /// Number of queues with evicted events that the app does not have yet.
    leaving_queues: AtomicUsize,
    /// Notified when the app has taken a batch of evicted events.
    batch_taken: Notify,
}

/// Logs of rooms without members, in the order of their release.
#[derive(Default)]
struct Released {
    rooms: BTreeMap<u64, ReleasedLog>,
    next: u64,
    bytes: usize,
}

struct ReleasedLog {
    room: Arc<str>,
    since: Instant,
    bytes: usize,
}

struct Log {
    owner: Owner,
    epoch: Epoch,
    seq: u64,
    names: HashMap<Cow<'static, str>, Kept>,
    /// Memory of the events, in bytes.
    event_bytes: usize,
    keys: Keys,
    /// The log's key in [`Released::rooms`], while the room has no members.
    released: Option<u64>,
}

/// The events of one name.
#[derive(Default)]
struct Kept {
    /// The `seq` of the last event of this name.
    last: u64,
    /// Oldest first.
    events: VecDeque<Stored>,
    /// Older events that are evicted and that the app does not have yet.
    leaving: Option<Arc<Leaving>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        let shared = Shared {
            logs: DashMap::new(),
            archive: OnceLock::new(),
            released: Mutex::default(),
            released_rooms: AtomicUsize::new(1_000),
            released_bytes: AtomicUsize::new(64_000_000),
            event_count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            max_bytes: AtomicUsize::new(64_000_000),
            evict_at: AtomicUsize::new(0),
            evicting: Mutex::default(),
            leaving_bytes: AtomicUsize::new(0),
            leaving_queues: AtomicUsize::new(0),
            batch_taken: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Maximum number of logs of rooms without members. Default: 1,000.
    pub fn released_rooms(self, most: usize) -> Self {
        self.shared.released_rooms.store(most, Ordering::Relaxed);
        self
    }

    /// Maximum memory of all logs together, in bytes. Default: 64,000,000.
    ///
    /// Over this limit, the store evicts the oldest events of the largest logs until a tenth of the limit is
    /// free. A client that missed an evicted event is reset. A log that has no events left forgets its oldest
    /// idempotency keys. A retry with a forgotten key stores a second event.
    ///
    /// Evicted events that wait for [`App::evicted`](crate::App::evicted) have a limit of the same size: over
    /// it, appending waits.
    ///
    /// The store counts an event as its payload, `meta`, sender and names plus 256 bytes, an idempotency key
    /// as its texts plus 256 bytes, a log as 512 bytes, and each event name in a log as 256 bytes.
    pub fn bytes(self, most: usize) -> Self {
        self.shared.max_bytes.store(most, Ordering::Relaxed);
        self
    }

    /// Maximum memory of the logs of rooms without members, in bytes, counted as in [`Memory::bytes`].
    /// Default: 64,000,000.
    pub fn released_bytes(self, most: usize) -> Self {
        self.shared.released_bytes.store(most, Ordering::Relaxed);
        self
    }
}

impl Store for Memory {
    async fn create(
        &self,
        LogId { room, owner }: &LogId,
        epoch: Epoch,
    ) -> Result<Created, StoreError> {
        let created = {
            let log = self.shared.logs.entry(room.clone());
            let log = log.or_insert_with(|| self.shared.new_log(owner.clone(), epoch));
            if log.owner == *owner { Created::Owned } else { Created::Exists }
        };
        self.shared.keep_within();
        Ok(created)
    }

    async fn head(&self, log: &LogId) -> Result<Option<Head>, StoreError> {
        Ok(self.shared.log_mut(log).map(|mut log| {
            self.shared.unrelease(&mut log);
            let last = log.names.iter().map(|(name, kept)| (name.clone(), kept.last)).collect();
            Head { epoch: log.epoch, seq: log.seq, last }
        }))
    }

    async fn append(&self, batch: Batch) -> Result<Vec<Appended>, StoreError> {
        let Batch { log: LogId { room, owner }, epoch, events } = batch;
        // Backpressure: do not append faster than `App::evicted` takes evicted events.
        if self.shared.archive().is_some() {
            for event in &events {
                self.shared.wait_for_eviction_capacity(&room, &event.message.event).await;
            }
        }
        let appended = {
            let mut log = match self.shared.logs.entry(room.clone()) {
                Entry::Occupied(log) => log.into_ref(),
                Entry::Vacant(_) if owner.is_creation() => return Err(StoreError::not_owned()),
                Entry::Vacant(vacant) => vacant.insert(self.shared.new_log(owner.clone(), epoch)),
            };
            if log.owner != owner {
                return Err(StoreError::not_owned());
            }
            self.shared.unrelease(&mut log);
            let before = log.bytes();
            let append = |event| self.shared.append(&room, &mut log, event);
            let appended = events.into_iter().map(append).collect();
            self.shared.account(before, log.bytes());
            appended
        };
        self.shared.keep_within();
        Ok(appended)
    }

    async fn find(&self, log: &LogId, key: &Key) -> Result<Option<KeyUse>, StoreError> {
        Ok(self.shared.log_mut(log).and_then(|mut log| {
            let before = log.bytes();
            let found = log.keys.find(key);
            self.shared.account(before, log.bytes());
            found
        }))
    }

    async fn read(&self, log: &LogId, query: &Query) -> Result<Page, StoreError> {
        match &query.part {
            Part::Newest { event, skip } => Ok(self.shared.newest(log, event, *skip, query).await),
            Part::After { seq, events } => {
                let mut found = self.shared.next_in_memory(log, events, *seq, query.limit);
                found.sort_unstable_by_key(seq_of);
                Ok(Page::of(found, query))
            }
            Part::Before { seq, events } => {
                let mut found = self.shared.last_in_memory(log, events, *seq, query.limit);
                found.sort_unstable_by_key(|event| std::cmp::Reverse(seq_of(event)));
                Ok(Page::of(found, query))
            }
        }
    }

    async fn end_epoch(&self, log: &LogId, ended: Epoch, next: Epoch) -> Result<(), StoreError> {
        if let Some(mut log) = self.shared.log_mut(log).filter(|log| log.epoch == ended) {
            log.move_to(next);
        }
        Ok(())
    }

    async fn delete(&self, log: &LogId) -> Result<(), StoreError> {
        let deleted = self.shared.logs.remove_if(&log.room, |_, found| found.owner == log.owner);
        if let Some((room, mut log)) = deleted {
            self.shared.unrelease(&mut log);
            // `App::room_deleted` runs after `App::evicted` has received every event.
            for leaving in self.shared.evict_log(&room, log) {
                leaving.is_empty().await;
            }
        }
        Ok(())
    }

    fn release(&self, log: &LogId) {
        if let Some(mut log) = self.shared.log_mut(log) {
            self.shared.unrelease(&mut log);
            let released =
                ReleasedLog { room: log.key().clone(), since: Instant::now(), bytes: log.bytes() };
            log.released = Some(self.shared.lock_released().add(released));
        }
        let rooms = self.shared.released_rooms.load(Ordering::Relaxed);
        let bytes = self.shared.released_bytes.load(Ordering::Relaxed);
        let too_many = |released: &Released, _: Instant| {
            released.rooms.len() > rooms || released.bytes > bytes
        };
        self.shared.evict_released(too_many);
    }

    fn attach(&self, archive: Archive) {
        if self.shared.archive.set(archive).is_err() {
            tracing::error!(
                "this `store::Memory` already has a server, which gets the evicted events: use another store"
            );
        }
        let shared = Arc::downgrade(&self.shared);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_INTERVAL).await;
                let Some(shared) = shared.upgrade() else { break };
                shared.sweep();
            }
        });
    }

    async fn close(&self) {
        let rooms: Vec<_> = self.shared.logs.iter().map(|log| log.key().clone()).collect();
        for room in rooms {
            if let Some((room, log)) = self.shared.logs.remove(&room) {
                self.shared.evict_log(&room, log);
            }
        }
        loop {
            let left = self.shared.batch_taken.notified();
            if self.shared.leaving_queues.load(Ordering::Acquire) == 0 {
                break;
            }
            left.await;
        }
    }

    fn in_memory(&self) -> usize {
        self.shared.event_count.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// A log, if the room has one of this owner.
    fn log(&self, log: &LogId) -> Option<Ref<'_, Arc<str>, Log>> {
        self.logs.get(&log.room).filter(|found| found.owner == log.owner)
    }

    fn log_mut(&self, log: &LogId) -> Option<RefMut<'_, Arc<str>, Log>> {
        self.logs.get_mut(&log.room).filter(|found| found.owner == log.owner)
    }

    fn append(self: &Arc<Self>, room: &Arc<str>, log: &mut Log, event: NewEvent) -> Appended {
        let NewEvent { mut message, keep, key } = event;
        if let Some(before) = key.as_ref().and_then(|key| log.keys.find(key)) {
            return Appended::KeyUsed(before);
        }
        log.seq += 1;
        let kept = log.names.entry(message.event.clone()).or_default();
        let prev = std::mem::replace(&mut kept.last, log.seq);
        let position = Position { epoch: log.epoch, seq: log.seq, prev };
        message.position = Some(position);
        if let Some(key) = key {
            log.keys.note(key, position);
        }
        let event: Stored = Arc::new(message);
        log.event_bytes += weight(&event);
        kept.events.push_back(event.clone());
        let surplus = kept.events.len().saturating_sub(keep.get());
        log.event_bytes -=
            kept.events.iter().take(surplus).map(|event| weight(event)).sum::<usize>();
        self.event_count.fetch_add(1, Ordering::Relaxed);
        self.event_count.fetch_sub(surplus, Ordering::Relaxed);
        let surplus = kept.events.drain(..surplus);
        if let Some(archive) = self.archive()
            && surplus.len() > 0
        {
            let leaving = kept.leaving.get_or_insert_default();
            self.hand_over(archive, room, event.event.clone(), leaving, surplus.collect());
        }
        Appended::Now(event)
    }

    fn new_log(&self, owner: Owner, epoch: Epoch) -> Log {
        let log = Log::new(owner, epoch);
        self.account(0, log.bytes());
        log
    }

    /// Backpressure of evicted events: waits while more than [`Memory::bytes`] of them, or more than 1,000 of
    /// this event name, wait for `App::evicted`.
    async fn wait_for_eviction_capacity(&self, room: &str, name: &str) {
        loop {
            let left = self.batch_taken.notified();
            let most = self.max_bytes.load(Ordering::Relaxed);
            if self.leaving_bytes.load(Ordering::Relaxed) <= most {
                break;
            }
            left.await;
        }
        let leaving = self.logs.get(room).and_then(|log| log.names.get(name)?.leaving.clone());
        if let Some(leaving) = leaving {
            leaving.has_room().await;
        }
    }

    /// The app's `evicted` and `load` hooks, if it has them.
    fn archive(&self) -> Option<&Archive> {
        self.archive.get().filter(|archive| archive.keeps())
    }

    /// The events of these names after a place, in no particular order. Of each name, no more than `limit` and one.
    fn next_in_memory(
        &self,
        log: &LogId,
        names: &[Cow<'static, str>],
        seq: u64,
        limit: usize,
    ) -> Vec<Stored> {
        let Some(log) = self.log(log) else { return Vec::new() };
        let mut found = Vec::new();
        for kept in names.iter().filter_map(|name| log.names.get(name)) {
            let leaving = kept.leaving.as_ref().map(|leaving| leaving.events());
            let leaving = leaving.iter().flatten().filter(|event| seq_of(event) > seq);
            let first = kept.events.partition_point(|event| seq_of(event) <= seq);
            let events = leaving.chain(kept.events.range(first..));
            found.extend(events.take(limit.saturating_add(1)).cloned());
        }
        found
    }

    /// The same before a place, the newest.
    fn last_in_memory(
        &self,
        log: &LogId,
        names: &[Cow<'static, str>],
        seq: u64,
        limit: usize,
    ) -> Vec<Stored> {
        let Some(log) = self.log(log) else { return Vec::new() };
        let mut found = Vec::new();
        for kept in names.iter().filter_map(|name| log.names.get(name)) {
            let end = kept.events.partition_point(|event| seq_of(event) < seq);
            let leaving = kept.leaving.as_ref().map(|leaving| leaving.events());
            let leaving = leaving.iter().flatten().rev().filter(|event| seq_of(event) < seq);
            let events = kept.events.range(..end).rev().chain(leaving);
            found.extend(events.take(limit.saturating_add(1)).cloned());
        }
        found
    }

    /// The events of one name, newest first, from memory and then from the app.
    async fn newest(&self, log: &LogId, event: &str, skip: usize, query: &Query) -> Page {
        let wanted = skip..skip.saturating_add(query.limit).saturating_add(1);
        let (mut found, held, oldest) = self.range_in_memory(log, event, wanted.clone());
        if let Some(archive) = self.archive()
            && wanted.end > held
        {
            let from = wanted.start.max(held) - held;
            let missing = from..wanted.end - held;
            let mut loaded = load(archive, &log.room, event, missing, oldest).await;
            // The app's events of this room id may belong to an earlier room of another client.
            if log.owner.is_creation() {
                let epoch = self.log(log).map(|log| log.epoch);
                loaded.retain(|event| event.position.is_some_and(|at| Some(at.epoch) == epoch));
            }
            found.extend(loaded);
        }
        Page::of(found, query)
    }

    /// The events of one name at the indices `range` (0 is the newest), the number of all its events, and the
    /// position of the oldest.
    fn range_in_memory(
        &self,
        log: &LogId,
        event: &str,
        range: Range<usize>,
    ) -> (Vec<Stored>, usize, Option<Position>) {
        let log = self.log(log);
        let Some(kept) = log.as_ref().and_then(|log| log.names.get(event)) else {
            return (Vec::new(), 0, None);
        };
        let leaving = kept.leaving.as_ref().map(|leaving| leaving.events()).unwrap_or_default();
        let held = kept.events.len() + leaving.len();
        let oldest = leaving.front().or(kept.events.front()).and_then(|event| event.position);
        let newest = kept.events.iter().rev().chain(leaving.iter().rev());
        (newest.skip(range.start).take(range.len()).cloned().collect(), held, oldest)
    }

    /// Evicts a log that is already removed from the map. Returns its queues of evicted events.
    fn evict_log(self: &Arc<Self>, room: &Arc<str>, log: Log) -> Vec<Arc<Leaving>> {
        self.account(log.bytes(), 0);
        let mut all = Vec::new();
        for (name, mut kept) in log.names {
            self.event_count.fetch_sub(kept.events.len(), Ordering::Relaxed);
            if let Some(archive) = self.archive()
                && !kept.events.is_empty()
            {
                let leaving = kept.leaving.get_or_insert_default();
                self.hand_over(archive, room, name, leaving, kept.events);
            }
            all.extend(kept.leaving);
        }
        all
    }

    /// Queues evicted events for `App::evicted`, and starts a task that empties the queue if none runs.
    fn hand_over(
        self: &Arc<Self>,
        archive: &Archive,
        room: &Arc<str>,
        name: Cow<'static, str>,
        leaving: &Arc<Leaving>,
        events: VecDeque<Stored>,
    ) {
        let bytes = events.iter().map(|event| weight(event)).sum();
        self.leaving_bytes.fetch_add(bytes, Ordering::Relaxed);
        if !leaving.push(events) {
            return;
        }
        self.leaving_queues.fetch_add(1, Ordering::AcqRel);
        let (archive, room, leaving) = (archive.clone(), room.clone(), leaving.clone());
        let shared = self.clone();
        tokio::spawn(async move {
            while let Some(batch) = leaving.next() {
                let count = batch.len();
                let bytes = batch.iter().map(weight).sum();
                archive.evicted(&room, &name, batch).await;
                leaving.took(count);
                shared.leaving_bytes.fetch_sub(bytes, Ordering::Relaxed);
                shared.batch_taken.notify_waiters();
            }
            shared.leaving_queues.fetch_sub(1, Ordering::AcqRel);
            shared.batch_taken.notify_waiters();
        });
    }

    /// Marks a released log as used.
    fn unrelease(&self, log: &mut Log) {
        if let Some(place) = log.released.take() {
            self.lock_released().take(place);
        }
    }

    /// Evicts logs that were released ten minutes ago, and removes expired idempotency keys.
    fn sweep(self: &Arc<Self>) {
        self.evict_released(|_, since| since.elapsed() >= RELEASED_LOG_LIFETIME);
        for mut log in self.logs.iter_mut() {
            let before = log.bytes();
            log.keys.expire();
            self.account(before, log.bytes());
        }
    }

    /// Evicts released logs, oldest release first, while `may_go` accepts the oldest one. `may_go` gets the
    /// time of its release.
    fn evict_released(self: &Arc<Self>, may_go: impl Fn(&Released, Instant) -> bool) {
        loop {
            let first = {
                let mut released = self.lock_released();
                let first = released.rooms.first_key_value();
                let first = first.filter(|(_, log)| may_go(&released, log.since));
                first
                    .map(|(place, _)| *place)
                    .and_then(|place| released.take(place).map(|log| (place, log)))
            };
            let Some((place, log)) = first else { break };
            // Keep it if it was used since.
            let forgotten = self.logs.remove_if(&log.room, |_, log| log.released == Some(place));
            if let Some((room, log)) = forgotten {
                self.evict_log(&room, log);
            }
        }
    }

    fn lock_released(&self) -> MutexGuard<'_, Released> {
        // No code that can panic runs under the lock.
        self.released.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seq_of(event: &Stored) -> u64 {
    event.position.map_or(0, |position| position.seq)
}

impl Released {
    fn add(&mut self, log: ReleasedLog) -> u64 {
        let place = self.next;
        self.next += 1;
        self.bytes += log.bytes;
        self.rooms.insert(place, log);
        place
    }

    /// Updates the size of a released log.
    fn resize(&mut self, place: u64, bytes: usize) {
        if let Some(log) = self.rooms.get_mut(&place) {
            self.bytes = self.bytes - log.bytes + bytes;
            log.bytes = bytes;
        }
    }

    fn take(&mut self, place: u64) -> Option<ReleasedLog> {
        let log = self.rooms.remove(&place)?;
        self.bytes -= log.bytes;
        Some(log)
    }
}

impl Log {
    fn move_to(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        for event in self.names.values_mut().flat_map(|kept| &mut kept.events) {
            if let Some(position) = &mut Arc::make_mut(event).position {
                position.epoch = epoch;
            }
        }
        self.keys.move_to(epoch);
    }

    /// How much memory the log takes.
    fn bytes(&self) -> usize {
        LOG_BYTES + self.names.len() * NAME_BYTES + self.event_bytes + self.keys.bytes()
    }

    fn new(owner: Owner, epoch: Epoch) -> Self {
        Self {
            owner,
            epoch,
            seq: 0,
            names: HashMap::new(),
            event_bytes: 0,
            keys: Keys::default(),
            released: None,
        }
    }
}
