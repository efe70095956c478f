//! What authentication proves.

use std::{any::Any, sync::Arc, time::SystemTime};

/// Who a client is.
pub trait Identity: Any + Send + Sync {
    /// The user id, sent as `from` of the user's events: up to [`MAX_USER_ID`](crate::MAX_USER_ID) bytes of
    /// visible characters in Unicode's form NFC, with single spaces of ASCII between them. It must not look
    /// like [`SYSTEM`](crate::SYSTEM). The server rejects a client with an invalid one. Called once, after
    /// authentication.
    fn user_id(&self) -> &str;

    /// When the proof ends: the client is then told `TOKEN_EXPIRED` and disconnected, unless it
    /// authenticated anew in time. Default: never.
    fn expires_at(&self) -> Option<SystemTime> {
        None
    }
}

/// The user that a connection was proven to belong to.
pub(crate) struct Proven {
    pub(crate) identity: Arc<dyn Identity>,
    pub(crate) user_id: Arc<str>,
    pub(crate) expires_at: Option<SystemTime>,
}
