//! Events on their way into a room's log: one batch at a time, so that the order in which subscribers
//! are told is the log's.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::{
    append_queue::{Append, Reason, Then, Undeleted, Work},
    deliveries::{Delivered, HandlerSlot},
    fan_out::By,
    hub::Hub,
    live::Live,
    undelivered::{look, settle},
};
use crate::{
    Receipt, TriggerError,
    model::message::AnyMessage,
    store::{
        Appended, Batch, KeyUse, NewEvent, Stored,
        erased::{Unappended, Unavailable},
    },
};

/// How many batches one task appends before it lets others have its thread.
const IN_A_ROW: u32 = 32;
/// How long to wait before asking a store that failed where the log ends; twice as long each time.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LATER_LOOKS: Duration = Duration::from_secs(5);

impl Live {
    /// Queues an event to be appended and delivered. Gives it back if the client that triggers it is no member, or if
    /// the room is closed or about to be.
    pub(crate) fn append(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        append: Append,
        by: &By<'_>,
    ) -> Result<(), Box<Append>> {
        let most = hub.limits().waiting_appends;
        let work = {
            let mut state = self.lock();
            if state.closed || state.appends.sealed || !by.may(&state) {
                return Err(Box::new(append));
            }
            if state.appends.len() >= most {
                let _ = append.then.reply.send(Err(TriggerError::TooManyWaiting));
                return Ok(());
            }
            state.appends.push(Work::Append(append))
        };
        self.work_on(hub, work);
        Ok(())
    }

    /// Deletes the log, after all appends that are queued. No append is accepted after that.
    pub(crate) async fn delete_log(self: &Arc<Self>, hub: &Arc<Hub>) -> Result<(), Undeleted> {
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
        self.work_on(hub, work);
        deleted.await.unwrap_or(Err(Undeleted::Gone))
    }

    /// Does the first of the work, if there is any, and what is queued after it. This runs in the caller's task until
    /// the store has to be waited for, and in a task of its own after that.
    pub(super) fn work_on(self: &Arc<Self>, hub: &Arc<Hub>, first: Option<Work>) {
        let Some(first) = first else { return };
        let mut work = Box::pin(work(hub.clone(), self.clone(), first));
        if (&mut work).now_or_never().is_none() {
            tokio::spawn(work);
        }
    }

    /// Has the store asked where the log ends, unless that is about to be.
    fn look_later(self: &Arc<Self>, hub: &Arc<Hub>) {
        if !std::mem::replace(&mut self.lock().appends.uncertain, true) {
            let (hub, live) = (Arc::downgrade(hub), Arc::downgrade(self));
            tokio::spawn(async move {
                let mut pause = FIRST_LOOK;
                loop {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LATER_LOOKS);
                    let Some(hub) = hub.upgrade() else { break };
                    let Some(live) = live.upgrade() else { break };
                    let work = {
                        let mut state = live.lock();
                        if !state.appends.uncertain || state.closed || state.appends.sealed {
                            state.appends.uncertain = false;
                            break;
                        }
                        state.appends.push(Work::Look(Reason::Uncertain))
                    };
                    live.work_on(&hub, work);
                }
                if let (Some(hub), Some(live)) = (hub.upgrade(), live.upgrade()) {
                    drop(hub.hold(live));
                }
            });
        }
    }
}

/// Works on a room's log until its queue is empty.
async fn work(hub: Arc<Hub>, live: Arc<Live>, first: Work) {
    let mut batches = 0_u32;
    let mut next = Some(first);
    while let Some(work) = next {
        let step = async {
            match work {
                Work::Append(first) => append(&hub, &live, first).await,
                Work::Look(reason) => look(&hub, &live, reason).await,
                Work::Delete(reply) => delete(&hub, &live, reply).await,
            }
        };
        // This guards what dropping a payload runs.
        if AssertUnwindSafe(step).catch_unwind().await.is_err() {
            tracing::error!(room = ?live.id(), "an event panicked while it was stored");
            live.look_later(&hub);
        }
        batches = batches.wrapping_add(1);
        if batches.is_multiple_of(IN_A_ROW) {
            tokio::task::yield_now().await;
        }
        next = live.lock().appends.next();
    }
    drop(hub.hold(live));
}

