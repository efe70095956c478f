//! A refusal by the app's own code.

use std::fmt;

/// Why a hook refuses: the text that the client is told.
///
/// ```
/// use dialogue::Deny;
///
/// fn may_enter(role: &str) -> Result<(), Deny> {
///     if role == "vip" { Ok(()) } else { Err("VIP access required".into()) }
/// }
/// # assert!(may_enter("guest").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deny {
    message: String,
    expired: bool,
}

impl Deny {
    /// Refuses with a message for the client.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), expired: false }
    }

    /// Refuses credentials that were good once: where [`App::authenticate`](crate::App::authenticate)
    /// says so, the client is told `TOKEN_EXPIRED`, and may fetch new ones.
    pub fn expired(message: impl Into<String>) -> Self {
        Self { message: message.into(), expired: true }
    }

    /// What the client is told.
    pub fn message(&self) -> &str {
        &self.message
    }

    #[cfg(feature = "server")]
    pub(crate) fn is_expired(&self) -> bool {
        self.expired
    }
}

impl From<&str> for Deny {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl From<String> for Deny {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl fmt::Display for Deny {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Deny {}
