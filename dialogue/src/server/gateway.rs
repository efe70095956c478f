//! The only file that knows socketioxide: connections in, frames in, packets out.
//!
//! What socketioxide does and this file relies on (0.18):
//! - the connect handler is spawned after the CONNECT reply, so everything that must not miss the
//!   first message is registered in the connect middleware, which runs before it;
//! - async message handlers are spawned, which loses the order; one that implements the trait itself is
//!   called in line, by the task that reads from the transport;
//! - its own queue for a client counts packets and tells nobody when they leave, so it carries nothing
//!   but its own: packets wait in [`super::outgoing`].

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dashmap::DashSet;
use serde::Serialize;
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

use super::{
    ClientId, DisconnectReason, Handshake, Limits, RateLimited,
    budget::{Budget, Holding},
    crowd::Transport,
    dialogue::Inner,
    frames::LARGE,
    inbox::{Inbox, Untaken},
    outgoing::Unsent,
    packet::{Body, Packet},
    proven::Proven,
    rate::Meter,
    raw_request::RawRequest,
    session,
};
use crate::{
    App, Dialogue, JoinError,
    protocol::{Ack, ErrorCode, Failure, event},
};

/// The Socket.IO server and its sockets, for what Dialogue itself does not do. What is sent through
/// them is neither validated nor ordered nor kept.
pub mod socketio {
    pub use socketioxide::{SocketIo, socket::Socket};
}

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

/// One connection, as the rest of the server sees it.
pub(crate) struct Connection {
    socket: Arc<Socket>,
    pub(crate) id: ClientId,
    pub(crate) inbox: Arc<Inbox>,
    transport: Transport,
    /// Which session of the transport's.
    session: u64,
    /// What the user's answers may weigh.
    answers: Arc<Meter>,
    /// Whether it receives no more events.
    deaf: AtomicBool,
}

impl Connection {
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Sends the greeting, which packets wait for.
    pub(crate) async fn greet(&self, greeting: &impl Serialize) {
        let full = |sent| matches!(sent, Err(SendError::Socket(SocketError::InternalChannelFull)));
        let greet = || (!full(self.socket.emit(event::CONNECTED, greeting))).then_some(());
        self.retry(greet).await;
    }

    /// Sends once, if there is room.
    pub(crate) fn try_send(&self, packet: Packet) -> Result<(), Unsent> {
        self.transport.outgoing().push(self.session, packet)
    }

    /// Sends an event of a room once, if there is room and the connection still receives any.
    pub(crate) fn deliver(&self, packet: Packet) -> Result<(), Unsent> {
        if self.deaf.load(Ordering::Relaxed) { Err(Unsent::Closed) } else { self.try_send(packet) }
    }

