//! Lets Socket.IO connections in, and hands what they send to their inboxes.
//!
//! What socketioxide does and this file relies on (0.18):
//! - the connect handler is spawned after the CONNECT reply, so everything that must not miss the
//!   first message is registered in the connect middleware, which runs before it;
//! - async message handlers are spawned, which loses the order; one that implements the trait itself is
//!   called in line, by the task that reads from the transport;
//! - its own queue for a client counts packets and tells nobody when they leave, so it carries nothing
//!   but its own: packets wait in [`crate::connection::outgoing`].

use std::{
    any::Any,
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::request::Parts;
use dashmap::DashSet;
use futures_util::future::BoxFuture;
use socketioxide::{
    ParserConfig, SendError, SocketError, SocketIo, TransportType,
    adapter::{Adapter, LocalAdapter},
    extract::SocketRef,
    handler::{ConnectHandler, FromConnectParts, MessageHandler, Value},
    layer::SocketIoLayer,
    service::SocketIoService,
    socket::{DisconnectReason as SocketDisconnectReason, Sid, Socket},
};
use tracing::Instrument;

use super::frames::LARGE;
use crate::transport::session;
use crate::{
    App, ClientId, Dialogue, DisconnectReason, Handshake, JoinError, Limits,
    app::{
        dialogue::{TransportServer, WeakDialogue},
        identity::Proven,
    },
    connection::{
        Connection, Wire,
        inbox::{Inbox, Untaken},
        packet::Packet,
        raw_request::RawRequest,
        transports::Transport,
    },
    protocol::{Ack, Connected, ErrorCode, Failure, event},
    service::authenticate,
};

impl From<SocketDisconnectReason> for DisconnectReason {
    fn from(reason: SocketDisconnectReason) -> Self {
        match reason {
            SocketDisconnectReason::ClientNSDisconnect => Self::ClientLeft,
            SocketDisconnectReason::TransportClose | SocketDisconnectReason::TransportError => {
                Self::ConnectionLost
            }
            SocketDisconnectReason::HeartbeatTimeout => Self::TimedOut,
            SocketDisconnectReason::MultipleHttpPollingError
            | SocketDisconnectReason::PacketParsingError => Self::Malformed,
            SocketDisconnectReason::ServerNSDisconnect => Self::ServerClosed,
            SocketDisconnectReason::ClosingServer => Self::ServerStopped,
        }
    }
}

/// The right to a transport, which is for one session at a time: channels are the transport's, and
/// the end of one session would deafen the next.
struct Seat {
    taken: Arc<DashSet<Sid>>,
    sid: Sid,
}

impl Seat {
    fn take(taken: &Arc<DashSet<Sid>>, sid: Sid) -> Option<Self> {
        taken.insert(sid).then(|| Self { taken: taken.clone(), sid })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.remove(&self.sid);
    }
}

/// How much is read from a WebSocket at once, in bytes. Every connection keeps a buffer of this size,
/// the idle ones too; most requests fit.
const READ_BUFFER: usize = 1_024;

/// The layer that answers Socket.IO's requests.
pub(crate) type Endpoint = SocketIoLayer;
/// What [`Endpoint`] makes of the service below.
pub(crate) type EndpointService<S> = SocketIoService<S>;

/// The Socket.IO server.
pub(crate) struct Gateway {
    io: SocketIo,
    endpoint: Endpoint,
}

impl Gateway {
    /// Sets up the endpoint. Sessions hold the server only while they live.
    pub(crate) fn open<A: App>(server: &WeakDialogue<A>, limits: &Limits, path: &str) -> Self {
        let parser = ParserConfig::common()
            .max_incoming_binary_buf_size(limits.attachment_bytes)
            .max_incoming_binaries(limits.attachments);
        let (endpoint, io) = SocketIo::builder()
            .req_path(path.to_owned())
            .ping_interval(limits.heartbeat_interval)
            .ping_timeout(limits.heartbeat_timeout)
            .max_payload(limits.payload as u64)
            .ws_max_message_size(limits.payload)
            .ws_max_frame_size(limits.payload)
            .with_parser(parser)
            .ws_read_buffer_size(READ_BUFFER)
            .connect_timeout(limits.handshake_time)
            .build_layer();
        let server = server.clone();
        let seats = Arc::new(DashSet::new());
        let middleware =
            move |socket: SocketRef, Auth(auth): Auth| admit(server, seats, socket, auth);
        io.ns("/", (|Owned(socket): Owned| run::<A>(socket)).with(middleware));
        Self { io, endpoint }
    }

    /// The Socket.IO server of a server.
    pub(crate) fn of<A>(dialogue: &Dialogue<A>) -> &Self {
        let transport: &dyn Any = dialogue.transport();
        // The builder sets no other.
        transport.downcast_ref().expect("a server's transport is Socket.IO")
    }

    pub(crate) fn io(&self) -> &SocketIo {
        &self.io
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl TransportServer for Gateway {
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.io.close())
    }
}

/// A connection that was let in, between its middleware and its session.
struct Admitted<A: App> {
    dialogue: Dialogue<A>,
    proven: Proven,
    id: ClientId,
    inbox: Arc<Inbox>,
    seat: Seat,
    transport: Transport,
    session: u64,
}

/// How it gets from one to the other: socketioxide's extensions must clone.
struct Slot<A: App>(Arc<Mutex<Option<Admitted<A>>>>);

impl<A: App> Clone for Slot<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Runs before the CONNECT reply: registers what must not miss the first message, and
/// authenticates.
async fn admit<A: App>(
    server: WeakDialogue<A>,
    seats: Arc<DashSet<Sid>>,
    socket: SocketRef,
    auth: Option<String>,
) -> Result<(), Refused> {
    let refused = |message| Refused(Failure::new(ErrorCode::Internal, message));
    let dialogue = Dialogue::upgrade(&server).ok_or_else(|| refused("the server is going down"))?;
    if dialogue.stopping().is_draining() {
        return Err(Refused(JoinError::Draining.into()));
    }
    let seat = Seat::take(&seats, socket.id)
        .ok_or_else(|| refused("the last session on this transport has not ended yet"))?;
    // The layer opens every transport.
    let transport = socket.req_parts().extensions.get::<Transport>().cloned();
    let transport = transport.ok_or_else(|| refused("the transport is not known"))?;
    transport.check_connect().map_err(|limited| Refused(limited.into()))?;
    let session = transport.outgoing().begin();
    let (id, inbox) =
        (ClientId::random(), Arc::new(Inbox::new(dialogue.limits(), transport.holding())));
    receive(&socket, &inbox, &transport, session);
    // What the client shows is held for as long as it is looked at.
    let mut held = transport.holding();
    if !held.set(auth.as_ref().map_or(0, String::len)) {
        let message = "the byte limit of this address or of the server is reached";
        return Err(Refused(Failure::new(ErrorCode::LimitExceeded, message)));
    }
    let handshake = Handshake::new(id, socket.req_parts(), dialogue.proxies());
    let proven =
        authenticate::prove(&dialogue, auth.as_deref(), &handshake).await.map_err(Refused)?;
    let admitted = Admitted { dialogue, proven, id, inbox, seat, transport, session };
    socket.extensions.insert(Slot(Arc::new(Mutex::new(Some(admitted)))));
    Ok(())
}

/// Puts every message into the inbox, in the order of the wire.
fn receive(socket: &SocketRef, inbox: &Arc<Inbox>, transport: &Transport, session: u64) {
    let (inbox, transport) = (inbox.clone(), transport.clone());
    let (closed, outgoing) = (inbox.clone(), transport.outgoing().clone());
    socket.on_fallback(Receiver { inbox, transport, session });
    socket.on_disconnect(move |reason: SocketDisconnectReason| {
        closed.close(reason.into());
        // The next session of a transport uses its queue; a server that stops writes the rest of it.
        let stays = matches!(
            reason,
            SocketDisconnectReason::ClientNSDisconnect
                | SocketDisconnectReason::ServerNSDisconnect
                | SocketDisconnectReason::ClosingServer
        );
        if !stays {
            outgoing.close();
        }
        async {}
    });
}

/// The connect handler: already a task of its own, it is the session.
async fn run<A: App>(socket: Arc<Socket>) {
    let Some(Slot(slot)) = socket.extensions.remove::<Slot<A>>() else {
        return;
    };
    let admitted = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(Admitted { dialogue, proven, id, inbox, seat, transport, session }) = admitted else {
        return;
    };
    let answers = dialogue.answers_of(&proven.user_id);
    let connection =
        Connection::new(Box::new(SocketWire(socket)), id, inbox, transport, session, answers);
    // `?` escapes what would break a line.
    let span = tracing::info_span!("connection", client = %id, user = ?proven.user_id);
    session::run(dialogue, connection, proven).instrument(span).await;
    // Not sooner, and no later: user code may keep the client.
    drop(seat);
}

/// A Socket.IO socket, as a connection has it.
pub(crate) struct SocketWire(Arc<Socket>);

impl SocketWire {
    /// The socket of a connection, if it is one of Socket.IO's.
    pub(crate) fn of(connection: &Connection) -> Option<&Socket> {
        let wire: &dyn Any = connection.wire();
        wire.downcast_ref::<Self>().map(|Self(socket)| &**socket)
    }
}

impl Wire for SocketWire {
    fn head(&self) -> &Parts {
        self.0.req_parts()
    }

    fn greet(&self, greeting: &Connected<'_>) -> bool {
        let sent = self.0.emit(event::CONNECTED, greeting);
        !matches!(sent, Err(SendError::Socket(SocketError::InternalChannelFull)))
    }

    fn is_open(&self) -> bool {
        self.0.connected()
    }

    fn close(&self) -> bool {
        self.0.clone().disconnect().is_ok()
    }
}

/// The connect error, whose message is all that socketioxide sends.
struct Refused(Failure);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The protocol's own types are JSON.
        f.write_str(&serde_json::to_string(&self.0).unwrap_or_default())
    }
}

