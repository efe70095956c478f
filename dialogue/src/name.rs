//! What ids and names may look like.

/// The longest room id, in bytes.
pub const MAX_ROOM_ID: usize = 1024;
/// The longest event name, in bytes.
pub const MAX_EVENT_NAME: usize = 128;
/// The longest user id, in bytes.
pub const MAX_USER_ID: usize = 256;

/// Who the server's own events come from, unless its code names somebody; no user's id.
pub const SYSTEM: &str = "system";
/// Stands for every event in a subscription; no event's name.
pub const EVERY_EVENT: &str = "*";
/// What the protocol's own events start with; no event's name starts so.
pub(crate) const RESERVED_PREFIX: &str = "dialogue:";

/// Whether a room may have this id.
pub(crate) fn is_room_id(id: &str) -> bool {
    printable(id, MAX_ROOM_ID)
}

/// Whether an event may have this name.
pub(crate) fn is_event_name(name: &str) -> bool {
    printable(name, MAX_EVENT_NAME) && name != EVERY_EVENT && !name.starts_with(RESERVED_PREFIX)
}

/// Whether a user may have this id.
#[cfg(feature = "server")]
pub(crate) fn is_user_id(id: &str) -> bool {
    printable(id, MAX_USER_ID) && id != SYSTEM
}

fn printable(text: &str, max: usize) -> bool {
    !text.is_empty() && text.len() <= max && !text.chars().any(char::is_control)
}
