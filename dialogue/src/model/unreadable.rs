//! Stored events that are not of their type any more.

use std::borrow::Cow;

use crate::{Issues, Position, RawMessage};

/// A stored event that is not of its type: the type was another one when the event was stored.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("an event `{event}` cannot be read: {issues}")]
#[non_exhaustive]
pub struct Unreadable {
    /// The event's name.
    pub event: Cow<'static, str>,
    /// Its position in the room's log.
    pub position: Option<Position>,
    /// What is wrong with its payload.
    pub issues: Issues,
}

impl Unreadable {
    /// Not public API: what the Rust client makes of a message that it cannot read.
    #[doc(hidden)]
    pub fn new(message: &RawMessage, issues: Issues) -> Self {
        Self { event: message.event.clone(), position: message.position, issues }
    }
}
