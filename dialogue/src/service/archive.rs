//! The app's own archive of events that leave memory.

use std::ops::Range;

use futures_util::future::BoxFuture;

use crate::{
    App, Dialogue, RawMessage, app::dialogue::WeakDialogue, app::hooks::Hook, store::Keeper,
};

/// The app's hooks for what leaves memory.
pub(crate) struct AppArchive<A: App>(pub(crate) WeakDialogue<A>);

impl<A: App> Keeper for AppArchive<A> {
    fn keeps(&self) -> bool {
        A::HOOKS.evicted || A::HOOKS.load
    }

    fn evicted<'a>(
        &'a self,
        room: &'a str,
        event: &'a str,
        messages: Vec<RawMessage>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let Some(dialogue) = Dialogue::upgrade(&self.0) else { return };
            let evicted = Box::pin(async { dialogue.app().evicted(room, event, messages).await });
            // What fails is logged, and what it was to take is lost.
            let _ = dialogue.hooks().run(Hook::Evicted, room, evicted).await;
        })
    }

    fn load<'a>(
        &'a self,
        room: &'a str,
        event: &'a str,
        range: Range<usize>,
    ) -> BoxFuture<'a, Vec<RawMessage>> {
        Box::pin(async move {
            let Some(dialogue) = Dialogue::upgrade(&self.0) else { return Vec::new() };
            let load = Box::pin(async { dialogue.app().load(room, event, range).await });
            let loaded = dialogue.hooks().run(Hook::Load, room, load).await;
            loaded.unwrap_or_default()
        })
    }
}
