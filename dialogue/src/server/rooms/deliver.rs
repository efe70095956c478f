//! Events on their way to subscribers, and what becomes of those who are too slow for them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    super::{
        Client, ClientId,
        gateway::{Connection, Gateway, Packet, Unsent},
    },
    live::{Live, State, channel},
    log::Log,
    on::{self, Job},
    subscriptions::Subscriptions,
};
use crate::{
    App, Dialogue, name,
    protocol::{At, event},
    store::Stored,
};

/// For how long a member that was too slow is left alone before it may hear of the room again; twice
/// as long each time that it was too slow again soon after.
const ASIDE: Duration = Duration::from_millis(50);
const LONGEST_ASIDE: Duration = Duration::from_secs(5);
/// How often all members of a room are searched for those who are too slow.
const SEARCH: Duration = Duration::from_millis(100);
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
    pub(super) fn is_aside(self) -> bool {
        self.aside
    }

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
    /// Since when a member may have missed what it was not told of: it is told in time even if it never
    /// gets quiet.
    owed: Option<Instant>,
    /// When all members were last searched for those who are too slow.
    searched: Option<Instant>,
}

/// What became of a broadcast.
pub(super) struct Delivered {
    pub(super) recipients: usize,
    /// How many of them had no room for it.
    missed: usize,
}

impl<A: App> Live<A> {
    /// Hands an event that is not stored to its subscribers, but not to `except`, and does `then` what
    /// follows in the same order. Returns how many it goes to; `None` if it may not go out at this
    /// moment, or the room is closed.
    pub(super) fn send(
        &self,
        dialogue: &Dialogue<A>,
        except: &[Client<A>],
        event: &str,
        body: &RawValue,
        may: impl FnOnce(&State<A>) -> bool,
        then: impl FnOnce(usize),
    ) -> Option<usize> {
        let state = self.lock();
        if state.closed || !may(&state) {
            return None;
        }
        // Whoever has no room for it misses it.
        let delivered = self.deliver(&state, dialogue.gateway(), event, except, body);
        then(delivered.recipients);
        Some(delivered.recipients)
    }

    /// Has handlers see an event after it was broadcast.
    pub(super) fn handle(self: &Arc<Self>, dialogue: &Dialogue<A>, job: Job) {
        if self.handlers.push(job) {
            tokio::spawn(on::work(dialogue.clone(), self.clone()));
        }
    }

    fn deliver(
        &self,
        state: &State<A>,
        gateway: &Gateway,
        event: &str,
        except: &[Client<A>],
        body: &(impl Serialize + ?Sized),
    ) -> Delivered {
        let audiences = [event, name::EVERY_EVENT];
        let count = |name: &str| state.subscribers.get(name).copied().unwrap_or(0);
        let mut recipients: usize = audiences.iter().map(|name| count(name)).sum();
        let excepted: Vec<&Connection> = except
            .iter()
            .filter(|client| {
                let member = state.members.get(&client.id());
                member.is_some_and(|member| member.subscriptions.covers(event))
            })
            .map(Client::connection)
            .collect();
        recipients -= excepted.len();
        if recipients == 0 {
            return Delivered { recipients, missed: 0 };
        }
        let heard = audiences.into_iter().filter(|name| count(name) > 0);
        let channels = heard.map(|name| channel(self.number(), name));
        Delivered { recipients, missed: gateway.broadcast(channels, &excepted, body) }
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
        let delivered = self.deliver(state, dialogue.gateway(), &stored.event, except, &**stored);
        if let Some(log) = &mut state.log {
            log.follow(stored.clone());
        }
        let now = Instant::now();
        if delivered.missed > 0 {
            self.find_slow(state, &stored.event, delivered.missed);
            // Somebody else may have been found in place of one who missed it.
            state.quiet.owed.get_or_insert(now);
        }
        state.quiet.last = Some(now);
        if !std::mem::replace(&mut state.quiet.awaited, true) {
            tokio::spawn(await_quiet(Arc::downgrade(self), dialogue.limits().quiet_time));
        }
        delivered.recipients
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

    /// The transport says only how many subscribers of an event had no room for it. Who has no room
    /// for its position either is one of them; whoever has learns of what it missed by it. Not more often
    /// than readers can be slow: what is left is told later.
    fn find_slow(self: &Arc<Self>, state: &mut State<A>, event: &str, mut missed: usize) {
        let (suspects, others): (Vec<ClientId>, Vec<ClientId>) = state
            .members
            .iter()
            .filter(|(_, member)| !member.slowness.aside && member.subscriptions.covers(event))
            .map(|(id, _)| *id)
            .partition(|id| state.slow.contains(id));
        let searched = state.quiet.searched.is_some_and(|last| last.elapsed() < SEARCH);
        let others = if searched { Vec::new() } else { others };
        if !others.is_empty() {
            state.quiet.searched = Some(Instant::now());
        }
        for id in suspects.into_iter().chain(others) {
            if missed == 0 {
                break;
            }
            missed -= usize::from(self.tell_or_set_aside(state, id));
        }
    }

    /// Tells a member where the log ends. One that has no room for it is moved aside; returns whether
    /// it was.
    fn tell_or_set_aside(self: &Arc<Self>, state: &mut State<A>, id: ClientId) -> bool {
        let Some(member) = state.members.get_mut(&id).filter(|member| !member.slowness.aside)
        else {
            return false;
        };
        let Some(log) = &state.log else { return false };
        let position = self.position(log, &member.subscriptions);
        let Err(Unsent::Full) = member.client.connection().try_send(&position) else {
            return false;
        };
        let pause = member.slowness.set_aside();
        let names = member.subscriptions.names().iter();
        let channels = names.map(|name| channel(self.number(), name)).collect();
        member.client.connection().unlisten(channels);
        state.slow.insert(id);
        tracing::debug!(client = %id, room = ?self.id(), "a reader is too slow");
        tokio::spawn(bring_back(self.clone(), member.client.clone(), pause));
        true
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
        match client.connection().try_send(&position) {
            Ok(()) => state.take_back(self.number(), client.id()),
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
        let since = state.quiet.owed.or(state.quiet.last)?;
        let left = quiet_time.saturating_sub(since.elapsed());
        if !left.is_zero() {
            return Some(left);
        }
        let told_early = state.quiet.owed.take().is_some();
        state.quiet.awaited = told_early;
        self.tell_position(&mut state);
        told_early.then_some(quiet_time)
    }
}

impl<A: App> State<A> {
    /// Lets a member that was moved aside, if it was, hear of the room again.
    pub(super) fn take_back(&mut self, room: u64, id: ClientId) {
        if let Some(member) = self.members.get_mut(&id)
            && std::mem::take(&mut member.slowness.aside)
        {
            let names = member.subscriptions.names().iter();
            member.client.connection().listen(names.map(|name| channel(room, name)).collect());
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
    client.connection().retry(|| live.try_bring_back(&client).then_some(())).await;
}
