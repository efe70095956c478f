//! Ids of connections.

use std::fmt;

use socketioxide::socket::Sid;

/// The id of one connection, known to everyone: another one after every reconnect.
///
/// It is not the transport's session id, which is a secret: whoever knows that one may speak for a
/// client that is on long polling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(Sid);

impl ClientId {
    /// Random, and as hard to guess as a session id.
    pub(super) fn random() -> Self {
        Self(Sid::new())
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
