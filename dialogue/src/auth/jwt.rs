//! JSON Web Tokens as proof of identity.

use std::{
    fmt,
    marker::PhantomData,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{DecodingKey, Validation, errors::ErrorKind};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

use crate::{Deny, Identity};

/// The shortest secret for HMAC, in bytes: as long as the hash of HS256 (RFC 7518, 3.2).
const SHORTEST_SECRET: usize = 32;

/// Verifies tokens: signature, expiry, and issuer and audience where they are named.
///
/// ```
/// use dialogue::{App, Deny, Handshake, auth::{JwtClaims, JwtVerifier, Token}};
/// # use dialogue::Event;
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, Event)]
/// # struct Ping;
/// # #[dialogue::room("general", events(Ping))]
/// # mod general {}
///
/// struct Chat {
///     jwt: JwtVerifier<JwtClaims>,
/// }
///
/// #[dialogue::app(rooms(general))]
/// impl App for Chat {
///     type Credentials = Token;
///     type Identity = JwtClaims;
///
///     async fn authenticate(&self, login: Token, _: &Handshake) -> Result<JwtClaims, Deny> {
///         self.jwt.verify(login.as_str()).map_err(Deny::from)
///     }
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let secret = std::env::var("JWT_SECRET").unwrap_or("of at least thirty-two bytes, please".into());
/// let chat = Chat { jwt: JwtVerifier::hmac(secret)?.issuer("https://id.myapp.com").audience("chat") };
/// # Ok(())
/// # }
/// ```
///
/// The key decides which algorithms a token may name, so that no token chooses its own: HS256,
/// HS384 and HS512 for a secret; RS256 to RS512 and PS256 to PS512 for an RSA key; ES256 and ES384
/// for an elliptic curve; `EdDSA` for Ed25519. A token without `exp` is refused, and so is one with
/// an `aud` where no audience is named, or with a `crit` header, which lists extensions that must be
/// understood: none is.
#[must_use = "a verifier does nothing until `verify`"]
pub struct JwtVerifier<Claims> {
    key: DecodingKey,
    validation: Validation,
    claims: PhantomData<fn() -> Claims>,
}

impl<Claims> fmt::Debug for JwtVerifier<Claims> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtVerifier").field("validation", &self.validation).finish_non_exhaustive()
    }
}

impl<Claims> Clone for JwtVerifier<Claims> {
    fn clone(&self) -> Self {
        let Self { key, validation, claims } = self;
        Self { key: key.clone(), validation: validation.clone(), claims: *claims }
    }
}

/// What should be a key is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtKeyError {
    /// A secret that could be guessed.
    #[error("a secret has at least {SHORTEST_SECRET} bytes")]
    ShortSecret,
    /// Not a public key of the kind, in PEM.
    #[error("invalid public key: expected one of the algorithm's kind, in PEM")]
    NotPem,
}

/// Why a token proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtError {
    /// It was good until some time in the past.
    #[error("the token has expired")]
    Expired,
    /// It will be good from some time in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Another issuer made it.
    #[error("the token is of another issuer")]
    Issuer,
    /// It is meant for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// Its claims are not what they should be.
    #[error("the token's claims do not have the expected shape")]
    Claims,
    /// It is no token, was changed, or was signed with another key or algorithm.
    #[error("the token is invalid")]
    Invalid,
}

impl From<JwtError> for Deny {
    fn from(error: JwtError) -> Self {
        match error {
            JwtError::Expired => Self::expired(error.to_string()),
            _ => Self::new(error.to_string()),
        }
    }
}

impl<Claims> JwtVerifier<Claims> {
    /// For tokens that are signed with a secret, of at least 32 bytes.
    pub fn hmac(secret: impl AsRef<[u8]>) -> Result<Self, JwtKeyError> {
        let secret = secret.as_ref();
        if secret.len() < SHORTEST_SECRET {
            return Err(JwtKeyError::ShortSecret);
        }
        Ok(Self::new(DecodingKey::from_secret(secret)))
    }

    /// For tokens that are signed with RSA; takes the public key in PEM.
    pub fn rsa(pem: impl AsRef<[u8]>) -> Result<Self, JwtKeyError> {
        Self::pem(DecodingKey::from_rsa_pem(pem.as_ref()))
    }

    /// For tokens that are signed with ECDSA on P-256 or P-384; takes the public key in PEM.
    pub fn ecdsa(pem: impl AsRef<[u8]>) -> Result<Self, JwtKeyError> {
        Self::pem(DecodingKey::from_ec_pem(pem.as_ref()))
    }

