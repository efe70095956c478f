//! What travels around a payload.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Free-form context of one event, beside its payload: trace ids, variants, flags.
pub type Meta = serde_json::Map<String, serde_json::Value>;

/// An event as subscribers and `#[on]` handlers receive it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EventMessage<E> {
    /// The event's name.
    pub event: Cow<'static, str>,
    /// The room that it was triggered in.
    pub room_id: Arc<str>,
    /// The payload.
    pub data: E,
    /// The proven user id of whoever triggered it, `"system"`, or what the server's code named.
    pub from: String,
    /// When the server accepted it, in milliseconds since the Unix epoch. Informs; orders nothing.
    pub timestamp: u64,
    /// Context that its sender attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

/// An event whose payload nobody declared: what passes through a room with `events(any)`.
pub type RawMessage = EventMessage<Box<RawValue>>;
