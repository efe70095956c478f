//! Why connections end.

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The client disconnected.
    ClientLeft,
    /// The transport was closed or broke.
    ConnectionLost,
    /// The client stopped answering.
    TimedOut,
    /// The client sent what is not Socket.IO.
    Malformed,
    /// The server's code disconnected the client.
    ServerClosed,
    /// The server stops. What the client asked for before that is done.
    ServerStopped,
    /// What authentication proved has ended.
    TokenExpired,
}

impl DisconnectReason {
    /// Whether the server wants no more of what the client asked for.
    pub(crate) fn is_servers(self) -> bool {
        matches!(self, Self::ServerClosed | Self::TokenExpired)
    }
}
