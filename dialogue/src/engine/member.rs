//! A client as rooms know it.

use std::{
    any::Any,
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{live::Live, subscriptions::Subscriptions};
use crate::{
    ClientId, JoinError,
    connection::{Connection, budget::Charge, outgoing::Unsent, packet::Packet},
};

/// A client as rooms know it: its connection, its user, and the rooms that it is in.
pub(crate) struct Member {
    pub(crate) connection: Connection,
    pub(crate) user_id: Arc<str>,
    rooms: Mutex<Rooms>,
    /// Whether the client was told that it is connected, which is the first thing that it hears.
    greeted: AtomicBool,
}

/// Where the client is a member; `None` once it is gone.
type Rooms = Option<HashMap<Arc<str>, Arc<Live>>>;

/// A member, and the app's handle of it, which a room keeps for as long as the client is in it.
#[derive(Clone)]
pub(crate) struct Participant {
    pub(crate) member: Arc<Member>,
    pub(crate) handle: Arc<dyn Any + Send + Sync>,
}

/// A member of a room.
pub(crate) struct Subscriber {
    pub(crate) participant: Participant,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) slowness: Slowness,
    /// What the membership takes of the connection's account.
    pub(super) charge: Charge,
}

impl Subscriber {
    pub(super) fn connection(&self) -> &Connection {
        &self.participant.member.connection
    }
}

/// How long a slow consumer is set aside the first time. The time doubles with each repetition.
const MIN_ASIDE: Duration = Duration::from_millis(50);
/// How long a slow consumer is set aside at most, before the room checks its queue again.
const MAX_ASIDE: Duration = Duration::from_secs(5);
/// After this time without an overflow, a member is set aside for [`MIN_ASIDE`] again.
const ASIDE_RESET: Duration = Duration::from_secs(30);

/// Whether a member is a slow consumer, and how often in a row it was one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slowness {
    /// Whether the member is set aside: the room delivers nothing to it.
    pub(super) aside: bool,
    /// Number of overflows in a row, up to 16.
    times: u32,
    /// When the last overflow was.
    last: Option<Instant>,
}

impl Slowness {
    /// Sets the member aside. Returns for how long.
    pub(super) fn set_aside(&mut self) -> Duration {
        if self.last.is_none_or(|last| last.elapsed() > ASIDE_RESET) {
            self.times = 0;
        }
        (self.aside, self.last) = (true, Some(Instant::now()));
        self.times = (self.times + 1).min(16);
        MIN_ASIDE.saturating_mul(1 << (self.times - 1)).min(MAX_ASIDE)
    }
}

impl Member {
    pub(crate) fn new(connection: Connection, user_id: Arc<str>) -> Self {
        let rooms = Mutex::new(Some(HashMap::new()));
        Self { connection, user_id, rooms, greeted: AtomicBool::new(false) }
    }

    pub(crate) fn id(&self) -> ClientId {
        self.connection.id
    }

    pub(crate) fn note_greeted(&self) {
        self.greeted.store(true, Ordering::Release);
    }

    /// Sends a packet that the client may miss: before it was greeted, or if its queue is full.
    pub(crate) fn tell(&self, packet: &Packet) {
        if self.greeted.load(Ordering::Acquire)
            && let Err(Unsent::Full) = self.connection.try_send(packet.clone())
        {
            tracing::debug!(client = %self.id(), "a slow consumer missed a packet");
        }
    }

    /// Sends a packet as soon as the client's queue has room for it.
    pub(crate) fn tell_surely(self: &Arc<Self>, packet: Packet) {
        if let Err(Unsent::Full) = self.connection.try_send(packet.clone()) {
            let member = self.clone();
            tokio::spawn(async move { member.connection.send(packet).await });
        }
    }

    /// The room with this id, if the client is a member.
    pub(crate) fn member_of(&self, id: &str) -> Option<Arc<Live>> {
        self.lock().as_ref()?.get(id).cloned()
    }

    /// Whether the client is a member of this very room.
    pub(crate) fn is_in(&self, live: &Arc<Live>) -> bool {
        self.member_of(live.id()).is_some_and(|found| Arc::ptr_eq(&found, live))
    }

    /// The rooms that the client is a member of.
    pub(crate) fn rooms(&self) -> Vec<Arc<Live>> {
        self.lock().iter().flatten().map(|(_, live)| live.clone()).collect()
    }

    /// Notes a membership. Called by the room, under its lock.
    pub(crate) fn note_joined(&self, live: &Arc<Live>, most: usize) -> Result<(), JoinError> {
        let mut rooms = self.lock();
        let rooms = rooms.as_mut().ok_or(JoinError::Closed)?;
        if self.connection.inbox.is_closed() {
            return Err(JoinError::Closed);
        }
        if rooms.len() >= most && !rooms.contains_key(live.id()) {
            return Err(JoinError::LimitExceeded { most });
        }
        rooms.insert(live.id().clone(), live.clone());
        Ok(())
    }

    /// Forgets a membership, unless it is of a room that has taken the id since.
    pub(crate) fn note_left(&self, live: &Arc<Live>) {
        if let Some(rooms) = self.lock().as_mut()
            && rooms.get(live.id()).is_some_and(|noted| Arc::ptr_eq(noted, live))
        {
            rooms.remove(live.id());
        }
    }

    /// Ends all joining. Returns the rooms that are left to leave.
    pub(crate) fn depart(&self) -> Vec<Arc<Live>> {
        self.lock().take().into_iter().flatten().map(|(_, live)| live).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Rooms> {
        // No code that can panic runs under the lock.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
