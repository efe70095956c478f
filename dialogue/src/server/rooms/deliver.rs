//! Events on their way to subscribers, and what becomes of those who are too slow for them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use super::{
    super::{Client, ClientId, outgoing::Unsent, packet::Packet},
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

/// For how long a member that was too slow is left alone before it may hear of the room again; twice
/// as long each time that it was too slow again soon after.
const ASIDE: Duration = Duration::from_millis(50);
const LONGEST_ASIDE: Duration = Duration::from_secs(5);
/// After how long a member that kept up is as good as any other.
const FORGIVEN: Duration = Duration::from_secs(30);

/// How a member keeps up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slowness {
    /// It hears of nothing.
    aside: bool,
    /// How often in a row it was too slow, and when last.
    times: u32,
    last: Option<Instant>,
}

impl Slowness {
    /// Notes that the member is too slow; returns for how long to leave it alone.
    fn set_aside(&mut self) -> Duration {
        if self.last.is_none_or(|last| last.elapsed() > FORGIVEN) {
            self.times = 0;
        }
        (self.aside, self.last) = (true, Some(Instant::now()));
        self.times = (self.times + 1).min(16);
        ASIDE.saturating_mul(1 << (self.times - 1)).min(LONGEST_ASIDE)
    }
}

/// When members are told where the log ends.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    /// When the last event was stored.
    last: Option<Instant>,
    /// Whether somebody waits for the quiet.
    awaited: bool,
}

impl<A: App> Live<A> {
    /// Hands an event that is not stored to its subscribers, but not to `except`, and does `then` what
    /// follows in the same order. Returns how many it goes to; `None` if it may not go out at this
    /// moment, or the room is closed.
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
        // Whoever has no room for it misses it.
        let recipients = self.deliver(&mut state, event, except, packet);
        then(recipients);
        Some(recipients)
    }

    /// Has handlers see an event after it was broadcast.
    pub(super) fn handle(self: &Arc<Self>, dialogue: &Dialogue<A>, job: Job) {
        if self.handlers.push(job) {
            tokio::spawn(on::work(dialogue.clone(), self.clone()));
        }
    }

    /// Hands a packet to the subscribers of an event. Those who have no room for it are set aside.
    /// Returns how many it goes to.
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

    /// Hands a stored event to its subscribers, which makes it the last that they were told of. Returns
    /// how many it goes to.
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
            let room = store::weight(stored);
            match Packet::of_room(&**stored, room) {
                Ok(packet) => {
                    let packet = packet.counted(dialogue.transports().process());
                    recipients = self.deliver(state, &stored.event, except, &packet);
                }
                // What is stored was JSON before.
                Err(error) => tracing::error!(%error, "an event was not delivered"),
            }
        }
        if let Some(log) = &mut state.log {
            log.follow(stored.clone());
        }
        state.quiet.last = Some(Instant::now());
        if !std::mem::replace(&mut state.quiet.awaited, true) {
            tokio::spawn(await_quiet(Arc::downgrade(self), dialogue.limits().quiet_time));
        }
        recipients
    }

    /// Tells all members where the log ends: something may have happened that they were not told.
    pub(super) fn tell_position(self: &Arc<Self>, state: &mut State<A>) {
        let stored = |subscriptions: &Subscriptions| {
            self.stored_events().any(|event| subscriptions.covers(event))
        };
        let members = state.members.iter().filter(|(_, member)| stored(&member.subscriptions));
        for id in members.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.tell_or_set_aside(state, id);
        }
    }

    /// Tells a member where the log ends. One that has no room for it is set aside.
    fn tell_or_set_aside(self: &Arc<Self>, state: &mut State<A>, id: ClientId) {
        let Some(member) = state.members.get(&id).filter(|member| !member.slowness.aside) else {
            return;
        };
        let Some(log) = &state.log else { return };
        let position = self.position(log, &member.subscriptions);
        if let Err(Unsent::Full) = member.client.connection().try_send(position) {
            self.set_aside(state, id);
        }
    }

    /// Sets a slow consumer aside: it receives nothing of the room until it has room to be told where
    /// the log ends.
    fn set_aside(self: &Arc<Self>, state: &mut State<A>, id: ClientId) {
        let Some(member) = state.members.get_mut(&id) else { return };
        let pause = member.slowness.set_aside();
        tracing::debug!(client = %id, room = ?self.id(), "a reader is too slow");
        tokio::spawn(bring_back(self.clone(), member.client.clone(), pause));
    }

    /// Lets a member that was moved aside hear of the room again, if it has room to be told where the
    /// log ends. Returns whether nothing is left to do.
    fn try_bring_back(&self, client: &Client<A>) -> bool {
        let mut state = self.lock();
        let Some(member) = state.members.get(&client.id()).filter(|member| member.slowness.aside)
        else {
            return true;
        };
        let Some(log) = &state.log else { return true };
        let position = self.position(log, &member.subscriptions);
        match client.connection().try_send(position) {
            Ok(()) => state.take_back(client.id()),
            Err(Unsent::Full) => return false,
            // Its session is about to end.
            Err(Unsent::Closed) => {}
        }
        true
    }

    /// Where the log ends for whoever is subscribed so.
    fn position(&self, log: &Log, subscriptions: &Subscriptions) -> Packet {
        let last: BTreeMap<_, _> = log.heads(subscriptions).collect();
        let seq = last.values().max().copied().unwrap_or(0);
        let room_id = (&**self.id()).into();
        Packet::event(event::POSITION, &At { room_id, epoch: log.epoch, seq, last })
    }

    /// Tells members where the log ends if nothing was stored for a while; otherwise returns how long
    /// to wait.
    fn tell_if_quiet(self: &Arc<Self>, quiet_time: Duration) -> Option<Duration> {
        let mut state = self.lock();
        let left = quiet_time.saturating_sub(state.quiet.last?.elapsed());
        if !left.is_zero() {
            return Some(left);
        }
        state.quiet.awaited = false;
        self.tell_position(&mut state);
        None
    }
}

impl<A: App> State<A> {
    /// Lets a member that was moved aside, if it was, hear of the room again.
    pub(super) fn take_back(&mut self, id: ClientId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.slowness.aside = false;
        }
    }
}

async fn await_quiet<A: App>(live: Weak<Live<A>>, quiet_time: Duration) {
    let mut left = Some(quiet_time);
    while let Some(time) = left {
        tokio::time::sleep(time).await;
        left = live.upgrade().and_then(|live| live.tell_if_quiet(quiet_time));
    }
}

/// Waits until a member that was moved aside has room again, or is none any more.
async fn bring_back<A: App>(live: Arc<Live<A>>, client: Client<A>, pause: Duration) {
    tokio::time::sleep(pause).await;
    let connection = client.connection();
    // One that has read nothing is not worth the room's lock.
    let back = || (connection.has_room() && live.try_bring_back(&client)).then_some(());
    connection.retry(back).await;
}
