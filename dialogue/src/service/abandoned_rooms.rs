//! Rooms that clients created and that stay empty, and logs that could not be deleted.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::sync::OwnedSemaphorePermit;

use super::announce;
use crate::{
    App, Dialogue,
    app::{dialogue::WeakDialogue, hooks::Hook},
    engine::live::Live,
    store::LogId,
};

/// How many rooms end at the same time.
const AT_ONCE: usize = 16;
/// How long to wait before a log that was perhaps created is deleted; twice as long each time that this fails.
const FIRST_ATTEMPT: Duration = Duration::from_secs(1);
/// How often that is tried: for 17 minutes.
const ATTEMPTS: usize = 10;
/// How often it is looked which rooms are abandoned: ten times while a room may be empty, within these.
const SHORTEST_SWEEP: Duration = Duration::from_millis(10);
const LONGEST_SWEEP: Duration = Duration::from_secs(30);

/// Ends rooms that clients created and that have been empty for this time, until the server ends.
pub(crate) async fn sweep<A: App>(dialogue: WeakDialogue<A>, time: Duration) {
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

/// Ends a room with its log, unless a client has joined meanwhile.
async fn end_abandoned<A: App>(dialogue: &Dialogue<A>, live: Arc<Live>, time: Duration) {
    let place = dialogue.hub().announcements().place().await;
    {
        let _order = dialogue.hub().one_at_a_time();
        let info = live.info();
        if !dialogue.hub().end(&live, time) {
            return;
        }
        if dialogue.hub().announcements().deleted(&live, info, Vec::new(), place) {
            announce::start(dialogue);
        }
    }
    // The log belonged to this room alone: no other appends to it.
    if dialogue.store().delete(live.log_id()).await.is_err() {
        delete_later(dialogue, live.log_id().clone());
    }
    let deleted = Box::pin(async { dialogue.app().room_deleted(live.id()).await });
    let _ = dialogue.hooks().run(Hook::RoomDeleted, live.id(), deleted).await;
}

/// Deletes a creation's log that was not deleted, or of which the store has not said whether it was created: the
/// next creation of the id has another owner, and would not get it. Where that fails, or too many logs wait for it, the
/// log ends with the server.
pub(crate) fn delete_later<A: App>(dialogue: &Dialogue<A>, log: LogId) {
    if let Some(one) = dialogue.hub().created().deletion() {
        tokio::spawn(delete_again(dialogue.downgrade(), log, one));
    }
}

async fn delete_again<A: App>(dialogue: WeakDialogue<A>, log: LogId, _one: OwnedSemaphorePermit) {
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
