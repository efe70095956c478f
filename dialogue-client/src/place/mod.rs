//! How far a log was followed: the rule that drops what was seen, notices what is missing, and says
//! what to fetch. It knows no connection.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use dialogue::{Epoch, Position, RawMessage};

/// How many events are fetched in a row. Where the log has more, it is a reset.
const MOST_FETCHED: usize = 10_000;

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
    /// Ask for what comes after this `seq`, and say so with [`Place::page`]. Ask `later` where the last answer had
    /// nothing new.
    Fetch { after: u64, later: bool },
    /// The log is another one, has lost what was seen of it, or has more than is fetched: what comes next is after
    /// this place.
    Reset(At),
    /// The log keeps this event's events before this place no more: the next one is after it.
    Skip { event: Cow<'static, str>, at: At },
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

/// What the answer to a join has of what was missed, oldest first.
#[derive(Debug)]
pub(crate) struct Missed {
    pub(crate) events: Vec<Arc<RawMessage>>,
    /// Whether the history has what comes after them.
    pub(crate) more: bool,
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
    /// How many events are fetched in a row.
    most: usize,
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
    /// The first missing event of each name that the log is known to have had.
    expected: BTreeMap<Cow<'static, str>, u64>,
    /// How many events were fetched.
    fetched: usize,
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
        Self { at, seen, held: None, hold, most: MOST_FETCHED }
    }

    /// Fetches as much as there is: the reader of a stream says when.
    pub(crate) fn without_bound(self) -> Self {
        Self { most: usize::MAX, ..self }
    }

    /// Another one like this, somewhere else.
    pub(crate) fn anew(&self, at: At) -> Self {
        Self { most: self.most, ..Self::new(at, self.seen.keys().cloned(), self.hold) }
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

    /// Takes in the answer to a join that named [`Place::since`]: what was missed, if the server sends
    /// it, and what is followed from then on, too. What it does not send is fetched, page by page.
    pub(crate) fn joined(
        &mut self,
        end: End,
        recovered: Option<Missed>,
        names: impl IntoIterator<Item = Cow<'static, str>>,
    ) -> Vec<Step> {
        let since = self.since().seq;
        self.follow(names, since);
        self.held = None;
        let Some(Missed { events, more }) = recovered else {
            if end.at.epoch != self.at.epoch || self.is_past(end.at) {
                return vec![self.reset(end.at)];
            }
            let step = self.fall_behind(since);
            self.hold_end(end);
            return vec![step];
        };
        if end.at.epoch != self.at.epoch {
            // Nothing is stored there, so that nothing can be missing.
            self.move_to(end.at);
            return Vec::new();
        }
        if self.is_past(end.at) {
            return vec![self.reset(end.at)];
        }
        let mut steps = Vec::with_capacity(events.len());
        let last = events.last().and_then(|event| event.position);
        match self.see_all(events, &mut steps) {
            Verdict::Seen if more => {
                steps.push(self.fall_behind(last.map_or(since, |last| last.seq)));
                self.hold_end(end);
            }
            Verdict::Seen => steps.extend(self.end(end)),
            Verdict::Gap { after } => {
                steps.push(self.fall_behind(after));
                self.hold_end(end);
            }
            Verdict::Foreign => steps.push(self.reset(end.at)),
        }
        steps
    }

    /// Takes in a message as it happens.
    pub(crate) fn live(&mut self, message: Arc<RawMessage>) -> Vec<Step> {
        let Some(position) = message.position else { return vec![Step::Deliver(message)] };
        if let Some(held) = &mut self.held {
            if held.messages.len() < self.hold {
                held.messages.push_back(message);
                return Vec::new();
            }
            held.beyond = Some(At { epoch: position.epoch, seq: position.seq });
            if position.epoch == self.at.epoch {
                self.expect_event(&message.event, position.seq);
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
        if self.held.is_some() {
            self.hold_end(end);
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
            let step = self.fall_behind(after);
            self.expect(end);
            return vec![step];
        }
        self.is_told(0, end.at.seq);
        Vec::new()
    }

    /// Holds what comes from now on: there is something to fetch before it.
    pub(crate) fn fall_behind(&mut self, after: u64) -> Step {
        let (messages, expected) = (VecDeque::new(), BTreeMap::new());
        let (beyond, end) = (None, None);
        let held = Held { from: after, after, messages, beyond, end, expected, fetched: 0 };
        Step::Fetch { after: self.held.get_or_insert(held).after, later: false }
    }

    /// Looks at where the log ends once there is nothing to fetch.
    fn hold_end(&mut self, end: End) {
        self.expect(&end);
        if let Some(held) = &mut self.held {
            held.end = Some(end);
        }
    }

    /// Records the last event of each name. If no page brings it, events of that name are lost.
    fn expect(&mut self, End { at, last }: &End) {
        if at.epoch == self.at.epoch {
            for (name, seq) in last {
                self.expect_event(name, *seq);
            }
        }
    }

    fn expect_event(&mut self, name: &str, seq: u64) {
        if let Some(held) = &mut self.held
            && let Some((name, seen)) = self.seen.get_key_value(name)
            && seq > *seen
        {
            let expected = held.expected.entry(name.clone()).or_insert(seq);
            // A page has brought the one before.
            *expected = if *expected > *seen { seq.min(*expected) } else { seq };
        }
    }

    /// Takes in what was asked for.
    pub(crate) fn page(&mut self, range: Range) -> Vec<Step> {
        let asked = self.since();
        let mut steps = self.take_page(range);
        let is_same = self.since() == asked;
        for step in &mut steps {
            if let Step::Fetch { later, .. } = step {
                *later = is_same;
            }
        }
        steps
    }

    fn take_page(&mut self, Range { events, complete, end }: Range) -> Vec<Step> {
        // Nobody asked, or the answer comes twice.
        let Some(held) = &mut self.held else { return Vec::new() };
        held.fetched += events.len();
        let epoch = self.at.epoch;
        let (from, after, fetched) = (held.from, held.after, held.fetched);
        let mut steps = Vec::with_capacity(events.len());
        let last = events.last().and_then(|event| event.position);
        let verdict = if end.epoch == self.at.epoch && end.seq >= after {
            // The log may have dropped events since they came.
            let held = if complete { self.held_up_to(end) } else { Vec::new() };
            self.see_kept(events.into_iter().chain(held), from, &mut steps)
        } else {
            Verdict::Foreign
        };
        let next = match (verdict, last) {
            (Verdict::Seen, Some(last)) if !complete && fetched < self.most => {
                Some((from, last.seq))
            }
            // What is missing is from before what was asked for. Events that come again count once.
            (Verdict::Gap { after }, _) => {
                if let Some(held) = &mut self.held {
                    held.fetched = 0;
                }
                Some((after, after))
            }
            (Verdict::Seen, _) if complete => {
                steps.extend(self.lost(from, end));
                self.is_told(from, end.seq);
                None
            }
            _ => {
                steps.push(self.reset(end));
                if let Some(held) = &mut self.held {
                    // Others are of a log that is no more.
                    held.messages.retain(|message| {
                        message.position.is_some_and(|position| position.epoch == end.epoch)
                    });
                    if end.epoch != epoch {
                        held.expected.clear();
                    }
                }
                None
            }
        };
        if let (Some((from, after)), Some(held)) = (next, &mut self.held) {
            (held.from, held.after) = (from, after);
            steps.push(Step::Fetch { after, later: false });
            return steps;
        }
        let Some(held) = self.held.take() else { return steps };
        let Held { messages, beyond, end, expected, .. } = held;
        for message in messages {
            steps.extend(self.live(message));
        }
        if let Some(beyond) = beyond
            && (beyond.epoch != self.at.epoch || beyond.seq > self.at.seq)
        {
            steps.push(self.fall_behind(self.at.seq));
            for (name, seq) in expected {
                self.expect_event(&name, seq);
            }
        }
        // The page may be newer than that.
        if let Some(end) = end {
            steps.extend(self.compare(&end));
        }
        steps
    }

    /// The messages that are held, up to there.
    fn held_up_to(&self, end: At) -> Vec<Arc<RawMessage>> {
        let held = self.held.iter().flat_map(|held| &held.messages);
        let is_before = |message: &&Arc<RawMessage>| {
            message.position.is_some_and(|it| it.epoch == end.epoch && it.seq <= end.seq)
        };
        held.filter(is_before).cloned().collect()
    }

    /// The events that the log had after a place, and that the pages up to its end did not bring.
    fn lost(&self, from: u64, end: At) -> Vec<Step> {
        let expected = self.held.iter().flat_map(|held| &held.expected);
        let lost = expected.filter(|(name, seq)| {
            let seen = self.seen(name);
            seen >= from && (seen + 1..=end.seq).contains(*seq)
        });
        lost.map(|(event, _)| Step::Skip { event: event.clone(), at: end }).collect()
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

    /// Takes in what the log keeps after a place. Where something is missing before one of the events, the
    /// log keeps it no more, unless it was before that place.
    fn see_kept(
        &mut self,
        events: impl Iterator<Item = Arc<RawMessage>>,
        from: u64,
        steps: &mut Vec<Step>,
    ) -> Verdict {
        for event in events {
            let mut verdict = self.see(event.clone(), steps);
            if let (Verdict::Gap { after }, Some(Position { epoch, seq, .. })) =
                (&verdict, event.position)
                && *after >= from
            {
                let before = seq.saturating_sub(1);
                self.seen.insert(event.event.clone(), before);
                let at = At { epoch, seq: before };
                steps.push(Step::Skip { event: event.event.clone(), at });
                verdict = self.see(event, steps);
            }
            if !matches!(verdict, Verdict::Seen) {
                return verdict;
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
