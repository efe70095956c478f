//! Deleting rooms.

use futures_util::{StreamExt, stream};

use super::{announce, leave, visibility};
use crate::{
    AnyRoom, App, Client, DeleteError,
    app::hooks::{self, Hook},
    engine::{append_queue::Undeleted, hub::Held},
    protocol::{ErrorCode, Failure},
    store::erased::Unavailable,
};

/// Of how many members of a deleted room the hooks run at the same time.
const AT_ONCE: usize = 16;

/// A client's request to delete a room, which it must have created.
pub(crate) async fn delete_room<A: App>(client: &Client<A>, room_id: &str) -> Result<(), Failure> {
    let room =
        visibility::visible(client, room_id).ok_or_else(|| visibility::no_such_room(room_id))?;
    if room.created_by() != Some(client.user_id()) {
        let message = "a room is deleted by who created it";
        return Err(Failure::new(ErrorCode::PermissionDenied, message).in_room(room_id));
    }
    // The room has a creator, so it is not declared: another deletion was faster.
    delete(&room).await.map_err(|error| match error {
        DeleteError::RoomNotFound | DeleteError::Declared => visibility::no_such_room(room_id),
        error => Failure::from(error).in_room(room_id),
    })
}

/// Deletes a room: its log, then its memberships; tells the clients that may see it and its members, and
/// runs the hooks. A deletion that has begun is finished even if the caller goes away.
pub(crate) async fn delete<A: App>(room: &AnyRoom<A>) -> Result<(), DeleteError> {
    let spec = room.spec();
    if !spec.is_family() && !spec.explicit {
        return Err(DeleteError::Declared);
    }
    let deleted = hooks::finish(erase(room.clone())).await;
    deleted.unwrap_or(Err(DeleteError::RoomNotFound))
}

async fn erase<A: App>(room: AnyRoom<A>) -> Result<(), DeleteError> {
    let dialogue = room.dialogue();
    let place = dialogue.hub().announcements().place().await;
    let live = loop {
        let held = used(&room).await?;
        match held.delete_log(dialogue.hub()).await {
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
        if dialogue.hub().announcements().deleted(&live, info, members.clone(), place) {
            announce::start(dialogue);
        }
        members
    };
    let left = stream::iter(members).for_each_concurrent(AT_ONCE, |member| {
        let live = live.clone();
        async move { leave::has_left(&Client::<A>::of(&member), live).await }
    });
    left.await;
    let deleted = Box::pin(async { dialogue.app().room_deleted(room.id()).await });
    let _ = dialogue.hooks().run(Hook::RoomDeleted, room.id(), deleted).await;
    Ok(())
}

/// The room, if it is open, or if it is one of a family that opens by itself and has a log.
async fn used<A: App>(room: &AnyRoom<A>) -> Result<Held<'_>, DeleteError> {
    let dialogue = room.dialogue();
    if let Some(live) = room.live() {
        return Ok(dialogue.hub().hold(live));
    }
    let live = dialogue.hub().open(&room.definition()).ok_or(DeleteError::RoomNotFound)?;
    if !live.is_stored() {
        return Err(DeleteError::RoomNotFound);
    }
    let head = dialogue.store().head(live.log_id()).await;
    match head.map_err(|Unavailable| DeleteError::StoreUnavailable)? {
        Some(_) => Ok(live),
        None => Err(DeleteError::RoomNotFound),
    }
}