/// Extracts the handshake's `auth`, undecoded.
struct Auth(Option<String>);

impl<A: Adapter> FromConnectParts<A> for Auth {
    type Error = Infallible;

    fn from_connect_parts(_: &Arc<Socket<A>>, auth: &Option<Value>) -> Result<Self, Infallible> {
        Ok(Self(match auth {
            Some(Value::Str(text, _)) => Some(text.as_str().to_owned()),
            Some(Value::Bytes(_)) | None => None,
        }))
    }
}

/// Extracts the socket itself.
struct Owned(Arc<Socket>);

impl FromConnectParts<LocalAdapter> for Owned {
    type Error = Infallible;

    fn from_connect_parts(socket: &Arc<Socket>, _: &Option<Value>) -> Result<Self, Infallible> {
        Ok(Self(socket.clone()))
    }
}

/// Takes in messages as they come, without a task for each.
struct Receiver {
    inbox: Arc<Inbox>,
    transport: Transport,
    session: u64,
}

impl Receiver {
    /// Answers a request that is not taken on. Where not even the answer finds room, the client neither
    /// listens nor waits: it is disconnected.
    fn refuse(&self, ack: Option<i64>, untaken: Untaken) {
        let failure = match untaken {
            Untaken::Overflow => {
                Failure::new(ErrorCode::LimitExceeded, "too many requests wait; await answers")
            }
            Untaken::Draining => JoinError::Draining.into(),
        };
        let packet = match ack {
            Some(id) => Packet::ack(id, &Ack { ok: false, body: failure }),
            None => Packet::event(event::ERROR, &failure),
        };
        if self.transport.outgoing().push(self.session, packet).is_err() {
            self.inbox.close(DisconnectReason::ServerClosed);
        }
    }
}

/// What tells it from socketioxide's own kinds of handlers.
struct InPlace;

impl MessageHandler<LocalAdapter, InPlace> for Receiver {
    fn call(&self, socket: Arc<Socket>, value: Value, ack: Option<i64>) {
        // Copied: a slice would keep the whole buffer that was read at once.
        let text = match &value {
            Value::Str(text, None) => Some(text.as_str().into()),
            // Whatever it says, it is refused.
            Value::Str(..) | Value::Bytes(_) => None,
        };
        let frame = RawRequest::new(text, ack);
        let length = frame.len();
        if length > LARGE && socket.transport_type() == TransportType::Websocket {
            // The transport would keep its buffer, which fits this message, for as long as the connection.
            self.transport.outgoing().keep_large(value, length);
        }
        if let Err(untaken) = self.inbox.push(frame) {
            self.refuse(ack, untaken);
        }
    }
}
