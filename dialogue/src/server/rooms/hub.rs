//! All open rooms of an app.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    ops::{Bound, Deref},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dashmap::{DashMap, DashSet, Entry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    super::{Limits, Stats, budget::Budget, crowd, tally::Tally},
    erased::ErasedRoom,
    live::{Live, Member},
};
use crate::{App, CreateError, Epoch, name, pattern, registry::RoomEntry, store::erased::AnyStore};

/// How many logs may wait to be deleted after the store failed.
const DELETIONS: usize = 1_000;

/// How many bytes of their logs all rooms together remember, at most.
const REMEMBERED: usize = 64_000_000;

pub(crate) struct Hub<A: App> {
    live: DashMap<Arc<str>, Arc<Live<A>>>,
    /// Those of them that clients find in the list of rooms, by number. Changed only while the
    /// room's place in `live` is.
    listed: Mutex<BTreeMap<u64, Arc<Live<A>>>>,
    /// Held while a room is created or deleted and its announcement is queued.
    order: Mutex<()>,
    /// The ids of rooms that are being created.
    reserved: DashSet<Arc<str>>,
    /// How many rooms there are of each user that created some.
    created: Tally<Arc<str>>,
    /// One permit for each log that may wait to be deleted after the store failed.
    deletions: Arc<Semaphore>,
    /// How many rooms there are of clients of each address that created some.
    created_from: Tally<IpAddr>,
    /// From which address, by the number of the room.
    askers: DashMap<u64, IpAddr>,
    /// The next room's number.
    next: AtomicU64,
    store: Arc<AnyStore>,
    /// What all rooms together remember of their logs.
    memory: Arc<Budget>,
    limits: Limits,
}

impl<A: App> Hub<A> {
    /// Opens the static rooms; they stay.
    pub(crate) fn new(limits: &Limits, store: Arc<AnyStore>) -> Self {
        let hub = Self {
            live: DashMap::new(),
            listed: Mutex::default(),
            order: Mutex::default(),
            reserved: DashSet::new(),
            created: Tally::new(),
            deletions: Arc::new(Semaphore::new(DELETIONS)),
            created_from: Tally::new(),
            askers: DashMap::new(),
            next: AtomicU64::new(0),
            store,
            memory: Budget::new(REMEMBERED, None),
            limits: limits.clone(),
        };
        for entry in A::rooms().iter().filter(|entry| !entry.spec.is_family()) {
            if let Some(room) = (entry.open)(entry.spec.pattern) {
                hub.live.insert(room.id().clone(), hub.new_room(&room, None));
            }
        }
        hub
    }

    /// The budget for what rooms remember of their logs, besides what the store keeps.
    pub(crate) fn memory(&self) -> &Arc<Budget> {
        &self.memory
    }

    /// A room that is about to take its place. If its log was just created, and is empty, this is its epoch.
    fn new_room(&self, room: &Arc<dyn ErasedRoom<A>>, empty: Option<Epoch>) -> Arc<Live<A>> {
        let live = Arc::new(Live::new(room.clone(), self.number(), empty, &self.limits));
        if live.is_listed() {
            self.lock_listed().insert(live.number(), live.clone());
        }
        live
    }

    /// Takes a room that is about to lose its place off the list.
    fn unlist(&self, live: &Live<A>) {
        if live.is_listed() {
            self.lock_listed().remove(&live.number());
        }
    }

    fn lock_listed(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Live<A>>>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rooms are created and deleted one at a time, so that clients hear of it in that order. Never
    /// held across an await.
    pub(crate) fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one more log wait to be deleted, unless too many do.
    pub(crate) fn deletion(&self) -> Option<OwnedSemaphorePermit> {
        self.deletions.clone().try_acquire_owned().ok()
    }

    /// A number that no room had before.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The room with this id, if it is open.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Live<A>>> {
        self.live.get(id).map(|live| live.clone())
    }

    /// The same room, if it is open: not another one that happens to have its id.
    pub(crate) fn find_same(&self, room: &dyn ErasedRoom<A>) -> Option<Arc<Live<A>>> {
        self.find(room.id()).filter(|live| live.is(room))
    }

