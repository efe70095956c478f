//! Members of a room: who comes in, what they are subscribed to, and who leaves.

use std::{borrow::Cow, hash::BuildHasher, sync::Arc, time::Instant};

use super::{
    join_answer::JoinAnswer,
    live::{Live, State},
    member::{Member, Participant, Slowness, Subscriber},
    recovery::{Base, Past},
    subscriptions::{Named, Names, Subscriptions},
};
use crate::{
    JoinError, Limits, RoomSpec, SubscribeError,
    connection::{budget::Charge, outgoing::Unsent},
    protocol::{self, Joined},
};

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
    /// The connection's queue has no room for the answer: the client is no member.
    Unanswered,
    /// The room was closed in between.
    Closed,
    /// The room has gone on since its log was read, and does not remember what happened.
    Stale,
}

impl Live {
    /// What the client would be subscribed to if it joined.
    pub(crate) fn intended(&self, member: &Member, named: Option<&Named>) -> Subscriptions {
        self.lock().intended(self.room().spec(), member, named)
    }

    /// Makes the client a member, and has its answer handed over. No event falls between the two, so that the answer
    /// precedes every event that it does not hold.
    pub(crate) fn admit(
        self: &Arc<Self>,
        limits: &Limits,
        participant: &Participant,
        named: Option<&Named>,
        base: &Base,
        hand_over: impl FnOnce(JoinAnswer<'_>) -> Result<(), Unsent>,
    ) -> Result<Admission, JoinError> {
        let (spec, member) = (self.room().spec(), &participant.member);
        let stored = self.stored_events().cloned().collect();
        let mut state = self.lock();
        if state.closed {
            return Ok(Admission::Closed);
        }
        let first = !state.members.contains_key(&member.id());
        if first && spec.max_size.is_some_and(|most| state.members.len() >= most.get()) {
            return Err(JoinError::Full);
        }
        let subscriptions = state.intended(spec, member, named);
        let needed = weight(self.id(), &subscriptions);
        let mut charge =
            first.then(|| Charge::new(member.connection.transport().account().clone()));
        let fits = match (&mut charge, state.members.get_mut(&member.id())) {
            (Some(charge), _) => charge.set(needed),
            (None, Some(present)) => present.charge.set(needed.max(present.charge.bytes())),
            (None, None) => false,
        };
        if !fits {
            return Err(JoinError::AddressLimit);
        }
        let state = &mut *state;
        let Some(log) = &state.log else { return Ok(Admission::Stale) };
        let Some(past) = base.up_to(log, &subscriptions, limits) else {
            return Ok(Admission::Stale);
        };
        member.note_joined(self, limits.rooms_per_connection)?;

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
        let answered = &mut state.answered;
        let hash = answered.hasher.hash_one((subscriptions.names(), unknown));
        let like = (log.epoch, log.seq, base.reading(), hash);
        if let Err(Unsent::Full) =
            hand_over(JoinAnswer { joined, sync: spec.sync_history, like, answered })
        {
            if first {
                member.note_left(self);
            }
            return Ok(Admission::Unanswered);
        }
        state.empty_since = None;
        state.change_subscriptions(self.id(), participant, charge, subscriptions);
        // Its answer has everything that it missed.
        state.resume_delivery(member.id());
        Ok(if first { Admission::First } else { Admission::Again })
    }

    /// Ends a membership. Returns whether there was one.
    pub(crate) fn dismiss(self: &Arc<Self>, member: &Member) -> bool {
        let mut state = self.lock();
        let Some(present) = state.members.get(&member.id()) else { return false };
        let participant = present.participant.clone();
        state.change_subscriptions(self.id(), &participant, None, Subscriptions::default());
        state.members.remove(&member.id());
        if state.members.is_empty() {
            state.empty_since = Some(Instant::now());
        }
        member.note_left(self);
        true
    }

    /// Changes a member's subscriptions, and has the answer handed over first, so that it precedes every event that
    /// the change brings. `None`, and nothing has changed, if the connection's queue has no room for the answer.
    pub(crate) fn change(
        &self,
        limits: &Limits,
        member: &Member,
        change: Change<'_>,
        hand_over: impl FnOnce(&protocol::Subscriptions<'_>) -> Result<(), Unsent>,
    ) -> Option<Result<(), SubscribeError>> {
        let most = limits.subscriptions_per_room;
        let mut state = self.lock();
        let present = state.members.get(&member.id());
        // A room has no members before its log is open.
        let (Some(present), Some(log)) = (present, &state.log) else {
            return Some(Err(SubscribeError::NotInRoom));
        };
        let (epoch, seq) = (log.epoch, log.seq);
        let participant = present.participant.clone();
        let mut subscriptions = present.subscriptions.clone();
        match change {
            Change::Add(event) => {
                if let Err(refused) = subscriptions.add(self.room().spec(), event, most) {
                    return Some(Err(refused));
                }
            }
            Change::Remove(event) => subscriptions.remove(event),
        }
        let needed = weight(self.id(), &subscriptions);
        let present = state.members.get_mut(&member.id());
        if !present.is_some_and(|present| present.charge.set(needed.max(present.charge.bytes()))) {
            return Some(Err(SubscribeError::AddressLimit));
        }
        let names = subscriptions.names().into();
        let answer = protocol::Subscriptions { subscriptions: names, epoch, seq };
        if let Err(Unsent::Full) = hand_over(&answer) {
            return None;
        }
        state.change_subscriptions(self.id(), &participant, None, subscriptions);
        Some(Ok(()))
    }

    /// The subscriptions of a member.
    pub(crate) fn subscriptions(&self, member: &Member) -> Option<Names> {
        let state = self.lock();
        let present = state.members.get(&member.id())?;
        Some(present.subscriptions.names().to_vec())
    }
}

impl State {
    /// What the client would be subscribed to if it joined.
    fn intended(
        &self,
        spec: RoomSpec<'_>,
        member: &Member,
        named: Option<&Named>,
    ) -> Subscriptions {
        let present = self.members.get(&member.id()).map(|present| &present.subscriptions);
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
        participant: &Participant,
        charge: Option<Charge>,
        subscriptions: Subscriptions,
    ) {
        let id = participant.member.id();
        let (present, slowness, charge) = match (self.members.remove(&id), charge) {
            (Some(Subscriber { subscriptions, slowness, charge, .. }), _) => {
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
        let member =
            Subscriber { participant: participant.clone(), subscriptions, slowness, charge };
        self.members.insert(id, member);
    }
}
