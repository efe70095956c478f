//! TCP connections, and what each of them is open for.
//!
//! A connection waits for a request, or serves one until the answer is written. Those that serve requests of a
//! session that was let in count towards the session, all others towards their address. So no limit of an address
//! refuses a poll of a session.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::StatusCode,
    response::Response,
};
use dashmap::{DashMap, mapref::one::RefMut};
use tokio::sync::Notify;

use crate::{
    Limits, Rate,
    connection::{
        connection_counts::{ConnectionCounts, ConnectionSlot},
        network_prefix::{ADDRESSES_PER_NETWORK, host, network},
        rate_limiter::ByteRate,
        refusals::{Limit, Refusals, Source},
        transports::{RequestSlot, Transport},
    },
};

/// Number of connections of one address that may wait for a request, for each of its sessions that may be
/// open: a client that polls keeps one for its polls and one for its uploads.
const WAITING_PER_SESSION: usize = 2;

/// Counts TCP connections.
pub(crate) struct TcpConnections {
    total: ConnectionCounts,
    shared: Arc<Shared>,
}

struct Shared {
    /// Connections that serve requests of no session.
    requests: ConnectionCounts,
    waiting: Waiting,
    refusals: Arc<Refusals>,
}

/// Connections that wait for a request, the oldest first.
struct Waiting {
    /// Maximum number of one address.
    most: usize,
    next: AtomicU64,
    /// By network and prefix length: 48 or 64.
    queues: DashMap<(IpAddr, u32), Queue>,
    /// Whether new connections of one address are served one after another.
    paced: bool,
}

struct Queue {
    waiting: BTreeMap<u64, Arc<Notify>>,
    /// New connections, as long as some wait.
    begins: ByteRate,
}

/// How often the server begins to serve a connection of one address. Thousands that come together would hold up
/// everybody else.
fn begins() -> Rate {
    Rate::per_second(500).burst(64)
}

/// Maximum time that a new connection waits for others of its address.
const MAX_DELAY: Duration = Duration::from_secs(2);

impl Waiting {
    fn levels(&self, address: IpAddr) -> impl Iterator<Item = ((IpAddr, u32), usize)> {
        let most = self.most.saturating_mul(ADDRESSES_PER_NETWORK as usize);
        let network = network(address).map(|network| ((network, 48), most));
        std::iter::once(((host(address), 64), self.most)).chain(network)
    }

    /// Adds a connection. At the limit, has the oldest one closed; returns whether it did.
    fn add(&self, address: IpAddr, id: u64, close: &Arc<Notify>) -> bool {
        let mut closed = false;
        for (level, most) in self.levels(address) {
            let mut queue = self.queue(level);
            queue.waiting.insert(id, close.clone());
            if queue.waiting.len() > most
                && let Some((_, oldest)) = queue.waiting.pop_first()
            {
                oldest.notify_one();
                closed = true;
            }
        }
        closed
    }

    fn queue(&self, level: (IpAddr, u32)) -> RefMut<'_, (IpAddr, u32), Queue> {
        let times = if level.1 == 48 { ADDRESSES_PER_NETWORK } else { 1 };
        self.queues.entry(level).or_insert_with(|| Queue {
            waiting: BTreeMap::new(),
            begins: ByteRate::with_debt(self.paced.then(|| begins().times(times)), MAX_DELAY),
        })
    }

    /// How long a new connection waits for others of its address. The address is known, since the connection waits
    /// for a request.
    fn delay(&self, address: IpAddr) -> Option<Duration> {
        let delays = self.levels(address).filter_map(|(level, _)| {
            self.queue(level).begins.pay_and_check(1).err().map(|limited| limited.retry_after)
        });
        delays.max()
    }

    fn remove(&self, address: IpAddr, id: u64) {
        for (level, _) in self.levels(address) {
            if let dashmap::Entry::Occupied(mut queue) = self.queues.entry(level) {
                queue.get_mut().waiting.remove(&id);
                if queue.get().waiting.is_empty() {
                    queue.remove();
                }
            }
        }
    }

    fn holds(&self, address: IpAddr, id: u64) -> bool {
        self.levels(address).all(|(level, _)| {
            self.queues.get(&level).is_some_and(|queue| queue.waiting.contains_key(&id))
        })
    }
}

