//! Typed realtime rooms and events over Socket.IO.

mod deny;
mod envelope;
mod event;
mod issues;
mod name;
mod pattern;
mod payload;
mod room;

#[doc(hidden)]
pub mod __private;
pub mod protocol;

#[cfg(feature = "server")]
mod app;
#[cfg(feature = "server")]
pub mod auth;
#[cfg(feature = "server")]
mod error;
#[cfg(feature = "server")]
mod server;

pub use crate::{
    deny::Deny,
    envelope::{EventMessage, Meta, RawMessage},
    event::{Event, EventSpec},
    issues::{Issue, Issues},
    name::{EVERY_EVENT, MAX_EVENT_NAME, MAX_ROOM_ID, MAX_USER_ID, SYSTEM},
    payload::{Element, Field, Payload},
    room::{Accepts, Carries, Room, RoomEvent, RoomSpec, SyncHistory},
};
pub use dialogue_macros::{Event, Payload, room};

#[cfg(feature = "server")]
pub use crate::{
    app::{App, Hosts, Identity, Registry},
    error::{Error, JoinError, TriggerError},
    server::{
        AnyRoom, Builder, Client, ClientId, Context, Dialogue, DialogueLayer, DialogueService,
        DisconnectReason, Handshake, Limits, OnGuard, Receipt, RoomHandle, Stats, Trigger, listen,
    },
};
#[cfg(feature = "server")]
pub use dialogue_macros::{app, handlers};

/// Keeps what an expansion writes for servers only.
#[cfg(feature = "server")]
#[doc(hidden)]
#[macro_export]
macro_rules! __server {
    ($($tokens:tt)*) => { $($tokens)* };
}

/// Drops what an expansion writes for servers only.
#[cfg(not(feature = "server"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __server {
    ($($tokens:tt)*) => {};
}
