//! Names in requests, and common rejections.

use crate::{
    model::name,
    protocol::{ErrorCode, Failure},
};

/// Rejects a request that is not valid.
pub(crate) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, message)
}

pub(crate) fn event_name(room_id: &str, event: &str) -> Result<(), Failure> {
    if name::is_event_name(event) {
        return Ok(());
    }
    Err(invalid(name::event_name_rule()).in_room(room_id))
}

/// Checks the name of a subscription: an event's, or `"*"` for every event.
pub(crate) fn event_or_every(room_id: &str, event: &str) -> Result<(), Failure> {
    if event == name::EVERY_EVENT { Ok(()) } else { event_name(room_id, event) }
}

/// Rejects a request because of a fault of the server or the app.
pub(crate) fn internal() -> Failure {
    Failure::new(ErrorCode::Internal, "something failed in the server")
}