    /// The connection receives no more events.
    pub(crate) fn deafen(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    /// Sends an event once, if there is room: only then is it encoded.
    pub(crate) fn try_event(
        &self,
        name: &'static str,
        body: &impl Serialize,
    ) -> Result<(), Unsent> {
        self.try_encoded(|| Packet::event(name, body))
    }

    /// Acknowledges once, if there is room: only then is it encoded.
    pub(crate) fn try_ack(&self, id: i64, body: &impl Serialize) -> Result<(), Unsent> {
        self.try_encoded(|| Packet::ack(id, body))
    }

    /// Whether the user and its address may be given another answer that may be long.
    pub(crate) fn check_answers(&self) -> Result<(), RateLimited> {
        self.answers.check()?;
        self.transport.check_answers()
    }

    /// Waits for up to `time` until the budget of the client's address has `bytes` left for an answer that is
    /// about to be made, and takes them. Fails with [`JoinError::AddressLimit`] or [`JoinError::Closed`].
    pub(crate) async fn reserve(&self, bytes: usize, time: Duration) -> Result<Holding, JoinError> {
        let mut held = self.transport.holding();
        let taken = self.transport.outgoing().retry(|| {
            if self.inbox.is_closed() {
                return Some(Err(JoinError::Closed));
            }
            held.set(bytes).then_some(Ok(()))
        });
        tokio::time::timeout(time, taken).await.unwrap_or(Err(JoinError::AddressLimit))?;
        Ok(held)
    }

    /// Waits for up to `time` until the budget of the client's address has room for an event of `bytes` bytes that
    /// waits for handlers. Fails like [`Connection::reserve`], but a client that has gone by itself may go on.
    pub(crate) async fn hold(&self, bytes: usize, time: Duration) -> Result<Holding, JoinError> {
        let mut held = self.transport.holding();
        let taken = self.transport.outgoing().retry(|| {
            if self.inbox.is_closed_by_server() {
                return Some(Err(JoinError::Closed));
            }
            held.set_whole(bytes).then_some(Ok(()))
        });
        tokio::time::timeout(time, taken).await.unwrap_or(Err(JoinError::AddressLimit))?;
        Ok(held)
    }

    /// Sends a long answer, as [`Connection::send`] does, with the bytes that were reserved for it. The user
    /// and its address pay for it.
    pub(crate) async fn send_paid(&self, packet: Packet, reserved: Holding) -> bool {
        self.pay(&packet);
        self.send_held(packet, reserved).await
    }

    fn pay(&self, packet: &Packet) {
        self.answers.pay(packet.len());
        self.transport.pay(packet.len());
    }

    fn try_encoded(&self, packet: impl FnOnce() -> Packet) -> Result<(), Unsent> {
        let outgoing = self.transport.outgoing();
        if !outgoing.has_room() {
            return Err(Unsent::Full);
        }
        self.try_send(packet().counted(outgoing.process()))
    }

    /// Acknowledges once, if there is room, with a body that other answers share: only then is it made.
    pub(crate) fn try_ack_of(
        &self,
        id: i64,
        body: impl FnOnce(&Arc<Budget>) -> Body,
    ) -> Result<(), Unsent> {
        let packet = || Packet::ack_of(id, body(self.transport.outgoing().process()));
        self.try_encoded(|| {
            let packet = packet();
            self.pay(&packet);
            packet
        })
    }

    /// Sends, waiting for room as long as the connection lives. Returns whether it did.
    pub(crate) async fn send(&self, packet: Packet) -> bool {
        self.send_held(packet, self.transport.holding()).await
    }

    /// While the packet waits, it is held against the budgets.
    async fn send_held(&self, packet: Packet, mut held: Holding) -> bool {
        let packet = packet.counted(self.transport.outgoing().process());
        let sent = self.retry(|| {
            // The queue takes its own charge.
            held.set(0);
            match self.try_send(packet.clone()) {
                Err(Unsent::Full) => {
                    held.set_anyway(packet.weight());
                    None
                }
                sent => Some(sent.is_ok()),
            }
        });
        sent.await.unwrap_or(false)
    }

    /// Acknowledges, waiting for room as long as the connection lives.
    pub(crate) async fn acknowledge(&self, id: i64, body: &impl Serialize) {
        // Mostly there is room.
        if let Err(Unsent::Full) = self.try_ack(id, body) {
            self.send(Packet::ack(id, body)).await;
        }
    }

    /// Tries until it succeeds: for what the connection's queue has no room for. Gives up, with
    /// `None`, once the server's own code has ended the connection.
    pub(crate) async fn retry<T>(&self, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
        let attempt = || match attempt() {
            None if self.inbox.is_closed_by_server() => Some(None),
            done => done.map(Some),
        };
        self.transport.outgoing().retry(attempt).await
    }

    /// Waits while more than a few answers wait for the client: it reads them before more is done for it.
    pub(crate) async fn caught_up(&self) {
        self.transport.outgoing().wait_for_low_water().await;
    }

    /// Whether a packet may be queued, as far as what waits already goes; nothing waits for a connection
    /// that is gone.
    pub(crate) fn has_room(&self) -> bool {
        self.transport.outgoing().has_room()
    }

    /// Whether few answers wait for the client.
    pub(crate) fn keeps_up(&self) -> bool {
        self.transport.outgoing().is_below_low_water()
    }

    /// Ends the session, once everything before it has left, or the transport is gone. The transport
    /// stays until the client closes it, or stops answering: socketioxide closes none.
    pub(crate) async fn close(&self) {
        let outgoing = self.transport.outgoing();
        let ended = || {
            let gone = !self.socket.connected();
            (gone || (outgoing.is_empty() && self.socket.clone().disconnect().is_ok()))
                .then_some(())
        };
        outgoing.retry(ended).await;
        outgoing.end(self.session);
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
pub(crate) struct Gateway(SocketIo);

impl Gateway {
    /// Sets up the endpoint. Sessions hold `inner` only while they live.
    pub(crate) fn open<A: App>(
        inner: &Weak<Inner<A>>,
        limits: &Limits,
        path: &str,
    ) -> (Endpoint, Self) {
        let parser = ParserConfig::common()
            .max_incoming_binary_buf_size(limits.attachment_bytes)
            .max_incoming_binaries(limits.attachments);
        let (layer, io) = SocketIo::builder()
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
        let inner = inner.clone();
        let seats = Arc::new(DashSet::new());
        let middleware =
            move |socket: SocketRef, Auth(auth): Auth| admit(inner, seats, socket, auth);
        io.ns("/", (|Owned(socket): Owned| run::<A>(socket)).with(middleware));
        (layer, Self(io))
    }

    pub(crate) fn io(&self) -> &SocketIo {
        &self.0
    }

    /// Closes all transports. Nobody is let in any more.
    pub(crate) async fn close(&self) {
        self.0.close().await;
    }
}

/// A connection that was let in, between its middleware and its session.
struct Admitted<A: App> {
    dialogue: Dialogue<A>,
    proven: Proven<A>,
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
    inner: Weak<Inner<A>>,
    seats: Arc<DashSet<Sid>>,
    socket: SocketRef,
    auth: Option<String>,
) -> Result<(), Refused> {
    let refused = |message| Refused(Failure::new(ErrorCode::Internal, message));
    let dialogue = Dialogue::upgrade(&inner).ok_or_else(|| refused("the server is going down"))?;
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
        session::authenticate(&dialogue, auth.as_deref(), &handshake).await.map_err(Refused)?;
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
    let deaf = AtomicBool::new(false);
    let connection = Connection { socket, id, inbox, transport, session, answers, deaf };
    // `?` escapes what would break a line.
    let span = tracing::info_span!("connection", client = %id, user = ?proven.user_id);
    session::run(dialogue, connection, proven).instrument(span).await;
    // Not sooner, and no later: user code may keep the client.
    drop(seat);
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
        let frame = RawRequest::arrived(&value, ack);
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
