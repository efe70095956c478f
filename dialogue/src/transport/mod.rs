//! Ways in and out of the server.

pub(crate) mod http;
mod requests;
pub(crate) mod session;
pub(crate) mod socketio;