impl TcpConnections {
    pub(crate) fn new(limits: &Limits, refusals: Arc<Refusals>) -> Self {
        let per_address = limits.connections_per_address;
        let waiting = Waiting {
            // A request of a session needs a connection, whatever else the limit is.
            most: per_address.saturating_mul(WAITING_PER_SESSION).max(1),
            next: AtomicU64::new(0),
            queues: DashMap::new(),
            paced: limits.incoming_per_address.is_some(),
        };
        let requests = ConnectionCounts::new(per_address, usize::MAX);
        Self {
            total: ConnectionCounts::new(usize::MAX, limits.connections),
            shared: Arc::new(Shared { requests, waiting, refusals }),
        }
    }

    /// Counts a new connection, or returns `None` at the limit of all. A connection without an address is a
    /// trusted proxy's: its clients are counted when they connect.
    pub(crate) fn enter(&self, address: Option<IpAddr>) -> Option<Arc<TcpConnection>> {
        let place = self.total.enter(None).inspect_err(|limit| {
            self.shared.refusals.note(*limit, Source { address, forwarded: false });
        });
        let connection = Arc::new(TcpConnection {
            _place: place.ok()?,
            address,
            shared: self.shared.clone(),
            waits: Mutex::default(),
            answered: AtomicBool::new(false),
            unwritten: Mutex::default(),
            close: Arc::default(),
            upgraded: OnceLock::new(),
        });
        connection.wait();
        Some(connection)
    }

    /// Counts a connection that the process has no file descriptor for.
    pub(crate) fn note_out_of_files(&self) {
        self.shared.refusals.note(Limit::OpenFiles, Source::default());
    }
}

/// An open TCP connection, counted until it is dropped.
pub(crate) struct TcpConnection {
    _place: ConnectionSlot,
    address: Option<IpAddr>,
    shared: Arc<Shared>,
    /// Its id among those that wait, while it does.
    waits: Mutex<Option<u64>>,
    /// Whether it has served a request, but perhaps not written all of the answer.
    answered: AtomicBool,
    /// The place of that request.
    unwritten: Mutex<Option<ServingSlot>>,
    /// Notified when it waits and others need its place.
    close: Arc<Notify>,
    /// The request that made another protocol of it.
    upgraded: OnceLock<Arc<Serving>>,
}

impl TcpConnection {
    fn wait(&self) {
        let Some(address) = self.address else { return };
        let waiting = &self.shared.waiting;
        let id = waiting.next.fetch_add(1, Ordering::Relaxed);
        let closed = {
            let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
            *waits = Some(id);
            waiting.add(address, id, &self.close)
        };
        if closed {
            let source = Source { address: Some(address), forwarded: false };
            self.shared.refusals.note(Limit::Waiting, source);
        }
    }

    fn stop_waiting(&self) {
        let id = self.waits.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((address, id)) = self.address.zip(id) {
            self.shared.waiting.remove(address, id);
        }
    }

    /// The place of a request of a session (`transport`), or of none.
    fn place(&self, transport: Option<&Transport>, poll: bool) -> Result<ServingSlot, Limit> {
        let take = |transport: &Transport| transport.take_slot(poll);
        let of_session = transport.map(take).transpose()?.flatten();
        match (of_session, self.address) {
            (Some(place), _) => Ok(ServingSlot::Session(place)),
            (None, None) => Ok(ServingSlot::Proxy),
            (None, address) => self.shared.requests.enter(address).map(ServingSlot::Address),
        }
    }

