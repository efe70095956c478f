//! What users hold: the server, its rooms and its clients.

pub(crate) mod any_room;
pub(crate) mod builder;
pub(crate) mod client;
mod dialogue;
pub(crate) mod handler_guard;
mod room_handle;
mod serve;
mod stop;
pub(crate) mod trigger;
pub(crate) mod user_rooms;
