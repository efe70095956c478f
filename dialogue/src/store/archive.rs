//! What an app itself keeps of events: `App::evicted` and `App::load`, as stores see them.

use std::{fmt, ops::Range, sync::Arc};

use futures_util::future::BoxFuture;

use crate::RawMessage;

/// What an app keeps of the events that a store lets go of: its [`evicted`](crate::App::evicted) and
/// [`load`](crate::App::load).
#[derive(Clone)]
pub struct Archive(Arc<dyn Keeper>);

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").finish_non_exhaustive()
    }
}

/// The app behind an [`Archive`].
pub(crate) trait Keeper: Send + Sync {
    fn keeps(&self) -> bool;
    fn evicted<'a>(
        &'a self,
        room: &'a str,
        event: &'a str,
        messages: Vec<RawMessage>,
    ) -> BoxFuture<'a, ()>;
    fn load<'a>(
        &'a self,
        room: &'a str,
        event: &'a str,
        range: Range<usize>,
    ) -> BoxFuture<'a, Vec<RawMessage>>;
}

impl Archive {
    pub(crate) fn new(keeper: impl Keeper + 'static) -> Self {
        Self(Arc::new(keeper))
    }

    /// Whether the app implements `evicted` or `load`. If not, the store need not hand over evicted events.
    pub fn keeps(&self) -> bool {
        self.0.keeps()
    }

    /// Hands over events of one name that leave a room's log, oldest first. Returns when the app has
    /// them, or failed to take them, which is logged.
    pub async fn evicted(&self, room: &str, event: &str, messages: Vec<RawMessage>) {
        self.0.evicted(room, event, messages).await;
    }

    /// The events of one name that were handed over, newest first, 0 being the youngest of them.
    pub async fn load(&self, room: &str, event: &str, range: Range<usize>) -> Vec<RawMessage> {
        self.0.load(room, event, range).await
    }
}
