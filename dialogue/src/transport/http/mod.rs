//! The listener, and what is served besides Socket.IO.

pub(crate) mod connections;
pub(crate) mod layer;
pub(crate) mod listener;
mod reserve;