    /// The room that answers to this id, open or not. A static room comes before a family; what
    /// must be created first answers only then.
    pub(crate) fn resolve(&self, id: &str) -> Option<Arc<dyn ErasedRoom<A>>> {
        if let Some(live) = self.find(id) {
            return Some(live.room().clone());
        }
        if !name::is_room_id(id) {
            return None;
        }
        let opened_by_use = |entry: &&RoomEntry<A>| entry.spec.is_family() && !entry.spec.explicit;
        let families = A::rooms().iter().filter(opened_by_use);
        families.map(|entry| (entry.open)(id)).find_map(|room| room)
    }

    /// Opens a room, if its key makes an id that it answers to itself, and if it exists: what must
    /// be created, or was deleted, is not opened.
    pub(crate) fn open(&self, room: &Arc<dyn ErasedRoom<A>>) -> Option<Held<'_, A>> {
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

    /// Reserves the id of a room that does not open by itself: one of a family that says so, or one that no
    /// module declares. What clients ask for is counted against what they may have.
    pub(crate) fn reserve(
        &self,
        room: &Arc<dyn ErasedRoom<A>>,
        asker: Option<Asker>,
    ) -> Result<Reserved<'_, A>, CreateError> {
        let (id, spec) = (room.id(), room.spec());
        if !name::is_room_id(id) {
            return Err(CreateError::InvalidId);
        }
        let mut reserved = Reserved {
            hub: self,
            room: room.clone(),
            holds_id: false,
            creator: None,
            address: None,
        };
        // Before the id is looked up: whoever may create no room does not learn which ids are taken.
        if let Some(creator) = spec.created_by {
            let most = asker.map_or(usize::MAX, |_| self.limits.rooms_per_user);
            if !self.created.add(creator.into(), most) {
                return Err(CreateError::LimitExceeded { most });
            }
            reserved.creator = Some(creator.into());
        }
        if let Some(address) = asker.and_then(|Asker { address }| address) {
            let most = self.limits.rooms_per_address;
            if !self.created_from.add(address, most) {
                return Err(CreateError::LimitExceeded { most });
            }
            reserved.address = Some(address);
        }
        if asker.is_some() {
            self.check_total(&reserved)?;
        }
        // The pattern decides, not its typed parse: an id that looks like one of a family must
        // not become another room.
        for entry in A::rooms().iter().filter(|entry| pattern::matches(entry.spec.pattern, id)) {
            if !entry.spec.explicit || entry.spec.pattern != spec.pattern {
                return Err(CreateError::Declared);
            }
            if (entry.open)(id).is_none() {
                return Err(CreateError::InvalidId);
            }
        }
        if !spec.explicit {
            return Err(CreateError::Declared);
        }
        reserved.holds_id = self.reserved.insert(id.clone());
        // A room that was being created until now took its place before its reservation ended.
        if !reserved.holds_id || self.live.contains_key(id) {
            return Err(CreateError::Exists);
        }
        Ok(reserved)
    }

    /// Whether all users together may have the room that is reserved: one of the last only if it is the first of
    /// its creator.
    fn check_total(&self, reserved: &Reserved<'_, A>) -> Result<(), CreateError> {
        let most = self.limits.created_rooms;
        let user = reserved.creator.as_ref().map_or(0, |creator| self.created.count(creator));
        let address = reserved.address.as_ref().map_or(0, |from| self.created_from.count(from));
        let most = if user <= 1 && address <= 1 { most } else { most - most / 10 };
        if self.created.total() > most {
            return Err(CreateError::LimitExceeded { most });
        }
        Ok(())
    }

    /// Closes a room and lets its id go; returns who was in it, or `None` if it is gone already.
    pub(crate) fn delete(&self, live: &Arc<Live<A>>) -> Option<Vec<Member<A>>> {
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
        self.uncount(live);
        Some(members)
    }

    /// A room is gone.
    fn uncount(&self, live: &Live<A>) {
        if let Some(creator) = live.room().spec().created_by {
            self.created.remove(creator.into());
        }
        if let Some((_, address)) = self.askers.remove(&live.number()) {
            self.created_from.remove(address);
        }
    }

    /// The rooms that clients asked for and nobody has been in for this time.
    pub(crate) fn abandoned(&self, time: Duration) -> Vec<Arc<Live<A>>> {
        let abandoned = self.live.iter().filter(|live| live.is_abandoned(time));
        abandoned.map(|live| live.clone()).collect()
    }

    /// Closes a room and lets its id go, if it is abandoned still. Returns whether it was.
    pub(crate) fn end(&self, live: &Arc<Live<A>>, time: Duration) -> bool {
        let ended = self.live.remove_if(live.id(), |_, found| {
            let closed = Arc::ptr_eq(found, live) && found.close_if_abandoned(time);
            if closed {
                self.unlist(live);
            }
            closed
        });
        if ended.is_some() {
            self.uncount(live);
        }
        ended.is_some()
    }

    /// Lets go of the room when the last guard is dropped, if nobody needs it then.
    pub(crate) fn hold(&self, live: Arc<Live<A>>) -> Held<'_, A> {
        live.holders.fetch_add(1, Ordering::AcqRel);
        Held { hub: self, live }
    }

    /// Lets go of a room that nobody needs; its log stays in the store.
    fn release(&self, live: &Arc<Live<A>>) {
        if !live.room().spec().is_family() || live.is_needed() {
            return;
        }
        // With the room goes its key, which is the user's, and is dropped without the lock.
        let _removed = self.live.remove_if(live.id(), |_, found| {
            let closed = Arc::ptr_eq(found, live) && live.close_if_idle();
            if closed {
                self.unlist(live);
                // Before anybody opens it again.
                if live.is_stored() {
                    self.store.release(live.log_id());
                }
            }
            closed
        });
    }

    /// The rooms that clients find in the list: the static ones in the order of the app's list, then
    /// the others, the oldest first; `most` of those after a number.
    pub(crate) fn listed(&self, after: Option<u64>, most: usize) -> Vec<Arc<Live<A>>> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let listed = self.lock_listed();
        let listed = listed.range((after, Bound::Unbounded)).take(most);
        listed.map(|(_, live)| live.clone()).collect()
    }

    /// All open rooms: the static ones in the order of the app's list, then the others, the oldest
    /// first.
    pub(crate) fn all(&self) -> Vec<Arc<Live<A>>> {
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

/// The id of a room that is being created, and its place in its creator's quota: both free again when this is
/// dropped, unless the room has opened.
pub(crate) struct Reserved<'a, A: App> {
    hub: &'a Hub<A>,
    room: Arc<dyn ErasedRoom<A>>,
    /// Whether the id is reserved for this room.
    holds_id: bool,
    /// Who has one more room for now, and which address.
    creator: Option<Arc<str>>,
    address: Option<IpAddr>,
}

