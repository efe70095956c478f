//! Socket.IO: the only code that knows socketioxide.

pub(crate) mod endpoint;
pub(crate) mod frames;
pub(crate) mod gateway;
pub(crate) mod polling;
pub(crate) mod websocket;
