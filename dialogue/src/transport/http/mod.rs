//! The listener, and what is served besides Socket.IO.

pub(crate) mod layer;
pub(crate) mod listener;
mod reserve;
pub(crate) mod tcp_connections;
