//! A room that is open: its members, its log, and the order of its events.

use std::{
    borrow::Cow,
    collections::HashMap,
    num::NonZeroUsize,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::value::RawValue;

use super::{
    super::{
        Client, ClientId, Limits, Stats,
        gateway::{Gateway, Unsent},
    },
    erased::ErasedRoom,
    log::{Log, Stored},
    membership::Answer,
    on::Handlers,
    subscriptions::Subscriptions,
};
use crate::{App, JoinError, RoomSpec, name, protocol::Joined};

pub(crate) struct Live<A: App> {
    room: Arc<dyn ErasedRoom<A>>,
    /// Held for as long as it takes to hand an event to the transport, never across an await:
    /// what happens under it is what gives the room its order.
    state: Mutex<State>,
    pub(crate) handlers: Handlers,
}

#[derive(Default)]
struct State {
    /// The hub has let go of this room: whoever still holds it opens it anew.
    closed: bool,
    /// The place of this room among the hub's empty ones.
    retired: Option<u64>,
    members: HashMap<ClientId, Subscriptions>,
    /// How many members receive an event, by name, `"*"` included.
    subscribers: HashMap<Cow<'static, str>, usize>,
    log: Log,
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
    pub(crate) fn new(room: Arc<dyn ErasedRoom<A>>, limits: &Limits) -> Self {
        Self { room, state: Mutex::default(), handlers: Handlers::new(limits) }
    }

    pub(crate) fn id(&self) -> &Arc<str> {
        self.room.id()
    }

    pub(crate) fn room(&self) -> &Arc<dyn ErasedRoom<A>> {
        &self.room
    }

    /// Whether this is that room: an id alone may be another room's.
    pub(crate) fn is(&self, room: &dyn ErasedRoom<A>) -> bool {
        self.room.spec().pattern == room.spec().pattern
    }

    pub(crate) fn size(&self) -> usize {
        self.lock().members.len()
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
        let subscriptions = match (named, present) {
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
                    client.note_left(self.id());
                }
                return Ok(Admission::Unanswered);
            }
        }
        state.change_subscriptions(self.id(), client, subscriptions);
        Ok(if first { Admission::First } else { Admission::Again })
    }

    /// Ends a membership; returns whether there was one.
    pub(crate) fn dismiss(&self, client: &Client<A>) -> bool {
        let mut state = self.lock();
        if !state.members.contains_key(&client.id()) {
            return false;
        }
        state.change_subscriptions(self.id(), client, Subscriptions::default());
        state.members.remove(&client.id());
        client.note_left(self.id());
        true
    }

    /// Adds a subscription of a member; returns all it has.
    pub(crate) fn subscribe(
        &self,
        client: &Client<A>,
        event: &str,
        most: usize,
    ) -> Result<Vec<Cow<'static, str>>, JoinError> {
        self.subscriptions(client, |spec, subscriptions| subscriptions.add(spec, event, most))
    }

    /// Removes a subscription of a member; returns all it has left.
    pub(crate) fn unsubscribe(&self, client: &Client<A>, event: &str) -> Vec<Cow<'static, str>> {
        let removed = self.subscriptions(client, |_, subscriptions| {
            subscriptions.remove(event);
            Ok(())
        });
        removed.unwrap_or_default()
    }

    fn subscriptions(
        &self,
        client: &Client<A>,
        change: impl FnOnce(&RoomSpec, &mut Subscriptions) -> Result<(), JoinError>,
    ) -> Result<Vec<Cow<'static, str>>, JoinError> {
        let mut state = self.lock();
        // A client that left meanwhile has no subscriptions to change.
        let Some(present) = state.members.get(&client.id()) else {
            return Ok(Vec::new());
        };
        let mut subscriptions = present.clone();
        change(self.room.spec(), &mut subscriptions)?;
        let names = subscriptions.names().to_vec();
        state.change_subscriptions(self.id(), client, subscriptions);
        Ok(names)
    }

    /// Gives an event its place in the room's order: hands it to the transport, keeps it if it
    /// has history, and runs `then`. Returns how many members it goes to, or `None` if the room
    /// was closed in between.
    pub(crate) fn broadcast(
        &self,
        gateway: &Gateway,
        event: &str,
        body: &Stored,
        history: Option<(&'static str, NonZeroUsize)>,
        then: impl FnOnce(),
    ) -> Option<usize> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        let count = |name: &str| state.subscribers.get(name).copied().unwrap_or(0);
        let audiences = [event, name::EVERY_EVENT];
        let recipients = audiences.iter().map(|name| count(name)).sum();
        if recipients > 0 {
            let heard = audiences.into_iter().filter(|name| count(name) > 0);
            gateway.broadcast(heard.map(|name| channel(self.id(), name)).collect(), body);
        }
        if let Some((event, limit)) = history {
            state.log.append(event, limit, body.clone());
        }
        then();
        Some(recipients)
    }

    pub(crate) fn page(
        &self,
        event: &str,
        range: Range<usize>,
        limits: &Limits,
    ) -> (Vec<Stored>, bool) {
        self.lock().log.page(event, range, limits)
    }

    /// Runs `change` unless the room is closed.
    pub(crate) fn while_open(&self, change: impl FnOnce()) -> bool {
        let state = self.lock();
        if !state.closed {
            change();
        }
        !state.closed
    }

    /// Closes the room if nobody needs it: it is one of a family, empty, has no handlers added at
    /// run time and no events to handle. One that remembers something is closed only if `forget`.
    pub(crate) fn close_if_idle(&self, forget: bool) -> bool {
        let mut state = self.lock();
        let idle = !self.needed(&state) && (forget || state.log.len() == 0);
        state.closed |= idle;
        idle
    }

    pub(crate) fn is_needed(&self) -> bool {
        self.needed(&self.lock())
    }

    fn needed(&self, state: &State) -> bool {
        !self.room.spec().is_family() || !state.members.is_empty() || self.handlers.are_busy()
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

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whatever panics under the lock has left the state usable: `then` and the transport run
        // between changes, not within one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Makes a member's subscriptions, and what its connection listens to, the given ones.
    fn change_subscriptions<A: App>(
        &mut self,
        room_id: &str,
        client: &Client<A>,
        subscriptions: Subscriptions,
    ) {
        let present = self.members.remove(&client.id()).unwrap_or_default();
        let differ = |these: &Subscriptions, those: &Subscriptions| -> Vec<Cow<'static, str>> {
            let missing = these.names().iter().filter(|name| !those.names().contains(name));
            missing.cloned().collect()
        };
        let (gone, new) = (differ(&present, &subscriptions), differ(&subscriptions, &present));
        if !gone.is_empty() {
            client.connection().unlisten(gone.iter().map(|name| channel(room_id, name)).collect());
        }
        if !new.is_empty() {
            client.connection().listen(new.iter().map(|name| channel(room_id, name)).collect());
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
        self.members.insert(client.id(), subscriptions);
    }
}

/// What the subscribers of an event in a room listen to. Ids and names are printable, so a line
/// break separates them without doubt.
fn channel(room_id: &str, event: &str) -> String {
    format!("{room_id}\n{event}")
}
