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
    !id.is_empty() && id.len() <= MAX_ROOM_ID && is_id(id) && hides_nothing(id)
}

/// Whether an event may have this name.
pub(crate) fn is_event_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_EVENT_NAME
        && is_id(name)
        && name != EVERY_EVENT
        && !name.starts_with(RESERVED_PREFIX)
}

#[cfg(feature = "server")]
mod unicode;
#[cfg(feature = "server")]
use self::unicode::is_id;

/// Without the server, nobody's ids are judged: what they may be made of, the server says.
#[cfg(not(feature = "server"))]
fn is_id(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// Whether the values in the id of a family's room, which are percent-encoded, could be ids themselves.
#[cfg(feature = "server")]
fn hides_nothing(id: &str) -> bool {
    let value = |segment| match percent_encoding::percent_decode_str(segment).decode_utf8() {
        Ok(value) => is_id(&value),
        // No family's room.
        Err(_) => true,
    };
    !id.contains('%') || id.split(':').all(value)
}

#[cfg(not(feature = "server"))]
fn hides_nothing(_: &str) -> bool {
    true
}

#[cfg(feature = "server")]
mod server {
    pub(crate) use super::unicode::is_label;
    use super::{
        EVERY_EVENT, MAX_EVENT_NAME, MAX_KEY, MAX_ROOM_DESCRIPTION, MAX_ROOM_ID, MAX_ROOM_NAME,
        MAX_USER_ID, RESERVED_PREFIX, SYSTEM, is_id, is_room_id, unicode::looks_like,
    };

    /// Whether a user may have this id.
    pub(crate) fn is_user_id(id: &str) -> bool {
        !id.is_empty() && id.len() <= MAX_USER_ID && is_id(id) && !looks_like(id, SYSTEM)
    }

    /// Whether an event may be from this: a user's id, or the server's own name.
    pub(crate) fn is_sender(from: &str) -> bool {
        from == SYSTEM || is_user_id(from)
    }

    /// Whether a room that is created at run time may have this id: braces stand for the
    /// placeholders of families.
    pub(crate) fn is_created_room_id(id: &str) -> bool {
        is_room_id(id) && !id.contains(['{', '}'])
    }

    /// Whether a room may be called this.
    pub(crate) fn is_room_name(name: &str) -> bool {
        !name.is_empty() && name.len() <= MAX_ROOM_NAME && is_label(name)
    }

    /// Whether a room that is created at run time may be described like this.
    pub(crate) fn is_room_description(description: &str) -> bool {
        description.len() <= MAX_ROOM_DESCRIPTION
    }

    /// Whether a trigger may have this key.
    pub(crate) fn is_key(key: &str) -> bool {
        !key.is_empty() && key.len() <= MAX_KEY && !key.chars().any(char::is_control)
    }

    /// What ids are made of, in words.
    pub(crate) const VISIBLE: &str =
        "visible characters in Unicode's form NFC, and single spaces of ASCII between them";
    pub(crate) const VISIBLE_NAME: &str =
        "a room's name has visible characters and spaces between them";

    pub(crate) fn key_rule() -> String {
        format!("a key has 1 to {MAX_KEY} printable bytes")
    }

    pub(crate) fn user_id_rule() -> String {
        format!(
            "a user id has 1 to {MAX_USER_ID} bytes of {VISIBLE}, and does not look like `{SYSTEM}`"
        )
    }

    pub(crate) fn room_id_rule() -> String {
        format!("a room's id has 1 to {MAX_ROOM_ID} bytes of {VISIBLE}")
    }

    pub(crate) fn event_name_rule() -> String {
        format!(
            "an event's name has 1 to {MAX_EVENT_NAME} bytes of {VISIBLE}, is not `{EVERY_EVENT}` and \
             does not start with `{RESERVED_PREFIX}`"
        )
    }

    pub(crate) fn room_name_rule() -> String {
        format!("{VISIBLE_NAME}, 1 to {MAX_ROOM_NAME} bytes")
    }

    pub(crate) fn room_description_rule() -> String {
        format!("a room's description has at most {MAX_ROOM_DESCRIPTION} bytes")
    }
}
#[cfg(feature = "server")]
pub(crate) use self::server::*;

/// Whether two texts are the same, for constants.
pub(crate) const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}
