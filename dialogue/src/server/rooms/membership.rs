//! Joining and leaving, whoever asks.

use std::{borrow::Cow, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    super::{Client, connection::Connection, hook, outgoing::Unsent, packet::Packet},
    any::AnyRoom,
    erased::ErasedRoom,
    live::{Admission, Live},
    replay::Base,
    subscriptions::Named,
};
use crate::{
    App, Deny, JoinError, SyncHistory,
    protocol::{History, Joined, Membership, Since, event},
    store::erased::Unavailable,
};

/// How often a join reads what the client is to be told, if the room goes on faster than that.
const MOST_ATTEMPTS: u32 = 100;

/// For how long a decision to let a client in holds. Whoever was admitted later was decided on again.
const DECISION_HOLDS: Duration = Duration::from_secs(1);
/// The pauses between attempts to admit a client that does not read: from this, doubling, to that. Each
/// attempt runs the hooks that decide.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(500)];
/// How many rooms a client leaves, or requests of one that has gone are handled, before other tasks run.
const STEPS_IN_A_ROW: usize = 16;

/// How a joiner is answered.
pub(crate) enum Answer {
    /// By the acknowledgement that it asked for.
    Ack(i64),
    /// By events.
    Events,
}

/// What a joiner asks for.
#[derive(Default)]
pub(crate) struct Asked<'a> {
    /// Names of events, in place of the room's defaults.
    pub(crate) subscribe: Option<Vec<String>>,
    /// Whether the defaults come with them.
    pub(crate) defaults: bool,
    /// What it has seen already.
    pub(crate) since: Option<Since<'a>>,
    /// How many events it takes at most.
    pub(crate) limit: Option<usize>,
}

/// Tells a client that it joined, and what of the past it is sent, if the connection has room: that may
/// be long, and is encoded only then.
pub(super) fn tell(
    connection: &Connection,
    joined: &Joined<'_>,
    sync: SyncHistory,
) -> Result<(), Unsent> {
    let Joined { room_id, room_name, unknown_events, events, .. } = joined;
    let room_id = Cow::Borrowed(&**room_id);
    let room_name = Some(Cow::Borrowed(&**room_name));
    let unknown_events = Cow::Borrowed(&**unknown_events);
    let membership = Membership { room_id: room_id.clone(), room_name, unknown_events };
    connection.try_event(event::JOINED, &membership)?;
    if sync == SyncHistory::Nothing && events.is_empty() {
        return Ok(());
    }
    let events = Cow::Borrowed(&**events);
    connection.try_event(event::HISTORY, &History { room_id, events })
}

/// Tells a client that it left, if it did not ask for an acknowledgement.
pub(crate) fn left(room_id: &str) -> Packet {
    Packet::event(event::LEFT, &Membership::of(room_id.into()))
}

/// The server's own code makes a client join.
pub(crate) async fn join_unasked<A: App>(
    client: &Client<A>,
    room: Arc<dyn ErasedRoom<A>>,
) -> Result<(), JoinError> {
    join(client, room, Asked::default(), Answer::Events).await
}

/// The server's own code makes a client leave, if it is in a room.
pub(crate) async fn leave_unasked<A: App>(client: &Client<A>, live: Option<Arc<Live<A>>>) -> bool {
    let Some(live) = live else { return false };
    let dismissed = live.dismiss(client);
    if dismissed {
        hook::finish(see_off(client.clone(), live)).await;
    }
    dismissed
}

/// Tells a client that it is no member any more, and runs the hooks. They do not wait for a client
/// that does not listen.
pub(crate) async fn see_off<A: App>(client: Client<A>, live: Arc<Live<A>>) {
    client.tell_surely(left(live.id()));
    has_left(&client, live).await;
}

