//! All open rooms of an app.

use std::{
    collections::BTreeMap,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use dashmap::{DashMap, Entry};

use super::{
    super::{Limits, Stats},
    erased::ErasedRoom,
    live::Live,
};
use crate::{App, name, protocol::RoomInfo};

pub(crate) struct Hub<A: App> {
    live: DashMap<Arc<str>, Arc<Live<A>>>,
    retired: Mutex<Retired<A>>,
    limits: Limits,
}

/// Rooms of families that emptied and remember something, by when they did. One that is used
/// again stays until its turn comes, and is then passed over.
struct Retired<A: App> {
    rooms: BTreeMap<u64, Arc<Live<A>>>,
    next: u64,
}

impl<A: App> Hub<A> {
    /// Opens the static rooms; they stay.
    pub(crate) fn new(limits: &Limits) -> Self {
        let live = DashMap::new();
        for entry in A::rooms().iter().filter(|entry| !entry.spec.is_family()) {
            if let Some(room) = (entry.open)(entry.spec.pattern) {
                live.insert(room.id().clone(), Arc::new(Live::new(room, limits)));
            }
        }
        let retired = Mutex::new(Retired { rooms: BTreeMap::new(), next: 0 });
        Self { live, retired, limits: limits.clone() }
    }

    /// The room with this id, if it is open.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Live<A>>> {
        self.live.get(id).map(|live| live.clone())
    }

    /// The same room, if it is open: not another one that happens to have its id.
    pub(crate) fn find_same(&self, room: &dyn ErasedRoom<A>) -> Option<Arc<Live<A>>> {
        self.find(room.id()).filter(|live| live.is(room))
    }

    /// The room that answers to this id, open or not. A static room comes before a family.
    pub(crate) fn resolve(&self, id: &str) -> Option<Arc<dyn ErasedRoom<A>>> {
        if let Some(live) = self.find(id) {
            return Some(live.room().clone());
        }
        if !name::is_room_id(id) {
            return None;
        }
        let families = A::rooms().iter().filter(|entry| entry.spec.is_family());
        families.map(|entry| (entry.open)(id)).find_map(|room| room)
    }

    /// Opens a room, if its key makes an id that it answers to itself.
    pub(crate) fn open(&self, room: &Arc<dyn ErasedRoom<A>>) -> Option<Held<'_, A>> {
        if let Some(live) = self.find(room.id()) {
            return live.is(&**room).then(|| self.hold(live));
        }
        let pattern = room.spec().pattern;
        let answers = self.resolve(room.id()).is_some_and(|found| found.spec().pattern == pattern);
        answers.then(|| match self.live.entry(room.id().clone()) {
            Entry::Occupied(entry) => self.hold(entry.get().clone()),
            Entry::Vacant(entry) => {
                let live = Arc::new(Live::new(room.clone(), &self.limits));
                self.hold(entry.insert(live).clone())
            }
        })
    }

    /// Lets go of the room when the guard is dropped, if nobody needs it then.
    pub(crate) fn hold(&self, live: Arc<Live<A>>) -> Held<'_, A> {
        Held { hub: self, live }
    }

    /// Lets go of a room that nobody needs. One that remembers something is kept until too many
    /// such are.
    fn release(&self, live: &Arc<Live<A>>) {
        if !live.room().spec().is_family() || live.is_needed() || self.close(live, false) {
            return;
        }
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let place = retired.next;
        retired.next += 1;
        if let Some(place) = live.note_retired(Some(place)) {
            retired.rooms.remove(&place);
        }
        retired.rooms.insert(place, live.clone());
        if retired.rooms.len() <= self.limits.empty_rooms {
            return;
        }
        let oldest = retired.rooms.pop_first().map(|(_, oldest)| oldest);
        if let Some(oldest) = &oldest {
            oldest.note_retired(None);
            self.close(oldest, true);
        }
        // With the room goes its key, which is the user's, and is dropped without the lock.
        drop(retired);
        drop(oldest);
    }

    fn close(&self, live: &Arc<Live<A>>, forget: bool) -> bool {
        let same = |_: &Arc<str>, found: &Arc<Live<A>>| {
            Arc::ptr_eq(found, live) && live.close_if_idle(forget)
        };
        self.live.remove_if(live.id(), same).is_some()
    }

    /// The rooms that are listed: the static ones, in the order of the app's list.
    pub(crate) fn declared(&self) -> Vec<RoomInfo> {
        let specs = A::rooms().iter().map(|entry| entry.spec).filter(|spec| !spec.is_family());
        specs
            .map(|spec| RoomInfo {
                id: spec.pattern.to_owned(),
                name: spec.name.unwrap_or(spec.pattern).to_owned(),
                description: spec.description.map(str::to_owned),
                size: self.find(spec.pattern).map_or(0, |live| live.size()),
                max_size: spec.max_size.map(Into::into),
            })
            .collect()
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for live in &self.live {
            live.count_into(&mut stats);
        }
        stats
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
        self.hub.release(&self.live);
    }
}
