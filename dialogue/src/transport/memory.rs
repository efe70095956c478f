//! Connections within the process: a client that needs no socket.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use axum::http::{Request, request::Parts};
use tokio::{sync::oneshot, task::JoinHandle};
use tracing::Instrument;

use super::session;
use crate::{
    App, ClientId, Dialogue, DisconnectReason, Handshake, JoinError,
    connection::{
        Connection, Wire,
        inbox::{Inbox, Untaken},
        packet::Packet,
        raw_request::RawRequest,
        refusals::Source,
        transports::Transport,
    },
    protocol::{Connected, ErrorCode, Failure},
    service::{authenticate, rejections::internal},
};

/// The client's end of a connection within the process.
pub(crate) struct MemoryConnection {
    transport: Transport,
    inbox: Arc<Inbox>,
    received: VecDeque<Packet>,
    session: JoinHandle<()>,
    /// Whether the session has ended.
    ended: bool,
}

impl MemoryConnection {
    /// Connects a client. Returns its end and the greeting, as JSON. `auth` is the JSON of its credentials.
    pub(crate) async fn open<A: App>(
        dialogue: &Dialogue<A>,
        auth: Option<&str>,
    ) -> Result<(Self, String), Failure> {
        if dialogue.stopping().is_draining() {
            return Err(JoinError::Draining.into());
        }
        let transport = dialogue.transports().open(Source::default(), 0).map_err(|limit| {
            let message = format!("the limit `{}` is reached", limit.name());
            Failure::new(ErrorCode::LimitExceeded, message)
        })?;
        transport.check_connect()?;
        let session = transport.outgoing().begin();
        let id = ClientId::random();
        let inbox = Arc::new(Inbox::new(dialogue.limits(), transport.holding()));
        let (head, ()) = Request::new(()).into_parts();
        let handshake = Handshake::new(id, &head, dialogue.proxies());
        let proven = authenticate::prove(dialogue, auth, &handshake).await?;
        let (greeting, greeted) = oneshot::channel();
        let wire = MemoryWire {
            head,
            transport: transport.clone(),
            greeting: Mutex::new(Some(greeting)),
            is_open: AtomicBool::new(true),
        };
        let answers = dialogue.answers_of(&proven.user_id);
        let (wire, inbox_) = (Box::new(wire), inbox.clone());
        let connection = Connection::new(wire, id, inbox_, transport.clone(), session, answers);
        let span = tracing::info_span!("connection", client = %id, user = ?proven.user_id);
        let session = session::run(dialogue.clone(), connection, proven).instrument(span);
        let session = tokio::spawn(session);
        let this = Self { transport, inbox, received: VecDeque::new(), session, ended: false };
        let greeting = greeted.await.map_err(|_| internal())?;
        Ok((this, greeting))
    }

    /// Sends a request: `["name", payload]`. `ack` is the id of the acknowledgement that it asks for.
    pub(crate) fn send(&self, text: &str, ack: Option<i64>) -> Result<(), Failure> {
        self.inbox.push(RawRequest::new(Some(text.into()), ack)).map_err(|untaken| match untaken {
            Untaken::Overflow => {
                Failure::new(ErrorCode::LimitExceeded, "too many requests wait; await answers")
            }
            Untaken::Draining => JoinError::Draining.into(),
        })
    }

    /// Waits for the next packet. `None` once the connection has ended.
    pub(crate) async fn receive(&mut self) -> Option<Packet> {
        let outgoing = self.transport.outgoing().clone();
        poll_fn(|cx| {
            if let Some(packet) = self.received.pop_front() {
                return Poll::Ready(Some(packet));
            }
            let packets = outgoing.take_packets(usize::MAX, cx.waker());
            let weight = packets.iter().map(Packet::weight).sum();
            outgoing.left(packets.len(), weight, &mut VecDeque::new());
            self.received.extend(packets);
            if let Some(packet) = self.received.pop_front() {
                return Poll::Ready(Some(packet));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            // After its end, the session sends nothing; what it sent last is read once more.
            self.ended = Pin::new(&mut self.session).poll(cx).is_ready();
            if self.ended {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await
    }

    /// Ends the connection from the client's side.
    pub(crate) fn close(&self) {
        self.inbox.close(DisconnectReason::ClientLeft);
        self.transport.outgoing().close();
    }
}

impl Drop for MemoryConnection {
    fn drop(&mut self) {
        self.close();
    }
}

/// The server's end.
struct MemoryWire {
    head: Parts,
    transport: Transport,
    greeting: Mutex<Option<oneshot::Sender<String>>>,
    is_open: AtomicBool,
}

impl Wire for MemoryWire {
    fn head(&self) -> &Parts {
        &self.head
    }

    fn greet(&self, greeting: &Connected<'_>) -> bool {
        let text = serde_json::to_string(greeting).unwrap_or_default();
        let waiting = self.greeting.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A client that is gone hears nothing.
        let _ = waiting.map(|waiting| waiting.send(text));
        self.transport.outgoing().open();
        true
    }

    fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    fn close(&self) -> bool {
        self.is_open.store(false, Ordering::Release);
        true
    }
}
