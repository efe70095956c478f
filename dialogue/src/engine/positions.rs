//! Messages that say where the log ends, so that members notice what they missed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use super::{
    hub::Hub,
    live::{Live, State},
    room_log::Log,
    subscriptions::Subscriptions,
};
use crate::{
    connection::packet::Packet,
    protocol::{At, event},
};

impl Live {
    /// Notes that an event was stored. Once none was for [`Limits::quiet_time`](crate::Limits::quiet_time), members are
    /// told the position.
    pub(super) fn note_stored(self: &Arc<Self>, hub: &Arc<Hub>, state: &mut State) {
        state.quiet.last = Some(Instant::now());
        if !std::mem::replace(&mut state.quiet.running, true) {
            let quiet_time = hub.limits().quiet_time;
            tokio::spawn(await_quiet(Arc::downgrade(hub), Arc::downgrade(self), quiet_time));
        }
    }

    /// Sends the position to all members that are subscribed to a stored event, so that they detect a gap.
    pub(crate) fn tell_position(self: &Arc<Self>, state: &mut State) {
        let stored = |subscriptions: &Subscriptions| {
            self.stored_events().any(|event| subscriptions.covers(event))
        };
        let members = state.members.iter().filter(|(_, member)| stored(&member.subscriptions));
        for id in members.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.tell_or_set_aside(state, id);
        }
    }

    /// The `dialogue:position` packet for a member with these subscriptions.
    pub(super) fn position_packet(&self, log: &Log, subscriptions: &Subscriptions) -> Packet {
        let last: BTreeMap<_, _> = log.heads(subscriptions).collect();
        let seq = last.values().max().copied().unwrap_or(0);
        let room_id = (&**self.id()).into();
        Packet::event(event::POSITION, &At { room_id, epoch: log.epoch, seq, last })
    }

    /// Sends the position to members if no event was stored for `quiet_time`. Otherwise returns how long to
    /// wait.
    async fn tell_if_quiet(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        quiet_time: Duration,
    ) -> Option<Duration> {
        if let Some(left) = self.lock().quiet.left(quiet_time) {
            return Some(left);
        }
        if self.refresh(hub).await.is_err() {
            return Some(quiet_time);
        }
        let mut state = self.lock();
        if let Some(left) = state.quiet.left(quiet_time) {
            return Some(left);
        }
        state.quiet.running = false;
        if let Some(log) = &mut state.log {
            log.rest();
        }
        self.tell_position(&mut state);
        None
    }
}

async fn await_quiet(hub: Weak<Hub>, live: Weak<Live>, quiet_time: Duration) {
    let mut left = Some(quiet_time);
    while let Some(time) = left {
        tokio::time::sleep(time).await;
        let Some(hub) = hub.upgrade() else { break };
        let Some(live) = live.upgrade() else { break };
        left = live.tell_if_quiet(&hub, quiet_time).await;
    }
}
