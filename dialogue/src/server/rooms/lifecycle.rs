//! Rooms that come and go at run time, and who is told.

use std::collections::HashSet;

use futures_util::{StreamExt, stream};

use super::{
    super::{Client, ClientId, hook, packet::Packet},
    any::AnyRoom,
    append::Undeleted,
    hub::Held,
    membership,
};
use crate::{
    App, CreateError, DeleteError, Dialogue,
    protocol::{Membership, RoomInfo, event},
    store::erased::Unavailable,
};

/// Of how many members of a deleted room the hooks run at the same time.
const AT_ONCE: usize = 16;

/// Creates a room, tells who may see it, and runs the hook. `quota` is how many rooms its creator
/// may have.
pub(crate) async fn create<A: App>(
    room: &AnyRoom<A>,
    quota: Option<usize>,
) -> Result<RoomInfo, CreateError> {
    let dialogue = room.dialogue();
    let info = {
        let _order = dialogue.hub().one_at_a_time();
        let live = dialogue.hub().create(room.erased(), quota)?;
        let info = live.info();
        if live.is_listed() {
            tell(dialogue, &info, &Packet::event(event::ROOM_CREATED, &info), |_| true);
        }
        info
    };
    let created = Box::pin(async { dialogue.app().room_created(room).await });
    // The room is there and known; a hook that fails is logged and changes nothing.
    let _ = hook::run(dialogue.limits().hook_time, "room_created", room.id(), created).await;
    Ok(info)
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
    let head = dialogue.store().head(room.id()).await;
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
