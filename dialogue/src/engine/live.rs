//! A room that is open: its members, and what it knows of its log.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::OnceCell;

use super::{
    added_handlers::AddedHandlers,
    append_queue::Appends,
    definition::Definition,
    deliveries::Deliveries,
    join_answer::Answered,
    member::{Participant, Subscriber},
    room_log::Log,
    shared_reads::Reads,
};
use crate::{
    ClientId, Epoch, Limits, Stats,
    protocol::RoomInfo,
    store::{LogId, erased::Unavailable},
};

pub(crate) struct Live {
    room: Arc<dyn Definition>,
    /// Its place among all rooms that were ever open.
    number: u64,
    /// Held for as long as it takes to hand an event to the transport, never across an await:
    /// what happens under it is what gives the room its order.
    state: Mutex<State>,
    log_id: LogId,
    /// Number of guards that hold the room open: [`Held`](crate::engine::hub::Held).
    pub(crate) holders: AtomicUsize,
    pub(super) opening: Opening,
    pub(crate) handlers: AddedHandlers,
    pub(crate) deliveries: Deliveries,
    pub(crate) reads: Reads,
}

pub(crate) struct State {
    /// Whether the hub has closed this room. Code that still holds it opens the room again.
    pub(crate) closed: bool,
    pub(crate) members: HashMap<ClientId, Subscriber>,
    /// Since when there are none.
    pub(super) empty_since: Option<Instant>,
    /// How many members receive an event, by name, `"*"` included.
    pub(crate) subscribers: HashMap<Cow<'static, str>, usize>,
    /// There once the room is opened.
    pub(crate) log: Option<Log>,
    pub(crate) appends: Appends,
    pub(crate) quiet: Quiet,
    pub(super) answered: Answered,
}

/// Whether a room's log is open.
pub(crate) struct Opening {
    pub(super) opened: OnceCell<()>,
    /// When the store last failed to say where the log ends.
    failed: Mutex<Option<Instant>>,
}

impl Opening {
    pub(crate) fn new(is_open: bool) -> Self {
        let opened = OnceCell::new_with(is_open.then_some(()));
        Self { opened, failed: Mutex::default() }
    }

    pub(super) fn failed(&self) -> MutexGuard<'_, Option<Instant>> {
        // No code that can panic runs under the lock.
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The timer of the position message that follows the last stored event.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    /// When the last event was stored.
    pub(super) last: Option<Instant>,
    /// Whether the timer runs.
    pub(super) running: bool,
}

impl Quiet {
    /// How much of `quiet_time` is left, if any is.
    pub(super) fn left(&self, quiet_time: Duration) -> Option<Duration> {
        let left = quiet_time.saturating_sub(self.last?.elapsed());
        Some(left).filter(|left| !left.is_zero())
    }
}

impl Live {
    /// An empty room. `empty` is the epoch of its log, if that was just created and has no events.
    pub(crate) fn new(
        room: Arc<dyn Definition>,
        number: u64,
        empty: Option<Epoch>,
        limits: &Limits,
    ) -> Self {
        let log_id = LogId::new(room.id().clone(), room.owner());
        let log = empty.map(Log::empty);
        let state = State {
            closed: false,
            members: HashMap::new(),
            empty_since: Some(Instant::now()),
            subscribers: HashMap::new(),
            log,
            appends: Appends::new(),
            quiet: Quiet::default(),
            answered: Answered::default(),
        };
        Self {
            room,
            number,
            state: Mutex::new(state),
            log_id,
            holders: AtomicUsize::new(0),
            opening: Opening::new(empty.is_some()),
            handlers: AddedHandlers::default(),
            deliveries: Deliveries::new(limits),
            reads: Reads::default(),
        }
    }

    /// Names the room's log in the store.
    pub(crate) fn log_id(&self) -> &LogId {
        &self.log_id
    }

    /// Whether the room has a log in the store.
    pub(crate) fn is_stored(&self) -> bool {
        self.stored_events().next().is_some()
    }

    /// The names of the events that are stored.
    pub(crate) fn stored_events(&self) -> impl Iterator<Item = &Cow<'static, str>> {
        let events = self.room.spec().events.iter();
        events.filter(|event| event.history.is_some()).map(|event| &event.name)
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn id(&self) -> &Arc<str> {
        self.room.id()
    }

    pub(crate) fn room(&self) -> &Arc<dyn Definition> {
        &self.room
    }

