//! Ready-made ways to tell who a client is.

use std::fmt;

use serde::Deserialize;

use crate::{Deny, Handshake, Identity};

#[cfg(feature = "jwt")]
mod jwt;

#[cfg(feature = "jwt")]
pub use self::jwt::{JwtClaims, JwtError, JwtKeyError, JwtVerifier};

/// A token as credentials: `{ "token": ".." }` in the handshake's `auth`, of which nothing else
/// counts. It is not shown when printed for debugging.
///
/// ```
/// use dialogue::auth::Token;
///
/// let auth: Token = serde_json::from_str(r#"{ "token": "ey..", "userId": "mallory" }"#)?;
/// assert_eq!(auth.as_str(), "ey..");
/// assert_eq!(format!("{auth:?}"), "Token(..)");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Deserialize)]
pub struct Token {
    token: String,
}

impl Token {
    /// The token itself.
    pub fn as_str(&self) -> &str {
        &self.token
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Lets everybody in, without a name: each connection is a user of its own, known by its client id.
///
/// ```
/// use dialogue::{App, Deny, Handshake, auth::Anonymous};
/// # use dialogue::Event;
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, Event)]
/// # struct Ping;
/// # #[dialogue::room("general", events(Ping))]
/// # mod general {}
/// # struct Board;
///
/// #[dialogue::app(rooms(general))]
/// impl App for Board {
///     type Credentials = serde::de::IgnoredAny;
///     type Identity = Anonymous;
///
///     async fn authenticate(&self, _: serde::de::IgnoredAny, handshake: &Handshake) -> Result<Anonymous, Deny> {
///         Ok(Anonymous::new(handshake))
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anonymous {
    id: String,
}

impl Anonymous {
    /// Named after the connection.
    pub fn new(handshake: &Handshake) -> Self {
        Self { id: handshake.client_id().to_string() }
    }
}

impl Identity for Anonymous {
    fn user_id(&self) -> &str {
        &self.id
    }
}

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
