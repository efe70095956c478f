//! What the engine asks of the floor above it.

use std::sync::Arc;

use super::live::Live;

/// What rooms cannot do themselves, because it runs the app's code. Each method returns at once and does its work in a
/// task: rooms call some of them under their lock.
pub(crate) trait Host: Send + Sync {
    /// Runs the handlers of a room for the events that wait, until none is left.
    fn handle(&self, live: Arc<Live>);

    /// Deletes a room whose log is gone.
    fn end(&self, live: Arc<Live>);
}
