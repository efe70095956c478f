//! Ways in and out of the server.

mod acknowledgements;
pub(crate) mod http;
#[cfg(feature = "testing")]
pub(crate) mod memory;
mod requests;
pub(crate) mod session;
pub(crate) mod socketio;
