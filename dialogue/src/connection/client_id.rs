//! Ids of connections.

use std::fmt;

/// The id of one connection, known to everyone: another one after every reconnect.
///
/// It is not the transport's session id, which is a secret: a program that knows it can speak for a
/// client that is on long polling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId([u8; 12]);

impl ClientId {
    /// Random, and as hard to guess as a session id.
    ///
    /// # Panics
    ///
    /// If the system has no randomness; nothing else works then.
    pub(crate) fn random() -> Self {
        let mut id = [0; 12];
        getrandom::fill(&mut id).expect("the system has randomness");
        Self(id)
    }
}

impl fmt::Display for ClientId {
    /// 24 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
