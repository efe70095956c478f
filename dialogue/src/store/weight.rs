//! How much memory a message takes.

use crate::RawMessage;

/// What an event takes beside its texts: the message itself, its places in queues, and what the allocator adds;
/// on the wire, the names of its fields and its position.
const EVENT: usize = 256;
/// What an idempotency key takes beside its texts.
const KEY: usize = 256;

/// How much memory a message takes, in bytes: its `data`, `meta`, sender and names, and 256 more. What is bounded
/// in bytes is counted by this.
pub(crate) fn weight(message: &RawMessage) -> usize {
    let texts = [&message.event, message.data.get(), &message.from, &message.room_id];
    let meta = message.meta.as_ref().map_or(0, |meta| meta.as_json().len());
    EVENT + texts.map(str::len).iter().sum::<usize>() + meta
}

/// How much memory an idempotency key takes while it is remembered, in bytes.
pub(crate) fn weight_of_key(user: &str, text: &str) -> usize {
    KEY + user.len() + text.len()
}
