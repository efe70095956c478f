//! Delivery of events to subscribers, and slow consumers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use super::{
    super::{Client, ClientId, dialogue::Inner, outgoing::Unsent, packet::Packet},
    live::{Live, State},
    log::Log,
    on::{self, Job},
    subscriptions::Subscriptions,
};
use crate::{
    App, Dialogue, name,
    protocol::{At, event},
    store::{self, Stored},
};

/// How long a slow consumer is set aside the first time. The time doubles with each repetition.
const MIN_ASIDE: Duration = Duration::from_millis(50);
/// How long a slow consumer is set aside at most, before the room checks its queue again.
const MAX_ASIDE: Duration = Duration::from_secs(5);
/// After this time without an overflow, a member is set aside for [`MIN_ASIDE`] again.
const ASIDE_RESET: Duration = Duration::from_secs(30);

/// Whether a member is a slow consumer, and how often in a row it was one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slowness {
    /// Whether the member is set aside: the room delivers nothing to it.
    aside: bool,
    /// Number of overflows in a row, up to 16.
    times: u32,
    /// When the last overflow was.
    last: Option<Instant>,
}

impl Slowness {
    /// Sets the member aside. Returns for how long.
    fn set_aside(&mut self) -> Duration {
        if self.last.is_none_or(|last| last.elapsed() > ASIDE_RESET) {
            self.times = 0;
        }
        (self.aside, self.last) = (true, Some(Instant::now()));
        self.times = (self.times + 1).min(16);
        MIN_ASIDE.saturating_mul(1 << (self.times - 1)).min(MAX_ASIDE)
    }
}

/// The timer of the position message that follows the last stored event.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    /// When the last event was stored.
    last: Option<Instant>,
    /// Whether the timer runs.
    running: bool,
}

impl Quiet {
    /// How much of `quiet_time` is left, if any is.
    fn left(&self, quiet_time: Duration) -> Option<Duration> {
        let left = quiet_time.saturating_sub(self.last?.elapsed());
        Some(left).filter(|left| !left.is_zero())
    }
}

impl<A: App> Live<A> {
    /// Delivers an ephemeral event to its subscribers, without `except`. Calls `then` under the room's lock,
    /// so that handlers see events in delivery order. Returns the number of recipients, or `None` if the
    /// room is closed or `may` rejects the event.
    pub(super) fn send(
        self: &Arc<Self>,
        except: &[Client<A>],
        event: &str,
        packet: &Packet,
        may: impl FnOnce(&State<A>) -> bool,
        then: impl FnOnce(usize),
    ) -> Option<usize> {
        let mut state = self.lock();
        if state.closed || !may(&state) {
            return None;
        }
        // A slow consumer misses ephemeral events.
        let recipients = self.deliver(&mut state, event, except, packet);
        then(recipients);
        Some(recipients)
    }

    /// Queues an event for the room's `#[on]` handlers, and starts their task if it is not running.
    pub(super) fn handle(self: &Arc<Self>, dialogue: &Dialogue<A>, job: Job) {
        if self.handlers.push(job) {
            tokio::spawn(on::work(dialogue.clone(), self.clone()));
        }
    }

