//! Telling clients of rooms that come and go: one task does, in order and several rooms at a time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{live::Live, member::Participant};
use crate::protocol::RoomInfo;

/// How many announcements may wait; with more, creating and deleting rooms waits.
const WAITING: usize = 256;
/// How many announcements go out together.
const BATCH: usize = 32;
/// What clients have yet to be told of rooms.
pub(crate) struct Announcements {
    queue: Mutex<Queue>,
    places: Arc<Semaphore>,
}

struct Queue {
    /// In their order.
    news: BTreeMap<u64, News>,
    /// The creations among them, by the number of the room.
    created: HashMap<u64, u64>,
    next: u64,
    /// Whether a task is telling clients.
    working: bool,
}

/// The right to have one more announcement wait.
pub(crate) type AnnouncementSlot = Option<OwnedSemaphorePermit>;

/// A room that was created or deleted.
pub(crate) struct News {
    room: u64,
    pub(crate) info: RoomInfo,
    pub(crate) what: What,
    _place: AnnouncementSlot,
}

pub(crate) enum What {
    Created,
    Deleted {
        /// Who was in the room.
        members: Vec<Participant>,
        /// Whether those who were not in it are told, too.
        others: bool,
    },
}

impl Announcements {
    pub(crate) fn new() -> Self {
        let queue =
            Queue { news: BTreeMap::new(), created: HashMap::new(), next: 0, working: false };
        Self { queue: Mutex::new(queue), places: Arc::new(Semaphore::new(WAITING)) }
    }

    /// Waits until one more announcement may wait.
    pub(crate) async fn place(&self) -> AnnouncementSlot {
        // The semaphore is never closed.
        self.places.clone().acquire_owned().await.ok()
    }

    /// Queues the announcement of a room that was created. Returns whether the caller must start the task that
    /// announces.
    #[must_use]
    pub(crate) fn created(&self, live: &Live, info: RoomInfo, place: AnnouncementSlot) -> bool {
        let news = News { room: live.number(), info, what: What::Created, _place: place };
        self.push(|queue| {
            queue.created.insert(news.room, queue.next);
            Some(news)
        })
    }

    /// Queues the announcement of a room that was deleted: to its members and, if the room is listed, to all others.
    /// If its creation is not announced yet, others are told of neither. Returns whether the caller must start the
    /// task that announces.
    #[must_use]
    pub(crate) fn deleted(
        &self,
        live: &Live,
        info: RoomInfo,
        members: Vec<Participant>,
        place: AnnouncementSlot,
    ) -> bool {
        let room = live.number();
        self.push(|queue| {
            let untold = queue.created.remove(&room).and_then(|place| queue.news.remove(&place));
            let others = live.is_listed() && untold.is_none();
            let told = others || !members.is_empty();
            let what = What::Deleted { members, others };
            told.then_some(News { room, info, what, _place: place })
        })
    }

    fn push(&self, news: impl FnOnce(&mut Queue) -> Option<News>) -> bool {
        let mut queue = self.lock();
        let Some(news) = news(&mut queue) else { return false };
        let place = queue.next;
        queue.next += 1;
        queue.news.insert(place, news);
        !std::mem::replace(&mut queue.working, true)
    }

    /// The next announcements. Without any, ends the work.
    pub(crate) fn next(&self) -> Vec<News> {
        let mut queue = self.lock();
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some((_, news)) = queue.news.pop_first()
        {
            queue.created.remove(&news.room);
            batch.push(news);
        }
        queue.working = !batch.is_empty();
        batch
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code that can panic runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
