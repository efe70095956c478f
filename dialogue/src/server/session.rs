//! One task per connection: from authentication to the last `left`.

use serde::de::DeserializeOwned;

use super::{
    Client, Handshake,
    gateway::{Connection, Packet},
    hook, requests,
    rooms::membership,
};
use crate::{
    App, Dialogue, Identity, name,
    protocol::{Connected, ErrorCode, Failure, event},
};

/// How many requests a session handles before others get their turn: readers of what it
/// broadcasts must be able to empty their buffers in between.
const TURN: usize = 32;

/// Finds out who a new connection is.
pub(crate) async fn authenticate<A: App>(
    dialogue: &Dialogue<A>,
    auth: Option<&str>,
    handshake: &Handshake,
) -> Result<A::Identity, Failure> {
    // What the client sent is not repeated: it may hold a token.
    let credentials = credentials(auth).ok_or_else(|| {
        Failure::new(ErrorCode::Unauthenticated, "the credentials do not have the expected shape")
    })?;
    let hook = Box::pin(dialogue.app().authenticate(credentials, handshake));
    let identity = hook::run(dialogue.limits().hook_time, "authenticate", "", hook)
        .await
        .map_err(|hook::Failed| internal())?
        .map_err(|deny| Failure::new(ErrorCode::Unauthenticated, deny.message()))?;
    if !name::is_user_id(identity.user_id()) {
        let message = format!(
            "a user id has 1 to {} printable bytes and is not `{}`",
            name::MAX_USER_ID,
            name::SYSTEM
        );
        return Err(Failure::new(ErrorCode::Unauthenticated, message));
    }
    Ok(identity)
}

fn credentials<T: DeserializeOwned>(auth: Option<&str>) -> Option<T> {
    match auth {
        Some(auth) => serde_json::from_str(auth).ok(),
        None => serde_json::from_str("null").or_else(|_| serde_json::from_str("{}")).ok(),
    }
}

pub(crate) fn internal() -> Failure {
    Failure::new(ErrorCode::Internal, "something failed in the server")
}

/// The life of a connection that was let in.
pub(crate) async fn run<A: App>(
    dialogue: Dialogue<A>,
    connection: Connection,
    identity: A::Identity,
) {
    let client = Client::new(dialogue.clone(), connection, identity);
    dialogue.add_client(client.clone());
    let id = client.id().to_string();
    let connected = Connected { client_id: (&*id).into(), user_id: client.user_id().into() };
    client.connection().send(&Packet::event(event::CONNECTED, &connected)).await;
    drop(id);

    let time = dialogue.limits().hook_time;
    let app = dialogue.app();
    // A hook that fails is logged; the connection is none the worse for it.
    let _ = hook::run(time, "connected", "", Box::pin(app.connected(&client))).await;

    let mut turn = 0;
    let reason = loop {
        match client.connection().inbox.next().await {
            // Boxed, so that an idle connection does not pay for the largest request.
            Ok(frame) => Box::pin(requests::handle(&client, frame)).await,
            Err(reason) => break reason,
        }
        turn += 1;
        if turn == TURN {
            turn = 0;
            tokio::task::yield_now().await;
        }
    };

    let _ = hook::run(time, "disconnected", "", Box::pin(app.disconnected(&client, reason))).await;
    for live in client.depart() {
        membership::leave(&client, &live, None).await;
    }
    client.connection().close().await;
    dialogue.remove_client(client.id());
}
