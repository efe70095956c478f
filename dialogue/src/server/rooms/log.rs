//! What a room remembers: per event, as many as it declares.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    num::NonZeroUsize,
    ops::Range,
    sync::Arc,
};

use serde_json::value::RawValue;

use super::subscriptions::Subscriptions;
use crate::{Limits, RoomEvent, SyncHistory};

/// An encoded [`EventMessage`](crate::EventMessage).
pub(crate) type Stored = Arc<RawValue>;

#[derive(Default)]
pub(crate) struct Log {
    /// Oldest first, each with its place among all events of the room.
    kept: HashMap<Cow<'static, str>, VecDeque<(u64, Stored)>>,
    next: u64,
}

impl Log {
    pub(crate) fn append(&mut self, event: &RoomEvent, limit: NonZeroUsize, body: Stored) {
        let kept = self.kept.entry(event.name.clone()).or_default();
        if kept.len() == limit.get() {
            kept.pop_front();
        }
        kept.push_back((self.next, body));
        self.next += 1;
    }

    /// What a joiner receives, newest first, and whether there is more.
    pub(crate) fn recent(
        &self,
        subscriptions: &Subscriptions,
        sync: SyncHistory,
        max_bytes: usize,
    ) -> (Vec<Stored>, bool) {
        let most = match sync {
            SyncHistory::Nothing => 0,
            SyncHistory::Last(most) => most.get(),
            SyncHistory::All => usize::MAX,
        };
        let mut more = false;
        let mut recent = Vec::new();
        for (event, kept) in &self.kept {
            if subscriptions.covers(event) {
                more |= kept.len() > most;
                recent.extend(kept.iter().rev().take(most).cloned());
            }
        }
        recent.sort_unstable_by_key(|&(place, _)| std::cmp::Reverse(place));
        let found = recent.len();
        let recent = fitting(recent.into_iter().map(|(_, body)| body), max_bytes);
        more |= recent.len() < found;
        (recent, more)
    }

    /// The events in `range`, 0 being the newest, and whether they are all that exist in it: a page
    /// holds only so many.
    pub(crate) fn page(
        &self,
        event: &str,
        range: Range<usize>,
        limits: &Limits,
    ) -> (Vec<Stored>, bool) {
        let Some(kept) = self.kept.get(event) else {
            return (Vec::new(), true);
        };
        let wanted = range.end.min(kept.len()).saturating_sub(range.start);
        let page = kept.iter().rev().skip(range.start).take(wanted.min(limits.page_events));
        let page = fitting(page.map(|(_, body)| body.clone()), limits.page_bytes);
        let complete = page.len() == wanted;
        (page, complete)
    }

    /// The events in `range`, 0 being the newest.
    pub(crate) fn range(&self, event: &str, range: Range<usize>) -> Vec<Stored> {
        let kept = self.kept.get(event).into_iter().flat_map(|kept| kept.iter().rev());
        let wanted = range.end.saturating_sub(range.start);
        kept.skip(range.start).take(wanted).map(|(_, body)| body.clone()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.values().map(VecDeque::len).sum()
    }
}

/// As many events, from the first, as fit; one always does.
fn fitting(events: impl Iterator<Item = Stored>, max_bytes: usize) -> Vec<Stored> {
    let mut bytes = 0;
    let within = events.enumerate().take_while(|(n, event)| {
        bytes += event.get().len();
        *n == 0 || bytes <= max_bytes
    });
    within.map(|(_, event)| event).collect()
}
