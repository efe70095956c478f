//! Who a client is.

use std::{sync::Arc, time::SystemTime};

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::rejections::internal;
use crate::{
    App, Client, Dialogue, Handshake, Identity,
    app::{
        hooks::{self, Hook},
        identity::Proven,
    },
    model::name,
    protocol::{Authenticated, ErrorCode, Failure},
};

/// Finds out who a new connection is.
pub(crate) async fn prove<A: App>(
    dialogue: &Dialogue<A>,
    auth: Option<&str>,
    handshake: &Handshake,
) -> Result<Proven, Failure> {
    dialogue.warned().check(auth, handshake);
    // What the client sent is not repeated: it may hold a token.
    let refused = |message: &str| Failure::new(ErrorCode::Unauthenticated, message);
    let hook = Box::pin(async {
        let Some(credentials) = credentials(auth) else {
            return Err(refused("the credentials do not have the expected shape"));
        };
        let identity = dialogue.app().authenticate(credentials, handshake).await;
        let identity = identity.map_err(|deny| {
            let code = if deny.is_expired() {
                ErrorCode::TokenExpired
            } else {
                ErrorCode::Unauthenticated
            };
            Failure::new(code, deny.message())
        })?;
        let (user_id, expires_at) = (identity.user_id().into(), identity.expires_at());
        Ok(Proven { identity: Arc::new(identity), user_id, expires_at })
    });
    let proven = dialogue
        .hooks()
        .run(Hook::Authenticate, "", hook)
        .await
        .map_err(|hooks::Failed| internal())??;
    if !name::is_user_id(&proven.user_id) {
        return Err(refused(&name::user_id_rule()));
    }
    if proven.expires_at.is_some_and(|at| at <= SystemTime::now()) {
        return Err(expired());
    }
    Ok(proven)
}

fn credentials<T: DeserializeOwned>(auth: Option<&str>) -> Option<T> {
    match auth {
        Some(auth) => serde_json::from_str(auth).ok(),
        None => serde_json::from_str("null").or_else(|_| serde_json::from_str("{}")).ok(),
    }
}

pub(crate) fn expired() -> Failure {
    Failure::new(ErrorCode::TokenExpired, "what authentication proved has ended; authenticate anew")
}

/// A client's request to prove again who it is. Returns until when that holds.
pub(crate) async fn authenticate<A: App>(
    client: &Client<A>,
    credentials: &RawValue,
) -> Result<Authenticated, Failure> {
    let handshake = client.handshake();
    let proven = prove(client.dialogue(), Some(credentials.get()), &handshake).await?;
    let Proven { identity, user_id, expires_at } = proven;
    if *user_id != *client.user_id() {
        let message = "these are another user's credentials; connect anew with them";
        return Err(Failure::new(ErrorCode::Unauthenticated, message));
    }
    client.renew(identity, expires_at);
    Ok(client.expiry())
}
