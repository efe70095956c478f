//! A refusal by the app's own code.

use std::fmt;

/// Why a hook refuses: the text that the client is told.
///
/// ```
/// use dialogue::Deny;
///
/// fn may_enter(role: &str) -> Result<(), Deny> {
///     if role == "vip" { Ok(()) } else { Err(Deny::new("VIP access required")) }
/// }
/// # assert!(may_enter("guest").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deny(String);

impl Deny {
    /// Refuses with a message for the client.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// What the client is told.
    pub fn message(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Deny {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Deny {}
