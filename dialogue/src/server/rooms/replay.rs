//! What a joiner is told of the past, and pages of history.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use super::{
    super::{
        Limits,
        budget::{Budget, Holding},
    },
    live::Live,
    log::Log,
    subscriptions::Subscriptions,
};
use crate::{
    App, Dialogue, Epoch, SyncHistory,
    protocol::Since,
    store::{self, Page, Part, Query, Stored, erased::Unavailable},
};

/// For how long what was read for one client is there for others who ask for the same: many who come
/// back at once read the store once.
const SHARED_FOR: Duration = Duration::from_secs(10);
/// How many different reads a room shares at once.
const MOST_SHARED: usize = 16;

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

/// What makes the answers of two joiners equal, where the log is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    recovered: Option<bool>,
    since: Option<u64>,
    limit: usize,
}

impl Base {
    /// What the answer depends on besides the log and the subscriptions.
    pub(super) fn reading(&self) -> Reading {
        let (recovered, since) = match self.past {
            Read::Missed { since, .. } => (Some(true), Some(since)),
            Read::Recent { recovered, .. } => (recovered, None),
        };
        Reading { recovered, since, limit: self.limit }
    }

    /// Reads what a joiner with these subscriptions is to be told: from the store only what the room
    /// does not remember.
    pub(crate) async fn read<A: App>(
        dialogue: &Dialogue<A>,
        live: &Arc<Live<A>>,
        subscriptions: &Subscriptions,
        since: Option<&Since<'_>>,
        limit: usize,
    ) -> Result<Self, Unavailable> {
        live.refresh(dialogue).await?;
        if let Some(since) = since
            && let Some(missed) = Self::missed(dialogue, live, subscriptions, since).await?
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
                let query = Query { part, limit: most, bytes: dialogue.limits().page_bytes };
                let (_, read_to, page) = live.read(dialogue, query, Age::Remembered).await?;
                seq = seq.min(read_to);
                pages.push(page);
            }
        }
        let recovered = since.map(|_| false);
        Ok(Self { epoch, seq, past: Read::Recent { recovered, sync, pages }, limit })
    }

    /// Everything that the client missed, if that can be told.
    async fn missed<A: App>(
        dialogue: &Dialogue<A>,
        live: &Arc<Live<A>>,
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
        let limits = dialogue.limits();
        let part = Part::After { seq: since.seq, events };
        let query = Query { part, limit: limits.recovery_events, bytes: limits.recovery_bytes };
        let (_, seq, page) = live.read(dialogue, query, Age::Remembered).await?;
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
    pub(super) fn up_to(
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
fn subscribed<A: App>(live: &Live<A>, subscriptions: &Subscriptions) -> Vec<Cow<'static, str>> {
    live.stored_events().filter(|event| subscriptions.covers(event)).cloned().collect()
}

/// How old what somebody else read may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// So old that the room still remembers what happened since.
    Remembered,
    /// Nothing may have happened since.
    Current,
}

type SharedRead = Shared<BoxFuture<'static, Result<Arc<Page>, Unavailable>>>;

/// What is being read of a log, or was a moment ago.
#[derive(Default)]
pub(crate) struct Reads(Mutex<Known>);

#[derive(Default)]
struct Known {
    readings: HashMap<Query, Entry>,
    /// Whether somebody is about to clear it.
    tended: bool,
}

#[derive(Clone)]
struct Entry {
    epoch: Epoch,
    /// Where the log ended when the reading began.
    seq: u64,
    begun: Instant,
    reading: SharedRead,
    /// Charges the page, once it is read, to the budget of all rooms.
    held_page: Option<Arc<Holding>>,
}

impl<A: App> Live<A> {
    /// A page of the log as it is now, and where it ends.
    pub(crate) async fn page(
        self: &Arc<Self>,
        dialogue: &Dialogue<A>,
        query: Query,
    ) -> Result<(Epoch, u64, Arc<Page>), Unavailable> {
        self.refresh(dialogue).await?;
        if !self.is_stored() {
            return Ok((self.with_log(|log| log.epoch)?, 0, Arc::default()));
        }
        let (epoch, seq, page) = self.read(dialogue, query, Age::Current).await?;
        // The store may have had more by the time that it answered.
        let read = page.events.iter().filter_map(|event| event.position);
        let read = read.filter(|at| at.epoch == epoch).map(|at| at.seq).max();
        Ok((epoch, seq.max(read.unwrap_or(0)), page))
    }

