//! Telling clients of rooms that come and go: one task does, in order and several rooms at a time.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    super::{Client, ClientId, dialogue::Inner, packet::Packet},
    live::Live,
};
use crate::{
    App, Dialogue,
    protocol::{Membership, RoomInfo, event},
};

/// How many announcements may wait; with more, creating and deleting rooms waits.
const WAITING: usize = 256;
/// How many announcements go out together.
const BATCH: usize = 32;
/// How many clients are told before others have the thread.
const CLIENTS: usize = 1_024;

/// What clients have yet to be told of rooms.
pub(crate) struct Announcer<A: App> {
    queue: Mutex<Queue<A>>,
    places: Arc<Semaphore>,
}

struct Queue<A: App> {
    /// In their order.
    news: BTreeMap<u64, News<A>>,
    /// The creations among them, by the number of the room.
    created: HashMap<u64, u64>,
    next: u64,
    /// Whether a task is telling clients.
    working: bool,
}

/// The right to have one more announcement wait.
pub(crate) type Place = Option<OwnedSemaphorePermit>;

struct News<A: App> {
    room: u64,
    info: RoomInfo,
    what: What<A>,
    _place: Place,
}

enum What<A: App> {
    Created,
    Deleted {
        /// Who was in the room.
        members: Vec<Client<A>>,
        /// Whether those who were not in it are told, too.
        others: bool,
    },
}

impl<A: App> Announcer<A> {
    pub(crate) fn new() -> Self {
        let queue =
            Queue { news: BTreeMap::new(), created: HashMap::new(), next: 0, working: false };
        Self { queue: Mutex::new(queue), places: Arc::new(Semaphore::new(WAITING)) }
    }

    /// Waits until one more announcement may wait.
    pub(crate) async fn place(&self) -> Place {
        // Nobody closes the semaphore.
        self.places.clone().acquire_owned().await.ok()
    }

    /// Has clients told that a room was created.
    pub(crate) fn created(
        &self,
        dialogue: &Dialogue<A>,
        live: &Live<A>,
        info: RoomInfo,
        place: Place,
    ) {
        let news = News { room: live.number(), info, what: What::Created, _place: place };
        self.push(dialogue, |queue| {
            queue.created.insert(news.room, queue.next);
            Some(news)
        });
    }

    /// Has clients told that a room was deleted: those who were in it and, if it is listed, all others. If nobody
    /// was told of its creation yet, others are told of neither.
    pub(crate) fn deleted(
        &self,
        dialogue: &Dialogue<A>,
        live: &Live<A>,
        info: RoomInfo,
        members: Vec<Client<A>>,
        place: Place,
    ) {
        let room = live.number();
        self.push(dialogue, |queue| {
            let untold = queue.created.remove(&room).and_then(|place| queue.news.remove(&place));
            let others = live.is_listed() && untold.is_none();
            let told = others || !members.is_empty();
            let what = What::Deleted { members, others };
            told.then_some(News { room, info, what, _place: place })
        });
    }

    fn push(&self, dialogue: &Dialogue<A>, news: impl FnOnce(&mut Queue<A>) -> Option<News<A>>) {
        let idle = {
            let mut queue = self.lock();
            let Some(news) = news(&mut queue) else { return };
            let place = queue.next;
            queue.next += 1;
            queue.news.insert(place, news);
            !std::mem::replace(&mut queue.working, true)
        };
        if idle {
            tokio::spawn(work(dialogue.downgrade()));
        }
    }

    /// What is to be told next; nothing ends the work.
    fn next(&self) -> Vec<News<A>> {
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

    fn lock(&self) -> MutexGuard<'_, Queue<A>> {
        // No code that can panic runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn work<A: App>(dialogue: Weak<Inner<A>>) {
    loop {
        // What was begun together is told together.
        tokio::task::yield_now().await;
        let Some(dialogue) = Dialogue::upgrade(&dialogue) else { return };
        let batch = dialogue.announcer().next();
        if batch.is_empty() {
            return;
        }
        tell(&dialogue, &batch).await;
    }
}

/// Sends to everyone who may see the rooms, and to those who were in them. Others that are too slow miss it.
async fn tell<A: App>(dialogue: &Dialogue<A>, batch: &[News<A>]) {
    let packets: Vec<_> = batch.iter().map(News::packet).collect();
    let inside: Vec<_> = batch.iter().map(News::inside).collect();
    let clients = dialogue.clients();
    for clients in clients.chunks(CLIENTS) {
        for client in clients {
            let concerns = |(news, inside): (&News<A>, &HashSet<ClientId>)| {
                if inside.contains(&client.id()) {
                    Concerns::Member
                } else if news.is_for_others() && dialogue.sees(client, &news.info) {
                    Concerns::Viewer
                } else {
                    Concerns::Nothing
                }
            };
            for (packet, told) in packets.iter().zip(batch.iter().zip(&inside)) {
                match concerns(told) {
                    Concerns::Member => client.tell_surely(packet.clone()),
                    Concerns::Viewer => client.tell(packet),
                    Concerns::Nothing => {}
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

/// What an announcement is to a client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Concerns {
    Member,
    Viewer,
    Nothing,
}

impl<A: App> News<A> {
    fn packet(&self) -> Packet {
        match self.what {
            What::Created => Packet::event(event::ROOM_CREATED, &self.info),
            What::Deleted { .. } => {
                let room_id = (&*self.info.id).into();
                Packet::event(event::ROOM_DELETED, &Membership::of(room_id))
            }
        }
    }

    fn inside(&self) -> HashSet<ClientId> {
        match &self.what {
            What::Created => HashSet::new(),
            What::Deleted { members, .. } => members.iter().map(Client::id).collect(),
        }
    }

    fn is_for_others(&self) -> bool {
        match self.what {
            What::Created => true,
            What::Deleted { others, .. } => others,
        }
    }
}
