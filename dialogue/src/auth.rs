//! Ready-made ways to tell who a client is.

use serde::Deserialize;

use crate::{Deny, Handshake, Identity};

/// Believes whatever user id the client sends. For development and demos only: anyone may be
/// anyone.
///
/// Its JSON is the handshake's `auth`, of which only `userId` counts. A client that sends none is
/// known by its client id.
///
/// ```
/// use dialogue::auth::TrustClientUserId;
///
/// let auth: TrustClientUserId = serde_json::from_str(r#"{ "userId": "ann", "theme": "dark" }"#)?;
/// assert_eq!(auth.user_id.as_deref(), Some("ann"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustClientUserId {
    /// The id that the client claims.
    #[serde(default)]
    pub user_id: Option<String>,
}

impl TrustClientUserId {
    /// The claimed user, or one named after the connection.
    pub fn or_client_id(self, handshake: &Handshake) -> Result<ClaimedUser, Deny> {
        let id = self.user_id.unwrap_or_else(|| handshake.client_id().to_string());
        Ok(ClaimedUser { id })
    }
}

/// A user id that a client claimed and nobody proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedUser {
    id: String,
}

impl Identity for ClaimedUser {
    fn user_id(&self) -> &str {
        &self.id
    }
}
