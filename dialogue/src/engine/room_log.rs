//! What a room knows of its log: where it ends, as far as subscribers were told, and the newest of
//! what they were told.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::subscriptions::Subscriptions;
use crate::{
    Epoch,
    connection::budget::{Budget, Holding},
    store::{self, Head, Stored},
};

/// How many of the newest events a room remembers by itself, and how many bytes of them: what happens
/// while a joiner's history is read, and what most of those who come back have missed.
const TAIL_EVENTS: usize = 256;
const TAIL_BYTES: usize = 256_000;
/// Bytes of the newest events that a room remembers when it is quiet, or when all rooms together remember as
/// much as they may.
const LITTLE: usize = 4_096;

pub(crate) struct Log {
    pub(crate) epoch: Epoch,
    /// The epoch of the next one, if this one is found to be gone.
    next: Epoch,
    /// The last event that subscribers were told of.
    pub(crate) seq: u64,
    /// Whether the store lost events that subscribers were told of: the epoch is about to end.
    gone_back: bool,
    /// The last event of each name.
    last: HashMap<Cow<'static, str>, u64>,
    /// Without a gap, up to `seq`; oldest first.
    tail: VecDeque<Stored>,
    tail_bytes: usize,
    /// Charges the tail to the budget of all rooms.
    held: Option<Holding>,
}

impl Log {
    /// The log that ends there.
    pub(crate) fn at(Head { epoch, seq, last }: Head) -> Self {
        let last = last.into_iter().collect();
        let next = Epoch::random();
        let (gone_back, tail) = (false, VecDeque::new());
        Self { epoch, next, seq, gone_back, last, tail, tail_bytes: 0, held: None }
    }

    /// One without events, which need not exist yet.
    pub(crate) fn empty(epoch: Epoch) -> Self {
        Self::at(Head::empty(epoch))
    }

    /// The epoch that the log has if it begins now: another one, if it has begun before. A log that others append
    /// to, too, may have begun and ended without this server.
    pub(crate) fn beginning(&self, is_shared: bool) -> Epoch {
        if self.seq == 0 && !is_shared { self.epoch } else { self.next }
    }

    /// Moves to the end of the store's log in this epoch, once the room has followed the events that the store still
    /// has. Returns whether the end is after the last of them: the store has evicted events, or another server
    /// appended some.
    pub(crate) fn reach(&mut self, seq: u64, last: Vec<(Cow<'static, str>, u64)>) -> bool {
        for (event, last) in last {
            let known = self.last.entry(event).or_default();
            *known = last.min(seq).max(*known);
        }
        let is_further = self.seq < seq;
        if is_further {
            self.seq = seq;
            self.tail.clear();
            self.tail_bytes = 0;
            self.rest();
        }
        is_further
    }

    /// Takes in where the store's log ends, or ended before an append. Returns whether it has gone back: it
    /// lacks what subscribers were told of.
    pub(crate) fn has_gone_back(&mut self, epoch: Epoch, seq: u64) -> bool {
        self.gone_back |= epoch == self.epoch && seq < self.seq;
        self.gone_back && epoch == self.epoch
    }

    /// This epoch and the next one.
    pub(crate) fn epochs(&self) -> (Epoch, Epoch) {
        (self.epoch, self.next)
    }

    /// Goes on with an event, which need not be the next. What is remembered is charged to `budget`.
    pub(crate) fn follow(&mut self, event: Stored, budget: &Arc<Budget>) {
        // What a store returns has a position.
        let Some(position) = event.position else { return };
        if (position.epoch, position.seq) != (self.epoch, self.seq + 1) {
            self.tail.clear();
            self.tail_bytes = 0;
        }
        if position.epoch == self.next {
            self.next = Epoch::random();
        }
        (self.epoch, self.seq) = (position.epoch, position.seq);
        self.last.insert(event.event.clone(), position.seq);
        self.tail_bytes += store::weight(&event);
        self.tail.push_back(event);
        let held = self.held.get_or_insert_with(|| Holding::new(budget.clone()));
        held.set_anyway(self.tail_bytes);
        self.shrink(if budget.is_spent() { LITTLE } else { TAIL_BYTES });
    }

    /// Remembers little: nothing has happened for a while.
    pub(crate) fn rest(&mut self) {
        self.shrink(LITTLE);
    }

    fn shrink(&mut self, bytes: usize) {
        while self.tail.len() > TAIL_EVENTS || self.tail_bytes > bytes {
            let Some(oldest) = self.tail.pop_front() else { break };
            self.tail_bytes -= store::weight(&oldest);
        }
        if let Some(held) = &mut self.held {
            held.set_anyway(self.tail_bytes);
        }
    }

    /// Whether the room remembers everything after `seq`. A place that the log has not reached yet is none
    /// of it.
    pub(crate) fn remembers(&self, seq: u64) -> bool {
        self.forgotten().is_some_and(|forgotten| (forgotten..=self.seq).contains(&seq))
    }

    /// The events after `seq` that are subscribed to, oldest first, if the room remembers that far.
    pub(crate) fn after(&self, seq: u64, subscriptions: &Subscriptions) -> Option<Vec<Stored>> {
        if !self.remembers(seq) {
            return None;
        }
        let skip = usize::try_from(seq - self.forgotten()?).ok()?;
        let after = self.tail.iter().skip(skip);
        Some(after.filter(|event| subscriptions.covers(&event.event)).cloned().collect())
    }

    /// The last event that the room does not remember.
    fn forgotten(&self) -> Option<u64> {
        self.seq.checked_sub(self.tail.len() as u64)
    }

    /// The last event of each name that is subscribed to.
    pub(crate) fn heads(
        &self,
        subscriptions: &Subscriptions,
    ) -> impl Iterator<Item = (Cow<'static, str>, u64)> {
        let subscribed = self.last.iter().filter(|(event, _)| subscriptions.covers(event));
        subscribed.map(|(event, seq)| (event.clone(), *seq))
    }

    /// Whether these events, oldest first, are all that the log ever had after `seq` of what is
    /// subscribed to: each names the one before it.
    pub(crate) fn is_all_after(
        &self,
        seq: u64,
        subscriptions: &Subscriptions,
        events: &[Stored],
    ) -> bool {
        let mut seen: HashMap<&str, u64> = HashMap::new();
        for event in events {
            let Some(position) = event.position else { return false };
            let seen = seen.entry(&event.event).or_insert(seq);
            if position.prev > *seen {
                return false;
            }
            *seen = position.seq;
        }
        self.heads(subscriptions).all(|(event, last)| last <= *seen.get(&*event).unwrap_or(&seq))
    }
}