/// A client that asks for a room.
#[derive(Clone, Copy)]
pub(crate) struct Asker {
    /// What counts as its address, if that is known.
    address: Option<IpAddr>,
}

impl Asker {
    pub(crate) fn at(address: Option<IpAddr>) -> Self {
        Self { address: address.map(crowd::host) }
    }
}

impl<A: App> Reserved<'_, A> {
    /// Opens the room. If its log was just created, and is empty, this is its epoch.
    pub(crate) fn open(mut self, empty: Option<Epoch>) -> Arc<Live<A>> {
        let live = self.hub.new_room(&self.room, empty);
        if let Some(address) = self.address.take() {
            self.hub.askers.insert(live.number(), address);
        }
        self.hub.live.insert(live.id().clone(), live.clone());
        // It is the room's from now on.
        self.creator = None;
        live
    }
}

impl<A: App> Drop for Reserved<'_, A> {
    fn drop(&mut self) {
        if let Some(creator) = self.creator.take() {
            self.hub.created.remove(creator);
        }
        if let Some(address) = self.address.take() {
            self.hub.created_from.remove(address);
        }
        if self.holds_id {
            self.hub.reserved.remove(self.room.id());
        }
    }
}

/// An open room, and the promise to let go of it.
pub(crate) struct Held<'a, A: App> {
    hub: &'a Hub<A>,
    live: Arc<Live<A>>,
}

impl<A: App> Held<'_, A> {
    pub(crate) fn live(&self) -> Arc<Live<A>> {
        self.live.clone()
    }
}

impl<A: App> Deref for Held<'_, A> {
    type Target = Arc<Live<A>>;

    fn deref(&self) -> &Self::Target {
        &self.live
    }
}

impl<A: App> Drop for Held<'_, A> {
    fn drop(&mut self) {
        self.live.holders.fetch_sub(1, Ordering::AcqRel);
        self.hub.release(&self.live);
    }
}
