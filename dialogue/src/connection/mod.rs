//! One connection, as the rest of the server sees it.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

pub(crate) mod address;
pub(crate) mod budget;
pub(crate) mod client_id;
pub(crate) mod client_rates;
pub(crate) mod connection_counts;
pub(crate) mod counter;
pub(crate) mod decode;
pub(crate) mod disconnect_reason;
pub(crate) mod inbox;
pub(crate) mod intake;
pub(crate) mod network_prefix;
pub(crate) mod order;
pub(crate) mod outgoing;
pub(crate) mod packet;
pub(crate) mod rate_limiter;
pub(crate) mod raw_request;
pub(crate) mod refusals;
pub(crate) mod text_frames;
pub(crate) mod transports;

use axum::http::request::Parts;
use serde::Serialize;

use self::{
    budget::{Budget, Holding},
    inbox::Inbox,
    outgoing::Unsent,
    packet::{Body, Packet},
    rate_limiter::ByteRate,
    transports::Transport,
};
use crate::{ClientId, JoinError, RateLimited, protocol::Connected};

/// What differs between kinds of connections. Packets wait in the connection's queue, from which its transport takes
/// them.
pub(crate) trait Wire: Any + Send + Sync {
    /// The head of the HTTP request that opened the connection.
    fn head(&self) -> &Parts;

    /// Sends the greeting, which packets wait for. Returns false if it has to be tried again.
    fn greet(&self, greeting: &Connected<'_>) -> bool;

    /// Whether the client is still there.
    fn is_open(&self) -> bool;

    /// Ends the session. Returns false if that has to be tried again.
    fn close(&self) -> bool;
}

/// One connection, as the rest of the server sees it.
pub(crate) struct Connection {
    wire: Box<dyn Wire>,
    pub(crate) id: ClientId,
    pub(crate) inbox: Arc<Inbox>,
    transport: Transport,
    /// Which session of the transport's.
    session: u64,
    /// What the user's answers may weigh.
    answers: Arc<ByteRate>,
    /// Whether it receives no more events.
    deaf: AtomicBool,
}

impl Connection {
    pub(crate) fn new(
        wire: Box<dyn Wire>,
        id: ClientId,
        inbox: Arc<Inbox>,
        transport: Transport,
        session: u64,
        answers: Arc<ByteRate>,
    ) -> Self {
        Self { wire, id, inbox, transport, session, answers, deaf: AtomicBool::new(false) }
    }

    pub(crate) fn wire(&self) -> &dyn Wire {
        &*self.wire
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Sends the greeting, which packets wait for.
    pub(crate) async fn greet(&self, greeting: &Connected<'_>) {
        self.retry(|| self.wire.greet(greeting).then_some(())).await;
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
    /// stays until the client closes it, or stops answering.
    pub(crate) async fn close(&self) {
        let outgoing = self.transport.outgoing();
        let ended = || {
            let gone = !self.wire.is_open();
            (gone || (outgoing.is_empty() && self.wire.close())).then_some(())
        };
        outgoing.retry(ended).await;
        outgoing.end(self.session);
    }
}
