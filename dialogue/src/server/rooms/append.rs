//! Events on their way into a room's log: one batch at a time, so that the order in which subscribers
//! are told is the log's.

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::{
    super::{Client, Receipt},
    any::AnyRoom,
    lifecycle,
    live::{Live, State},
    log::Log,
    on::{Job, Place},
};
use crate::{
    App, Dialogue, Epoch, TriggerError,
    message::AnyMessage,
    store::{
        self, Appended, Batch, Before, Head, NewEvent, Part, Query, Stored,
        erased::{Unappended, Unavailable},
    },
};

/// How many events are appended at once, and how many bytes of them; but one always is.
const MOST_AT_ONCE: usize = 256;
const MOST_BYTES: usize = 1_000_000;
/// How many batches one task appends before it lets others have its thread.
const IN_A_ROW: u32 = 32;
/// How long to wait before asking a store that failed where the log ends; twice as long each time.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LATER_LOOKS: Duration = Duration::from_secs(5);

/// What a room has yet to do with its log.
pub(crate) struct Appends<A: App> {
    queue: VecDeque<Work<A>>,
    /// Whether a task is draining the queue.
    working: bool,
    /// Whether the store failed, so that the log may hold more than subscribers were told.
    uncertain: bool,
    /// The log is deleted, and the room is about to be.
    sealed: bool,
    /// Who waits for the next look.
    asked: Vec<oneshot::Sender<Result<(), Unavailable>>>,
}

#[allow(clippy::large_enum_variant, reason = "nearly all of it is appending")]
enum Work<A: App> {
    Append(Append<A>),
    /// Ask the store where the log ends: for those who asked, or because it failed.
    Look(Reason),
    Delete(oneshot::Sender<Result<(), Undeleted>>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    Asked,
    Uncertain,
}

/// Why a log was not deleted.
pub(crate) enum Undeleted {
    /// It was, by somebody else.
    Gone,
    /// Nobody needed the room any more; it may be opened anew.
    Closed,
    Unavailable,
}

/// An event that waits for its place.
pub(crate) struct Append<A: App> {
    pub(crate) event: NewEvent,
    pub(crate) then: Then<A>,
}

/// What follows when an event is stored.
pub(crate) struct Then<A: App> {
    /// Who is not told.
    pub(crate) except: Vec<Client<A>>,
    /// What handlers get to see, if they have a place for it.
    pub(crate) message: Option<Box<dyn AnyMessage>>,
    pub(crate) place: Option<Place>,
    pub(crate) reply: oneshot::Sender<Result<Receipt, TriggerError>>,
}

impl<A: App> Appends<A> {
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
    fn push(&mut self, work: Work<A>) -> Option<Work<A>> {
        if !std::mem::replace(&mut self.working, true) {
            return Some(work);
        }
        self.queue.push_back(work);
        None
    }

    /// Queues a look, unless one is queued: whoever asks together is answered together.
    fn ask(&mut self, reply: oneshot::Sender<Result<(), Unavailable>>) -> Option<Work<A>> {
        self.asked.push(reply);
        if self.asked.len() == 1 { self.push(Work::Look(Reason::Asked)) } else { None }
    }

    /// What is to be done next; without anything, ends the work.
    fn next(&mut self) -> Option<Work<A>> {
        let next = self.queue.pop_front();
        if next.is_none() {
            // An idle room keeps no room for a queue.
            self.queue = VecDeque::new();
            self.working = false;
        }
        next
    }

