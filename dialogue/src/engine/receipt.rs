//! What became of a trigger.

use crate::Position;

/// What became of a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// How many subscribers the event was addressed to. One that is too slow to take it in misses it;
    /// if it is stored, that one fetches it. 0 for a duplicate.
    pub recipients: usize,
    /// The event's position in the room's log, if it has history.
    pub position: Option<Position>,
    /// Whether the event was triggered before, with the same [key](crate::Trigger::key): nothing was stored,
    /// delivered or handled this time.
    pub duplicate: bool,
}

impl Receipt {
    /// Of an event that is at this position already.
    pub(crate) fn of_duplicate(position: Position) -> Self {
        Self { recipients: 0, position: Some(position), duplicate: true }
    }
}
