//! Running what follows a delivery: the app's hooks, the room's `#[on]` handlers and those added at run time, in the
//! room's order and off the path of delivery.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;

use crate::{
    AnyRoom, App, Dialogue,
    app::{
        hooks::{self, Hook},
        hosted::Hosted,
    },
    engine::{deliveries::Delivered, live::Live},
};

/// After how many events the work lets others have its thread.
const IN_A_ROW: u32 = 32;

/// Handles a room's events until none is left, in a task of its own.
pub(crate) async fn work<A: App>(dialogue: Dialogue<A>, live: Arc<Live>) {
    let room = AnyRoom::new(dialogue.clone(), Hosted::of(live.room()));
    let held = dialogue.hub().hold(live.clone());
    let mut handled_in_a_row = 0_u32;
    while let Some(delivered) = live.deliveries.next() {
        // Handlers that never wait would keep a thread from everything else.
        handled_in_a_row = handled_in_a_row.wrapping_add(1);
        if handled_in_a_row.is_multiple_of(IN_A_ROW) {
            tokio::task::yield_now().await;
        }
        // Handlers are guarded one by one; this guards what dropping the message runs.
        let handled = AssertUnwindSafe(handle(&room, &live, delivered)).catch_unwind();
        if hooks::handle(handled).await.is_err() {
            tracing::error!(room = ?live.id(), "an event panicked after it was handled");
        }
    }
    drop(held);
}

/// Runs what follows a broadcast. What fails is logged; the event was delivered all the same.
async fn handle<A: App>(room: &AnyRoom<A>, live: &Live, delivered: Delivered) {
    let Delivered { message, raw, recipients, place } = delivered;
    // An event that is being handled waits no more.
    drop(place);
    let (app, hooks) = (room.dialogue().app(), room.dialogue().hooks());
    let id = room.id();
    if let Some(raw) = raw {
        if A::HOOKS.after_each {
            let _ = hooks::run_now(Hook::AfterEach, id, || app.after_each(&raw, recipients));
        }
        if A::HOOKS.triggered {
            let triggered = Box::pin(async { app.triggered(&raw).await });
            let _ = hooks.run(Hook::Triggered, id, triggered).await;
        }
    }
    for n in 0.. {
        let Some(on) = room.hosted().erased().on(room, &*message, n) else { break };
        let _ = hooks.run(Hook::On, id, on).await;
    }
    for on in live.handlers.after(message.event()) {
        let _ = hooks.run(Hook::On, id, on(message.clone())).await;
    }
}