    /// Delivers a packet to the subscribers of an event, and sets aside those whose queue is full. Returns
    /// the number of recipients, including members that are set aside.
    fn deliver(
        self: &Arc<Self>,
        state: &mut State<A>,
        event: &str,
        except: &[Client<A>],
        packet: &Packet,
    ) -> usize {
        let (mut recipients, mut slow) = (0, Vec::new());
        for (id, member) in &state.members {
            let left_out = || except.iter().any(|client| client.id() == *id);
            if !member.subscriptions.covers(event) || left_out() {
                continue;
            }
            recipients += 1;
            if !member.slowness.aside
                && let Err(Unsent::Full) = member.client.connection().deliver(packet.clone())
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
    pub(super) fn deliver_stored(
        self: &Arc<Self>,
        state: &mut State<A>,
        dialogue: &Dialogue<A>,
        stored: &Stored,
        except: &[Client<A>],
    ) -> usize {
        let subscribed = [&*stored.event, name::EVERY_EVENT];
        let mut recipients = 0;
        if subscribed.iter().any(|name| state.subscribers.contains_key(*name)) {
            let capacity = store::weight(stored);
            match Packet::of_room(&**stored, capacity) {
                Ok(packet) => {
                    let packet = packet.counted(dialogue.transports().process());
                    recipients = self.deliver(state, &stored.event, except, &packet);
                }
                // Unreachable: the event was JSON when it was stored.
                Err(error) => tracing::error!(%error, "an event was not delivered"),
            }
        }
        if let Some(log) = &mut state.log {
            log.follow(stored.clone(), dialogue.hub().memory());
        }
        state.quiet.last = Some(Instant::now());
        if !std::mem::replace(&mut state.quiet.running, true) {
            let quiet_time = dialogue.limits().quiet_time;
            tokio::spawn(await_quiet(dialogue.downgrade(), Arc::downgrade(self), quiet_time));
        }
        recipients
    }

    /// Sends the position to all members that are subscribed to a stored event, so that they detect a gap.
    pub(super) fn tell_position(self: &Arc<Self>, state: &mut State<A>) {
        let stored = |subscriptions: &Subscriptions| {
            self.stored_events().any(|event| subscriptions.covers(event))
        };
        let members = state.members.iter().filter(|(_, member)| stored(&member.subscriptions));
        for id in members.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.tell_or_set_aside(state, id);
        }
    }

    /// Sends the position to a member, or sets it aside if its queue is full.
    fn tell_or_set_aside(self: &Arc<Self>, state: &mut State<A>, id: ClientId) {
        let Some(member) = state.members.get(&id).filter(|member| !member.slowness.aside) else {
            return;
        };
        let Some(log) = &state.log else { return };
        let position = self.position_packet(log, &member.subscriptions);
        if let Err(Unsent::Full) = member.client.connection().try_send(position) {
            self.set_aside(state, id);
        }
    }

    /// Sets a slow consumer aside: it receives nothing of the room until it has room to be told where
    /// the log ends.
    fn set_aside(self: &Arc<Self>, state: &mut State<A>, id: ClientId) {
        let Some(member) = state.members.get_mut(&id) else { return };
        let pause = member.slowness.set_aside();
        tracing::debug!(client = %id, room = ?self.id(), "slow consumer set aside");
        tokio::spawn(bring_back(self.clone(), member.client.clone(), pause));
    }

    /// Resumes delivery to a member that is set aside, if its queue has space for the position. Returns
    /// false if the caller must try again.
    fn try_bring_back(&self, client: &Client<A>) -> bool {
        let mut state = self.lock();
        let Some(member) = state.members.get(&client.id()).filter(|member| member.slowness.aside)
        else {
            return true;
        };
        let Some(log) = &state.log else { return true };
        let position = self.position_packet(log, &member.subscriptions);
        match client.connection().try_send(position) {
            Ok(()) => state.resume_delivery(client.id()),
            Err(Unsent::Full) => return false,
            // Its session is about to end.
            Err(Unsent::Closed) => {}
        }
        true
    }

    /// The `dialogue:position` packet for a member with these subscriptions.
    fn position_packet(&self, log: &Log, subscriptions: &Subscriptions) -> Packet {
        let last: BTreeMap<_, _> = log.heads(subscriptions).collect();
        let seq = last.values().max().copied().unwrap_or(0);
        let room_id = (&**self.id()).into();
        Packet::event(event::POSITION, &At { room_id, epoch: log.epoch, seq, last })
    }

    /// Sends the position to members if no event was stored for `quiet_time`. Otherwise returns how long to
    /// wait.
    async fn tell_if_quiet(
        self: &Arc<Self>,
        dialogue: &Dialogue<A>,
        quiet_time: Duration,
    ) -> Option<Duration> {
        if let Some(left) = self.lock().quiet.left(quiet_time) {
            return Some(left);
        }
        if self.refresh(dialogue).await.is_err() {
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

impl<A: App> State<A> {
    /// Resumes delivery to a member, if it is set aside.
    pub(super) fn resume_delivery(&mut self, id: ClientId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.slowness.aside = false;
        }
    }
}

async fn await_quiet<A: App>(dialogue: Weak<Inner<A>>, live: Weak<Live<A>>, quiet_time: Duration) {
    let mut left = Some(quiet_time);
    while let Some(time) = left {
        tokio::time::sleep(time).await;
        let Some(dialogue) = Dialogue::upgrade(&dialogue) else { break };
        let Some(live) = live.upgrade() else { break };
        left = live.tell_if_quiet(&dialogue, quiet_time).await;
    }
}

/// Waits until a member that is set aside has space in its queue or has left, and resumes delivery.
async fn bring_back<A: App>(live: Arc<Live<A>>, client: Client<A>, pause: Duration) {
    tokio::time::sleep(pause).await;
    let connection = client.connection();
    // Check the queue first: it does not need the room's lock.
    let back = || (connection.has_room() && live.try_bring_back(&client)).then_some(());
    connection.retry(back).await;
}
