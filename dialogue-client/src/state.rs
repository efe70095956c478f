//! Whether a client is connected.

/// Whether a client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The server hears what is asked.
    Connected,
    /// The connection was lost, and the client comes back. What is asked waits.
    Reconnecting,
    /// The client was closed, or gave up, or was told to go. It stays so.
    Closed,
}