    /// What may be appended together with the first.
    fn batch(&mut self, first: Append<A>) -> (Vec<NewEvent>, Vec<Then<A>>) {
        let mut bytes = 0;
        let (mut events, mut thens) = (Vec::with_capacity(1), Vec::with_capacity(1));
        let mut next = Some(first);
        while let Some(Append { event, then }) = next {
            bytes += store::weight(&event.message);
            events.push(event);
            thens.push(then);
            next = None;
            if events.len() < MOST_AT_ONCE
                && bytes < MOST_BYTES
                && let Some(Work::Append(append)) =
                    self.queue.pop_front_if(|work| matches!(work, Work::Append(_)))
            {
                next = Some(append);
            }
        }
        (events, thens)
    }
}

impl<A: App> Live<A> {
    /// Queues an event to be appended and broadcast; `admit` says whether it may be at this moment.
    /// Gives it back if it may not, or if the room is closed or about to be.
    pub(super) fn append(
        self: &Arc<Self>,
        dialogue: &Dialogue<A>,
        append: Append<A>,
        admit: impl FnOnce(&State<A>) -> bool,
    ) -> Result<(), Box<Append<A>>> {
        let most = dialogue.limits().waiting_appends;
        let work = {
            let mut state = self.lock();
            if state.closed || state.appends.sealed || !admit(&state) {
                return Err(Box::new(append));
            }
            if state.appends.len() >= most {
                let _ = append.then.reply.send(Err(TriggerError::TooManyWaiting));
                return Ok(());
            }
            state.appends.push(Work::Append(append))
        };
        self.work_on(dialogue, work);
        Ok(())
    }

    /// Asks a store that several servers share where the log ends, and delivers what other servers appended.
    /// Takes as long as a call to the store may.
    pub(super) async fn refresh(
        self: &Arc<Self>,
        dialogue: &Dialogue<A>,
    ) -> Result<(), Unavailable> {
        let has_asked = self.open_log(dialogue.store()).await?;
        if has_asked || !self.is_stored() || !dialogue.store().is_shared() {
            return Ok(());
        }
        let (reply, looked) = oneshot::channel();
        let work = {
            let mut state = self.lock();
            if state.closed || state.appends.sealed {
                // Whoever asks finds out.
                return Ok(());
            }
            state.appends.ask(reply)
        };
        self.work_on(dialogue, work);
        // It waits for what is being appended.
        let looked = tokio::time::timeout(dialogue.limits().store_time, looked).await;
        looked.map_or(Err(Unavailable), |looked| looked.unwrap_or(Err(Unavailable)))
    }

    /// Deletes the log, after everything that is to be appended; nothing is after that.
    pub(crate) async fn delete_log(
        self: &Arc<Self>,
        dialogue: &Dialogue<A>,
    ) -> Result<(), Undeleted> {
        let (reply, deleted) = oneshot::channel();
        let work = {
            let mut state = self.lock();
            if state.appends.sealed {
                return Err(Undeleted::Gone);
            }
            if state.closed {
                return Err(Undeleted::Closed);
            }
            state.appends.push(Work::Delete(reply))
        };
        self.work_on(dialogue, work);
        deleted.await.unwrap_or(Err(Undeleted::Gone))
    }

    /// Does the first of the work, if there is any, and what is queued after it: at once as far as the
    /// store does not have to be waited for, and in a task of its own after that.
    fn work_on(self: &Arc<Self>, dialogue: &Dialogue<A>, first: Option<Work<A>>) {
        let Some(first) = first else { return };
        let mut work = Box::pin(work(dialogue.clone(), self.clone(), first));
        if (&mut work).now_or_never().is_none() {
            tokio::spawn(work);
        }
    }

    fn has_gone_back(&self, epoch: Epoch, seq: u64) -> bool {
        self.lock().log.as_mut().is_some_and(|log| log.has_gone_back(epoch, seq))
    }

    /// Ends a room that has lost its log: the app deleted it elsewhere, or this server was away for so long that
    /// another one took it for gone.
    fn end(self: &Arc<Self>, dialogue: &Dialogue<A>) {
        let room = AnyRoom::new(dialogue.clone(), self.room().clone());
        // Nothing is left to be told if another deletion was first.
        tokio::spawn(async move { lifecycle::delete(&room).await });
    }

