//! What a room has yet to do with its log, in its order.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::deliveries::HandlerSlot;
use crate::{
    ClientId, Receipt, TriggerError,
    model::message::AnyMessage,
    store::{self, NewEvent, erased::Unavailable},
};

/// How many events are appended at once, and how many bytes of them; but one always is.
const MOST_AT_ONCE: usize = 256;
const MOST_BYTES: usize = 1_000_000;
/// What a room has yet to do with its log.
pub(crate) struct Appends {
    pub(super) queue: VecDeque<Work>,
    /// Whether a task is draining the queue.
    pub(super) working: bool,
    /// Whether the store failed, so that the log may hold events that were not delivered.
    pub(super) uncertain: bool,
    /// Whether the log is deleted, and the room is about to be.
    pub(super) sealed: bool,
    /// The callers that wait for the next look.
    pub(super) asked: Vec<oneshot::Sender<Result<(), Unavailable>>>,
}

#[allow(clippy::large_enum_variant, reason = "nearly all of it is appending")]
pub(super) enum Work {
    Append(Append),
    /// Ask the store where the log ends: for those who asked, or because it failed.
    Look(Reason),
    Delete(oneshot::Sender<Result<(), Undeleted>>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Asked,
    Uncertain,
}

/// Why a log was not deleted.
pub(crate) enum Undeleted {
    /// It is deleted already.
    Gone,
    /// The room was closed, because it was not needed. It may be opened again.
    Closed,
    Unavailable,
}

/// An event that waits for its place.
pub(crate) struct Append {
    pub(crate) event: NewEvent,
    pub(crate) then: Then,
}

/// What follows when an event is stored.
pub(crate) struct Then {
    /// Who is not told.
    pub(crate) except: Vec<ClientId>,
    /// What handlers get to see, if they have a place for it.
    pub(crate) message: Option<Box<dyn AnyMessage>>,
    /// Whether hooks get to see the event as it was stored.
    pub(crate) raw: bool,
    pub(crate) place: Option<HandlerSlot>,
    pub(crate) reply: oneshot::Sender<Result<Receipt, TriggerError>>,
}

impl Appends {
    pub(crate) fn new() -> Self {
        let (queue, asked) = (VecDeque::new(), Vec::new());
        Self { queue, working: false, uncertain: false, sealed: false, asked }
    }

    pub(crate) fn are_busy(&self) -> bool {
        self.working || self.uncertain || self.sealed
    }

    pub(crate) fn is_working(&self) -> bool {
        self.working
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Queues the work if a task is draining the queue. Otherwise the caller does it.
    pub(super) fn push(&mut self, work: Work) -> Option<Work> {
        if !std::mem::replace(&mut self.working, true) {
            return Some(work);
        }
        self.queue.push_back(work);
        None
    }

    /// Queues a look, unless one is queued: it answers all that asked by then.
    pub(super) fn ask(&mut self, reply: oneshot::Sender<Result<(), Unavailable>>) -> Option<Work> {
        self.asked.push(reply);
        if self.asked.len() == 1 { self.push(Work::Look(Reason::Asked)) } else { None }
    }

    /// Takes the next work. Without any, ends the work.
    pub(super) fn next(&mut self) -> Option<Work> {
        let next = self.queue.pop_front();
        if next.is_none() {
            // An idle room keeps no room for a queue.
            self.queue = VecDeque::new();
            self.working = false;
        }
        next
    }

    /// What may be appended together with the first.
    pub(super) fn batch(&mut self, first: Append) -> (Vec<NewEvent>, Vec<Then>) {
        let mut bytes = 0;
        let (mut events, mut thens) = (Vec::with_capacity(1), Vec::with_capacity(1));
        let mut next = Some(first);
        while let Some(Append { event, then }) = next {
            bytes += store::weight(&event.message);
            events.push(event);
            thens.push(then);
            next = None;
            let fits = events.len() < MOST_AT_ONCE && bytes < MOST_BYTES;
            if fits
                && matches!(self.queue.front(), Some(Work::Append(_)))
                && let Some(Work::Append(append)) = self.queue.pop_front()
            {
                next = Some(append);
            }
        }
        (events, thens)
    }
}
