//! Who the server says that a client is.

use std::sync::Arc;

use dialogue::protocol::Connected;

/// What `dialogue:connected` says, for as long as the connection lasts: handles hand it out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Who {
    pub(crate) client_id: Arc<str>,
    pub(crate) user_id: Arc<str>,
    /// The hash of the server's contract, where the client named another one.
    pub(crate) contract: Option<Arc<str>>,
    /// When the credentials end, in milliseconds since the Unix epoch, where the server says so.
    pub(crate) expires_at: Option<u64>,
}

impl From<Connected<'_>> for Who {
    fn from(connected: Connected<'_>) -> Self {
        let Connected { client_id, user_id, expires_at, contract } = connected;
        Self {
            client_id: client_id.into(),
            user_id: user_id.into(),
            contract: contract.map(Into::into),
            expires_at,
        }
    }
}