    /// The answer is complete, and perhaps not written. Until it is, the connection keeps the place.
    fn answered(&self, place: Option<ServingSlot>) {
        *self.unwritten.lock().unwrap_or_else(PoisonError::into_inner) = place;
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Everything was written: after an answer it waits for the next request.
    pub(crate) fn written(&self) {
        if self.answered.load(Ordering::Relaxed) && self.begin() {
            self.wait();
        }
    }

    /// Gives the place of the last answer back. Returns whether there was an answer.
    fn begin(&self) -> bool {
        *self.unwritten.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.answered.swap(false, Ordering::Relaxed)
    }

    /// Whether it waits, and has no place to.
    fn is_displaced(&self) -> bool {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = self.address.zip(*waits);
        waits.is_some_and(|(address, id)| !self.shared.waiting.holds(address, id))
    }

    /// Returns when it is to be closed in favour of others.
    pub(crate) fn displaced(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let (close, this) = (self.close.clone(), Arc::downgrade(self));
        async move {
            loop {
                close.notified().await;
                if this.upgrade().is_none_or(|this| this.is_displaced()) {
                    return;
                }
            }
        }
    }

    /// How long it waits for others of its address before it is served.
    pub(crate) fn delay(&self) -> Option<Duration> {
        self.address.and_then(|address| self.shared.waiting.delay(address))
    }

    /// An extension of its requests.
    pub(crate) fn extension(self: &Arc<Self>) -> Carrier {
        Carrier(Arc::downgrade(self))
    }
}

impl Drop for TcpConnection {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}

/// The connection that a request came by.
#[derive(Clone)]
pub(crate) struct Carrier(Weak<TcpConnection>);

/// A connection while it serves a request.
pub(crate) struct Serving {
    connection: Weak<TcpConnection>,
    place: Mutex<Option<ServingSlot>>,
}

enum ServingSlot {
    Session(RequestSlot),
    Address(#[expect(dead_code, reason = "held")] ConnectionSlot),
    Proxy,
}

impl Serving {
    /// Begins to serve a request of a session (`transport`), which may be a `poll`, or of none. `None` without a
    /// connection, which another listener counts. Fails with the limit that is reached.
    pub(crate) fn begin(
        request: &Request,
        transport: Option<&Transport>,
        poll: bool,
    ) -> Result<Option<Arc<Self>>, Limit> {
        let carrier = request.extensions().get::<Carrier>();
        let Some(connection) = carrier.and_then(|carrier| carrier.0.upgrade()) else {
            return Ok(None);
        };
        connection.stop_waiting();
        connection.begin();
        let place = connection.place(transport, poll).inspect_err(|_| connection.answered(None))?;
        let connection = Arc::downgrade(&connection);
        Ok(Some(Arc::new(Self { connection, place: Mutex::new(Some(place)) })))
    }

    /// The request opened a session, which the connection counts towards from here on.
    pub(crate) fn opened(&self, transport: &Transport) {
        if let Some(place) = transport.take_first_slot() {
            *self.place() = Some(ServingSlot::Session(place));
        }
    }

    /// The session goes on by this connection, which is its WebSocket.
    pub(crate) fn upgraded(&self) {
        if let Some(ServingSlot::Session(place)) = &mut *self.place() {
            place.upgraded();
        }
    }

    fn place(&self) -> MutexGuard<'_, Option<ServingSlot>> {
        // No code that can panic runs under the lock.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves until hyper has taken the answer, or the connection ends if it is another protocol's now.
    pub(crate) fn until_written(self: Arc<Self>, answer: Response) -> Response {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            if let Some(connection) = self.connection.upgrade() {
                let _ = connection.upgraded.set(self.clone());
            }
            return answer;
        }
        answer.map(|body| Body::new(Served { body, _serving: self }))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.upgrade() {
            connection.answered(self.place().take());
        }
    }
}

/// An answer's body, until hyper has taken it.
struct Served {
    body: Body,
    _serving: Arc<Serving>,
}

impl HttpBody for Served {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(limits: &Limits) -> Vec<Option<Duration>> {
        let connections = TcpConnections::new(limits, Arc::default());
        let address = "192.0.2.1".parse().ok();
        let entered: Vec<_> = (0..2_000).filter_map(|_| connections.enter(address)).collect();
        let other = connections.enter("192.0.2.2".parse().ok()).unwrap();
        assert_eq!(other.delay(), None);
        entered.iter().map(|connection| connection.delay()).collect()
    }

    #[test]
    fn new_connections_of_one_address_are_served_one_after_another_within_two_seconds() {
        let delays = delays(&Limits::default());
        assert!(delays[..60].iter().all(Option::is_none));
        let last = delays.last().copied().flatten().unwrap();
        assert!(
            last > Duration::from_millis(1_500) && last < Duration::from_millis(2_100),
            "{last:?}"
        );
    }

    #[test]
    fn new_connections_are_not_delayed_without_a_limit_of_what_an_address_sends() {
        let limits = Limits { incoming_per_address: None, ..Limits::default() };
        assert!(delays(&limits).iter().all(Option::is_none));
    }
}
