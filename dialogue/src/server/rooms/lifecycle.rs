//! Rooms that come and go at run time, and who is told.

use std::{collections::HashSet, sync::Weak, time::Duration};

use futures_util::{StreamExt, stream};

use super::{
    super::{Client, ClientId, dialogue::Inner, hook, packet::Packet},
    any::AnyRoom,
    append::Undeleted,
    hub::Held,
    membership,
};
use crate::{
    App, CreateError, DeleteError, Dialogue, Epoch,
    protocol::{Membership, RoomInfo, event},
    store::{Created, LogId, erased::Unavailable},
};

/// Of how many members of a deleted room the hooks run at the same time.
const AT_ONCE: usize = 16;
/// How long to wait before a log that was perhaps created is deleted; twice as long each time that this fails.
const FIRST_ATTEMPT: Duration = Duration::from_secs(1);
/// How often that is tried: for 17 minutes.
const ATTEMPTS: usize = 10;

/// Creates a room, tells who may see it, and runs the hook. `quota` is how many rooms its creator
/// may have. What was begun is finished, whether or not somebody waits for it.
pub(crate) async fn create<A: App>(
    room: &AnyRoom<A>,
    quota: Option<usize>,
) -> Result<RoomInfo, CreateError> {
    let created = hook::finish(found(room.clone(), quota)).await;
    created.unwrap_or(Err(CreateError::Internal))
}

async fn found<A: App>(room: AnyRoom<A>, quota: Option<usize>) -> Result<RoomInfo, CreateError> {
    let dialogue = room.dialogue();
    let reserved = dialogue.hub().reserve(room.erased(), quota)?;
    let empty = create_log(&room).await?;
    let info = {
        let _order = dialogue.hub().one_at_a_time();
        let live = reserved.open(empty);
        let info = live.info();
        if live.is_listed() {
            tell(dialogue, &info, &Packet::event(event::ROOM_CREATED, &info), |_| true);
        }
        info
    };
    let created = Box::pin(async { dialogue.app().room_created(&room).await });
    // The room is there and known; a hook that fails is logged and changes nothing.
    let _ = hook::run(dialogue.limits().hook_time, "room_created", room.id(), created).await;
    Ok(info)
}

/// Has the store create a room's log. Returns its epoch if it is known to be empty.
async fn create_log<A: App>(room: &AnyRoom<A>) -> Result<Option<Epoch>, CreateError> {
    let log = LogId::new(room.erased().id().clone(), room.erased().owner());
    let by_client = log.owner.is_creation();
    let stored = room.spec().events.iter().any(|event| event.history.is_some());
    // The id of a room that a client creates is taken on all servers, even if the room stores nothing.
    if !stored && !by_client {
        return Ok(None);
    }
    let epoch = Epoch::random();
    match room.dialogue().store().create(&log, epoch).await {
        Ok(Created::Owned) => Ok(by_client.then_some(epoch)),
        Ok(Created::Exists) => Err(CreateError::Exists),
        Err(Unavailable) => {
            if by_client {
                tokio::spawn(delete_unknown(room.dialogue().downgrade(), log));
            }
            Err(CreateError::StoreUnavailable)
        }
    }
}

/// Deletes a log of which the store has not said whether it was created: the server's next creation of the id has
/// another owner, and would not get it.
async fn delete_unknown<A: App>(dialogue: Weak<Inner<A>>, log: LogId) {
    let mut pause = FIRST_ATTEMPT;
    for _ in 0..ATTEMPTS {
        tokio::time::sleep(pause).await;
        pause *= 2;
        let Some(dialogue) = Dialogue::upgrade(&dialogue) else { break };
        if dialogue.store().delete(&log).await.is_ok() {
            break;
        }
    }
}

/// Deletes a room: what it keeps, then its memberships; tells who may see it and who was in it, and
/// runs the hooks. What was begun is finished, whether or not somebody waits for it.
pub(crate) async fn delete<A: App>(room: &AnyRoom<A>) -> Result<(), DeleteError> {
    let spec = room.spec();
    if !spec.is_family() && !spec.explicit {
        return Err(DeleteError::Declared);
    }
    let deleted = hook::finish(erase(room.clone())).await;
    deleted.unwrap_or(Err(DeleteError::RoomNotFound))
}

async fn erase<A: App>(room: AnyRoom<A>) -> Result<(), DeleteError> {
    let dialogue = room.dialogue();
    let live = loop {
        let held = used(&room).await?;
        match held.delete_log(dialogue).await {
            Ok(()) => break held.live(),
            Err(Undeleted::Gone) => return Err(DeleteError::RoomNotFound),
            Err(Undeleted::Unavailable) => return Err(DeleteError::StoreUnavailable),
            Err(Undeleted::Closed) => tokio::task::yield_now().await,
        }
    };
    let members = {
        let _order = dialogue.hub().one_at_a_time();
        let info = live.info();
        let members = dialogue.hub().delete(&live).ok_or(DeleteError::RoomNotFound)?;
        let members = live.dismiss_all(members);
        let packet = || {
            let deleted = Membership { room_id: room.id().into(), room_name: None };
            Packet::event(event::ROOM_DELETED, &deleted)
        };
        if live.is_listed() {
            let inside: HashSet<ClientId> = members.iter().map(Client::id).collect();
            tell(dialogue, &info, &packet(), |client| !inside.contains(&client.id()));
        }
        for member in &members {
            member.tell_surely(packet());
        }
        members
    };
    let left = stream::iter(members).for_each_concurrent(AT_ONCE, |member| {
        let live = live.clone();
        async move { membership::has_left(&member, live).await }
    });
    left.await;
    let deleted = Box::pin(async { dialogue.app().room_deleted(room.id()).await });
    let _ = hook::run(dialogue.limits().hook_time, "room_deleted", room.id(), deleted).await;
    Ok(())
}

/// The room, if it is open, or if it is one of a family that opens by itself and has a log.
async fn used<A: App>(room: &AnyRoom<A>) -> Result<Held<'_, A>, DeleteError> {
    let dialogue = room.dialogue();
    if let Some(live) = dialogue.hub().find_same(&**room.erased()) {
        return Ok(dialogue.hub().hold(live));
    }
    let live = dialogue.hub().open(room.erased()).ok_or(DeleteError::RoomNotFound)?;
    if !live.is_stored() {
        return Err(DeleteError::RoomNotFound);
    }
    let head = dialogue.store().head(live.log_id()).await;
    match head.map_err(|Unavailable| DeleteError::StoreUnavailable)? {
        Some(_) => Ok(live),
        None => Err(DeleteError::RoomNotFound),
    }
}

/// Sends to everyone who may see the room, as far as `whom` says. Whoever is too slow to take it in
/// misses it.
fn tell<A: App>(
    dialogue: &Dialogue<A>,
    info: &RoomInfo,
    packet: &Packet,
    whom: impl Fn(&Client<A>) -> bool,
) {
    for client in dialogue.clients() {
        if whom(&client) && dialogue.sees(&client, info) {
            client.tell(packet);
        }
    }
}
