//! Delivering events that are in the log and were not delivered: of an append that seemed to fail, or of another
//! server.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{append_queue::Reason, hub::Hub, live::Live, room_log::Log};
use crate::{
    Epoch,
    store::{Appended, Head, KeyUse, Part, Query, Stored, erased::Unavailable},
};

impl Live {
    /// Asks a store that several servers share where the log ends, and delivers what other servers appended.
    /// Takes as long as a call to the store may.
    pub(crate) async fn refresh(self: &Arc<Self>, hub: &Arc<Hub>) -> Result<(), Unavailable> {
        let has_asked = self.open_log(hub.store()).await?;
        if has_asked || !self.is_stored() || !hub.store().is_shared() {
            return Ok(());
        }
        let (reply, looked) = oneshot::channel();
        let work = {
            let mut state = self.lock();
            if state.closed || state.appends.sealed {
                // The caller finds out when it opens the room.
                return Ok(());
            }
            state.appends.ask(reply)
        };
        self.work_on(hub, work);
        // It waits for what is being appended.
        let looked = tokio::time::timeout(hub.limits().store_time, looked).await;
        looked.map_or(Err(Unavailable), |looked| looked.unwrap_or(Err(Unavailable)))
    }

    fn has_gone_back(&self, epoch: Epoch, seq: u64) -> bool {
        self.lock().log.as_mut().is_some_and(|log| log.has_gone_back(epoch, seq))
    }
}

/// Makes sure that subscribers were told of everything before the events that were just appended: an append that
/// seemed to fail, or another server's, may have been faster.
pub(crate) async fn settle(
    hub: &Arc<Hub>,
    live: &Arc<Live>,
    appended: &mut [Appended],
) -> Result<(), Unavailable> {
    // Up to where subscribers must have been told before they are told of these.
    let before_first = |appended: &[Appended]| {
        appended.iter().find_map(|appended| match appended {
            Appended::Now(stored) => stored.position.map(|at| (at.epoch, at.seq.saturating_sub(1))),
            Appended::KeyUsed(_) => None,
        })
    };
    if let Some((epoch, seq)) = before_first(appended)
        && live.has_gone_back(epoch, seq)
    {
        let head = end_epoch(hub, live).await?;
        move_to(appended, head.epoch);
    }
    let first = before_first(appended);
    let last_before = appended.iter().filter_map(|appended| match appended {
        Appended::KeyUsed(KeyUse::Same(position)) => Some((position.epoch, position.seq)),
        Appended::KeyUsed(KeyUse::Other) | Appended::Now(_) => None,
    });
    if let Some((epoch, seq)) = first.or(last_before.max_by_key(|(_, seq)| *seq)) {
        catch_up(hub, live, Head { epoch, seq, last: Vec::new() }).await?;
    }
    Ok(())
}

/// Ends the epoch of a log that has gone back, so that no client takes its new events for those that are lost.
/// Returns the head of the log in the next epoch.
async fn end_epoch(hub: &Arc<Hub>, live: &Arc<Live>) -> Result<Head, Unavailable> {
    let (ended, next) = live.with_log(Log::epochs)?;
    tracing::error!(room = ?live.id(), %ended, "the store has lost events: the epoch of the log ends");
    hub.store().end_epoch(live.log_id(), ended, next).await?;
    hub.store().head(live.log_id()).await?.ok_or(Unavailable)
}

fn move_to(appended: &mut [Appended], epoch: Epoch) {
    for appended in appended {
        let position = match appended {
            Appended::Now(stored) => Arc::make_mut(stored).position.as_mut(),
            Appended::KeyUsed(KeyUse::Same(position)) => Some(position),
            Appended::KeyUsed(KeyUse::Other) => None,
        };
        if let Some(position) = position {
            position.epoch = epoch;
        }
    }
}

/// Tells subscribers of what the log has up to there and they were not told of: an append that seemed to
/// fail, or another server's. If that fails, nothing after it may be told either.
async fn catch_up(
    hub: &Arc<Hub>,
    live: &Arc<Live>,
    Head { epoch, seq, last }: Head,
) -> Result<(), Unavailable> {
    let (told_epoch, told) = live.with_log(|log| (log.epoch, log.seq))?;
    if told_epoch == epoch && told >= seq {
        return Ok(());
    }
    let limits = hub.limits();
    if told_epoch == epoch {
        let events = live.stored_events().cloned().collect();
        let part = Part::After { seq: told, events };
        let query = Query { part, limit: limits.recovery_events, bytes: limits.recovery_bytes };
        let missed = hub.store().read(live.log_id(), &query).await?;
        if !missed.more {
            let mut state = live.lock();
            let up_to = |event: &&Stored| event.position.is_some_and(|at| at.seq <= seq);
            for stored in missed.events.iter().filter(up_to) {
                live.deliver_stored(&mut state, hub, stored, &[]);
            }
            if state.log.as_mut().is_some_and(|log| log.epoch == epoch && log.reach(seq, last)) {
                live.tell_position(&mut state);
            }
            return Ok(());
        }
    }
    // Too much, or another log: members are told where it ends, and fetch what they miss.
    let head = hub.store().head(live.log_id()).await?.ok_or(Unavailable)?;
    let last = head.last.into_iter().map(|(name, last)| (name, last.min(seq))).collect();
    let mut state = live.lock();
    state.log = Some(Log::at(Head { epoch: head.epoch, seq, last }));
    live.tell_position(&mut state);
    Ok(())
}

/// Finds out where the log ends, and tells those who asked. After the store failed, tells members, too.
pub(crate) async fn look(hub: &Arc<Hub>, live: &Arc<Live>, reason: Reason) {
    let asked = std::mem::take(&mut live.lock().appends.asked);
    // Whatever fails is tried again: the room stays uncertain.
    let looked = find_head(hub, live, reason).await;
    for reply in asked {
        let _ = reply.send(looked);
    }
}

async fn find_head(hub: &Arc<Hub>, live: &Arc<Live>, reason: Reason) -> Result<(), Unavailable> {
    if live.lock().appends.sealed {
        return Ok(());
    }
    live.open_log(hub.store()).await?;
    let mut head = hub.store().head(live.log_id()).await?;
    if let Some(Head { epoch, seq, .. }) = head
        && live.has_gone_back(epoch, seq)
    {
        head = Some(end_epoch(hub, live).await?);
    }
    let is_shared = hub.store().is_shared();
    let ends = live.log_id().owner.is_creation() || (is_shared && live.room().spec().explicit);
    if head.is_none() && live.is_stored() && ends {
        hub.host().end(live.clone());
        return Ok(());
    }
    if head.is_none() && live.is_stored() && is_shared {
        let epoch = live.with_log(|log| log.beginning(true))?;
        head = Some(hub.store().begin(live.log_id(), epoch).await?);
    }
    let is_none = head.is_none();
    if let Some(head) = head {
        catch_up(hub, live, head).await?;
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
