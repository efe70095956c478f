//! Logs in memory.

mod budget;
mod keys;
mod leaving;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, VecDeque},
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
    Appended, Archive, Batch, Before, Created, Head, Key, LogId, NewEvent, Owner, Page, Part,
    Query, Store, StoreError, Stored, weight::weight,
};
use crate::{Epoch, Position};

/// For how long the log of a room that nobody is in stays in memory.
const RELEASED_FOR: Duration = Duration::from_mins(10);
/// What a log takes without events, and what it takes for each name, in bytes.
const LOG: usize = 512;
const NAME: usize = 256;
/// How often it is looked whether such a log may go.
const SWEEP: Duration = Duration::from_secs(10);

/// Logs in memory: the default. A log keeps as many events of each name as it declares, unless all logs together
/// take [more memory than they may](Memory::bytes).
///
/// Where the app has [`evicted`](crate::App::evicted), it is handed what does not stay: on overflow,
/// when the room is deleted, when an empty room of a family is let go of (after ten minutes, or sooner
/// where there are [many](Memory::released_rooms) or [large](Memory::released_bytes) ones), and when the
/// server stops. Where it has [`load`](crate::App::load), reading by index goes on there, with nothing
/// missing and nothing twice in between; reading by `seq` ends with what is in memory.
///
/// What is in memory is gone with the process: the next one begins new epochs.
pub struct Memory {
    shared: Arc<Shared>,
}

struct Shared {
    logs: DashMap<Arc<str>, Log>,
    archive: OnceLock<Archive>,
    released: Mutex<Released>,
    released_rooms: AtomicUsize,
    released_bytes: AtomicUsize,
    events: AtomicUsize,
    /// How much memory all logs take, and how much they may.
    bytes: AtomicUsize,
    most_bytes: AtomicUsize,
    /// Held by whoever makes room, never across an await and never while a log is held.
    making_room: Mutex<()>,
    /// How much memory the events take that the app is to take.
    leaving_bytes: AtomicUsize,
    /// How many queues of leaving events are being handed over.
    leaving: AtomicUsize,
    left: Notify,
}

/// Logs of rooms that nobody is in, the first to become so first.
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
    /// How much memory the events take.
    events: usize,
    keys: Keys,
    /// Its place among those of rooms that nobody is in.
    released: Option<u64>,
}

/// The events of one name.
#[derive(Default)]
struct Kept {
    /// The `seq` of the last one.
    last: u64,
    /// Oldest first.
    events: VecDeque<Stored>,
    /// Those before them that the app does not have yet.
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
            events: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            most_bytes: AtomicUsize::new(64_000_000),
            making_room: Mutex::default(),
            leaving_bytes: AtomicUsize::new(0),
            leaving: AtomicUsize::new(0),
            left: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Of how many rooms that nobody is in to keep the logs. Default: 1,000.
    pub fn released_rooms(self, most: usize) -> Self {
        self.shared.released_rooms.store(most, Ordering::Relaxed);
        self
    }

    /// How much memory all logs together may take, in bytes; what the app has yet to take of evicted events is
    /// bounded by as much again. With more, the largest logs let go of their oldest events until a tenth is free:
    /// a client that missed those starts anew. Logs without events forget their oldest keys, and a trigger that
    /// is sent again with one is then another event. An event counts with its payload, `meta`, sender and names,
    /// and 256 bytes more; an idempotency key with its texts and 256 bytes more. Default: 64,000,000.
    pub fn bytes(self, most: usize) -> Self {
        self.shared.most_bytes.store(most, Ordering::Relaxed);
        self
    }