    /// Has the store asked where the log ends, unless that is about to be.
    fn look_later(self: &Arc<Self>, dialogue: &Dialogue<A>) {
        if !std::mem::replace(&mut self.lock().appends.uncertain, true) {
            let (dialogue, live) = (dialogue.downgrade(), Arc::downgrade(self));
            tokio::spawn(async move {
                let mut pause = FIRST_LOOK;
                loop {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LATER_LOOKS);
                    let Some(dialogue) = Dialogue::upgrade(&dialogue) else { break };
                    let Some(live) = live.upgrade() else { break };
                    let work = {
                        let mut state = live.lock();
                        if !state.appends.uncertain || state.closed || state.appends.sealed {
                            state.appends.uncertain = false;
                            break;
                        }
                        state.appends.push(Work::Look(Reason::Uncertain))
                    };
                    live.work_on(&dialogue, work);
                }
                if let (Some(dialogue), Some(live)) = (Dialogue::upgrade(&dialogue), live.upgrade())
                {
                    drop(dialogue.hub().hold(live));
                }
            });
        }
    }
}

/// Does what is to be done with a room's log, until nothing is left.
async fn work<A: App>(dialogue: Dialogue<A>, live: Arc<Live<A>>, first: Work<A>) {
    let mut batches = 0_u32;
    let mut next = Some(first);
    while let Some(work) = next {
        let step = async {
            match work {
                Work::Append(first) => append(&dialogue, &live, first).await,
                Work::Look(reason) => look(&dialogue, &live, reason).await,
                Work::Delete(reply) => delete(&dialogue, &live, reply).await,
            }
        };
        // This guards what dropping a payload runs.
        if AssertUnwindSafe(step).catch_unwind().await.is_err() {
            tracing::error!(room = ?live.id(), "an event panicked while it was stored");
            live.look_later(&dialogue);
        }
        batches = batches.wrapping_add(1);
        if batches.is_multiple_of(IN_A_ROW) {
            tokio::task::yield_now().await;
        }
        next = live.lock().appends.next();
    }
    drop(dialogue.hub().hold(live));
}

async fn append<A: App>(dialogue: &Dialogue<A>, live: &Arc<Live<A>>, first: Append<A>) {
    let (sealed, (events, mut thens)) = {
        let mut state = live.lock();
        (state.appends.sealed, state.appends.batch(first))
    };
    for then in &mut thens {
        then.message = then.message.take().filter(|_| then.place.is_some());
    }
    let refuse = |thens: Vec<Then<A>>, error: fn() -> TriggerError| {
        for then in thens {
            let _ = then.reply.send(Err(error()));
        }
    };
    if sealed {
        refuse(thens, || TriggerError::RoomNotFound);
        return;
    }
    let appended = match store(dialogue, live, events).await {
        Ok(appended) => appended,
        Err(Unappended::NotOwned) if live.room().spec().explicit => {
            live.end(dialogue);
            refuse(thens, || TriggerError::RoomNotFound);
            return;
        }
        Err(Unappended::NotOwned | Unappended::Unavailable) => {
            live.look_later(dialogue);
            refuse(thens, || TriggerError::StoreUnavailable);
            return;
        }
    };
    // What is the user's is dropped without the lock.
    let (mut left_out, mut unseen) = (Vec::new(), Vec::new());
    let mut state = live.lock();
    for (appended, Then { except, message, place, reply }) in appended.into_iter().zip(thens) {
        let result = match appended {
            Appended::Now(stored) => {
                let recipients = live.deliver_stored(&mut state, dialogue, &stored, &except);
                if let Some((message, place)) = message.zip(place) {
                    live.handle(dialogue, job::<A>(&stored, message, recipients, place));
                }
                Ok(Receipt { recipients, position: stored.position, duplicate: false })
            }
            Appended::Before(before) => {
                unseen.extend(message);
                match before {
                    Before::Same(position) => Ok(Receipt::of_duplicate(position)),
                    Before::Other => Err(TriggerError::KeyConflict),
                }
            }
        };
        left_out.extend(except);
        let _ = reply.send(result);
    }
    drop(state);
    drop((left_out, unseen));
}

