//! One task per connection: from authentication to the last `left`.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use serde::de::DeserializeOwned;
use tracing::{Instrument, Span};

use super::{
    Client, DisconnectReason, Handshake,
    gateway::{Connection, Frame},
    hook::{self, BoxFuture},
    inbox::{Next, PAUSE, Session},
    packet::Packet,
    requests,
    rooms::membership,
};
use crate::{
    App, Dialogue, Identity, name,
    protocol::{Connected, ErrorCode, Failure, event},
};

/// After how long a session looks at the clock of the world again.
const CLOCK: Duration = Duration::from_secs(30);

/// Who a connection was proven to belong to.
pub(crate) struct Proven<A: App> {
    pub(crate) identity: A::Identity,
    pub(crate) user_id: Arc<str>,
    pub(crate) expires_at: Option<SystemTime>,
}

/// Finds out who a new connection is.
pub(crate) async fn authenticate<A: App>(
    dialogue: &Dialogue<A>,
    auth: Option<&str>,
    handshake: &Handshake,
) -> Result<Proven<A>, Failure> {
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
        Ok(Proven { identity, user_id, expires_at })
    });
    let proven = hook::run(dialogue.limits().hook_time, "authenticate", "", hook)
        .await
        .map_err(|hook::Failed| internal())??;
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

fn expired() -> Failure {
    Failure::new(ErrorCode::TokenExpired, "what authentication proved has ended; authenticate anew")
}

pub(crate) fn internal() -> Failure {
    Failure::new(ErrorCode::Internal, "something failed in the server")
}

/// The life of a connection that was let in.
///
/// Whatever is awaited besides the next request is boxed: an idle connection keeps this future, and
/// should not pay for the largest state of it.
pub(crate) async fn run<A: App>(dialogue: Dialogue<A>, connection: Connection, proven: Proven<A>) {
    let client = Client::new(dialogue, connection, proven);
    Box::pin(greet(&client)).await;
    let inbox = &client.connection().inbox;
    let handler = Arc::new(Handler { client: client.clone(), span: Span::current() });
    inbox.attach(&handler);
    let reason = loop {
        // Read anew each time: the last request may have been for more time.
        let next = if client.expires_at().is_none() || inbox.is_closed() {
            inbox.next().await
        } else {
            tokio::select! {
                biased;
                () = Box::pin(expire(&client)) => inbox.next().await,
                next = inbox.next() => next,
            }
        };
        match next {
            Next::Request(frame) => {
                let request = async {
                    // A client that the server ends need not read anything.
                    tokio::select! {
                        () = client.connection().caught_up() => {}
                        () = inbox.ended_by_server() => {}
                    }
                    requests::handle(&client, frame).await;
                };
                Box::pin(answer(&client, request)).await;
            }
            Next::Begun(request) => Box::pin(answer(&client, request)).await,
            Next::Renewed => {}
            Next::Pause => tokio::time::sleep(PAUSE).await,
            Next::Last(reason) => break reason,
        }
    };
    Box::pin(part(&client, reason)).await;
}

/// Handles requests where they arrive.
struct Handler<A: App> {
    client: Client<A>,
    span: Span,
}

impl<A: App> Session for Handler<A> {
    fn begin(&self, frame: Frame) -> Result<BoxFuture<'static, ()>, Frame> {
        // The session ends before it handles what came too late.
        if self.client.expires_at().is_some_and(|at| at <= SystemTime::now()) {
            return Err(frame);
        }
        // The session waits until the client has read its answers.
        if !self.client.connection().keeps_up() {
            return Err(frame);
        }
        Ok(begin(self.client.clone(), frame, self.span.clone()))
    }
}

/// A request on its way, whoever takes it to its end.
pub(crate) fn begin<A: App>(client: Client<A>, frame: Frame, span: Span) -> BoxFuture<'static, ()> {
    let handled = async move { requests::handle(&client, frame).await };
    Box::pin(handled.instrument(span))
}

/// Ends a connection once what authentication proved has ended.
async fn expire<A: App>(client: &Client<A>) {
    loop {
        // Read anew each time: there may be more time meanwhile.
        let Some(at) = client.expires_at() else { return std::future::pending().await };
        match at.duration_since(SystemTime::now()) {
            // The clock of the world may be set while ours runs on.
            Ok(left) if !left.is_zero() => tokio::time::sleep(left.min(CLOCK)).await,
            _ => break,
        }
    }
    // A client that is too slow to hear why finds out when it connects again.
    let _ = client.connection().try_send(Packet::event(event::ERROR, &expired()));
    client.end(DisconnectReason::TokenExpired);
}

/// Handles a request. If the server ends the connection meanwhile, the client is told so at once;
/// the request's hooks still run to their end, and nobody hears of it.
async fn answer<A: App>(client: &Client<A>, request: impl Future<Output = ()>) {
    let connection = client.connection();
    let close = async {
        tokio::select! {
            () = connection.inbox.ended_by_server() => {}
            () = expire(client) => {}
        }
        connection.close().await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = request => {}
        () = close => {}
    }
}

/// Tells the client who it is, and the app that it is there.
async fn greet<A: App>(client: &Client<A>) {
    let dialogue = client.dialogue();
    let (app, time) = (dialogue.app(), dialogue.limits().hook_time);
    // A hook that fails is logged; the connection is none the worse for it.
    let connected = Box::pin(async { app.socket_connected(client.socket()).await });
    let _ = hook::run(time, "socket_connected", "", connected).await;
    dialogue.add_client(client.clone());
    let id = client.id().to_string();
    let contract = &*dialogue.contract().hash;
    let connected = Connected {
        client_id: (&*id).into(),
        user_id: client.user_id().into(),
        expires_at: client.expires_at_millis(),
        contract: client
            .handshake()
            .contract()
            .filter(|built_with| *built_with != contract)
            .map(|_| contract.into()),
    };
    client.connection().greet(&connected).await;
    client.note_greeted();
    tracing::debug!("connected");
    let connected = Box::pin(async { app.connected(client).await });
    let _ = hook::run(time, "connected", "", connected).await;
}

/// Does what the client still asked for, and ends everything that it was part of.
async fn part<A: App>(client: &Client<A>, reason: DisconnectReason) {
    let dialogue = client.dialogue();
    let time = dialogue.limits().hook_time;
    // A client that is gone may have left much to do; it holds its places only so long for it.
    // What was begun is finished: no request runs more than the four hooks of a join; only one that
    // waits for a room's handlers could take longer, and a deletion, whose hooks go on without it.
    let (begun, mut steps) = (Instant::now(), membership::Steps::default());
    let rest = async {
        while begun.elapsed() < time
            && let Some(frame) = client.connection().inbox.rest()
        {
            requests::handle(client, frame).await;
            steps.take().await;
        }
    };
    let _ = tokio::time::timeout(time.saturating_mul(5), rest).await;
    let disconnected = Box::pin(async { dialogue.app().disconnected(client, reason).await });
    let _ = hook::run(time, "disconnected", "", disconnected).await;
    membership::leave_all(client).await;
    dialogue.remove_client(client);
    if reason == DisconnectReason::ServerStopped {
        // All transports are closed together. Socket.IO's clients come back from that by themselves, and
        // not from being disconnected.
        client.connection().deafen();
    } else {
        client.connection().close().await;
    }
    tracing::debug!(?reason, "disconnected");
    let disconnected =
        Box::pin(async { dialogue.app().socket_disconnected(client.socket()).await });
    let _ = hook::run(time, "socket_disconnected", "", disconnected).await;
}
