//! What events, rooms and payloads are. Protocol crates compile this floor alone: it knows no runtime.

pub(crate) mod broken_rules;
#[cfg(feature = "server")]
pub(crate) mod declared;
pub(crate) mod deny;
pub(crate) mod depth;
pub(crate) mod envelope;
pub(crate) mod event;
pub(crate) mod finite;
pub(crate) mod issues;
#[cfg(feature = "server")]
pub(crate) mod message;
pub(crate) mod meta;
pub(crate) mod name;
pub(crate) mod pattern;
pub(crate) mod payload;
#[cfg(feature = "server")]
pub(crate) mod payload_schema;
pub(crate) mod rate;
#[cfg(feature = "server")]
pub(crate) mod recursion;
pub(crate) mod room;
pub(crate) mod rules;
pub(crate) mod schema;
pub(crate) mod unreadable;
