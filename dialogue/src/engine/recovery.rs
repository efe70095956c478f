//! What a joiner is told of the past.

use std::{borrow::Cow, cmp::Reverse, collections::HashMap, sync::Arc};

use super::{
    hub::Hub, join_answer::Reading, live::Live, room_log::Log, shared_reads::Age,
    subscriptions::Subscriptions,
};
use crate::{
    Epoch, Limits, SyncHistory,
    protocol::Since,
    store::{Page, Part, Query, Stored, erased::Unavailable},
};

/// What was read of a log for a joiner. What happened since, the room remembers.
pub(crate) struct Base {
    epoch: Epoch,
    /// Up to where it was read.
    seq: u64,
    past: Read,
    /// How many events the client takes at most.
    limit: usize,
}

enum Read {
    /// What the client has not seen yet.
    Missed { since: u64, events: Vec<Stored> },
    /// The newest of each event: the client was not there before, or missed too much.
    Recent { recovered: Option<bool>, sync: SyncHistory, pages: Vec<Arc<Page>> },
}

/// What a joiner is told of the past.
pub(crate) struct Past {
    pub(crate) recovered: Option<bool>,
    pub(crate) events: Vec<Stored>,
    pub(crate) more: bool,
}

impl Base {
    /// What the answer depends on besides the log and the subscriptions.
    pub(crate) fn reading(&self) -> Reading {
        let (recovered, since) = match self.past {
            Read::Missed { since, .. } => (Some(true), Some(since)),
            Read::Recent { recovered, .. } => (recovered, None),
        };
        Reading { recovered, since, limit: self.limit }
    }

    /// Reads what a joiner with these subscriptions is to be told: from the store only what the room
    /// does not remember.
    pub(crate) async fn read(
        hub: &Arc<Hub>,
        live: &Arc<Live>,
        subscriptions: &Subscriptions,
        since: Option<&Since<'_>>,
        limit: usize,
    ) -> Result<Self, Unavailable> {
        live.refresh(hub).await?;
        if let Some(since) = since
            && let Some(missed) = Self::missed(hub, live, subscriptions, since).await?
        {
            return Ok(Self { limit, ..missed });
        }
        let (epoch, mut seq) = live.with_log(|log| (log.epoch, log.seq))?;
        let sync = match live.room().spec().sync_history {
            _ if limit == 0 => SyncHistory::Nothing,
            sync => sync,
        };
        let synced = match sync {
            SyncHistory::Nothing => 0,
            SyncHistory::Last(most) => most.get(),
            SyncHistory::All => usize::MAX,
        };
        let most = synced.min(limit);
        let mut pages = Vec::new();
        if most > 0 {
            for event in subscribed(live, subscriptions) {
                let part = Part::Newest { event, skip: 0 };
                let query = Query { part, limit: most, bytes: hub.limits().page_bytes };
                let (_, read_to, page) = live.read(hub, query, Age::Remembered).await?;
                seq = seq.min(read_to);
                pages.push(page);
            }
        }
        let recovered = since.map(|_| false);
        Ok(Self { epoch, seq, past: Read::Recent { recovered, sync, pages }, limit })
    }

    /// Everything that the client missed, if that can be told.
    async fn missed(
        hub: &Arc<Hub>,
        live: &Arc<Live>,
        subscriptions: &Subscriptions,
        since: &Since<'_>,
    ) -> Result<Option<Self>, Unavailable> {
        let (epoch, seq) = live.with_log(|log| (log.epoch, log.seq))?;
        let missed = |since, seq, events| {
            let past = Read::Missed { since, events };
            Some(Self { epoch, seq, past, limit: usize::MAX })
        };
        let events = subscribed(live, subscriptions);
        if !live.is_stored() {
            return Ok(missed(seq, seq, Vec::new()));
        }
        if since.epoch.parse() != Ok(epoch) || since.seq > seq {
            return Ok(None);
        }
        let remembered = live.with_log(|log| log.remembers(since.seq))?;
        if remembered || events.is_empty() {
            let seq = if remembered { since.seq } else { seq };
            return Ok(missed(since.seq, seq, Vec::new()));
        }
        let limits = hub.limits();
        let part = Part::After { seq: since.seq, events };
        let query = Query { part, limit: limits.recovery_events, bytes: limits.recovery_bytes };
        let (_, seq, page) = live.read(hub, query, Age::Remembered).await?;
        if page.more {
            return Ok(None);
        }
        let base = missed(since.seq, seq, page.events.clone());
        let tells = |log: &Log| {
            let told = base.as_ref().and_then(|base| base.up_to(log, subscriptions, limits));
            told.is_some() || !log.remembers(seq)
        };
        Ok(if live.with_log(tells)? { base } else { None })
    }

    /// What the joiner is told if it joins now; `None` if the room does not remember what happened since
    /// it was read, or if something is missing.
    pub(crate) fn up_to(
        &self,
        log: &Log,
        subscriptions: &Subscriptions,
        limits: &Limits,
    ) -> Option<Past> {
        if log.epoch != self.epoch {
            return None;
        }
        let old = |event: &&Stored| match event.position {
            Some(position) if position.epoch == self.epoch => position.seq <= self.seq,
            // An app's own archive has events of earlier epochs, and of none.
            _ => true,
        };
        match &self.past {
            Read::Missed { since, events } => {
                let mut events: Vec<_> = events.iter().filter(old).cloned().collect();
                events.extend(log.after(self.seq, subscriptions)?);
                let all = log.is_all_after(*since, subscriptions, &events);
                let more = events.len() > self.limit;
                events.truncate(self.limit);
                all.then_some(Past { recovered: Some(true), events, more })
            }
            Read::Recent { recovered, sync: SyncHistory::Nothing, .. } => {
                let more = log.heads(subscriptions).next().is_some();
                Some(Past { recovered: *recovered, events: Vec::new(), more })
            }
            Read::Recent { recovered, sync, pages } => {
                let mut events = log.after(self.seq, subscriptions)?;
                let mut more = pages.iter().any(|page| page.more);
                events
                    .extend(pages.iter().flat_map(|page| page.events.iter().filter(old).cloned()));
                // Stable, so that what has no place keeps its order.
                events.sort_by_key(|event| Reverse(self.place(event)));
                if let SyncHistory::Last(most) = sync {
                    let mut counts: HashMap<Cow<'static, str>, usize> = HashMap::new();
                    let found = events.len();
                    events.retain(|event| {
                        let count = counts.entry(event.event.clone()).or_default();
                        *count += 1;
                        *count <= most.get()
                    });
                    more |= events.len() < found;
                }
                let page = Page::within(events, self.limit, limits.page_bytes);
                let Page { events, more: cut } = page;
                Some(Past { recovered: *recovered, events, more: more || cut })
            }
        }
    }

    /// The order of events: by place in this log, after all others, which are by time.
    fn place(&self, event: &Stored) -> (u64, u64) {
        match event.position {
            Some(position) if position.epoch == self.epoch => (position.seq, 0),
            _ => (0, event.timestamp),
        }
    }
}

/// The names of stored events that are subscribed to.
fn subscribed(live: &Live, subscriptions: &Subscriptions) -> Vec<Cow<'static, str>> {
    live.stored_events().filter(|event| subscriptions.covers(event)).cloned().collect()
}
