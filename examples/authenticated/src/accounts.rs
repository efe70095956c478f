//! Who there is, and the routes where tokens are had.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use dialogue::auth::{JwtKeyError, JwtVerifier};
use jsonwebtoken::{EncodingKey, Header};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::club::{Claims, Role};

const ISSUER: &str = "dialogue-authenticated";
const AUDIENCE: &str = "club";

/// For a demo: a server of your own asks a database, and keeps no password as it is.
const ACCOUNTS: [(&str, &str, Role); 2] =
    [("ada", "lovelace", Role::Vip), ("bob", "builder", Role::Guest)];

/// Makes tokens for those who have an account.
#[derive(Clone)]
pub(crate) struct Accounts(Arc<Inner>);

struct Inner {
    key: EncodingKey,
    verifier: JwtVerifier<Claims>,
    lifetime: Duration,
}

#[derive(Deserialize)]
struct Login {
    name: String,
    password: String,
}

/// What `/login` and `/refresh` answer.
#[derive(Serialize)]
struct Granted {
    token: String,
}

impl Accounts {
    pub(crate) fn new(secret: &[u8], lifetime: Duration) -> Result<Self, JwtKeyError> {
        let verifier = JwtVerifier::hmac(secret)?.issuer(ISSUER).audience(AUDIENCE);
        let key = EncodingKey::from_secret(secret);
        Ok(Self(Arc::new(Inner { key, verifier, lifetime })))
    }

    pub(crate) fn verifier(&self) -> JwtVerifier<Claims> {
        self.0.verifier.clone()
    }

    pub(crate) fn routes(&self) -> Router {
        let routes = Router::new().route("/login", post(login)).route("/refresh", post(refresh));
        routes.with_state(self.clone())
    }

    fn grant(&self, name: &str, role: Role) -> Response {
        let until = SystemTime::now() + self.0.lifetime;
        let exp = until.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = json!({
            "sub": name, "role": role, "exp": exp, "iss": ISSUER, "aud": AUDIENCE,
        });
        match jsonwebtoken::encode(&Header::default(), &claims, &self.0.key) {
            Ok(token) => Json(Granted { token }).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// A token for a name and a password.
async fn login(State(accounts): State<Accounts>, Json(login): Json<Login>) -> Response {
    let known =
        |account: &&(&str, &str, Role)| account.0 == login.name && account.1 == login.password;
    match ACCOUNTS.iter().find(known) {
        Some((name, _, role)) => accounts.grant(name, *role),
        None => (StatusCode::UNAUTHORIZED, "wrong name or password").into_response(),
    }
}

/// A new token for one that is still good.
async fn refresh(State(accounts): State<Accounts>, headers: HeaderMap) -> Response {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer "));
    match token.map(|token| accounts.0.verifier.verify(token)) {
        Some(Ok(claims)) => accounts.grant(&claims.sub, claims.role),
        Some(Err(error)) => (StatusCode::UNAUTHORIZED, error.to_string()).into_response(),
        None => (StatusCode::UNAUTHORIZED, "no token").into_response(),
    }
}
