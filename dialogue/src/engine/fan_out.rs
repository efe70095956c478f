//! Delivery of events to subscribers.

use std::sync::Arc;

use super::{
    deliveries::Delivered,
    hub::Hub,
    live::{Live, State},
    member::Member,
};
use crate::{
    ClientId,
    connection::{outgoing::Unsent, packet::Packet},
    model::name,
    store::{self, Stored},
};

/// Who triggers an event.
pub(crate) enum By<'a> {
    /// A member, for as long as it is one.
    Member(&'a Member),
    /// The server's own code, which leaves out these clients.
    Server(&'a [ClientId]),
}

impl<'a> By<'a> {
    pub(crate) fn except(&self) -> &'a [ClientId] {
        match *self {
            Self::Member(_) => &[],
            Self::Server(except) => except,
        }
    }

    /// Whether the event may be delivered now.
    pub(super) fn may(&self, state: &State) -> bool {
        match self {
            Self::Server(_) => true,
            Self::Member(member) => {
                let gone = member.connection.inbox.is_closed_by_server();
                !gone && state.members.contains_key(&member.id())
            }
        }
    }
}

impl Live {
    /// Delivers an ephemeral event to its subscribers, and queues it for handlers in delivery order. Returns the
    /// number of recipients, or `None` if the room is closed or the client that triggers the event is no member.
    pub(crate) fn send(
        self: &Arc<Self>,
        hub: &Hub,
        by: &By<'_>,
        event: &str,
        packet: &Packet,
        delivered: Option<Delivered>,
    ) -> Option<usize> {
        let mut state = self.lock();
        if state.closed || !by.may(&state) {
            return None;
        }
        // A slow consumer misses ephemeral events.
        let recipients = self.deliver(&mut state, event, by.except(), packet);
        if let Some(delivered) = delivered {
            self.handle(hub, Delivered { recipients, ..delivered });
        }
        Some(recipients)
    }

    /// Queues an event for the room's handlers, and has their task started if it is not running.
    pub(crate) fn handle(self: &Arc<Self>, hub: &Hub, delivered: Delivered) {
        if self.deliveries.push(delivered) {
            hub.host().handle(self.clone());
        }
    }

    /// Delivers a packet to the subscribers of an event, and sets aside those whose queue is full. Returns
    /// the number of recipients, including members that are set aside.
    fn deliver(
        self: &Arc<Self>,
        state: &mut State,
        event: &str,
        except: &[ClientId],
        packet: &Packet,
    ) -> usize {
        let (mut recipients, mut slow) = (0, Vec::new());
        for (id, member) in &state.members {
            let left_out = || except.contains(id);
            if !member.subscriptions.covers(event) || left_out() {
                continue;
            }
            recipients += 1;
            if !member.slowness.aside
                && let Err(Unsent::Full) = member.connection().deliver(packet.clone())
            {
                slow.push(*id);
            }
        }
        for id in slow {
            self.set_aside(state, id);
        }
        recipients
    }

    /// Delivers a stored event to its subscribers, advances the room's head, and schedules the position
    /// message for when the room is quiet. Returns the number of recipients.
    pub(crate) fn deliver_stored(
        self: &Arc<Self>,
        state: &mut State,
        hub: &Arc<Hub>,
        stored: &Stored,
        except: &[ClientId],
    ) -> usize {
        let subscribed = [&*stored.event, name::EVERY_EVENT];
        let mut recipients = 0;
        if subscribed.iter().any(|name| state.subscribers.contains_key(*name)) {
            let capacity = store::weight(stored);
            match Packet::of_room(&**stored, capacity) {
                Ok(packet) => {
                    let packet = packet.counted(hub.process());
                    recipients = self.deliver(state, &stored.event, except, &packet);
                }
                // Unreachable: the event was JSON when it was stored.
                Err(error) => tracing::error!(%error, "an event was not delivered"),
            }
        }
        if let Some(log) = &mut state.log {
            log.follow(stored.clone(), hub.memory());
        }
        self.note_stored(hub, state);
        recipients
    }
}
