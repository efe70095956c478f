//! A room that is open: its members, and what it knows of its log.

use std::{
    borrow::Cow,
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::sync::OnceCell;

use super::{
    super::{
        Client, ClientId, Limits, Stats,
        budget::{Budget, Charge},
        outgoing::Unsent,
        packet::{Body, SharedBody},
    },
    append::Appends,
    deliver::{Quiet, Slowness},
    erased::ErasedRoom,
    log::Log,
    membership::{self, Answer},
    on::Handlers,
    replay::{Base, Past, Reading, Reads},
    subscriptions::{Named, Names, Subscriptions},
};
use crate::{
    App, Epoch, JoinError, RoomSpec, SubscribeError,
    protocol::{self, Ack, Joined, RoomInfo},
    store::{
        Head, LogId,
        erased::{AnyStore, Unavailable},
    },
};

pub(crate) struct Live<A: App> {
    room: Arc<dyn ErasedRoom<A>>,
    /// Its place among all rooms that were ever open.
    number: u64,
    /// Held for as long as it takes to hand an event to the transport, never across an await:
    /// what happens under it is what gives the room its order.
    state: Mutex<State<A>>,
    log_id: LogId,
    /// How many have promised to let go of the room: [`Held`](super::hub::Held).
    pub(super) holders: AtomicUsize,
    opened: OnceCell<()>,
    /// When the store last failed to say where the log ends.
    unopened: Mutex<Option<Instant>>,
    pub(crate) handlers: Handlers,
    pub(super) reads: Reads,
}

pub(super) struct State<A: App> {
    /// The hub has let go of this room: whoever still holds it opens it anew.
    pub(super) closed: bool,
    pub(super) members: HashMap<ClientId, Member<A>>,
    /// Since when there are none.
    empty_since: Option<Instant>,
    /// How many members receive an event, by name, `"*"` included.
    pub(super) subscribers: HashMap<Cow<'static, str>, usize>,
    /// There once the room is opened.
    pub(super) log: Option<Log>,
    pub(super) appends: Appends<A>,
    pub(super) quiet: Quiet,
    answered: Answered,
}

/// The last answer to a join: others that are the same share its text.
#[derive(Default)]
struct Answered {
    last: Option<(Like, SharedBody)>,
    /// Of subscriptions and unknown events, whose names may be long.
    hasher: RandomState,
}

/// What makes two answers the same: the log's epoch and end, what was read of it, the hash of the names.
type Like = (Epoch, u64, Reading, u64);

impl Answered {
    fn body(&mut self, like: Like, joined: &impl Serialize, process: &Arc<Budget>) -> Body {
        let last = self.last.as_ref().filter(|(last, _)| *last == like);
        if let Some(body) = last.and_then(|(_, body)| body.get()) {
            return body;
        }
        let body = Body::new(joined, process);
        self.last = Some((like, body.share()));
        body
    }
}

/// A client in a room.
pub(crate) struct Member<A: App> {
    pub(super) client: Client<A>,
    pub(super) subscriptions: Subscriptions,
    pub(super) slowness: Slowness,
    /// What the membership takes of the connection's account.
    charge: Charge,
}

/// What a membership takes, in bytes, besides its subscriptions and the room's id.
const MEMBERSHIP: usize = 2_500;

/// The weight of a membership, in bytes.
fn weight(room_id: &str, subscriptions: &Subscriptions) -> usize {
    // The member and its room have the id.
    MEMBERSHIP + 2 * room_id.len() + subscriptions.weight()
}

/// A change of a member's subscriptions; `"*"` is every event.
#[derive(Clone, Copy)]
pub(crate) enum Change<'a> {
    Add(&'a str),
    Remove(&'a str),
}

/// How a join went.
pub(crate) enum Admission {
    /// The client is a member now, and has its answer.
    First,
    /// The client was a member before, and has its answer.
    Again,
    /// The answer found no room in the connection's buffer: the client is no member.
    Unanswered,
    /// The room was closed in between.
    Closed,
    /// What was read of the log is not enough any more.
    Stale,
}

impl<A: App> Live<A> {
    /// A room that nobody is in yet. If the log was just created, and is empty, this is its epoch.
    pub(crate) fn new(
        room: Arc<dyn ErasedRoom<A>>,
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
            opened: OnceCell::new_with(empty.map(drop)),
            unopened: Mutex::default(),
            handlers: Handlers::new(limits),
            reads: Reads::default(),
        }
    }

    /// Finds out where the room's log ends, if that is not known. Nobody joins and nothing is stored before that.
    /// Returns whether this call asked the store.
    pub(crate) async fn open_log(&self, store: &AnyStore) -> Result<bool, Unavailable> {
        let asked = Instant::now();
        let mut has_asked = false;
        let open = async || {
            // Whoever waited for one attempt that failed does not wait for one of its own.
            let unopened = || self.unopened.lock().unwrap_or_else(PoisonError::into_inner);
            if unopened().is_some_and(|failed| failed >= asked) {
                return Err(Unavailable);
            }
            let epoch = Epoch::random();
            let head = if self.is_stored() {
                store.begin(&self.log_id, epoch).await
            } else {
                Ok(Head::empty(epoch))
            };
            if head.is_err() {
                *unopened() = Some(Instant::now());
            }
            let head = head?;
            self.lock().log = Some(Log::at(head));
            has_asked = true;
            Ok(())
        };
        self.opened.get_or_try_init(open).await?;
        Ok(has_asked)
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

    pub(crate) fn room(&self) -> &Arc<dyn ErasedRoom<A>> {
        &self.room
    }

    /// Whether this is that room: an id alone may be another room's.
    pub(crate) fn is(&self, room: &dyn ErasedRoom<A>) -> bool {
        self.room.creation() == room.creation() && self.room.spec().pattern == room.spec().pattern
    }

    pub(crate) fn size(&self) -> usize {
        self.lock().members.len()
    }

    /// The members, in no particular order.
    pub(crate) fn members(&self) -> Vec<Client<A>> {
        self.lock().members.values().map(|member| member.client.clone()).collect()
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

    /// What the client would be subscribed to if it joined.
    pub(crate) fn intended(&self, client: &Client<A>, named: Option<&Named>) -> Subscriptions {
        self.lock().intended(self.room.spec(), client, named)
    }

    /// Makes the client a member and answers it, so that the answer precedes every event that it
    /// does not already hold, and no event falls between the two.
    pub(crate) fn admit(
        self: &Arc<Self>,
        client: &Client<A>,
        named: Option<&Named>,
        base: &Base,
        answer: &Answer,
    ) -> Result<Admission, JoinError> {
        let spec = self.room.spec();
        let limits = client.dialogue().limits();
        let stored = self.stored_events().cloned().collect();
        let mut state = self.lock();
        if state.closed {
            return Ok(Admission::Closed);
        }
        let first = !state.members.contains_key(&client.id());
        if first && spec.max_size.is_some_and(|most| state.members.len() >= most.get()) {
            return Err(JoinError::Full);
        }
        let subscriptions = state.intended(spec, client, named);
        let needed = weight(self.id(), &subscriptions);
        let mut charge =
            first.then(|| Charge::new(client.connection().transport().account().clone()));
        let fits = match (&mut charge, state.members.get_mut(&client.id())) {
            (Some(charge), _) => charge.set(needed),
            (None, Some(member)) => member.charge.set(needed.max(member.charge.bytes())),
            (None, None) => false,
        };
        if !fits {
            return Err(JoinError::AddressLimit);
        }
        let Some(log) = &state.log else { return Ok(Admission::Stale) };
        let Some(past) = base.up_to(log, &subscriptions, limits) else {
            return Ok(Admission::Stale);
        };
        client.note_joined(self, limits.rooms_per_connection)?;

        let Past { recovered, events, more } = &past;
        let unknown = named.map_or::<&[String], _>(&[], |named| &named.unknown);
        let joined = Joined {
            room_id: (&**self.id()).into(),
            room_name: spec.name.unwrap_or(self.id()).into(),
            subscriptions: subscriptions.names().into(),
            unknown_events: unknown.into(),
            stored,
            epoch: log.epoch,
            seq: log.seq,
            recovered: *recovered,
            last: recovered.is_some().then(|| log.heads(&subscriptions).collect()),
            events: events.into(),
            more: *more,
        };
        let sent = match *answer {
            Answer::Ack(id) => {
                let hash = state.answered.hasher.hash_one((subscriptions.names(), unknown));
                let like = (log.epoch, log.seq, base.reading(), hash);
                let joined = Ack { ok: true, body: joined };
                let answered = &mut state.answered;
                client.connection().try_ack_of(id, |process| answered.body(like, &joined, process))
            }
            Answer::Events => membership::tell(client.connection(), &joined, spec.sync_history),
        };
        if let Err(Unsent::Full) = sent {
            if first {
                client.note_left(self);
            }
            return Ok(Admission::Unanswered);
        }
        state.empty_since = None;
        state.change_subscriptions(self.id(), client, charge, subscriptions);
        // It has just been told everything.
        state.resume_delivery(client.id());
        Ok(if first { Admission::First } else { Admission::Again })
    }

    /// Ends a membership; returns whether there was one.
    pub(crate) fn dismiss(self: &Arc<Self>, client: &Client<A>) -> bool {
        let mut state = self.lock();
        if !state.members.contains_key(&client.id()) {
            return false;
        }
        state.change_subscriptions(self.id(), client, None, Subscriptions::default());
        state.members.remove(&client.id());
        if state.members.is_empty() {
            state.empty_since = Some(Instant::now());
        }
        client.note_left(self);
        true
    }

    /// The server's own code changes a member's subscriptions.
    pub(crate) fn change(
        &self,
        client: &Client<A>,
        change: Change<'_>,
    ) -> Result<(), SubscribeError> {
        self.change_and_answer(client, change, None).unwrap_or(Ok(()))
    }

    /// Changes a member's subscriptions and acknowledges that, so that the answer precedes every event
    /// that it brings. `None`, and nothing has changed, if the connection has no room for the answer.
    pub(crate) fn change_and_answer(
        &self,
        client: &Client<A>,
        change: Change<'_>,
        ack: Option<i64>,
    ) -> Option<Result<(), SubscribeError>> {
        let most = client.dialogue().limits().subscriptions_per_room;
        let mut state = self.lock();
        let member = state.members.get(&client.id());
        // Nobody is a member before the log is open.
        let (Some(member), Some(log)) = (member, &state.log) else {
            return Some(Err(SubscribeError::NotInRoom));
        };
        let (epoch, seq) = (log.epoch, log.seq);
        let mut subscriptions = member.subscriptions.clone();
        match change {
            Change::Add(event) => {
                if let Err(refused) = subscriptions.add(self.room.spec(), event, most) {
                    return Some(Err(refused));
                }
            }
            Change::Remove(event) => subscriptions.remove(event),
        }
        let needed = weight(self.id(), &subscriptions);
        let member = state.members.get_mut(&client.id());
        if !member.is_some_and(|member| member.charge.set(needed.max(member.charge.bytes()))) {
            return Some(Err(SubscribeError::AddressLimit));
        }
        if let Some(id) = ack {
            let names = subscriptions.names().into();
            let body = protocol::Subscriptions { subscriptions: names, epoch, seq };
            let sent = client.connection().try_ack(id, &Ack { ok: true, body });
            if let Err(Unsent::Full) = sent {
                return None;
            }
        }
        state.change_subscriptions(self.id(), client, None, subscriptions);
        Some(Ok(()))
    }

    /// The subscriptions of a member.
    pub(crate) fn subscriptions(&self, client: &Client<A>) -> Option<Names> {
        let state = self.lock();
        let member = state.members.get(&client.id())?;
        Some(member.subscriptions.names().to_vec())
    }

    /// Runs `change` unless the room is closed.
    pub(crate) fn while_open(&self, change: impl FnOnce()) -> bool {
        let state = self.lock();
        if !state.closed {
            change();
        }
        !state.closed
    }

    /// Closes the room if nobody needs it: it is one of a family, was not created, is empty, has no
    /// handlers added at run time, and no events to store or to handle.
    pub(crate) fn close_if_idle(&self) -> bool {
        let mut state = self.lock();
        let idle = !self.needed(&state);
        state.closed |= idle;
        idle
    }

    /// Whether a client asked for the room and nobody has been in it for this time, nor has code added handlers.
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

    fn abandoned(&self, state: &State<A>, time: Duration) -> bool {
        self.log_id.owner.is_creation()
            && state.members.is_empty()
            && state.empty_since.is_some_and(|since| since.elapsed() >= time)
            && self.holders.load(Ordering::Acquire) == 0
            && !state.appends.are_busy()
            && !self.handlers.are_busy()
    }

    /// Closes the room whoever needs it; returns who was in it, or `None` if it was closed before.
    pub(crate) fn close(&self) -> Option<Vec<Member<A>>> {
        let mut state = self.lock();
        if std::mem::replace(&mut state.closed, true) {
            return None;
        }
        state.subscribers.clear();
        Some(state.members.drain().map(|(_, member)| member).collect())
    }

    /// Those who were in a closed room are its members no more.
    pub(crate) fn dismiss_all(self: &Arc<Self>, members: Vec<Member<A>>) -> Vec<Client<A>> {
        let dismissed = members.into_iter().map(|Member { client, .. }| {
            client.note_left(self);
            client
        });
        dismissed.collect()
    }

    /// Whether no event waits for the store or for handlers, and none is being stored or handled.
    pub(crate) fn is_idle(&self) -> bool {
        !self.lock().appends.is_working() && !self.handlers.are_working()
    }

    pub(crate) fn is_needed(&self) -> bool {
        self.needed(&self.lock())
    }

    fn needed(&self, state: &State<A>) -> bool {
        let spec = self.room.spec();
        let stays = !spec.is_family() || spec.explicit;
        stays
            || !state.members.is_empty()
            || self.holders.load(Ordering::Acquire) > 0
            || state.appends.are_busy()
            || self.handlers.are_busy()
    }

    pub(crate) fn count_into(&self, total: &mut Stats) {
        let state = self.lock();
        total.rooms += 1;
        total.members += state.members.len();
        total.subscriptions += state.subscribers.values().sum::<usize>();
        total.queued += self.handlers.waiting() + state.appends.len();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<A>> {
        // Whatever panics under the lock has left the state usable: `then` and the transport run
        // between changes, not within one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: App> State<A> {
    /// What the client would be subscribed to if it joined.
    fn intended(
        &self,
        spec: RoomSpec<'_>,
        client: &Client<A>,
        named: Option<&Named>,
    ) -> Subscriptions {
        let present = self.members.get(&client.id()).map(|member| &member.subscriptions);
        match (named, present) {
            (Some(named), _) => named.subscriptions.clone(),
            (None, None) => Subscriptions::defaults(spec),
            (None, Some(present)) => {
                let mut present = present.clone();
                present.extend(Subscriptions::defaults(spec));
                present
            }
        }
    }

    /// Makes a member's subscriptions the given ones. A new member brings its charge.
    fn change_subscriptions(
        &mut self,
        room_id: &str,
        client: &Client<A>,
        charge: Option<Charge>,
        subscriptions: Subscriptions,
    ) {
        let (present, slowness, charge) = match (self.members.remove(&client.id()), charge) {
            (Some(Member { subscriptions, slowness, charge, .. }), _) => {
                (subscriptions, slowness, charge)
            }
            (None, Some(charge)) => (Subscriptions::default(), Slowness::default(), charge),
            (None, None) => return,
        };
        let mut charge = charge;
        // No more than was taken for it before.
        charge.set(weight(room_id, &subscriptions));
        let differ = |these: &Subscriptions, those: &Subscriptions| -> Vec<Cow<'static, str>> {
            let missing = these.names().iter().filter(|name| !those.names().contains(name));
            missing.cloned().collect()
        };
        let (gone, new) = (differ(&present, &subscriptions), differ(&subscriptions, &present));
        for name in gone {
            if let Some(count) = self.subscribers.get_mut(&name) {
                *count -= 1;
                if *count == 0 {
                    self.subscribers.remove(&name);
                }
            }
        }
        for name in new {
            *self.subscribers.entry(name).or_default() += 1;
        }
        if self.subscribers.capacity() > 32.max(4 * self.subscribers.len()) {
            self.subscribers.shrink_to_fit();
        }
        let member = Member { client: client.clone(), subscriptions, slowness, charge };
        self.members.insert(client.id(), member);
    }
}
