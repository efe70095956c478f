//! Joining rooms.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::{notices, rejections, visibility};
use crate::{
    AnyRoom, App, Client, Deny, JoinError, SyncHistory,
    app::hooks::{self, Hook},
    connection::outgoing::Unsent,
    engine::{admission::Admission, join_answer::JoinAnswer, recovery::Base, subscriptions::Named},
    protocol::{self, ErrorCode, Failure, Join, Since},
    store::erased::Unavailable,
};

/// How often a join reads what the client is to be told, if the room goes on faster than that.
const MOST_ATTEMPTS: u32 = 100;

/// For how long a decision to let a client in holds. After that, the hooks decide again.
const DECISION_HOLDS: Duration = Duration::from_secs(1);
/// The pauses between attempts to admit a client that does not read: from this, doubling, to that. Each
/// attempt runs the hooks that decide.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(500)];

/// What a join asks for.
#[derive(Default)]
struct Asked<'a> {
    /// Names of events, in place of the room's defaults.
    subscribe: Option<Vec<String>>,
    /// Whether the defaults come with them.
    defaults: bool,
    /// The position that the client has seen.
    since: Option<Since<'a>>,
    /// Maximum number of events that the answer has.
    limit: Option<usize>,
}

/// A client's request to join. `hand_over` gives the answer to the connection, under the room's lock, so that it
/// precedes every later event; it is called again while the connection's queue is full.
pub(crate) async fn join<A: App>(
    client: &Client<A>,
    Join { room_id, subscribe, defaults, since, limit }: Join<'_>,
    hand_over: impl Fn(JoinAnswer<'_>) -> Result<(), Unsent>,
) -> Result<(), Failure> {
    if subscribe.as_ref().is_some_and(|names| names.len() > protocol::MAX_NAMES) {
        let message = format!("a join may name up to {} events", protocol::MAX_NAMES);
        return Err(Failure::new(ErrorCode::LimitExceeded, message).in_room(&room_id));
    }
    for event in subscribe.iter().flatten() {
        rejections::event_or_every(&room_id, event)?;
    }
    let dialogue = client.dialogue();
    let room = dialogue.resolve(&room_id).ok_or_else(|| visibility::no_such_room(&room_id))?;
    enter(client, &room, Asked { subscribe, defaults, since, limit }, hand_over)
        .await
        .map_err(|error| Failure::from(error).in_room(&room_id))
}

/// The server's own code makes a client join. The client is told by events.
pub(crate) async fn join_unasked<A: App>(
    client: &Client<A>,
    room: &AnyRoom<A>,
) -> Result<(), JoinError> {
    enter(client, room, Asked::default(), by_events(client)).await
}

/// Hands the answer to a join over as events.
pub(crate) fn by_events<A: App>(
    client: &Client<A>,
) -> impl Fn(JoinAnswer<'_>) -> Result<(), Unsent> {
    |answer| notices::joined(client.connection(), &answer.joined, answer.sync)
}

/// Joins: subscriptions, `before_join`, membership and the answer, `joined`.
///
/// No client is admitted on a decision that was made before a wait: what a hook said of a client that
/// did not read for ten seconds, or while the store took its time, may have changed meanwhile.
async fn enter<A: App>(
    client: &Client<A>,
    room: &AnyRoom<A>,
    Asked { subscribe, defaults, since, limit }: Asked<'_>,
    hand_over: impl Fn(JoinAnswer<'_>) -> Result<(), Unsent>,
) -> Result<(), JoinError> {
    let (since, limit) = (since.as_ref(), limit.unwrap_or(usize::MAX));
    if client.connection().inbox.is_closed() {
        return Err(JoinError::Closed);
    }
    let dialogue = client.dialogue();
    if dialogue.stopping().is_draining() {
        return Err(JoinError::Draining);
    }
    if !room.is_seen_by(client) {
        return Err(JoinError::RoomNotFound);
    }
    let most = dialogue.limits().subscriptions_per_room;
    // The names are dropped here: the join may wait long.
    let named = subscribe.map(|names| Named::new(room.spec(), &names, defaults, most));
    may_join(client, room).await?;
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
    let (hub, definition, participant) = (dialogue.hub(), room.definition(), client.participant());
    let limits = dialogue.limits();
    let first = 'joined: loop {
        // Another room may have the id by now.
        let live = hub.open(&definition).ok_or(JoinError::RoomNotFound)?;
        // More happens in the room than the store can be read in time for.
        attempts += 1;
        if attempts > MOST_ATTEMPTS {
            return Err(JoinError::StoreUnavailable);
        }
        let subscriptions = live.intended(client.member(), named.as_ref());
        // The first read has the store's own time.
        let read = Base::read(hub, &live, &subscriptions, since, limit);
        let base = if attempts == 1 {
            read.await
        } else {
            timeout_at(deadline, read).await.map_err(|_| JoinError::TimedOut)?
        };
        let base = base.map_err(|Unavailable| JoinError::StoreUnavailable)?;
        let mut pause = PAUSES[0];
        loop {
            if decided.elapsed() >= DECISION_HOLDS {
                decide_again(client, room).await?;
                decided = Instant::now();
            }
            // The answer takes its own charge.
            reserved.set(0);
            // The answer is the first thing that a member receives. While the client takes in nothing
            // more, it is no member.
            match live.admit(limits, &participant, named.as_ref(), &base, &hand_over)? {
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
                    decide_again(client, room).await?;
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
        let hooks = dialogue.hooks();
        // The client is in the room and knows it; a hook that fails is logged and changes nothing.
        if let Some(joined) = room.hosted().erased().joined(room, client) {
            let _ = hooks.run(Hook::Joined, room.id(), joined).await;
        }
        let joined = Box::pin(async { dialogue.app().joined(client, room).await });
        let _ = hooks.run(Hook::Joined, room.id(), joined).await;
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
    let hooks = dialogue.hooks();
    let verdict = |ran: Result<Result<(), Deny>, hooks::Failed>| match ran {
        Ok(Ok(())) => Ok(()),
        Ok(Err(deny)) => Err(JoinError::Denied(deny)),
        Err(hooks::Failed) => Err(JoinError::Internal),
    };
    if let Some(before_join) = room.hosted().erased().before_join(room, client) {
        verdict(hooks.run(Hook::BeforeJoin, room.id(), before_join).await)?;
    }
    let before_join = Box::pin(async { dialogue.app().before_join(client, room).await });
    verdict(hooks.run(Hook::BeforeJoin, room.id(), before_join).await)
}