async fn append(hub: &Arc<Hub>, live: &Arc<Live>, first: Append) {
    let (sealed, (events, mut thens)) = {
        let mut state = live.lock();
        (state.appends.sealed, state.appends.batch(first))
    };
    for then in &mut thens {
        then.message = then.message.take().filter(|_| then.place.is_some());
    }
    let refuse = |thens: Vec<Then>, error: fn() -> TriggerError| {
        for then in thens {
            let _ = then.reply.send(Err(error()));
        }
    };
    if sealed {
        refuse(thens, || TriggerError::RoomNotFound);
        return;
    }
    let appended = match store(hub, live, events).await {
        Ok(appended) => appended,
        Err(Unappended::NotOwned) if live.room().spec().explicit => {
            hub.host().end(live.clone());
            refuse(thens, || TriggerError::RoomNotFound);
            return;
        }
        Err(Unappended::NotOwned | Unappended::Unavailable) => {
            live.look_later(hub);
            refuse(thens, || TriggerError::StoreUnavailable);
            return;
        }
    };
    // What is the user's is dropped without the lock.
    let mut unseen = Vec::new();
    let mut state = live.lock();
    for (appended, Then { message, raw, place, except, reply }) in appended.into_iter().zip(thens) {
        let result = match appended {
            Appended::Now(stored) => {
                let recipients = live.deliver_stored(&mut state, hub, &stored, &except);
                if let Some((message, place)) = message.zip(place) {
                    live.handle(hub, delivered(&stored, message, raw, recipients, place));
                }
                Ok(Receipt { recipients, position: stored.position, duplicate: false })
            }
            Appended::KeyUsed(before) => {
                unseen.extend(message);
                match before {
                    KeyUse::Same(position) => Ok(Receipt::of_duplicate(position)),
                    KeyUse::Other => Err(TriggerError::KeyConflict),
                }
            }
        };
        let _ = reply.send(result);
    }
    drop(state);
    drop(unseen);
}

/// Appends events, and makes sure that subscribers were told of everything before them: an append that
/// seemed to fail, or another server's, may have been faster.
async fn store(
    hub: &Arc<Hub>,
    live: &Arc<Live>,
    events: Vec<NewEvent>,
) -> Result<Vec<Appended>, Unappended> {
    live.open_log(hub.store()).await?;
    let is_shared = hub.store().is_shared();
    let epoch = live.with_log(|log| log.beginning(is_shared))?;
    let batch = Batch { log: live.log_id().clone(), epoch, events };
    let mut appended = hub.store().append(batch).await?;
    settle(hub, live, &mut appended).await?;
    Ok(appended)
}

async fn delete(hub: &Arc<Hub>, live: &Arc<Live>, reply: oneshot::Sender<Result<(), Undeleted>>) {
    let deleted = if live.lock().appends.sealed {
        Err(Undeleted::Gone)
    } else if !live.is_stored() && !live.log_id().owner.is_creation() {
        // What a client creates has a log, even if nothing is ever appended.
        Ok(())
    } else {
        hub.store().delete(live.log_id()).await.map_err(|Unavailable| Undeleted::Unavailable)
    };
    match deleted {
        Ok(()) => live.lock().appends.sealed = true,
        // Perhaps it is gone all the same.
        Err(Undeleted::Unavailable) => live.look_later(hub),
        Err(_) => {}
    }
    let _ = reply.send(deleted);
}

/// What handlers get to see of an event that is stored now.
fn delivered(
    stored: &Stored,
    mut message: Box<dyn AnyMessage>,
    raw: bool,
    recipients: usize,
    place: HandlerSlot,
) -> Delivered {
    *message.position_mut() = stored.position;
    let raw = raw.then(|| stored.clone());
    Delivered { message: message.into(), raw, recipients, place }
}
