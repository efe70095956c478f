//! All open rooms of an app.

use std::{
    collections::BTreeMap,
    ops::{Bound, Deref},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dashmap::{DashMap, Entry};

use super::{
    announcements::Announcements,
    created_rooms::CreatedRooms,
    definition::{Declared, Definition},
    host::Host,
    live::Live,
    member::Subscriber,
};
use crate::{
    Epoch, Limits, Stats, connection::budget::Budget, model::name, store::erased::AnyStore,
};

/// How many bytes of their logs all rooms together remember, at most.
const REMEMBERED: usize = 64_000_000;

/// What all rooms share.
pub(crate) struct Env {
    pub(crate) limits: Limits,
    pub(crate) store: Arc<AnyStore>,
    /// The budget of the process, which encoded packets are counted against.
    pub(crate) process: Arc<Budget>,
    /// The rooms that the app declares.
    pub(crate) declared: Vec<Declared>,
    pub(crate) host: Box<dyn Host>,
}

pub(crate) struct Hub {
    env: Env,
    live: DashMap<Arc<str>, Arc<Live>>,
    /// Those of them that clients find in the list of rooms, by number. Changed only while the
    /// room's place in `live` is.
    listed: Mutex<BTreeMap<u64, Arc<Live>>>,
    /// Held while a room is created or deleted and its announcement is queued.
    order: Mutex<()>,
    created: CreatedRooms,
    announcements: Announcements,
    /// The next room's number.
    next: AtomicU64,
    /// What all rooms together remember of their logs.
    memory: Arc<Budget>,
}

impl Hub {
    /// Opens the static rooms; they stay.
    pub(crate) fn new(env: Env) -> Self {
        let hub = Self {
            live: DashMap::new(),
            listed: Mutex::default(),
            order: Mutex::default(),
            created: CreatedRooms::new(),
            announcements: Announcements::new(),
            next: AtomicU64::new(0),
            memory: Budget::new(REMEMBERED, None),
            env,
        };
        for declared in hub.env.declared.iter().filter(|declared| !declared.spec.is_family()) {
            if let Some(room) = (declared.open)(declared.spec.pattern) {
                hub.live.insert(room.id().clone(), hub.new_room(&room, None));
            }
        }
        hub
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.env.limits
    }

    pub(crate) fn store(&self) -> &Arc<AnyStore> {
        &self.env.store
    }

    /// The budget of the process, which encoded packets are counted against.
    pub(crate) fn process(&self) -> &Arc<Budget> {
        &self.env.process
    }

    pub(super) fn declared(&self) -> &[Declared] {
        &self.env.declared
    }

    pub(super) fn host(&self) -> &dyn Host {
        &*self.env.host
    }

    pub(crate) fn announcements(&self) -> &Announcements {
        &self.announcements
    }

    pub(crate) fn created(&self) -> &CreatedRooms {
        &self.created
    }

    /// The budget for what rooms remember of their logs, besides what the store keeps.
    pub(crate) fn memory(&self) -> &Arc<Budget> {
        &self.memory
    }

    /// A room that is about to take its place. If its log was just created, and is empty, this is its epoch.
    pub(super) fn new_room(&self, room: &Arc<dyn Definition>, empty: Option<Epoch>) -> Arc<Live> {
        let live = Arc::new(Live::new(room.clone(), self.number(), empty, self.limits()));
        if live.is_listed() {
            self.lock_listed().insert(live.number(), live.clone());
        }
        live
    }

    /// Gives a room its place.
    pub(super) fn insert(&self, live: Arc<Live>) {
        self.live.insert(live.id().clone(), live);
    }

    /// Takes a room that is about to lose its place off the list.
    fn unlist(&self, live: &Live) {
        if live.is_listed() {
            self.lock_listed().remove(&live.number());
        }
    }

    fn lock_listed(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Live>>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rooms are created and deleted one at a time, so that clients hear of it in that order. Never
    /// held across an await.
    pub(crate) fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that no room had before.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The room with this id, if it is open.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Live>> {
        self.live.get(id).map(|live| live.clone())
    }

    /// The same room, if it is open: not another one that happens to have its id.
    pub(crate) fn find_same(&self, room: &dyn Definition) -> Option<Arc<Live>> {
        self.find(room.id()).filter(|live| live.is(room))
    }

    /// The room that answers to this id, open or not. A static room comes before a family; what
    /// must be created first answers only then.
    pub(crate) fn resolve(&self, id: &str) -> Option<Arc<dyn Definition>> {
        if let Some(live) = self.find(id) {
            return Some(live.room().clone());
        }
        if !name::is_room_id(id) {
            return None;
        }
        let opened_by_use = |room: &&Declared| room.spec.is_family() && !room.spec.explicit;
        self.declared().iter().filter(opened_by_use).find_map(|family| (family.open)(id))
    }

    /// Opens a room, if its key makes an id that it answers to itself, and if it exists: what must
    /// be created, or was deleted, is not opened.
    pub(crate) fn open(&self, room: &Arc<dyn Definition>) -> Option<Held<'_>> {
        if let Some(live) = self.find(room.id()) {
            return live.is(&**room).then(|| self.hold(live));
        }
        let spec = room.spec();
        if spec.explicit {
            return None;
        }
        let answers =
            self.resolve(room.id()).is_some_and(|found| found.spec().pattern == spec.pattern);
        answers.then(|| match self.live.entry(room.id().clone()) {
            Entry::Occupied(entry) => self.hold(entry.get().clone()),
            Entry::Vacant(entry) => self.hold(entry.insert(self.new_room(room, None)).clone()),
        })
    }

    /// Closes a room and lets its id go; returns who was in it, or `None` if it is gone already.
    pub(crate) fn delete(&self, live: &Arc<Live>) -> Option<Vec<Subscriber>> {
        let mut members = None;
        self.live.remove_if(live.id(), |_, found| {
            if Arc::ptr_eq(found, live) {
                members = found.close();
            }
            if members.is_some() {
                self.unlist(live);
            }
            members.is_some()
        });
        let members = members?;
        self.created.remove(live);
        Some(members)
    }

    /// The rooms that clients created and that have been empty for this time.
    pub(crate) fn abandoned(&self, time: Duration) -> Vec<Arc<Live>> {
        let abandoned = self.live.iter().filter(|live| live.is_abandoned(time));
        abandoned.map(|live| live.clone()).collect()
    }

    /// Closes a room and lets its id go, if it is abandoned still. Returns whether it was.
    pub(crate) fn end(&self, live: &Arc<Live>, time: Duration) -> bool {
        let ended = self.live.remove_if(live.id(), |_, found| {
            let closed = Arc::ptr_eq(found, live) && found.close_if_abandoned(time);
            if closed {
                self.unlist(live);
            }
            closed
        });
        if ended.is_some() {
            self.created.remove(live);
        }
        ended.is_some()
    }

    /// Holds a room open. When the last guard is dropped, the room is closed unless it is needed.
    pub(crate) fn hold(&self, live: Arc<Live>) -> Held<'_> {
        live.holders.fetch_add(1, Ordering::AcqRel);
        Held { hub: self, live }
    }

    /// Closes a room that is not needed. Its log stays in the store.
    fn release(&self, live: &Arc<Live>) {
        if !live.room().spec().is_family() || live.is_needed() {
            return;
        }
        // With the room goes its key, which is the user's, and is dropped without the lock.
        let _removed = self.live.remove_if(live.id(), |_, found| {
            let closed = Arc::ptr_eq(found, live) && live.close_if_idle();
            if closed {
                self.unlist(live);
                // Before the room is opened again.
                if live.is_stored() {
                    self.store().release(live.log_id());
                }
            }
            closed
        });
    }

    /// The rooms that clients find in the list: the static ones in the order of the app's list, then
    /// the others, the oldest first; `most` of those after a number.
    pub(crate) fn listed(&self, after: Option<u64>, most: usize) -> Vec<Arc<Live>> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let listed = self.lock_listed();
        let listed = listed.range((after, Bound::Unbounded)).take(most);
        listed.map(|(_, live)| live.clone()).collect()
    }

    /// All open rooms: the static ones in the order of the app's list, then the others, the oldest
    /// first.
    pub(crate) fn all(&self) -> Vec<Arc<Live>> {
        let mut all: Vec<_> = self.live.iter().map(|live| live.clone()).collect();
        all.sort_unstable_by_key(|live| live.number());
        all
    }

    /// Whether no event waits for the store or for handlers, and none is being stored or handled.
    pub(crate) fn is_idle(&self) -> bool {
        self.live.iter().all(|live| live.is_idle())
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for live in &self.live {
            live.count_into(&mut stats);
        }
        stats
    }
}

/// A room that is held open.
pub(crate) struct Held<'a> {
    hub: &'a Hub,
    live: Arc<Live>,
}

impl Held<'_> {
    pub(crate) fn live(&self) -> Arc<Live> {
        self.live.clone()
    }
}

impl Deref for Held<'_> {
    type Target = Arc<Live>;

    fn deref(&self) -> &Self::Target {
        &self.live
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.live.holders.fetch_sub(1, Ordering::AcqRel);
        self.hub.release(&self.live);
    }
}
