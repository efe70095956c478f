//! Joining and leaving, whoever asks.

use std::sync::Arc;

use super::{
    super::{Client, gateway::Packet, hook},
    any::AnyRoom,
    erased::ErasedRoom,
    live::{Admission, Live},
    subscriptions::Subscriptions,
};
use crate::{
    App, Deny, JoinError, SyncHistory,
    protocol::{Ack, History, Joined, Membership, event},
};

/// How a joiner is answered.
pub(crate) enum Answer {
    /// By the acknowledgement that it asked for.
    Ack(i64),
    /// By events.
    Events,
}

impl Answer {
    pub(crate) fn packets(&self, joined: &Joined<'_>, sync: SyncHistory) -> Vec<Packet> {
        let &Joined { room_id, room_name, events, .. } = joined;
        match *self {
            Self::Ack(id) => vec![Packet::ack(id, &Ack { ok: true, body: joined })],
            Self::Events => {
                let membership = Membership { room_id, room_name: Some(room_name) };
                let mut packets = vec![Packet::event(event::JOINED, &membership)];
                if sync != SyncHistory::Nothing {
                    packets.push(Packet::event(event::HISTORY, &History { room_id, events }));
                }
                packets
            }
        }
    }
}

/// Tells a client that it left, if it did not ask for an acknowledgement.
pub(crate) fn left(room_id: &str) -> Packet {
    Packet::event(event::LEFT, &Membership { room_id, room_name: None })
}

/// The server's own code makes a client join.
pub(crate) async fn join_unasked<A: App>(
    client: &Client<A>,
    room: Arc<dyn ErasedRoom<A>>,
) -> Result<(), JoinError> {
    join(client, room, None, Answer::Events).await
}

/// The server's own code makes a client leave.
pub(crate) async fn leave_unasked<A: App>(client: &Client<A>, room_id: &str) -> bool {
    match client.member_of(room_id) {
        Some(live) => leave(client, &live, Some(left(room_id))).await,
        None => false,
    }
}

/// Joins: subscriptions, `before_join`, membership and the answer, `joined`.
pub(crate) async fn join<A: App>(
    client: &Client<A>,
    room: Arc<dyn ErasedRoom<A>>,
    subscribe: Option<&[String]>,
    answer: Answer,
) -> Result<(), JoinError> {
    let dialogue = client.dialogue();
    let most = dialogue.limits().subscriptions_per_room;
    let named = match subscribe {
        Some(names) => Some(Subscriptions::named(room.spec(), names, most)?),
        None => None,
    };
    may_join(client, &room).await?;
    let (live, first, unsent) = loop {
        let live = dialogue.hub().open(&room).ok_or(JoinError::RoomNotFound)?;
        match live.admit(client, named.as_ref(), &answer) {
            Ok(Admission::Member { first, unsent }) => break (live, first, unsent),
            Ok(Admission::Closed) => {}
            Err(error) => {
                dialogue.hub().release(&live);
                return Err(error);
            }
        }
    };
    for packet in &unsent {
        client.connection().send(packet).await;
    }
    if first {
        let id = live.id();
        let time = dialogue.limits().hook_time;
        // The client is in the room and knows it; a hook that fails is logged and changes nothing.
        if let Some(joined) = room.clone().joined(client) {
            let _ = hook::run(time, "joined", id, joined).await;
        }
        let any = AnyRoom::new(dialogue.clone(), room);
        let joined = Box::pin(dialogue.app().joined(client, &any));
        let _ = hook::run(time, "joined", id, joined).await;
    }
    Ok(())
}

async fn may_join<A: App>(
    client: &Client<A>,
    room: &Arc<dyn ErasedRoom<A>>,
) -> Result<(), JoinError> {
    let dialogue = client.dialogue();
    let time = dialogue.limits().hook_time;
    let verdict = |ran: Result<Result<(), Deny>, hook::Failed>| match ran {
        Ok(Ok(())) => Ok(()),
        Ok(Err(deny)) => Err(JoinError::Denied(deny)),
        Err(hook::Failed) => Err(JoinError::Internal),
    };
    if let Some(before_join) = room.clone().before_join(client) {
        verdict(hook::run(time, "before_join", room.id(), before_join).await)?;
    }
    let any = AnyRoom::new(dialogue.clone(), room.clone());
    let before_join = Box::pin(dialogue.app().before_join(client, &any));
    verdict(hook::run(time, "before_join", room.id(), before_join).await)
}

/// Leaves: membership, the answer, `left`. Returns whether the client was a member.
pub(crate) async fn leave<A: App>(
    client: &Client<A>,
    live: &Arc<Live<A>>,
    answer: Option<Packet>,
) -> bool {
    if !live.dismiss(client) {
        return false;
    }
    if let Some(answer) = answer {
        client.connection().send(&answer).await;
    }
    let dialogue = client.dialogue();
    let (room, id) = (live.room(), live.id());
    let time = dialogue.limits().hook_time;
    // As with `joined`: nothing is left to refuse.
    if let Some(left) = room.clone().left(client) {
        let _ = hook::run(time, "left", id, left).await;
    }
    let any = AnyRoom::new(dialogue.clone(), room.clone());
    let left = Box::pin(dialogue.app().left(client, &any));
    let _ = hook::run(time, "left", id, left).await;
    dialogue.hub().release(live);
    true
}