/// Joins: subscriptions, `before_join`, membership and the answer, `joined`.
///
/// No client is admitted on a decision that was made before a wait: what a hook said of a client that
/// did not read for ten seconds, or while the store took its time, may have changed meanwhile.
pub(crate) async fn join<A: App>(
    client: &Client<A>,
    room: Arc<dyn ErasedRoom<A>>,
    Asked { subscribe, defaults, since, limit }: Asked<'_>,
    answer: Answer,
) -> Result<(), JoinError> {
    let (since, limit) = (since.as_ref(), limit.unwrap_or(usize::MAX));
    if client.connection().inbox.is_closed() {
        return Err(JoinError::Closed);
    }
    let dialogue = client.dialogue();
    if dialogue.stopping().is_draining() {
        return Err(JoinError::Draining);
    }
    let any = AnyRoom::new(dialogue.clone(), room.clone());
    if !any.is_seen_by(client) {
        return Err(JoinError::RoomNotFound);
    }
    let most = dialogue.limits().subscriptions_per_room;
    // The names are dropped here: the join may wait long.
    let named = subscribe.map(|names| Named::new(room.spec(), &names, defaults, most));
    may_join(client, &any).await?;
    let asked = Instant::now();
    let spec = room.spec();
    let reads = since.is_some() || (limit > 0 && spec.sync_history != SyncHistory::Nothing);
    let stored = spec.events.iter().any(|event| event.history.is_some());
    let bytes = if reads && stored { dialogue.limits().answer_bytes() } else { 0 };
    // The server reads no history that the client's address has no memory for.
    let mut reserved = client.connection().reserve(bytes, dialogue.limits().join_time).await?;
    let mut decided = asked;
    let deadline = Instant::now() + dialogue.limits().join_time;
    let mut attempts = 0;
    let first = 'joined: loop {
        // Another room may have the id by now.
        let live = dialogue.hub().open(&room).ok_or(JoinError::RoomNotFound)?;
        // More happens in the room than the store can be read in time for.
        attempts += 1;
        if attempts > MOST_ATTEMPTS {
            return Err(JoinError::StoreUnavailable);
        }
        let subscriptions = live.intended(client, named.as_ref());
        // The first read has the store's own time.
        let read = Base::read(dialogue, &live, &subscriptions, since, limit);
        let base = if attempts == 1 {
            read.await
        } else {
            timeout_at(deadline, read).await.map_err(|_| JoinError::TimedOut)?
        };
        let base = base.map_err(|Unavailable| JoinError::StoreUnavailable)?;
        let mut pause = PAUSES[0];
        loop {
            if decided.elapsed() >= DECISION_HOLDS {
                decide_again(client, &any).await?;
                decided = Instant::now();
            }
            // The answer takes its own charge.
            reserved.set(0);
            // The answer is the first thing that a member receives. While the client takes in nothing
            // more, it is no member.
            match live.admit(client, named.as_ref(), &base, &answer)? {
                Admission::First => break 'joined true,
                Admission::Again => break 'joined false,
                Admission::Unanswered => {
                    reserved.set_anyway(bytes);
                    let now = Instant::now();
                    if now >= deadline {
                        return Err(JoinError::TimedOut);
                    }
                    sleep_until((now + pause).min(deadline)).await;
                    pause = (pause * 2).min(PAUSES[1]);
                    decide_again(client, &any).await?;
                    decided = Instant::now();
                }
                // The room is being closed, and has left the hub in a moment; or it went on.
                Admission::Closed | Admission::Stale => {
                    reserved.set_anyway(bytes);
                    tokio::task::yield_now().await;
                    break;
                }
            }
        }
    };
    if first {
        let time = dialogue.limits().hook_time;
        // The client is in the room and knows it; a hook that fails is logged and changes nothing.
        if let Some(joined) = room.clone().joined(client) {
            let _ = hook::run(time, "joined", any.id(), joined).await;
        }
        let joined = Box::pin(async { dialogue.app().joined(client, &any).await });
        let _ = hook::run(time, "joined", any.id(), joined).await;
    }
    Ok(())
}

/// Decides anew, after a wait, on a client that was let in before it.
async fn decide_again<A: App>(client: &Client<A>, room: &AnyRoom<A>) -> Result<(), JoinError> {
    if client.connection().inbox.is_closed_by_server() {
        return Err(JoinError::Closed);
    }
    if !room.is_seen_by(client) {
        return Err(JoinError::RoomNotFound);
    }
    may_join(client, room).await
}

async fn may_join<A: App>(client: &Client<A>, room: &AnyRoom<A>) -> Result<(), JoinError> {
    let dialogue = client.dialogue();
    let time = dialogue.limits().hook_time;
    let verdict = |ran: Result<Result<(), Deny>, hook::Failed>| match ran {
        Ok(Ok(())) => Ok(()),
        Ok(Err(deny)) => Err(JoinError::Denied(deny)),
        Err(hook::Failed) => Err(JoinError::Internal),
    };
    if let Some(before_join) = room.erased().clone().before_join(client) {
        verdict(hook::run(time, "before_join", room.id(), before_join).await)?;
    }
    let before_join = Box::pin(async { dialogue.app().before_join(client, room).await });
    verdict(hook::run(time, "before_join", room.id(), before_join).await)
}

/// Leaves: membership, the answer, `left`. Returns whether the client was a member.
pub(crate) async fn leave<A: App>(client: &Client<A>, live: &Arc<Live<A>>, answer: Packet) -> bool {
    let dismissed = live.dismiss(client);
    if dismissed {
        let (client, live) = (client.clone(), live.clone());
        hook::finish(async move {
            client.connection().send(answer).await;
            has_left(&client, live).await;
        })
        .await;
    }
    dismissed
}

/// Leaves every room, for good: no join comes after it.
pub(crate) async fn leave_all<A: App>(client: &Client<A>) {
    // No room waits for the hooks of another; one that is deleted meanwhile runs its own.
    let (mut left, mut steps) = (Vec::new(), Steps::default());
    for live in client.depart() {
        if live.dismiss(client) {
            left.push(live);
        }
        steps.take().await;
    }
    for live in left {
        has_left(client, live).await;
        steps.take().await;
    }
}

/// Steps of long work, which lets other tasks run now and then: thousands of clients may end together.
#[derive(Default)]
pub(crate) struct Steps(usize);

impl Steps {
    pub(crate) async fn take(&mut self) {
        self.0 += 1;
        if self.0.is_multiple_of(STEPS_IN_A_ROW) {
            tokio::task::yield_now().await;
        }
    }
}

/// Runs the hooks of a member that is none any more, and lets go of the room.
pub(crate) async fn has_left<A: App>(client: &Client<A>, live: Arc<Live<A>>) {
    let dialogue = client.dialogue();
    let live = dialogue.hub().hold(live);
    let (room, time) = (live.room(), dialogue.limits().hook_time);
    let any = AnyRoom::new(dialogue.clone(), room.clone());
    // As with `joined`: nothing is left to refuse.
    if let Some(left) = room.clone().left(client) {
        let _ = hook::run(time, "left", any.id(), left).await;
    }
    let left = Box::pin(async { dialogue.app().left(client, &any).await });
    let _ = hook::run(time, "left", any.id(), left).await;
}
