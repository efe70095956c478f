//! How far a log was followed: the rule that drops what was seen, notices what is missing, and says
//! what to fetch. It knows no connection.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, VecDeque},
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

/// Where the log ends, as the server says by itself.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) at: At,
    /// The last event of each name that the client is subscribed to.
    pub(crate) last: BTreeMap<Cow<'static, str>, u64>,
}

/// How far a log was followed, of the events that somebody is subscribed to.
#[derive(Debug)]
pub(crate) struct Place {
    at: At,
    /// Up to where nothing is missing, of each name that is followed.
    seen: HashMap<Cow<'static, str>, u64>,
    /// While a range is fetched: what came meanwhile.
    held: Option<Held>,
    /// How many messages are held at most; what comes beyond that is fetched.
    hold: usize,
}

#[derive(Debug)]
struct Held {
    /// From where on everything was asked for.
    from: u64,
    /// What comes after this is still to be fetched.
    after: u64,
    messages: VecDeque<Arc<RawMessage>>,
    /// The last message that did not fit.
    beyond: Option<At>,
    /// What the server said last.
    end: Option<End>,
}

/// What an event is to a place.
enum Verdict {
    /// Nothing is missing before it: it was handed over, now or before.
    Seen,
    /// Something of its name is missing, after this `seq`.
    Gap { after: u64 },
    /// It is of another log.
    Foreign,
}

impl Place {
    /// There, following these names.
    pub(crate) fn new(
        at: At,
        names: impl IntoIterator<Item = Cow<'static, str>>,
        hold: usize,
    ) -> Self {
        let seen = names.into_iter().map(|name| (name, at.seq)).collect();
        Self { at, seen, held: None, hold }
    }

    /// Another one like this, somewhere else.
    pub(crate) fn anew(&self, at: At) -> Self {
        Self::new(at, self.seen.keys().cloned(), self.hold)
    }

    pub(crate) fn at(&self) -> At {
        self.at
    }

    /// After which `seq` something is to be fetched, before anything else.
    pub(crate) fn behind(&self) -> Option<u64> {
        self.held.as_ref().map(|held| held.after)
    }

    /// From where to go on after a lost connection: not from after what is known to be missing.
    pub(crate) fn since(&self) -> At {
        At { seq: self.behind().unwrap_or(self.at.seq), ..self.at }
    }

    /// Up to where nothing of a name is missing.
    pub(crate) fn seen(&self, name: &str) -> u64 {
        self.seen.get(name).copied().unwrap_or(self.at.seq)
    }

    /// Follows these names, too: what they had up to a place is not missing.
    pub(crate) fn follow(
        &mut self,
        names: impl IntoIterator<Item = Cow<'static, str>>,
        after: u64,
    ) {
        for name in names {
            let seen = self.seen.entry(name).or_insert(after);
            *seen = after.max(*seen);
        }
    }

    /// Nothing that is missing up to there is wanted.
    pub(crate) fn skip_to(&mut self, seq: u64) {
        self.seen.values_mut().for_each(|seen| *seen = seq.max(*seen));
    }

    /// Takes in the answer to a join that named [`Place::since`]: what was missed, if the server can tell
    /// it, and what is followed from then on, too.
    pub(crate) fn joined(
        &mut self,
        end: End,
        recovered: Option<Vec<Arc<RawMessage>>>,
        names: impl IntoIterator<Item = Cow<'static, str>>,
    ) -> Vec<Step> {
        self.follow(names, self.since().seq);
        let from = self.held.take().map_or(self.at.seq, |held| held.from);
        let Some(events) = recovered else { return vec![self.reset(end.at)] };
        if end.at.epoch != self.at.epoch {
            // Nothing is stored there, so that nothing can be missing.
            self.move_to(end.at);
            return Vec::new();
        }
        if self.is_past(end.at) {
            return vec![self.reset(end.at)];
        }
        let mut steps = Vec::with_capacity(events.len());
        match self.see_all(events, &mut steps) {
            Verdict::Seen => steps.extend(self.end(end)),
            Verdict::Gap { after } if after < from => steps.push(self.fall_behind(after)),
            // A recovery is whole, or it is none.
            Verdict::Gap { .. } | Verdict::Foreign => steps.push(self.reset(end.at)),
        }
        steps
    }

    /// Takes in a message as it happens.
    pub(crate) fn live(&mut self, message: Arc<RawMessage>) -> Vec<Step> {
        let Some(position) = message.position else { return vec![Step::Deliver(message)] };
        if let Some(held) = &mut self.held {
            if held.messages.len() < self.hold {
                held.messages.push_back(message);
            } else {
                held.beyond = Some(At { epoch: position.epoch, seq: position.seq });
            }
            return Vec::new();
        }
        let mut steps = Vec::new();
        let after = match self.see(message.clone(), &mut steps) {
            Verdict::Seen => return steps,
            // Events of other names may have come since the one that is missing.
            Verdict::Gap { after } => after,
            Verdict::Foreign => self.at.seq,
        };
        steps.push(self.fall_behind(after));
        self.live(message);
        steps
    }

