//! Ways in and out of the server.

pub(crate) mod http;
pub(crate) mod socketio;
