//! All open rooms of an app.

use std::{
    collections::VecDeque,
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
    /// Empty rooms of families that remember something, those that emptied first in front.
    retired: Mutex<VecDeque<Arc<Live<A>>>>,
    max_retired: usize,
}

impl<A: App> Hub<A> {
    /// Opens the static rooms; they stay.
    pub(crate) fn new(limits: &Limits) -> Self {
        let live = DashMap::new();
        for entry in A::rooms().iter().filter(|entry| !entry.spec.is_family()) {
            if let Some(room) = (entry.open)(entry.spec.pattern) {
                live.insert(room.id().clone(), Arc::new(Live::new(room)));
            }
        }
        Self { live, retired: Mutex::default(), max_retired: limits.empty_rooms }
    }

    /// The room with this id, if it is open.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Live<A>>> {
        self.live.get(id).map(|live| live.clone())
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
    pub(crate) fn open(&self, room: &Arc<dyn ErasedRoom<A>>) -> Option<Arc<Live<A>>> {
        let pattern = room.spec().pattern;
        if let Some(live) = self.find(room.id()) {
            return (live.room().spec().pattern == pattern).then_some(live);
        }
        let answers = self.resolve(room.id()).is_some_and(|found| found.spec().pattern == pattern);
        answers.then(|| match self.live.entry(room.id().clone()) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => entry.insert(Arc::new(Live::new(room.clone()))).clone(),
        })
    }

    /// Lets go of a room that nobody needs. One that remembers something is kept until too many
    /// such are.
    pub(crate) fn release(&self, live: &Arc<Live<A>>) {
        if self.close(live, false) || live.is_needed() || live.note_retired(true) {
            return;
        }
        let oldest = {
            let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
            retired.push_back(live.clone());
            if retired.len() > self.max_retired { retired.pop_front() } else { None }
        };
        if let Some(oldest) = oldest {
            oldest.note_retired(false);
            self.close(&oldest, true);
        }
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
