//! The server: connections in, requests routed, events out.
//!
//! One way through for a client's trigger: `gateway` (frames in) → `inbox` → `session` and
//! `requests` (decode) → `rooms` (membership, validation, `before`, history, fan-out) → the
//! acknowledgement → `#[on]` handlers. The server's own trigger enters at `rooms`.

mod client;
mod clients;
mod context;
mod dialogue;
mod gateway;
#[allow(missing_docs, reason = "only expansions see it, through `__private`")]
pub(crate) mod handlers;
mod handshake;
mod hook;
mod inbox;
mod layer;
mod limits;
mod listener;
pub(crate) mod message;
mod requests;
pub(crate) mod rooms;
mod session;

pub use self::{
    client::Client,
    clients::UserRooms,
    context::Context,
    dialogue::{Builder, Dialogue, Stats},
    gateway::{ClientId, DisconnectReason},
    handshake::Handshake,
    layer::{DialogueLayer, DialogueService},
    limits::Limits,
    listener::listen,
    rooms::{
        any::AnyRoom,
        handle::RoomHandle,
        on::OnGuard,
        trigger::{Receipt, Trigger},
    },
};
