//! What rooms ask of the app: to run handlers, and to delete a room.

use std::sync::Arc;

use super::{after_delivery, delete_room};
use crate::{
    AnyRoom, App, Dialogue,
    app::dialogue::WeakDialogue,
    app::hosted::Hosted,
    engine::{host::Host, live::Live},
};

/// The app, as rooms know it.
pub(crate) struct AppHost<A: App>(WeakDialogue<A>);

impl<A: App> AppHost<A> {
    pub(crate) fn new(inner: WeakDialogue<A>) -> Self {
        Self(inner)
    }
}

impl<A: App> Host for AppHost<A> {
    fn handle(&self, live: Arc<Live>) {
        if let Some(dialogue) = Dialogue::upgrade(&self.0) {
            tokio::spawn(after_delivery::work(dialogue, live));
        }
    }

    fn end(&self, live: Arc<Live>) {
        if let Some(dialogue) = Dialogue::upgrade(&self.0) {
            let room = AnyRoom::new(dialogue, Hosted::of(live.room()));
            // Nothing is left to be told if another deletion was first.
            tokio::spawn(async move { delete_room::delete(&room).await });
        }
    }
}