    /// Reads a part of the log, which is open, or takes part in what another reads. Says of which log, and
    /// up to where it is read at least.
    pub(crate) async fn read(
        self: &Arc<Self>,
        dialogue: &Dialogue<A>,
        query: Query,
        age: Age,
    ) -> Result<(Epoch, u64, Arc<Page>), Unavailable> {
        let (epoch, seq) = self.with_log(|log| (log.epoch, log.seq))?;
        if let Some(entry) = self.reads.find(&query)
            && self.with_log(|log| entry.is(age, log))?
        {
            let page = entry.reading.clone().await;
            if page.is_err() {
                self.reads.remove(&query, &entry.reading);
            }
            return Ok((entry.epoch, entry.seq, page?));
        }
        let (store, log) = (dialogue.store().clone(), self.log_id().clone());
        let asked = query.clone();
        let read = async move { store.read(&log, &asked).await.map(Arc::new) };
        let reading = (Box::pin(read) as BoxFuture<'static, _>).shared();
        let entry =
            Entry { epoch, seq, begun: Instant::now(), reading: reading.clone(), held_page: None };
        if self.reads.share(query.clone(), entry) {
            tokio::spawn(tend(Arc::downgrade(self)));
        }
        let at_once = reading.clone().now_or_never();
        // What needs no waiting needs no sharing, and what failed is tried again.
        let shared = at_once.is_none();
        let page = match at_once {
            Some(page) => page,
            None => reading.clone().await,
        };
        let memory = dialogue.hub().memory();
        let kept = shared
            && page.as_ref().is_ok_and(|page| self.reads.hold(&query, &reading, page, memory));
        if !kept {
            self.reads.remove(&query, &reading);
        }
        Ok((epoch, seq, page?))
    }

    /// Asks the log, which is open.
    pub(crate) fn with_log<T>(&self, ask: impl FnOnce(&Log) -> T) -> Result<T, Unavailable> {
        self.lock().log.as_ref().map(ask).ok_or(Unavailable)
    }
}

impl Entry {
    /// Whether what it reads is good enough.
    fn is(&self, age: Age, log: &Log) -> bool {
        self.epoch == log.epoch
            && match age {
                Age::Current => self.seq == log.seq,
                Age::Remembered => log.remembers(self.seq),
            }
    }
}

impl Reads {
    fn find(&self, query: &Query) -> Option<Entry> {
        let known = self.lock();
        let entry = known.readings.get(query).filter(|entry| entry.begun.elapsed() < SHARED_FOR);
        entry.cloned()
    }

    /// Charges a page that others may be given. Returns false if the budget has no bytes left for it.
    fn hold(&self, query: &Query, reading: &SharedRead, page: &Page, budget: &Arc<Budget>) -> bool {
        let mut held = Holding::new(budget.clone());
        let fits = held.set(page.events.iter().map(|event| store::weight(event)).sum());
        if let Some(entry) = self.lock().readings.get_mut(query)
            && entry.reading.ptr_eq(reading)
        {
            entry.held_page = Some(Arc::new(held));
        }
        fits
    }

    /// Lets others take part. Returns whether somebody is to take away what is old from now on.
    fn share(&self, query: Query, entry: Entry) -> bool {
        let mut known = self.lock();
        if known.readings.len() >= MOST_SHARED && !known.readings.contains_key(&query) {
            return false;
        }
        known.readings.insert(query, entry);
        !std::mem::replace(&mut known.tended, true)
    }

    fn remove(&self, query: &Query, reading: &SharedRead) {
        let mut known = self.lock();
        if known.readings.get(query).is_some_and(|entry| entry.reading.ptr_eq(reading)) {
            known.readings.remove(query);
        }
    }

    /// Takes away what is old; returns whether anything is left.
    fn clear(&self) -> bool {
        let mut known = self.lock();
        known.readings.retain(|_, entry| entry.begun.elapsed() < SHARED_FOR);
        known.tended = !known.readings.is_empty();
        known.tended
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // No code that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn tend<A: App>(live: Weak<Live<A>>) {
    loop {
        tokio::time::sleep(SHARED_FOR).await;
        if !live.upgrade().is_some_and(|live| live.reads.clear()) {
            break;
        }
    }
}