/// Appends events, and makes sure that subscribers were told of everything before them: an append that
/// seemed to fail, or another server's, may have been faster.
async fn store<A: App>(
    dialogue: &Dialogue<A>,
    live: &Arc<Live<A>>,
    events: Vec<NewEvent>,
) -> Result<Vec<Appended>, Unappended> {
    live.open_log(dialogue.store()).await?;
    let is_shared = dialogue.store().is_shared();
    let epoch = live.with_log(|log| log.beginning(is_shared))?;
    let batch = Batch { log: live.log_id().clone(), epoch, events };
    let mut appended = dialogue.store().append(batch).await?;
    // Up to where subscribers must have been told before they are told of these.
    let before_first = |appended: &[Appended]| {
        appended.iter().find_map(|appended| match appended {
            Appended::Now(stored) => stored.position.map(|at| (at.epoch, at.seq.saturating_sub(1))),
            Appended::Before(_) => None,
        })
    };
    if let Some((epoch, seq)) = before_first(&appended)
        && live.has_gone_back(epoch, seq)
    {
        let head = end_epoch(dialogue, live).await?;
        move_to(&mut appended, head.epoch);
    }
    let first = before_first(&appended);
    let last_before = appended.iter().filter_map(|appended| match appended {
        Appended::Before(Before::Same(position)) => Some((position.epoch, position.seq)),
        Appended::Before(Before::Other) | Appended::Now(_) => None,
    });
    if let Some((epoch, seq)) = first.or(last_before.max_by_key(|(_, seq)| *seq)) {
        catch_up(dialogue, live, Head { epoch, seq, last: Vec::new() }).await?;
    }
    Ok(appended)
}

/// Ends the epoch of a log that has gone back, so that nobody takes its new events for those that are lost.
/// Returns where it ends in the next one.
async fn end_epoch<A: App>(
    dialogue: &Dialogue<A>,
    live: &Arc<Live<A>>,
) -> Result<Head, Unavailable> {
    let (ended, next) = live.with_log(Log::epochs)?;
    tracing::error!(room = ?live.id(), %ended, "the store has lost events: the epoch of the log ends");
    dialogue.store().end_epoch(live.log_id(), ended, next).await?;
    dialogue.store().head(live.log_id()).await?.ok_or(Unavailable)
}

fn move_to(appended: &mut [Appended], epoch: Epoch) {
    for appended in appended {
        let position = match appended {
            Appended::Now(stored) => Arc::make_mut(stored).position.as_mut(),
            Appended::Before(Before::Same(position)) => Some(position),
            Appended::Before(Before::Other) => None,
        };
        if let Some(position) = position {
            position.epoch = epoch;
        }
    }
}

/// Tells subscribers of what the log has up to there and they were not told of: an append that seemed to
/// fail, or another server's. If that fails, nothing after it may be told either.
async fn catch_up<A: App>(
    dialogue: &Dialogue<A>,
    live: &Arc<Live<A>>,
    Head { epoch, seq, last }: Head,
) -> Result<(), Unavailable> {
    let (told_epoch, told) = live.with_log(|log| (log.epoch, log.seq))?;
    if told_epoch == epoch && told >= seq {
        return Ok(());
    }
    let limits = dialogue.limits();
    if told_epoch == epoch {
        let events = live.stored_events().cloned().collect();
        let part = Part::After { seq: told, events };
        let query = Query { part, limit: limits.recovery_events, bytes: limits.recovery_bytes };
        let missed = dialogue.store().read(live.log_id(), &query).await?;
        if !missed.more {
            let mut state = live.lock();
            let up_to = |event: &&Stored| event.position.is_some_and(|at| at.seq <= seq);
            for stored in missed.events.iter().filter(up_to) {
                live.deliver_stored(&mut state, dialogue, stored, &[]);
            }
            if state.log.as_mut().is_some_and(|log| log.epoch == epoch && log.reach(seq, last)) {
                live.tell_position(&mut state);
            }
            return Ok(());
        }
    }
    // Too much, or another log: members are told where it ends, and fetch what they miss.
    let head = dialogue.store().head(live.log_id()).await?.ok_or(Unavailable)?;
    let last = head.last.into_iter().map(|(name, last)| (name, last.min(seq))).collect();
    let mut state = live.lock();
    state.log = Some(Log::at(Head { epoch: head.epoch, seq, last }));
    live.tell_position(&mut state);
    Ok(())
}