    /// Takes in where the log ends, as the server says by itself.
    pub(crate) fn end(&mut self, end: End) -> Vec<Step> {
        if let Some(held) = &mut self.held {
            held.end = Some(end);
            return Vec::new();
        }
        if self.is_past(end.at) {
            return vec![self.reset(end.at)];
        }
        self.compare(&end)
    }

    /// Whether the log ends before what was seen of it: the server's store has lost events.
    fn is_past(&self, end: At) -> bool {
        end.epoch == self.at.epoch && end.seq < self.at.seq
    }

    fn compare(&mut self, end: &End) -> Vec<Step> {
        if end.at.epoch != self.at.epoch {
            return vec![self.fall_behind(self.at.seq)];
        }
        let missing = end.last.iter().filter_map(|(name, last)| {
            let seen = self.seen.get(name)?;
            (last > seen).then_some(*seen)
        });
        if let Some(after) = missing.min() {
            return vec![self.fall_behind(after)];
        }
        self.is_told(0, end.at.seq);
        Vec::new()
    }

    /// Holds what comes from now on: there is something to fetch before it.
    pub(crate) fn fall_behind(&mut self, after: u64) -> Step {
        let (messages, beyond, end) = (VecDeque::new(), None, None);
        let held = Held { from: after, after, messages, beyond, end };
        Step::Fetch { after: self.held.get_or_insert(held).after }
    }

    /// Takes in what was asked for.
    pub(crate) fn page(&mut self, Range { events, complete, end }: Range) -> Vec<Step> {
        // Nobody asked, or the answer comes twice.
        let asked = self.held.as_ref().map(|held| (held.from, held.after));
        let Some((from, after)) = asked else { return Vec::new() };
        let mut steps = Vec::with_capacity(events.len());
        let last = events.last().and_then(|event| event.position);
        let verdict = if end.epoch == self.at.epoch && end.seq >= after {
            self.see_all(events, &mut steps)
        } else {
            Verdict::Foreign
        };
        let next = match (verdict, last) {
            (Verdict::Seen, Some(last)) if !complete => Some((from, last.seq)),
            // What is missing is from before what was asked for.
            (Verdict::Gap { after }, _) if after < from => Some((after, after)),
            (Verdict::Seen, _) if complete => {
                self.is_told(from, end.seq);
                None
            }
            // Something before what is kept was not seen, and is kept no more.
            _ => {
                steps.push(self.reset(end));
                if let Some(held) = &mut self.held {
                    // Others are of a log that is no more.
                    held.messages.retain(|message| {
                        message.position.is_some_and(|position| position.epoch == end.epoch)
                    });
                }
                None
            }
        };
        if let (Some((from, after)), Some(held)) = (next, &mut self.held) {
            (held.from, held.after) = (from, after);
            steps.push(Step::Fetch { after });
            return steps;
        }
        let Some(Held { messages, beyond, end, .. }) = self.held.take() else { return steps };
        for message in messages {
            steps.extend(self.live(message));
        }
        if let Some(beyond) = beyond
            && (beyond.epoch != self.at.epoch || beyond.seq > self.at.seq)
        {
            steps.push(self.fall_behind(self.at.seq));
        }
        // The page may be newer than that.
        if let Some(end) = end {
            steps.extend(self.compare(&end));
        }
        steps
    }

    fn see_all(&mut self, events: Vec<Arc<RawMessage>>, steps: &mut Vec<Step>) -> Verdict {
        for event in events {
            match self.see(event, steps) {
                Verdict::Seen => {}
                missing => return missing,
            }
        }
        Verdict::Seen
    }

    /// Takes in an event, unless it was seen, or something is missing before it.
    fn see(&mut self, message: Arc<RawMessage>, steps: &mut Vec<Step>) -> Verdict {
        let Some(Position { epoch, seq, prev }) = message.position else { return Verdict::Seen };
        if epoch != self.at.epoch {
            return Verdict::Foreign;
        }
        // The server's own code may subscribe a member, which begins to follow the name by that.
        let seen = self.seen.get(&message.event).copied().unwrap_or(prev);
        if seq <= seen {
            return Verdict::Seen;
        }
        if prev > seen {
            return Verdict::Gap { after: seen };
        }
        self.at.seq = self.at.seq.max(seq);
        self.seen.insert(message.event.clone(), seq);
        steps.push(Step::Deliver(message));
        Verdict::Seen
    }

    /// Everything was told that is between two places. A name that lacks something before that does so
    /// still: its next event, or the server, tells.
    fn is_told(&mut self, from: u64, to: u64) {
        self.at.seq = self.at.seq.max(to);
        for seen in self.seen.values_mut().filter(|seen| **seen >= from) {
            *seen = to.max(*seen);
        }
    }

    fn reset(&mut self, at: At) -> Step {
        self.move_to(at);
        Step::Reset(at)
    }

    fn move_to(&mut self, at: At) {
        self.at = at;
        self.seen.values_mut().for_each(|seen| *seen = at.seq);
    }
}

#[cfg(test)]
mod tests;
