//! Leaving rooms.

use std::sync::Arc;

use super::{notices, visibility};
use crate::{
    App, Client,
    app::hooks::{self, Hook},
    connection::packet::Packet,
    engine::live::Live,
    protocol::Failure,
};

/// How many rooms a client leaves, or requests of one that has gone are handled, before other tasks run.
const STEPS_IN_A_ROW: usize = 16;

/// Leaves a room: membership, the answer, the hooks.
pub(crate) async fn leave<A: App>(
    client: &Client<A>,
    room_id: &str,
    answer: Packet,
) -> Result<(), Failure> {
    let live = visibility::member(client, room_id)?;
    if !live.dismiss(client.member()) {
        return Err(visibility::no_member(client, room_id));
    }
    let client = client.clone();
    hooks::finish(async move {
        client.connection().send(answer).await;
        has_left(&client, live).await;
    })
    .await;
    Ok(())
}

/// The server's own code makes a client leave. Returns whether it was in the room.
pub(crate) async fn leave_unasked<A: App>(client: &Client<A>, live: Option<Arc<Live>>) -> bool {
    let Some(live) = live else { return false };
    let dismissed = live.dismiss(client.member());
    if dismissed {
        hooks::finish(see_off(client.clone(), live)).await;
    }
    dismissed
}

/// Tells a client that it is no member any more, and runs the hooks. They do not wait for a client
/// that does not listen.
pub(crate) async fn see_off<A: App>(client: Client<A>, live: Arc<Live>) {
    client.member().tell_surely(notices::left(live.id()));
    has_left(&client, live).await;
}

/// Leaves every room, for good: no join comes after it.
pub(crate) async fn leave_all<A: App>(client: &Client<A>) {
    // No room waits for the hooks of another; one that is deleted meanwhile runs its own.
    let (mut left, mut steps) = (Vec::new(), Steps::default());
    for live in client.member().depart() {
        if live.dismiss(client.member()) {
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

/// Runs the hooks of a client that is no member any more, and lets go of the room.
pub(crate) async fn has_left<A: App>(client: &Client<A>, live: Arc<Live>) {
    let dialogue = client.dialogue();
    let live = dialogue.hub().hold(live);
    let (room, hooks) = (dialogue.any(live.room()), dialogue.hooks());
    // As with `joined`: nothing is left to reject.
    if let Some(left) = room.hosted().erased().left(&room, client) {
        let _ = hooks.run(Hook::Left, room.id(), left).await;
    }
    let left = Box::pin(async { dialogue.app().left(client, &room).await });
    let _ = hooks.run(Hook::Left, room.id(), left).await;
}