/// Finds out where the log ends, and tells those who asked. After the store failed, tells members, too.
async fn look<A: App>(dialogue: &Dialogue<A>, live: &Arc<Live<A>>, reason: Reason) {
    let asked = std::mem::take(&mut live.lock().appends.asked);
    // Whatever fails is tried again: the room stays uncertain.
    let looked = find_head(dialogue, live, reason).await;
    for reply in asked {
        let _ = reply.send(looked);
    }
}

async fn find_head<A: App>(
    dialogue: &Dialogue<A>,
    live: &Arc<Live<A>>,
    reason: Reason,
) -> Result<(), Unavailable> {
    if live.lock().appends.sealed {
        return Ok(());
    }
    live.open_log(dialogue.store()).await?;
    let mut head = dialogue.store().head(live.log_id()).await?;
    if let Some(Head { epoch, seq, .. }) = head
        && live.has_gone_back(epoch, seq)
    {
        head = Some(end_epoch(dialogue, live).await?);
    }
    let is_shared = dialogue.store().is_shared();
    let ends = live.log_id().owner.is_creation() || (is_shared && live.room().spec().explicit);
    if head.is_none() && live.is_stored() && ends {
        live.end(dialogue);
        return Ok(());
    }
    if head.is_none() && live.is_stored() && is_shared {
        let epoch = live.with_log(|log| log.beginning(true))?;
        head = Some(dialogue.store().begin(live.log_id(), epoch).await?);
    }
    let is_none = head.is_none();
    if let Some(head) = head {
        catch_up(dialogue, live, head).await?;
    }
    let mut state = live.lock();
    if is_none && state.log.as_ref().is_some_and(|log| log.seq > 0) {
        state.log = Some(Log::empty(Epoch::random()));
    }
    if reason == Reason::Uncertain && std::mem::replace(&mut state.appends.uncertain, false) {
        live.tell_position(&mut state);
    }
    Ok(())
}

async fn delete<A: App>(
    dialogue: &Dialogue<A>,
    live: &Arc<Live<A>>,
    reply: oneshot::Sender<Result<(), Undeleted>>,
) {
    let deleted = if live.lock().appends.sealed {
        Err(Undeleted::Gone)
    } else if !live.is_stored() && !live.log_id().owner.is_creation() {
        // What a client creates has a log, even if nothing is ever appended.
        Ok(())
    } else {
        dialogue.store().delete(live.log_id()).await.map_err(|Unavailable| Undeleted::Unavailable)
    };
    match deleted {
        Ok(()) => live.lock().appends.sealed = true,
        // Perhaps it is gone all the same.
        Err(Undeleted::Unavailable) => live.look_later(dialogue),
        Err(_) => {}
    }
    let _ = reply.send(deleted);
}

/// What handlers get to see of an event that is stored now.
fn job<A: App>(
    stored: &Stored,
    mut message: Box<dyn AnyMessage>,
    recipients: usize,
    place: Place,
) -> Job {
    *message.position_mut() = stored.position;
    let raw = A::HOOKS.follow().then(|| stored.clone());
    Job { message: message.into(), raw, recipients, place }
}
