//! A room that is open: its members, its log, and the order of its events.

use std::{
    borrow::Cow,
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::value::RawValue;

use super::{
    super::{
        Client, ClientId, Limits, Stats,
        gateway::{Connection, Gateway, Unsent},
    },
    erased::ErasedRoom,
    log::{Log, Stored},
    membership::Answer,
    on::Handlers,
    subscriptions::{Names, Subscriptions},
};
use crate::{
    App, JoinError, RoomSpec, SubscribeError, name,
    protocol::{Joined, RoomInfo},
    room::RoomEvent,
};

pub(crate) struct Live<A: App> {
    room: Arc<dyn ErasedRoom<A>>,
    /// Its place among all rooms that were ever open.
    number: u64,
    /// Held for as long as it takes to hand an event to the transport, never across an await:
    /// what happens under it is what gives the room its order.
    state: Mutex<State<A>>,
    pub(crate) handlers: Handlers,
}

struct State<A: App> {
    /// The hub has let go of this room: whoever still holds it opens it anew.
    closed: bool,
    /// The place of this room among the hub's empty ones.
    retired: Option<u64>,
    members: HashMap<ClientId, Member<A>>,
    /// How many members receive an event, by name, `"*"` included.
    subscribers: HashMap<Cow<'static, str>, usize>,
    log: Log,
}

/// A client in a room.
pub(crate) struct Member<A: App> {
    client: Client<A>,
    subscriptions: Subscriptions,
}

/// Who triggers an event.
pub(crate) enum By<'a, A: App> {
    /// A member.
    Client(&'a Client<A>),
    /// The server's own code, which leaves out these.
    Server(&'a [Client<A>]),
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
}

impl<A: App> Live<A> {
    pub(crate) fn new(room: Arc<dyn ErasedRoom<A>>, number: u64, limits: &Limits) -> Self {
        let state = State {
            closed: false,
            retired: None,
            members: HashMap::new(),
            subscribers: HashMap::new(),
            log: Log::default(),
        };
        Self { room, number, state: Mutex::new(state), handlers: Handlers::new(limits) }
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

    /// Makes the client a member and answers it, so that the answer precedes every event that it
    /// does not already hold, and no event falls between the two.
    pub(crate) fn admit(
        self: &Arc<Self>,
        client: &Client<A>,
        named: Option<&Subscriptions>,
        answer: &Answer,
    ) -> Result<Admission, JoinError> {
        let spec = self.room.spec();
        let limits = client.dialogue().limits();
        let mut state = self.lock();
        if state.closed {
            return Ok(Admission::Closed);
        }
        let present = state.members.get(&client.id());
        let first = present.is_none();
        if first && spec.max_size.is_some_and(|most| state.members.len() >= most.get()) {
            return Err(JoinError::Full);
        }
        let subscriptions = match (named, present.map(|member| &member.subscriptions)) {
            (Some(named), _) => named.clone(),
            (None, None) => Subscriptions::defaults(spec),
            (None, Some(present)) => {
                let mut present = present.clone();
                present.extend(Subscriptions::defaults(spec));
                present
            }
        };
        client.note_joined(self, limits.rooms_per_connection)?;

        let (events, more) = state.log.recent(&subscriptions, spec.sync_history, limits.page_bytes);
        let events: Vec<&RawValue> = events.iter().map(|event| &**event).collect();
        let joined = Joined {
            room_id: self.id(),
            room_name: spec.name.unwrap_or(self.id()),
            subscriptions: subscriptions.names(),
            events: &events,
            more,
        };
        for packet in answer.packets(&joined, spec.sync_history) {
            if let Err(Unsent::Full) = client.connection().try_send(&packet) {
                if first {
                    client.note_left(self);
                }
                return Ok(Admission::Unanswered);
            }
        }
        state.change_subscriptions(self.number, client, subscriptions);
        Ok(if first { Admission::First } else { Admission::Again })
    }

    /// Ends a membership; returns whether there was one.
    pub(crate) fn dismiss(self: &Arc<Self>, client: &Client<A>) -> bool {
        let mut state = self.lock();
        if !state.members.contains_key(&client.id()) {
            return false;
        }
        state.change_subscriptions(self.number, client, Subscriptions::default());
        state.members.remove(&client.id());
        client.note_left(self);
        true
    }

    /// Adds a subscription of a member; returns all it has.
    pub(crate) fn subscribe(
        &self,
        client: &Client<A>,
        event: &str,
    ) -> Result<Names, SubscribeError> {
        let most = client.dialogue().limits().subscriptions_per_room;
        self.change(client, |spec, subscriptions| subscriptions.add(spec, event, most))
    }

    /// Removes a subscription of a member; returns all it has left.
    pub(crate) fn unsubscribe(
        &self,
        client: &Client<A>,
        event: &str,
    ) -> Result<Names, SubscribeError> {
        self.change(client, |_, subscriptions| {
            subscriptions.remove(event);
            Ok(())
        })
    }

    /// The subscriptions of a member.
    pub(crate) fn subscriptions(&self, client: &Client<A>) -> Option<Names> {
        let state = self.lock();
        let member = state.members.get(&client.id())?;
        Some(member.subscriptions.names().to_vec())
    }

    fn change(
        &self,
        client: &Client<A>,
        change: impl FnOnce(RoomSpec<'_>, &mut Subscriptions) -> Result<(), SubscribeError>,
    ) -> Result<Names, SubscribeError> {
        let mut state = self.lock();
        let present = state.members.get(&client.id()).ok_or(SubscribeError::NotInRoom)?;
        let mut subscriptions = present.subscriptions.clone();
        change(self.room.spec(), &mut subscriptions)?;
        let names = subscriptions.names().to_vec();
        state.change_subscriptions(self.number, client, subscriptions);
        Ok(names)
    }

    /// Gives an event its place in the room's order: hands it to the transport, keeps it if it
    /// has history, and runs `then`. Returns how many members it goes to, or `None` if the room
    /// was closed in between, or the client that triggers is a member no longer.
    pub(crate) fn broadcast(
        &self,
        gateway: &Gateway,
        event: &str,
        row: Option<&RoomEvent>,
        body: &Stored,
        by: &By<'_, A>,
        then: impl FnOnce(usize),
    ) -> Option<usize> {
        let mut state = self.lock();
        let except = match *by {
            By::Server(except) => except,
            By::Client(client) => {
                let gone = client.connection().inbox.is_closed_by_server();
                if gone || !state.members.contains_key(&client.id()) {
                    return None;
                }
                &[]
            }
        };
        if state.closed {
            return None;
        }
        let audiences = [event, name::EVERY_EVENT];
        let count = |name: &str| state.subscribers.get(name).copied().unwrap_or(0);
        let mut recipients: usize = audiences.iter().map(|name| count(name)).sum();
        let excepted: Vec<&Connection> = except
            .iter()
            .filter(|client| {
                let member = state.members.get(&client.id());
                member.is_some_and(|member| member.subscriptions.covers(event))
            })
            .map(Client::connection)
            .collect();
        recipients -= excepted.len();
        if recipients > 0 {
            let heard = audiences.into_iter().filter(|name| count(name) > 0);
            let channels = heard.map(|name| channel(self.number, name)).collect();
            gateway.broadcast(channels, &excepted, body);
        }
        if let Some(row) = row
            && let Some(limit) = row.history
        {
            state.log.append(row, limit, body.clone());
        }
        then(recipients);
        Some(recipients)
    }

    /// The events of one name in `range`, 0 being the newest.
    pub(crate) fn range(&self, event: &str, range: Range<usize>) -> Vec<Stored> {
        self.lock().log.range(event, range)
    }

    /// A page of the events of one name, 0 being the newest, and whether it is all of the range that
    /// there is; `None` if the room was deleted.
    pub(crate) fn page(
        &self,
        event: &str,
        range: Range<usize>,
        limits: &Limits,
    ) -> Option<(Vec<Stored>, bool)> {
        let state = self.lock();
        (!state.closed).then(|| state.log.page(event, range, limits))
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
    /// handlers added at run time and no events to handle. One that remembers something is closed only if `forget`.
    pub(crate) fn close_if_idle(&self, forget: bool) -> bool {
        let mut state = self.lock();
        let idle = !self.needed(&state) && (forget || state.log.len() == 0);
        state.closed |= idle;
        idle
    }

    /// Closes the room whoever needs it, and forgets what it kept; returns who was in it, or `None`
    /// if it was closed before.
    pub(crate) fn close(&self) -> Option<Vec<Member<A>>> {
        let mut state = self.lock();
        if std::mem::replace(&mut state.closed, true) {
            return None;
        }
        state.subscribers.clear();
        state.log = Log::default();
        Some(state.members.drain().map(|(_, member)| member).collect())
    }

    /// Makes those who were in a closed room hear nothing of it. It sends nothing more, so nothing
    /// depends on when this happens.
    pub(crate) fn deafen(self: &Arc<Self>, members: Vec<Member<A>>) -> Vec<Client<A>> {
        let deafened = members.into_iter().map(|Member { client, subscriptions }| {
            let names = subscriptions.names().iter();
            client.connection().unlisten(names.map(|name| channel(self.number, name)).collect());
            client.note_left(self);
            client
        });
        deafened.collect()
    }

    pub(crate) fn is_needed(&self) -> bool {
        self.needed(&self.lock())
    }

    fn needed(&self, state: &State<A>) -> bool {
        let spec = self.room.spec();
        let stays = !spec.is_family() || spec.explicit;
        stays || !state.members.is_empty() || self.handlers.are_busy()
    }

    /// Notes the place of this room among the hub's empty ones; returns the one noted before.
    pub(crate) fn note_retired(&self, retired: Option<u64>) -> Option<u64> {
        std::mem::replace(&mut self.lock().retired, retired)
    }

    pub(crate) fn count_into(&self, total: &mut Stats) {
        let state = self.lock();
        total.rooms += 1;
        total.members += state.members.len();
        total.subscriptions += state.subscribers.values().sum::<usize>();
        total.stored += state.log.len();
        total.queued += self.handlers.waiting();
    }

    fn lock(&self) -> MutexGuard<'_, State<A>> {
        // Whatever panics under the lock has left the state usable: `then` and the transport run
        // between changes, not within one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: App> State<A> {
    /// Makes a member's subscriptions, and what its connection listens to, the given ones.
    fn change_subscriptions(
        &mut self,
        room: u64,
        client: &Client<A>,
        subscriptions: Subscriptions,
    ) {
        let present = self.members.remove(&client.id());
        let present = present.map(|member| member.subscriptions).unwrap_or_default();
        let differ = |these: &Subscriptions, those: &Subscriptions| -> Vec<Cow<'static, str>> {
            let missing = these.names().iter().filter(|name| !those.names().contains(name));
            missing.cloned().collect()
        };
        let (gone, new) = (differ(&present, &subscriptions), differ(&subscriptions, &present));
        if !gone.is_empty() {
            client.connection().unlisten(gone.iter().map(|name| channel(room, name)).collect());
        }
        if !new.is_empty() {
            client.connection().listen(new.iter().map(|name| channel(room, name)).collect());
        }
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
        self.members.insert(client.id(), Member { client: client.clone(), subscriptions });
    }
}

/// What the subscribers of an event in a room listen to. The room's number, unlike its id, is never
/// another room's: who is in a room that was deleted hears nothing of the next one of its id.
fn channel(room: u64, event: &str) -> String {
    format!("{room}\n{event}")
}