    /// For tokens that are signed with Ed25519; takes the public key in PEM.
    pub fn eddsa(pem: impl AsRef<[u8]>) -> Result<Self, JwtKeyError> {
        Self::pem(DecodingKey::from_ed_pem(pem.as_ref()))
    }

    fn pem(key: jsonwebtoken::errors::Result<DecodingKey>) -> Result<Self, JwtKeyError> {
        key.map(Self::new).map_err(|_| JwtKeyError::NotPem)
    }

    fn new(key: DecodingKey) -> Self {
        let mut validation = Validation::new_for_family(key.family());
        validation.leeway = 0;
        validation.validate_nbf = true;
        Self { key, validation, claims: PhantomData }
    }

    /// Whose tokens count: those that name the issuer as `iss`. May be given several times.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.validation.iss.get_or_insert_default().insert(issuer.into());
        self.validation.required_spec_claims.insert("iss".to_owned());
        self
    }

    /// Which tokens count: those that name the audience as `aud`. May be given several times.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.validation.aud.get_or_insert_default().insert(audience.into());
        self.validation.required_spec_claims.insert("aud".to_owned());
        self
    }

    /// How far the clock of whoever makes the tokens may be off. Default: not at all.
    ///
    /// This lets tokens in. A connection ends when its identity says, which is why an identity whose
    /// [`expires_at`](Identity::expires_at) is the token's `exp` is not let in later than that.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.validation.leeway = leeway.as_secs();
        self
    }
}

impl<Claims: DeserializeOwned> JwtVerifier<Claims> {
    /// The claims of a token, if they are proven.
    pub fn verify(&self, token: &str) -> Result<Claims, JwtError> {
        // A header that names no algorithm that there is, `none` included, is a JSON error, too.
        let header = jsonwebtoken::decode_header(token).map_err(|_| JwtError::Invalid)?;
        // No extension is understood (RFC 7515, 4.1.11), and an empty list is not allowed.
        if header.crit.is_some() {
            return Err(JwtError::Invalid);
        }
        match jsonwebtoken::decode(token, &self.key, &self.validation) {
            Ok(token) => Ok(token.claims),
            Err(error) => Err(match error.kind() {
                ErrorKind::ExpiredSignature => JwtError::Expired,
                ErrorKind::ImmatureSignature => JwtError::NotYetValid,
                ErrorKind::InvalidIssuer => JwtError::Issuer,
                ErrorKind::InvalidAudience => JwtError::Audience,
                ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => JwtError::Issuer,
                ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => JwtError::Audience,
                ErrorKind::MissingRequiredClaim(_)
                | ErrorKind::InvalidClaimFormat(_)
                | ErrorKind::Json(_) => JwtError::Claims,
                _ => JwtError::Invalid,
            }),
        }
    }
}

/// The claims that every token of a user has, and whatever else it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwtClaims {
    /// The user's id.
    pub sub: String,
    /// When the token ends, in seconds since the Unix epoch. A token may say it with a fraction
    /// (RFC 7519, 2), which is left out.
    #[serde(deserialize_with = "whole_seconds")]
    pub exp: u64,
    /// When it was made, in seconds since the Unix epoch, without a fraction.
    #[serde(
        default,
        deserialize_with = "whole_seconds_if_any",
        skip_serializing_if = "Option::is_none"
    )]
    pub iat: Option<u64>,
    /// All other claims.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// A time in a token: RFC 7519 calls it a `NumericDate`.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumericDate {
    Whole(u64),
    WithFraction(f64),
}

impl NumericDate {
    fn seconds<E: serde::de::Error>(self) -> Result<u64, E> {
        match self {
            Self::Whole(seconds) => Ok(seconds),
            Self::WithFraction(seconds) => {
                Duration::try_from_secs_f64(seconds).map(|time| time.as_secs()).map_err(E::custom)
            }
        }
    }
}

fn whole_seconds<'de, D: Deserializer<'de>>(date: D) -> Result<u64, D::Error> {
    NumericDate::deserialize(date)?.seconds()
}

fn whole_seconds_if_any<'de, D: Deserializer<'de>>(date: D) -> Result<Option<u64>, D::Error> {
    Option::<NumericDate>::deserialize(date)?.map(NumericDate::seconds).transpose()
}

impl Identity for JwtClaims {
    fn user_id(&self) -> &str {
        &self.sub
    }

    fn expires_at(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.exp))
    }
}