    /// Whether this is that room: an id alone may be another room's.
    pub(crate) fn is(&self, room: &dyn Definition) -> bool {
        self.room.creation() == room.creation() && self.room.spec().pattern == room.spec().pattern
    }

    pub(crate) fn size(&self) -> usize {
        self.lock().members.len()
    }

    /// The members, in no particular order.
    pub(crate) fn members(&self) -> Vec<Participant> {
        self.lock().members.values().map(|subscriber| subscriber.participant.clone()).collect()
    }

    /// Whether clients may learn of the room without knowing its id: families keep theirs to
    /// themselves unless they say otherwise.
    pub(crate) fn is_listed(&self) -> bool {
        let spec = self.room.spec();
        !spec.is_family() || spec.listed
    }

    /// What clients may know of the room.
    pub(crate) fn info(&self) -> RoomInfo {
        RoomInfo::of(self.id(), self.room.spec(), self.size())
    }

    /// Runs `change` unless the room is closed.
    pub(crate) fn while_open(&self, change: impl FnOnce()) -> bool {
        let state = self.lock();
        if !state.closed {
            change();
        }
        !state.closed
    }

    /// Closes the room if it is not needed: it is one of a family, was not created, is empty, has no
    /// handlers added at run time, and no events to store or to handle.
    pub(crate) fn close_if_idle(&self) -> bool {
        let mut state = self.lock();
        let idle = !self.needed(&state);
        state.closed |= idle;
        idle
    }

    /// Whether a client created the room, it has been empty for this time, and code has added no handlers.
    pub(crate) fn is_abandoned(&self, time: Duration) -> bool {
        self.abandoned(&self.lock(), time)
    }

    /// Closes the room if it [is abandoned](Self::is_abandoned).
    pub(crate) fn close_if_abandoned(&self, time: Duration) -> bool {
        let mut state = self.lock();
        let abandoned = !state.closed && self.abandoned(&state, time);
        state.closed |= abandoned;
        abandoned
    }

    fn abandoned(&self, state: &State, time: Duration) -> bool {
        self.log_id.owner.is_creation()
            && state.members.is_empty()
            && state.empty_since.is_some_and(|since| since.elapsed() >= time)
            && self.holders.load(Ordering::Acquire) == 0
            && !state.appends.are_busy()
            && !self.is_handled()
    }

    /// Whether there are handlers added at run time, or events to handle.
    fn is_handled(&self) -> bool {
        self.deliveries.are_working() || !self.handlers.is_empty()
    }

    /// Closes the room even if it is needed. Returns its members, or `None` if it was closed before.
    pub(crate) fn close(&self) -> Option<Vec<Subscriber>> {
        let mut state = self.lock();
        if std::mem::replace(&mut state.closed, true) {
            return None;
        }
        state.subscribers.clear();
        Some(state.members.drain().map(|(_, member)| member).collect())
    }

    /// The clients that were in a closed room are its members no more.
    pub(crate) fn dismiss_all(self: &Arc<Self>, subscribers: Vec<Subscriber>) -> Vec<Participant> {
        let dismissed = subscribers.into_iter().map(|Subscriber { participant, .. }| {
            participant.member.note_left(self);
            participant
        });
        dismissed.collect()
    }

    /// Whether no event waits for the store or for handlers, and none is being stored or handled.
    pub(crate) fn is_idle(&self) -> bool {
        !self.lock().appends.is_working() && !self.deliveries.are_working()
    }

    pub(crate) fn is_needed(&self) -> bool {
        self.needed(&self.lock())
    }

    fn needed(&self, state: &State) -> bool {
        let spec = self.room.spec();
        let stays = !spec.is_family() || spec.explicit;
        stays
            || !state.members.is_empty()
            || self.holders.load(Ordering::Acquire) > 0
            || state.appends.are_busy()
            || self.is_handled()
    }

    pub(crate) fn count_into(&self, total: &mut Stats) {
        let state = self.lock();
        total.rooms += 1;
        total.members += state.members.len();
        total.subscriptions += state.subscribers.values().sum::<usize>();
        total.queued += self.deliveries.waiting() + state.appends.len();
    }

    /// Asks the log, which is open.
    pub(crate) fn with_log<T>(&self, ask: impl FnOnce(&Log) -> T) -> Result<T, Unavailable> {
        self.lock().log.as_ref().map(ask).ok_or(Unavailable)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Whatever panics under the lock has left the state usable: the transport runs between changes, not within
        // one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
