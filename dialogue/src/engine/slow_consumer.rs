//! Slow consumers: the room delivers nothing to a member whose queue is full, until the queue has room.

use std::{sync::Arc, time::Duration};

use super::{
    live::{Live, State},
    member::Member,
};
use crate::{ClientId, connection::outgoing::Unsent};

impl Live {
    /// Sends the position to a member, or sets it aside if its queue is full.
    pub(super) fn tell_or_set_aside(self: &Arc<Self>, state: &mut State, id: ClientId) {
        let Some(member) = state.members.get(&id).filter(|member| !member.slowness.aside) else {
            return;
        };
        let Some(log) = &state.log else { return };
        let position = self.position_packet(log, &member.subscriptions);
        if let Err(Unsent::Full) = member.connection().try_send(position) {
            self.set_aside(state, id);
        }
    }

    /// Sets a slow consumer aside: it receives nothing of the room until it has room to be told where
    /// the log ends.
    pub(super) fn set_aside(self: &Arc<Self>, state: &mut State, id: ClientId) {
        let Some(member) = state.members.get_mut(&id) else { return };
        let pause = member.slowness.set_aside();
        tracing::debug!(client = %id, room = ?self.id(), "slow consumer set aside");
        tokio::spawn(bring_back(self.clone(), member.participant.member.clone(), pause));
    }

    /// Resumes delivery to a member that is set aside, if its queue has space for the position. Returns
    /// false if the caller must try again.
    fn try_bring_back(&self, member: &Member) -> bool {
        let mut state = self.lock();
        let present = state.members.get(&member.id());
        let Some(present) = present.filter(|present| present.slowness.aside) else { return true };
        let Some(log) = &state.log else { return true };
        let position = self.position_packet(log, &present.subscriptions);
        match member.connection.try_send(position) {
            Ok(()) => state.resume_delivery(member.id()),
            Err(Unsent::Full) => return false,
            // Its session is about to end.
            Err(Unsent::Closed) => {}
        }
        true
    }
}

impl State {
    /// Resumes delivery to a member, if it is set aside.
    pub(crate) fn resume_delivery(&mut self, id: ClientId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.slowness.aside = false;
        }
    }
}

/// Waits until a member that is set aside has space in its queue or has left, and resumes delivery.
async fn bring_back(live: Arc<Live>, member: Arc<Member>, pause: Duration) {
    tokio::time::sleep(pause).await;
    let connection = &member.connection;
    // Check the queue first: it does not need the room's lock.
    let back = || (connection.has_room() && live.try_bring_back(&member)).then_some(());
    connection.retry(back).await;
}