    /// How much memory the logs of rooms that nobody is in may take together, in bytes, counted as in
    /// [`Memory::bytes`]. Default: 64,000,000.
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
            self.shared.use_again(&mut log);
            let last = log.names.iter().map(|(name, kept)| (name.clone(), kept.last)).collect();
            Head { epoch: log.epoch, seq: log.seq, last }
        }))
    }

    async fn append(&self, batch: Batch) -> Result<Vec<Appended>, StoreError> {
        let Batch { log: LogId { room, owner }, epoch, events } = batch;
        // Whoever appends faster than the app takes what leaves is slowed down to its pace.
        if self.shared.archive().is_some() {
            for event in &events {
                self.shared.room_to_leave(&room, &event.message.event).await;
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
            self.shared.use_again(&mut log);
            let before = log.bytes();
            let append = |event| self.shared.append(&room, &mut log, event);
            let appended = events.into_iter().map(append).collect();
            self.shared.account(before, log.bytes());
            appended
        };
        self.shared.keep_within();
        Ok(appended)
    }

    async fn find(&self, log: &LogId, key: &Key) -> Result<Option<Before>, StoreError> {
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
                let mut found = self.shared.found(log, events, |at| at > *seq);
                found.sort_unstable_by_key(seq_of);
                Ok(Page::of(found, query))
            }
            Part::Before { seq, events } => {
                let mut found = self.shared.found(log, events, |at| at < *seq);
                found.sort_unstable_by_key(|event| std::cmp::Reverse(seq_of(event)));
                Ok(Page::of(found, query))
            }
        }
    }

    async fn delete(&self, log: &LogId) -> Result<(), StoreError> {
        let deleted = self.shared.logs.remove_if(&log.room, |_, found| found.owner == log.owner);
        if let Some((room, mut log)) = deleted {
            self.shared.use_again(&mut log);
            // Whatever the app does about the deletion, it does with all of it.
            for leaving in self.shared.let_go(&room, log) {
                leaving.is_empty().await;
            }
        }
        Ok(())
    }

    fn release(&self, log: &LogId) {
        if let Some(mut log) = self.shared.log_mut(log) {
            self.shared.use_again(&mut log);
            let released =
                ReleasedLog { room: log.key().clone(), since: Instant::now(), bytes: log.bytes() };
            log.released = Some(self.shared.lock_released().add(released));
        }
        let rooms = self.shared.released_rooms.load(Ordering::Relaxed);
        let bytes = self.shared.released_bytes.load(Ordering::Relaxed);
        let too_many = |released: &Released, _: Instant| {
            released.rooms.len() > rooms || released.bytes > bytes
        };
        self.shared.forget(too_many);
    }

    fn attach(&self, archive: Archive) {
        if self.shared.archive.set(archive).is_err() {
            tracing::error!("a store in memory has one server; events go to the first one's app");
        }
        let shared = Arc::downgrade(&self.shared);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(shared) = shared.upgrade() else { break };
                shared.sweep();
            }
        });
    }

    async fn close(&self) {
        let rooms: Vec<_> = self.shared.logs.iter().map(|log| log.key().clone()).collect();
        for room in rooms {
            if let Some((room, log)) = self.shared.logs.remove(&room) {
                self.shared.let_go(&room, log);
            }
        }
        loop {
            let left = self.shared.left.notified();
            if self.shared.leaving.load(Ordering::Acquire) == 0 {
                break;
            }
            left.await;
        }
    }

    fn in_memory(&self) -> usize {
        self.shared.events.load(Ordering::Relaxed)
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
            return Appended::Before(before);
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
        log.events += weight(&event);
        kept.events.push_back(event.clone());
        let surplus = kept.events.len().saturating_sub(keep.get());
        log.events -= kept.events.iter().take(surplus).map(|event| weight(event)).sum::<usize>();
        self.events.fetch_add(1, Ordering::Relaxed);
        self.events.fetch_sub(surplus, Ordering::Relaxed);
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

    /// Waits while too many events of this name, or too many bytes of all events, wait for the app to take them.
    async fn room_to_leave(&self, room: &str, name: &str) {
        loop {
            let left = self.left.notified();
            let most = self.most_bytes.load(Ordering::Relaxed);
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

    /// The app, if it keeps events.
    fn archive(&self) -> Option<&Archive> {
        self.archive.get().filter(|archive| archive.keeps())
    }

    /// The events of these names whose `seq` is wanted, in no particular order.
    fn found(
        &self,
        log: &LogId,
        names: &[Cow<'static, str>],
        wanted: impl Fn(u64) -> bool,
    ) -> Vec<Stored> {
        let Some(log) = self.log(log) else { return Vec::new() };
        let mut found = Vec::new();
        for kept in names.iter().filter_map(|name| log.names.get(name)) {
            // The newest are at the end, and most reads are about them.
            let newest = kept.events.iter().rev();
            let leaving = kept.leaving.as_ref().map(|leaving| leaving.events());
            let leaving = leaving.iter().flatten().rev();
            found.extend(newest.chain(leaving).filter(|event| wanted(seq_of(event))).cloned());
        }
        found
    }

    /// The events of one name, newest first, from memory and then from the app.
    async fn newest(&self, log: &LogId, event: &str, skip: usize, query: &Query) -> Page {
        let wanted = skip..skip.saturating_add(query.limit).saturating_add(1);
        let (mut found, held, oldest) = self.held(log, event, wanted.clone());
        if let Some(archive) = self.archive()
            && wanted.end > held
        {
            let from = wanted.start.max(held) - held;
            let missing = from..wanted.end - held;
            let mut loaded = load(archive, &log.room, event, missing, oldest).await;
            // What the app keeps under the id may be of an earlier room, which was another client's.
            if log.owner.is_creation() {
                let epoch = self.log(log).map(|log| log.epoch);
                loaded.retain(|event| event.position.is_some_and(|at| Some(at.epoch) == epoch));
            }
            found.extend(loaded);
        }
        Page::of(found, query)
    }

    /// The events of one name in `range`, how many there are in all, and the position of the oldest.
    fn held(
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

    /// Hands a whole log over, that is in nobody's way any more.
    fn let_go(self: &Arc<Self>, room: &Arc<str>, log: Log) -> Vec<Arc<Leaving>> {
        self.account(log.bytes(), 0);
        let mut all = Vec::new();
        for (name, mut kept) in log.names {
            self.events.fetch_sub(kept.events.len(), Ordering::Relaxed);
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

    /// Has the app take events, in their order and after those that it is already to take.
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
        self.leaving.fetch_add(1, Ordering::AcqRel);
        let (archive, room, leaving) = (archive.clone(), room.clone(), leaving.clone());
        let shared = self.clone();
        tokio::spawn(async move {
            while let Some(batch) = leaving.next() {
                let count = batch.len();
                let bytes = batch.iter().map(weight).sum();
                archive.evicted(&room, &name, batch).await;
                leaving.took(count);
                shared.leaving_bytes.fetch_sub(bytes, Ordering::Relaxed);
                shared.left.notify_waiters();
            }
            shared.leaving.fetch_sub(1, Ordering::AcqRel);
            shared.left.notify_waiters();
        });
    }

    /// The room is not one that nobody is in any more.
    fn use_again(&self, log: &mut Log) {
        if let Some(place) = log.released.take() {
            self.lock_released().take(place);
        }
    }

    /// Lets go of logs that nobody has used for long, and of old keys.
    fn sweep(self: &Arc<Self>) {
        self.forget(|_, since| since.elapsed() >= RELEASED_FOR);
        for mut log in self.logs.iter_mut() {
            let before = log.bytes();
            log.keys.expire();
            self.account(before, log.bytes());
        }
    }

    /// Lets go of logs that nobody uses, the first to be released first, for as long as the first of
    /// them, released at the given time, may go.
    fn forget(self: &Arc<Self>, may_go: impl Fn(&Released, Instant) -> bool) {
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
            // Not if it is used again since.
            let forgotten = self.logs.remove_if(&log.room, |_, log| log.released == Some(place));
            if let Some((room, log)) = forgotten {
                self.let_go(&room, log);
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

    /// The log takes as much now.
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
    /// How much memory the log takes.
    fn bytes(&self) -> usize {
        LOG + self.names.len() * NAME + self.events + self.keys.bytes()
    }

    fn new(owner: Owner, epoch: Epoch) -> Self {
        Self {
            owner,
            epoch,
            seq: 0,
            names: HashMap::new(),
            events: 0,
            keys: Keys::default(),
            released: None,
        }
    }
}
