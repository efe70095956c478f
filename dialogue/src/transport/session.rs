//! One task per connection: from authentication to the last `left`.

use std::{
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant, SystemTime},
};

use futures_util::{FutureExt, StreamExt, future::poll_fn, stream::FuturesUnordered};
use tracing::{Instrument, Span};

use futures_util::future::BoxFuture;

use super::requests;
use crate::{
    App, Client, Dialogue, DisconnectReason,
    app::{hooks::Hook, identity::Proven},
    connection::{
        Connection,
        inbox::{Next, PAUSE, Session},
        order::RequestId,
        packet::Packet,
        raw_request::RawRequest,
    },
    protocol::{Authenticated, Connected, event},
    service::{authenticate, leave},
};

/// After how long a session looks at the clock of the world again.
const CLOCK: Duration = Duration::from_secs(30);

/// The life of a connection that was let in.
///
/// Whatever is awaited besides the next request is boxed: an idle connection keeps this future, and
/// should not pay for the largest state of it.
pub(crate) async fn run<A: App>(dialogue: Dialogue<A>, connection: Connection, proven: Proven) {
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
            Next::Renewed => {}
            Next::Pause => tokio::time::sleep(PAUSE).await,
            Next::Last(reason) => break reason,
            request => Box::pin(work(&client, request)).await,
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
    fn begin(&self, frame: RawRequest) -> Result<BoxFuture<'static, ()>, RawRequest> {
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

/// A request that is being handled.
pub(crate) fn begin<A: App>(
    client: Client<A>,
    frame: RawRequest,
    span: Span,
) -> BoxFuture<'static, ()> {
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
    let _ = client.connection().try_send(Packet::event(event::ERROR, &authenticate::expired()));
    client.end(DisconnectReason::TokenExpired);
}

/// Handles requests until none is left. If the server ends the connection meanwhile, the client is told so at
/// once; the hooks of the requests still run to their end, without an answer.
async fn work<A: App>(client: &Client<A>, first: Next) {
    let inbox = &client.connection().inbox;
    let mut running = FuturesUnordered::new();
    let mut next = pin!(next_step(client, Some(first)));
    let mut close = pin!(close(client));
    let mut ended = false;
    while !inbox.is_at_rest() {
        tokio::select! {
            biased;
            // Before anything else begins.
            () = &mut close => {}
            Some(id) = running.next() => inbox.done(id),
            step = &mut next, if !ended => {
                match step {
                    // Most are done at once.
                    Step::Begun(id, mut request) => {
                        let polled = poll_fn(|cx| Poll::Ready(request.poll_unpin(cx))).await;
                        match polled {
                            Poll::Ready(()) => inbox.done(id),
                            Poll::Pending => running.push(request.map(move |()| id)),
                        }
                    }
                    Step::Renewed => close.set(self::close(client)),
                    Step::Ended => ended = true,
                }
                next.set(next_step(client, None));
            }
        }
    }
}

/// What a session that handles requests does next.
enum Step {
    Begun(RequestId, BoxFuture<'static, ()>),
    /// What authentication proved ends at another time.
    Renewed,
    /// Nothing more is begun: the connection ended.
    Ended,
}

/// The next request, begun once the client has read the answers before it.
async fn next_step<A: App>(client: &Client<A>, mut first: Option<Next>) -> Step {
    let inbox = &client.connection().inbox;
    loop {
        let next = match first.take() {
            Some(first) => first,
            None => inbox.beside().await,
        };
        match next {
            Next::Request(id, frame) => {
                // A client that the server ends need not read anything.
                tokio::select! {
                    () = client.connection().caught_up() => {}
                    () = inbox.ended_by_server() => {}
                }
                if inbox.is_closed_by_server() {
                    inbox.done(id);
                    return Step::Ended;
                }
                let client = client.clone();
                let request = async move { requests::handle(&client, frame).await };
                return Step::Begun(id, Box::pin(request));
            }
            Next::Begun(id, request) => return Step::Begun(id, request),
            Next::Renewed => return Step::Renewed,
            Next::Pause => tokio::time::sleep(PAUSE).await,
            Next::Last(_) => return Step::Ended,
        }
    }
}

/// Closes the connection when the server ends it or what authentication proved ends.
async fn close<A: App>(client: &Client<A>) {
    tokio::select! {
        () = client.connection().inbox.ended_by_server() => {}
        () = expire(client) => {}
    }
    client.connection().close().await;
    std::future::pending::<()>().await;
}

/// Tells the client who it is, and the app that it is there.
async fn greet<A: App>(client: &Client<A>) {
    let dialogue = client.dialogue();
    let (app, hooks) = (dialogue.app(), dialogue.hooks());
    // A hook that fails is logged; the connection is none the worse for it.
    if let Some(socket) = client.socket() {
        let connected = Box::pin(async { app.socket_connected(socket).await });
        let _ = hooks.run(Hook::SocketConnected, "", connected).await;
    }
    dialogue.add_client(client.clone());
    let id = client.id().to_string();
    let contract = &*dialogue.contract().hash;
    let Authenticated { expires_at, expires_in_ms } = client.expiry();
    let connected = Connected {
        client_id: (&*id).into(),
        user_id: client.user_id().into(),
        expires_at,
        expires_in_ms,
        contract: client
            .handshake()
            .contract()
            .filter(|built_with| *built_with != contract)
            .map(|_| contract.into()),
        max_message_bytes: Some(dialogue.limits().payload as u64),
    };
    client.connection().greet(&connected).await;
    client.member().note_greeted();
    tracing::debug!("connected");
    let connected = Box::pin(async { app.connected(client).await });
    let _ = hooks.run(Hook::Connected, "", connected).await;
}

/// Does what the client still asked for, and ends everything that it was part of.
async fn part<A: App>(client: &Client<A>, reason: DisconnectReason) {
    let dialogue = client.dialogue();
    let (hooks, time) = (dialogue.hooks(), dialogue.limits().hook_time);
    // A client that is gone may have left much to do; it holds its places only so long for it.
    // What was begun is finished: no request runs more than the four hooks of a join; only one that
    // waits for a room's handlers could take longer, and a deletion, whose hooks go on without it.
    let (begun, mut steps) = (Instant::now(), leave::Steps::default());
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
    let _ = hooks.run(Hook::Disconnected, "", disconnected).await;
    leave::leave_all(client).await;
    dialogue.remove_client(client);
    if reason == DisconnectReason::ServerStopped {
        // All transports are closed together. Socket.IO's clients come back from that by themselves, and
        // not from being disconnected.
        client.connection().deafen();
    } else {
        client.connection().close().await;
    }
    tracing::debug!(?reason, "disconnected");
    if let Some(socket) = client.socket() {
        let gone = Box::pin(async { dialogue.app().socket_disconnected(socket).await });
        let _ = hooks.run(Hook::SocketDisconnected, "", gone).await;
    }
}
