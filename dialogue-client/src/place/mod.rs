//! How far a log was followed: the rule that drops what was seen, notices what is missing, and says
//! what to fetch. It knows no connection.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use dialogue::{Epoch, Position, RawMessage};

/// A place in a room's log: everything up to `seq` is accounted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Which log.
    pub epoch: Epoch,
    /// The last event accounted for; 0 before the first.
    pub seq: u64,
}

/// What there is to do.
#[derive(Debug)]
pub(crate) enum Step {
    /// Hand this over: it is the next one.
    Deliver(Arc<RawMessage>),
    /// Ask for what comes after this `seq`, and say so with [`Place::page`].
    Fetch { after: u64 },
    /// What comes next is after this place, and what was before it may be missing.
    Reset(At),
}

/// A page of history after a place, oldest first.
#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) events: Vec<Arc<RawMessage>>,
    /// Whether it holds everything that there is.
    pub(crate) complete: bool,
    /// Where the log ended when it was read.
    pub(crate) end: At,
}

/// How far a log was followed, of the events that somebody is subscribed to.
#[derive(Debug)]
pub(crate) struct Place {
    at: At,
    /// Up to where everything of every name was told, and the last event of each name since.
    whole: u64,
    last: HashMap<Cow<'static, str>, u64>,
    /// While a range is fetched: what came meanwhile.
    held: Option<Held>,
    /// How many messages are held at most; what comes beyond that is fetched.
    hold: usize,
}

#[derive(Debug)]
struct Held {
    /// What comes after this is to be fetched.
    after: u64,
    messages: VecDeque<Arc<RawMessage>>,
    /// The furthest place that was heard of and is not among the messages.
    beyond: Option<At>,
}

impl Place {
    pub(crate) fn new(at: At, hold: usize) -> Self {
        Self { at, whole: at.seq, last: HashMap::new(), held: None, hold }
    }

    pub(crate) fn at(&self) -> At {
        self.at
    }

    /// After which `seq` something is to be fetched, before anything else.
    pub(crate) fn behind(&self) -> Option<u64> {
        self.held.as_ref().map(|held| held.after)
    }

    /// Takes in the answer to a join that named this place.
    pub(crate) fn joined(
        &mut self,
        end: At,
        recovered: bool,
        events: Vec<Arc<RawMessage>>,
    ) -> Vec<Step> {
        self.held = None;
        if !recovered || end.epoch != self.at.epoch {
            return vec![self.reset(end)];
        }
        let mut steps = Vec::with_capacity(events.len());
        for event in events {
            if !self.see(event, &mut steps) {
                // A recovery is whole, or it is none.
                return vec![self.reset(end)];
            }
        }
        self.is_whole(end.seq);
        steps
    }

    /// Takes in a message as it happens.
    pub(crate) fn live(&mut self, message: Arc<RawMessage>) -> Vec<Step> {
        let Some(position) = message.position else { return vec![Step::Deliver(message)] };
        if let Some(held) = &mut self.held {
            if held.messages.len() < self.hold {
                held.messages.push_back(message);
            } else {
                held.heard_of(At { epoch: position.epoch, seq: position.seq });
            }
            return Vec::new();
        }
        let mut steps = Vec::new();
        if position.epoch != self.at.epoch || !self.see(message.clone(), &mut steps) {
            // Events of other names may have come since the one that is missing.
            steps.push(self.fall_behind(self.seen_of(&message.event)));
            self.live(message);
        }
        steps
    }

    /// Takes in where the log ends, as the server says by itself.
    pub(crate) fn position(&mut self, end: At) -> Vec<Step> {
        if end.epoch == self.at.epoch && end.seq <= self.at.seq {
            return Vec::new();
        }
        if let Some(held) = &mut self.held {
            held.heard_of(end);
            return Vec::new();
        }
        vec![self.fall_behind(self.at.seq)]
    }

    /// Holds what comes from now on: there is something to fetch before it.
    pub(crate) fn fall_behind(&mut self, after: u64) -> Step {
        let held = Held { after, messages: VecDeque::new(), beyond: None };
        Step::Fetch { after: self.held.get_or_insert(held).after }
    }

    /// Takes in what was asked for.
    pub(crate) fn page(&mut self, range: Range) -> Vec<Step> {
        let Range { events, complete, end } = range;
        let mut steps = Vec::with_capacity(events.len());
        if end.epoch == self.at.epoch {
            let last = events.last().and_then(|event| event.position);
            let whole = events.into_iter().all(|event| self.see(event, &mut steps));
            if let (true, false, Some(last), Some(held)) = (whole, complete, last, &mut self.held) {
                held.after = last.seq;
                steps.push(Step::Fetch { after: last.seq });
                return steps;
            }
            if whole {
                self.is_whole(end.seq);
            } else {
                // Something before what is kept was not seen, and is kept no more.
                steps.push(self.reset(end));
            }
        } else {
            steps.push(self.reset(end));
        }
        if let Some(Held { messages, beyond, .. }) = self.held.take() {
            for message in messages {
                steps.extend(self.live(message));
            }
            if let Some(beyond) = beyond {
                steps.extend(self.position(beyond));
            }
        }
        steps
    }

    /// Takes in an event of this log, unless it was seen; returns whether nothing is missing before it.
    fn see(&mut self, message: Arc<RawMessage>, steps: &mut Vec<Step>) -> bool {
        let Some(Position { epoch, seq, prev }) = message.position else { return true };
        if epoch != self.at.epoch {
            return false;
        }
        let seen = self.seen_of(&message.event);
        if seq <= seen {
            return true;
        }
        if prev > seen {
            return false;
        }
        self.at.seq = self.at.seq.max(seq);
        self.last.insert(message.event.clone(), seq);
        steps.push(Step::Deliver(message));
        true
    }

    /// The last event of a name that was seen, or up to where nothing of it can be missing.
    fn seen_of(&self, event: &str) -> u64 {
        self.last.get(event).copied().unwrap_or(self.whole)
    }

    /// More names are subscribed to from here on: what they had before is not missing.
    pub(crate) fn widen(&mut self) {
        self.whole = self.at.seq;
    }

    fn is_whole(&mut self, seq: u64) {
        self.at.seq = self.at.seq.max(seq);
        self.whole = self.at.seq;
        self.last.clear();
    }

    fn reset(&mut self, at: At) -> Step {
        (self.at, self.whole) = (at, at.seq);
        self.last.clear();
        Step::Reset(at)
    }
}

impl Held {
    fn heard_of(&mut self, at: At) {
        // Another log outdoes any place in this one.
        if self.beyond.is_none_or(|known| known.epoch != at.epoch || known.seq < at.seq) {
            self.beyond = Some(at);
        }
    }
}

#[cfg(test)]
mod tests;
