//! Rooms that come and go at run time, and who is told.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    super::{dialogue::Inner, hook},
    any::AnyRoom,
    append::Undeleted,
    hub::{Asker, Held},
    live::Live,
    membership,
};
use crate::{
    App, CreateError, DeleteError, Dialogue, Epoch,
    protocol::RoomInfo,
    store::{Created, LogId, erased::Unavailable},
};

/// Of how many members of a deleted room the hooks run at the same time.
const AT_ONCE: usize = 16;
/// How long to wait before a log that was perhaps created is deleted; twice as long each time that this fails.
const FIRST_ATTEMPT: Duration = Duration::from_secs(1);
/// How often that is tried: for 17 minutes.
const ATTEMPTS: usize = 10;
/// How often it is looked which rooms are abandoned: ten times while a room may be empty, within these.
const SHORTEST_SWEEP: Duration = Duration::from_millis(10);
const LONGEST_SWEEP: Duration = Duration::from_secs(30);

/// Creates a room, for a client that asked for it if it is one, has those told who may see it, and runs the hook.
/// What was begun is finished, whether or not somebody waits for it.
pub(crate) async fn create<A: App>(
    room: &AnyRoom<A>,
    asker: Option<Asker>,
) -> Result<RoomInfo, CreateError> {
    let created = hook::finish(found(room.clone(), asker)).await;
    created.unwrap_or(Err(CreateError::Internal))
}

async fn found<A: App>(room: AnyRoom<A>, asker: Option<Asker>) -> Result<RoomInfo, CreateError> {
    let dialogue = room.dialogue();
    let reserved = dialogue.hub().reserve(room.erased(), asker)?;
    let empty = create_log(&room).await?;
    let place = dialogue.announcer().place().await;
    let info = {
        let _order = dialogue.hub().one_at_a_time();
        let live = reserved.open(empty);
        let info = live.info();
        if live.is_listed() {
            dialogue.announcer().created(dialogue, &live, info.clone(), place);
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
                delete_later(room.dialogue(), log);
            }
            Err(CreateError::StoreUnavailable)
        }
    }
}

/// Deletes a creation's log that was not deleted, or of which the store has not said whether it was created: the
/// next creation of the id has another owner, and would not get it. Where that fails, or too many logs wait for it, the
/// log ends with the server.
fn delete_later<A: App>(dialogue: &Dialogue<A>, log: LogId) {
    if let Some(one) = dialogue.hub().deletion() {
        tokio::spawn(delete_again(dialogue.downgrade(), log, one));
    }
}

async fn delete_again<A: App>(dialogue: Weak<Inner<A>>, log: LogId, _one: OwnedSemaphorePermit) {
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
    let place = dialogue.announcer().place().await;
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
        dialogue.announcer().deleted(dialogue, &live, info, members.clone(), place);
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

/// Ends rooms that clients asked for and nobody has been in for this time, for as long as the server is there.
pub(crate) async fn sweep<A: App>(dialogue: Weak<Inner<A>>, time: Duration) {
    let pause = (time / 10).clamp(SHORTEST_SWEEP, LONGEST_SWEEP);
    loop {
        tokio::time::sleep(pause).await;
        let Some(dialogue) = Dialogue::upgrade(&dialogue) else { break };
        let abandoned = dialogue.hub().abandoned(time);
        let ended = stream::iter(abandoned).for_each_concurrent(AT_ONCE, |live| {
            let dialogue = dialogue.clone();
            async move { end_abandoned(&dialogue, live, time).await }
        });
        ended.await;
    }
}

/// Ends a room with its log, if nobody has come in meanwhile.
async fn end_abandoned<A: App>(dialogue: &Dialogue<A>, live: Arc<Live<A>>, time: Duration) {
    let place = dialogue.announcer().place().await;
    {
        let _order = dialogue.hub().one_at_a_time();
        let info = live.info();
        if !dialogue.hub().end(&live, time) {
            return;
        }
        dialogue.announcer().deleted(dialogue, &live, info, Vec::new(), place);
    }
    // Its owner was this room alone: nobody appends to it any more.
    if dialogue.store().delete(live.log_id()).await.is_err() {
        delete_later(dialogue, live.log_id().clone());
    }
    let deleted = Box::pin(async { dialogue.app().room_deleted(live.id()).await });
    let _ = hook::run(dialogue.limits().hook_time, "room_deleted", live.id(), deleted).await;
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
