//! Names of the Socket.IO server that Dialogue runs on.

/// The Socket.IO server and its sockets, for what Dialogue itself does not do. What is sent through
/// them is neither validated nor ordered nor kept.
pub use socketioxide::{SocketIo, socket::Socket};
