//! Who the server says that a client is.

use std::{sync::Arc, time::Duration};

use dialogue::protocol::Connected;
use tokio::time::Instant;

use crate::timers;

/// What `dialogue:connected` says, for as long as the connection lasts: handles hand it out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Who {
    pub(crate) client_id: Arc<str>,
    pub(crate) user_id: Arc<str>,
    /// The hash of the server's contract, where the client named another one.
    pub(crate) contract: Option<Arc<str>>,
    /// When the credentials expire, where the server says how long they last.
    pub(crate) expires: Option<Instant>,
    /// The longest message that the server takes, in bytes; as long as can be where it does not say.
    pub(crate) longest: usize,
}

impl From<Connected<'_>> for Who {
    fn from(connected: Connected<'_>) -> Self {
        let Connected { client_id, user_id, expires_in_ms, contract, max_message_bytes, .. } =
            connected;
        Self {
            client_id: client_id.into(),
            user_id: user_id.into(),
            contract: contract.map(Into::into),
            expires: expiry(expires_in_ms),
            longest: max_message_bytes
                .map_or(usize::MAX, |most| most.try_into().unwrap_or(usize::MAX)),
        }
    }
}

/// When credentials expire that last so many milliseconds from now on: from when the server's answer arrives, by the
/// monotonic clock. The wall clocks of the two ends may differ.
pub(crate) fn expiry(in_ms: Option<u64>) -> Option<Instant> {
    in_ms.map(|ms| timers::after(Duration::from_millis(ms)))
}
