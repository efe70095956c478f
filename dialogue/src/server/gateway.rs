//! The only file that knows socketioxide: connections in, frames in, packets out.
//!
//! What socketioxide does and this file relies on (0.18):
//! - the connect handler is spawned after the CONNECT reply, so everything that must not miss the
//!   first message is registered in the connect middleware, which runs before it;
//! - async message handlers are spawned, which loses the order; one that implements the trait itself is
//!   called in line, by the task that reads from the transport;
//! - the buffer of a socket counts packets and refuses one too many, so what must arrive is tried
//!   again until the socket is gone;
//! - broadcasting to a room encodes once.

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dashmap::DashSet;
use futures_util::FutureExt;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use socketioxide::{
    BroadcastError, ParserConfig, SendError, SocketError, SocketIo,
    adapter::{Adapter, LocalAdapter},
    extract::{AckSender, SocketRef},
    handler::{ConnectHandler, FromConnectParts, FromMessageParts, MessageHandler, Value},
    layer::SocketIoLayer,
    operators::BroadcastOperators,
    service::SocketIoService,
    socket::{DisconnectReason as SocketDisconnectReason, Sid, Socket},
};
use tracing::Instrument;

use super::{
    Handshake, Limits,
    crowd::Transport,
    dialogue::Inner,
    inbox::{Inbox, Untaken},
    session::{self, Proven},
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

/// The id of one connection, known to everyone: another one after every reconnect.
///
/// It is not the transport's session id, which is a secret: whoever knows that one may speak for a
/// client that is on long polling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(Sid);

impl ClientId {
    /// Random, and as hard to guess as a session id.
    fn random() -> Self {
        Self(Sid::new())
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The client disconnected.
    ClientLeft,
    /// The transport was closed or broke.
    ConnectionLost,
    /// The client stopped answering.
    TimedOut,
    /// The client sent what is not Socket.IO.
    Malformed,
    /// The server's code disconnected the client.
    ServerClosed,
    /// The server stops. What the client asked for before that is done.
    ServerStopped,
    /// What authentication proved has ended.
    TokenExpired,
}

impl DisconnectReason {
    /// Whether the server wants no more of what the client asked for.
    pub(crate) fn is_servers(self) -> bool {
        matches!(self, Self::ServerClosed | Self::TokenExpired)
    }
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

/// A message as it came: `["name", payload]` in JSON, and the acknowledgement it asks for.
pub(crate) struct Frame {
    value: Value,
    pub(crate) ack: Option<i64>,
}

impl Frame {
    /// A message that came over no transport.
    #[cfg(any(test, feature = "bench"))]
    pub(crate) fn new(text: String, ack: Option<i64>) -> Self {
        Self { value: Value::Str(text.into(), None), ack }
    }

    /// The JSON text; none if the message has binary attachments.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text, None) => Some(text.as_str()),
            Value::Str(_, Some(_)) | Value::Bytes(_) => None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.value {
            Value::Str(text, attachments) => {
                text.len() + attachments.iter().flatten().map(bytes_len).sum::<usize>()
            }
            Value::Bytes(bytes) => bytes.len(),
        }
    }
}

fn bytes_len(bytes: impl AsRef<[u8]>) -> usize {
    bytes.as_ref().len()
}

/// Something for one connection.
pub(crate) struct Packet {
    to: Address,
    body: Box<RawValue>,
}

enum Address {
    Ack(i64),
    Event(&'static str),
}

impl Packet {
    pub(crate) fn event(name: &'static str, body: &impl Serialize) -> Self {
        Self { to: Address::Event(name), body: encode(body) }
    }

    /// An event with a payload of the app's.
    pub(crate) fn direct(name: &'static str, body: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self { to: Address::Event(name), body: to_raw_value(body)? })
    }

    pub(crate) fn ack(id: i64, body: &impl Serialize) -> Self {
        Self { to: Address::Ack(id), body: encode(body) }
    }
}

fn encode(body: &impl Serialize) -> Box<RawValue> {
    // Bodies are the protocol's own types: string keys, no custom serialisation that fails.
    to_raw_value(body).expect("the protocol's types are JSON")
}

/// Why a packet was not sent.
pub(crate) enum Unsent {
    /// As many packets wait as may.
    Full,
    /// The connection is gone.
    Closed,
}

/// One connection, as the rest of the server sees it.
pub(crate) struct Connection {
    socket: Arc<Socket>,
    pub(crate) id: ClientId,
    pub(crate) inbox: Arc<Inbox>,
}

impl Connection {
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Sends once, if there is room.
    pub(crate) fn try_send(&self, packet: &Packet) -> Result<(), Unsent> {
        try_send(&self.socket, packet)
    }

    /// Sends an event once, if there is room: only then is it encoded.
    pub(crate) fn try_event(&self, name: &str, body: &impl Serialize) -> Result<(), Unsent> {
        outcome(self.socket.emit(name, body))
    }

    /// Acknowledges once, if there is room: only then is it encoded.
    pub(crate) fn try_ack(&self, id: i64, body: &impl Serialize) -> Result<(), Unsent> {
        outcome(ack_sender(&self.socket, id).send(body))
    }

    /// Sends, waiting for room as long as the connection lives. Returns whether it did.
    pub(crate) async fn send(&self, packet: &Packet) -> bool {
        let sent = self.retry(|| match self.try_send(packet) {
            Err(Unsent::Full) => None,
            sent => Some(sent.is_ok()),
        });
        sent.await.unwrap_or(false)
    }

    /// Acknowledges, waiting for room as long as the connection lives.
    pub(crate) async fn acknowledge(&self, id: i64, body: &impl Serialize) {
        // Mostly there is room.
        if let Err(Unsent::Full) = self.try_ack(id, body) {
            self.send(&Packet::ack(id, body)).await;
        }
    }

    /// Tries until it succeeds: for what the connection's buffer has no room for. Gives up, with
    /// `None`, once the server's own code has ended the connection.
    pub(crate) async fn retry<T>(&self, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
        ask_again(Duration::from_millis(50), || match attempt() {
            None if self.inbox.is_closed_by_server() => Some(None),
            done => done.map(Some),
        })
        .await
    }

    /// Receives what is broadcast to these channels.
    pub(crate) fn listen(&self, channels: Vec<String>) {
        self.socket.join(channels);
    }

    pub(crate) fn unlisten(&self, channels: Vec<String>) {
        self.socket.leave(channels);
    }

    pub(crate) fn unlisten_all(&self) {
        self.socket.leave_all();
    }

    /// Ends the session, once the buffer has room for the farewell or the transport is gone. The
    /// transport stays until the client closes it, or stops answering: socketioxide closes none.
    pub(crate) async fn close(&self) {
        ask_again(Duration::from_secs(1), || {
            (!self.socket.connected() || self.socket.clone().disconnect().is_ok()).then_some(())
        })
        .await;
        // A channel joined while the socket went away would keep its id.
        self.unlisten_all();
    }
}

/// Asks until there is an answer, less and less often: socketioxide cannot be waited on.
async fn ask_again<T>(most: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(most);
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

fn try_send(socket: &Arc<Socket>, packet: &Packet) -> Result<(), Unsent> {
    outcome(match packet.to {
        Address::Event(name) => socket.emit(name, &*packet.body),
        Address::Ack(id) => ack_sender(socket, id).send(&*packet.body),
    })
}

/// A sender is used up by a failed attempt: each gets its own.
fn ack_sender(socket: &Arc<Socket>, id: i64) -> AckSender {
    let Ok(sender) = AckSender::from_message_parts(socket, &mut empty(), &Some(id));
    sender
}

fn outcome(sent: Result<(), SendError>) -> Result<(), Unsent> {
    sent.map_err(|error| match error {
        SendError::Socket(SocketError::InternalChannelFull) => Unsent::Full,
        SendError::Socket(_) | SendError::Serialize(_) => Unsent::Closed,
    })
}

fn empty() -> Value {
    Value::Str("".into(), None)
}

/// How much is read from a WebSocket at once, in bytes. Every connection keeps a buffer of this size,
/// the idle ones too; most requests fit.
const READ_BUFFER: usize = 1_024;

/// The layer that answers `/socket.io/`.
pub(crate) type Endpoint = SocketIoLayer;
/// What [`Endpoint`] makes of the service below.
pub(crate) type EndpointService<S> = SocketIoService<S>;

/// Where broadcasts leave.
pub(crate) struct Gateway {
    io: SocketIo,
    /// The next broadcast that leaves somebody out.
    next: AtomicU64,
}

impl Gateway {
    /// Sets up the endpoint. Sessions hold `inner` only while they live.
    pub(crate) fn open<A: App>(inner: &Weak<Inner<A>>, limits: &Limits) -> (Endpoint, Self) {
        let parser = ParserConfig::common()
            .max_incoming_binary_buf_size(limits.payload)
            .max_incoming_binaries(limits.attachments);
        let (layer, io) = SocketIo::builder()
            .max_payload(limits.payload as u64)
            .ws_max_message_size(limits.payload)
            .ws_max_frame_size(limits.payload)
            .with_parser(parser)
            .max_buffer_size(limits.outgoing_packets)
            .ws_read_buffer_size(READ_BUFFER)
            .connect_timeout(limits.handshake_time)
            .build_layer();
        let inner = inner.clone();
        let seats = Arc::new(DashSet::new());
        let middleware =
            move |socket: SocketRef, Auth(auth): Auth| admit(inner, seats, socket, auth);
        io.ns("/", (|Owned(socket): Owned| run::<A>(socket)).with(middleware));
        (layer, Self { io, next: AtomicU64::new(0) })
    }

    pub(crate) fn io(&self) -> &SocketIo {
        &self.io
    }

    /// Closes all transports. Nobody is let in any more.
    pub(crate) async fn close(&self) {
        self.io.close().await;
    }

    /// Sends an event to everyone who listens to one of the channels, encoding once, but not to
    /// those who are excepted. Returns how many had no room for it; which, the transport does not say.
    pub(crate) fn broadcast(
        &self,
        channels: impl IntoIterator<Item = String>,
        except: &[&Connection],
        body: &(impl Serialize + ?Sized),
    ) -> usize {
        let no_channel: [String; 0] = [];
        let to = channels.into_iter().fold(self.io.within(no_channel), BroadcastOperators::within);
        if except.is_empty() {
            return Self::emit(to, body);
        }
        // Who is left out is what listens to a channel that nobody else ever has.
        let left_out = format!("except\n{}", self.next.fetch_add(1, Ordering::Relaxed));
        for connection in except {
            connection.socket.join(left_out.clone());
        }
        let missed = Self::emit(to.except(left_out.clone()), body);
        for connection in except {
            connection.socket.leave(left_out.clone());
        }
        missed
    }

    fn emit(to: BroadcastOperators, body: &(impl Serialize + ?Sized)) -> usize {
        let sent = to.emit(event::EVENT, body);
        // The local adapter sends while it is first polled.
        match sent.now_or_never() {
            Some(Ok(())) => 0,
            Some(Err(BroadcastError::Socket(errors))) => {
                let full = |error: &&SocketError| matches!(error, SocketError::InternalChannelFull);
                errors.iter().filter(full).count()
            }
            Some(Err(error)) => {
                tracing::error!(%error, "an event was not broadcast");
                0
            }
            None => {
                tracing::error!("a broadcast waited");
                0
            }
        }
    }
}

/// A connection that was let in, between its middleware and its session.
struct Admitted<A: App> {
    dialogue: Dialogue<A>,
    proven: Proven<A>,
    id: ClientId,
    inbox: Arc<Inbox>,
    seat: Seat,
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
    if let Some(transport) = socket.req_parts().extensions.get::<Transport>() {
        transport.check_connect().map_err(|limited| Refused(limited.into()))?;
    }
    let (id, inbox) = (ClientId::random(), Arc::new(Inbox::new(dialogue.limits())));
    receive(&socket, &inbox);
    let handshake = Handshake::new(id, socket.req_parts(), dialogue.proxies());
    let proven =
        session::authenticate(&dialogue, auth.as_deref(), &handshake).await.map_err(Refused)?;
    let admitted = Admitted { dialogue, proven, id, inbox, seat };
    socket.extensions.insert(Slot(Arc::new(Mutex::new(Some(admitted)))));
    Ok(())
}

/// Puts every message into the inbox, in the order of the wire.
fn receive(socket: &SocketRef, inbox: &Arc<Inbox>) {
    socket.on_fallback(Receiver(inbox.clone()));
    let inbox = inbox.clone();
    socket.on_disconnect(move |reason: SocketDisconnectReason| {
        inbox.close(reason.into());
        async {}
    });
}

/// Answers a request that is not taken on. Where not even the answer finds room, the client neither
/// listens nor waits: it is disconnected.
fn refuse(socket: &Arc<Socket>, inbox: &Inbox, ack: Option<i64>, untaken: Untaken) {
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
    if try_send(socket, &packet).is_err() {
        inbox.close(DisconnectReason::ServerClosed);
    }
}

/// The connect handler: already a task of its own, it is the session.
async fn run<A: App>(socket: Arc<Socket>) {
    let Some(Slot(slot)) = socket.extensions.remove::<Slot<A>>() else {
        return;
    };
    let admitted = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(Admitted { dialogue, proven, id, inbox, seat }) = admitted else { return };
    let connection = Connection { socket, id, inbox };
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
        f.write_str(encode(&self.0).get())
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
struct Receiver(Arc<Inbox>);

/// What tells it from socketioxide's own kinds of handlers.
struct InPlace;

impl MessageHandler<LocalAdapter, InPlace> for Receiver {
    fn call(&self, socket: Arc<Socket>, value: Value, ack: Option<i64>) {
        if let Err(untaken) = self.0.push(Frame { value, ack }) {
            refuse(&socket, &self.0, ack, untaken);
        }
    }
}
