//! The guard of a handler that was added at run time.

use std::{fmt, sync::Arc};

use crate::{
    AnyRoom, App,
    engine::{added_handlers::Handler, hub::Hub, live::Live},
};

/// Keeps a handler that was added at run time; dropping it removes the handler.
#[must_use = "dropping the guard removes the handler"]
pub struct HandlerGuard {
    /// None where no room has the id: nothing will ever happen there.
    held: Option<(Arc<Hub>, Arc<Live>, u64)>,
}

impl fmt::Debug for HandlerGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerGuard").finish_non_exhaustive()
    }
}

impl HandlerGuard {
    pub(crate) fn add<A: App>(room: &AnyRoom<A>, handler: Handler) -> Self {
        let hub = room.dialogue().hub();
        let mut handler = Some(handler);
        while let Some(live) = hub.open(&room.definition()) {
            let mut number = None;
            live.while_open(|| number = handler.take().map(|handler| live.handlers.add(handler)));
            if let Some(number) = number {
                return Self { held: Some((hub.clone(), live.live(), number)) };
            }
            // The room is being closed; it has left the hub in a moment.
            std::thread::yield_now();
        }
        Self { held: None }
    }

    /// Keeps the handler for as long as the room is there.
    pub fn keep(mut self) {
        self.held = None;
    }
}

impl Drop for HandlerGuard {
    fn drop(&mut self) {
        if let Some((hub, live, number)) = self.held.take() {
            let _held = hub.hold(live.clone());
            live.handlers.remove(number);
        }
    }
}
