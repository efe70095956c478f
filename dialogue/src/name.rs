//! What ids and names may look like.

/// The longest room id, in bytes.
pub const MAX_ROOM_ID: usize = 1024;
/// The longest event name, in bytes.
pub const MAX_EVENT_NAME: usize = 128;
/// The longest name of a room that is created at run time, in bytes.
pub const MAX_ROOM_NAME: usize = 256;
/// The longest description of a room that is created at run time, in bytes.
pub const MAX_ROOM_DESCRIPTION: usize = 2048;
/// The longest key of a trigger, in bytes.
pub const MAX_KEY: usize = 128;
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

#[cfg(feature = "server")]
mod server {
    use super::{
        EVERY_EVENT, MAX_EVENT_NAME, MAX_KEY, MAX_ROOM_DESCRIPTION, MAX_ROOM_NAME, MAX_USER_ID,
        RESERVED_PREFIX, SYSTEM, is_room_id, printable,
    };

    /// Whether a user may have this id.
    pub(crate) fn is_user_id(id: &str) -> bool {
        printable(id, MAX_USER_ID) && id != SYSTEM
    }

    /// Whether a room that is created at run time may have this id: braces stand for the
    /// placeholders of families.
    pub(crate) fn is_created_room_id(id: &str) -> bool {
        is_room_id(id) && !id.contains(['{', '}'])
    }

    /// Whether a room that is created at run time may be called this.
    pub(crate) fn is_room_name(name: &str) -> bool {
        printable(name, MAX_ROOM_NAME)
    }

    /// Whether a room that is created at run time may be described like this.
    pub(crate) fn is_room_description(description: &str) -> bool {
        description.len() <= MAX_ROOM_DESCRIPTION
    }

    /// Whether a trigger may have this key.
    pub(crate) fn is_key(key: &str) -> bool {
        printable(key, MAX_KEY)
    }

    pub(crate) fn key_rule() -> String {
        format!("a key has 1 to {MAX_KEY} printable bytes")
    }

    pub(crate) fn user_id_rule() -> String {
        format!("a user id has 1 to {MAX_USER_ID} printable bytes and is not `{SYSTEM}`")
    }

    pub(crate) fn event_name_rule() -> String {
        format!(
            "an event's name has 1 to {MAX_EVENT_NAME} printable bytes, is not `{EVERY_EVENT}` and \
             does not start with `{RESERVED_PREFIX}`"
        )
    }

    pub(crate) fn room_name_rule() -> String {
        format!("a room's name has 1 to {MAX_ROOM_NAME} printable bytes")
    }

    pub(crate) fn room_description_rule() -> String {
        format!("a room's description has at most {MAX_ROOM_DESCRIPTION} bytes")
    }
}
#[cfg(feature = "server")]
pub(crate) use self::server::*;

fn printable(text: &str, max: usize) -> bool {
    !text.is_empty() && text.len() <= max && !text.chars().any(char::is_control)
}
