//! The server: connections in, requests routed, events out.
//!
//! One way through for a client's trigger: `gateway` (frames in) → `inbox` and `order` → `session`, `decode` and
//! `requests` → `rooms` (membership, validation, `before`, history, fan-out) → the
//! acknowledgement → `#[on]` handlers. The server's own trigger enters at `rooms`. What leaves waits in
//! `outgoing`, from where `websocket` and `polling` take it; `crowd` and `budget` count what clients hold.

#[cfg(feature = "bench")]
pub mod bench;
mod budget;
mod client;
mod client_id;
mod clients;
mod connection;
mod connections;
mod context;
mod crowd;
mod decode;
pub(crate) mod dialogue;
mod disconnect_reason;
mod document;
mod endpoint;
mod exposure;
mod frames;
mod gateway;
#[allow(missing_docs, reason = "only expansions see it, through `__private`")]
pub(crate) mod handlers;
mod handshake;
mod head;
pub(crate) mod hook;
mod inbox;
mod intake;
mod layer;
mod limits;
mod listener;
pub(crate) mod log;
mod order;
mod origin;
mod outgoing;
mod packet;
mod polling;
mod proven;
mod rate;
mod raw_request;
mod receipt;
mod refusals;
mod requests;
mod reserve;
pub(crate) mod rooms;
mod session;
mod stats;
mod stop;
mod tally;
mod untagged;
mod websocket;

#[cfg(feature = "dev-log")]
pub use self::log::log_events;
pub use self::{
    client::{Client, HostedBy},
    client_id::ClientId,
    clients::UserRooms,
    connection::socketio,
    context::Context,
    dialogue::{Builder, Dialogue},
    disconnect_reason::DisconnectReason,
    exposure::Encrypted,
    handshake::Handshake,
    layer::{DialogueLayer, DialogueService},
    limits::Limits,
    listener::listen,
    origin::Cors,
    rate::{RateLimited, RateLimiter},
    receipt::Receipt,
    rooms::{
        any::{AnyRoom, StoredEvents},
        config::{EventConfig, RoomConfig},
        handle::RoomHandle,
        on::HandlerGuard,
        trigger::Trigger,
    },
    stats::Stats,
};
