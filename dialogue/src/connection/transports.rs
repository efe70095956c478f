//! Transports: the registry, and what one transport has.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use dashmap::DashMap;

use super::{
    address::Address,
    budget::{Account, Budget, Holding},
    connection_counts::{ConnectionCounts, ConnectionSlot},
    intake::Intake,
    network_prefix::{ADDRESSES_PER_NETWORK, host, network},
    outgoing::Outgoing,
    rate_limiter::{ByteRate, RateLimit, RateLimited},
    refusals::{Limit, Refusals, Source},
};
use crate::{Limits, Rate};

/// Number of requests of one session that are served at once by connections of its own: a poll, an upload,
/// and an upgrade. Further ones count towards their address.
const REQUESTS_PER_SESSION: usize = 3;
/// Memory that a connection takes while it serves an upload: hyper's buffers and what the server keeps beside
/// them. A poll is not charged, so that a client can always read what waits for it.
const REQUEST_BYTES: usize = 40_000;
/// Minimum time that the server keeps the state of an address after its last connection opened.
const MIN_ADDRESS_LIFETIME: Duration = Duration::from_mins(1);
/// Number of addresses from which on the server removes idle ones.
const SWEEP_THRESHOLD: usize = 1_024;

/// Transports by session id.
type Names = DashMap<Arc<str>, Weak<Opened>>;

/// The registry of transports, and the state of their addresses.
pub(crate) struct Transports {
    counts: ConnectionCounts,
    /// By network and prefix length: 48 or 64.
    known: DashMap<(IpAddr, u32), Arc<Address>>,
    /// Number of addresses from which on [`Transports::sweep`] runs.
    sweep_at: AtomicUsize,
    /// Transports that polls find by session id.
    polling: Arc<Names>,
    connects: Arc<RateLimit>,
    triggers: Arc<RateLimit>,
    process: Arc<Budget>,
    /// Shared by transports without a known address. It has no limits; the process's budget applies.
    unknown: Arc<Address>,
    limits: Limits,
    refusals: Arc<Refusals>,
}

impl Transports {
    pub(crate) fn new(limits: &Limits, refusals: Arc<Refusals>) -> Self {
        let mut unbounded = limits.clone();
        (unbounded.address_bytes, unbounded.connects_per_address) = (usize::MAX, None);
        (unbounded.triggers_per_address, unbounded.answers_per_address) = (None, None);
        (unbounded.incoming_per_address, unbounded.creations_per_address) = (None, None);
        Self {
            counts: ConnectionCounts::new(limits.connections_per_address, limits.connections),
            known: DashMap::new(),
            sweep_at: AtomicUsize::new(SWEEP_THRESHOLD),
            polling: Arc::default(),
            connects: Arc::new(RateLimit::new(limits.connects_in_all)),
            triggers: Arc::new(RateLimit::new(limits.triggers_in_all)),
            process: Budget::new(limits.total_bytes, None),
            unknown: Arc::new(Address::new(&unbounded, 1, None)),
            limits: limits.clone(),
            refusals,
        }
    }

    /// Opens a transport. Fails with the limit that is reached. `size` is the size of its request's head in
    /// bytes. The server keeps the head as long as the transport.
    pub(crate) fn open(&self, source: Source, size: usize) -> Result<Transport, Limit> {
        let slot = self.counts.enter(source.address)?;
        let address =
            source.address.map_or_else(|| self.unknown.clone(), |address| self.address(address));
        let outgoing = Outgoing::new(&self.limits, address.budget.clone(), self.process.clone());
        let account =
            Account::open(Holding::new(address.kept.clone()), size).ok_or(Limit::AddressBytes)?;
        let own = ByteRate::new(self.limits.incoming);
        let shared = address.levels().map(|level| level.incoming.clone());
        let meters = std::iter::once(Arc::new(own)).chain(shared).collect();
        let intake = Intake::new(meters, address.ends.clone());
        Ok(Transport(Arc::new(Opened {
            _slot: slot,
            account,
            intake: Arc::new(intake),
            address,
            connects: RateLimit::new(self.limits.connects),
            connects_in_all: self.connects.clone(),
            triggers_in_all: self.triggers.clone(),
            outgoing: Arc::new(outgoing),
            process: self.process.clone(),
            early: AtomicUsize::new(0),
            named: Mutex::default(),
            served: Arc::default(),
            source,
            refusals: self.refusals.clone(),
        })))
    }

    fn address(&self, address: IpAddr) -> Arc<Address> {
        self.sweep();
        let get = |key: (IpAddr, u32), make: &dyn Fn() -> Address| {
            let known = self.known.entry(key).or_insert_with(|| Arc::new(make())).clone();
            *known.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            known
        };
        let limits = &self.limits;
        let network = network(address).map(|network| {
            get((network, 48), &|| Address::new(limits, ADDRESSES_PER_NETWORK, None))
        });
        get((host(address), 64), &|| Address::new(limits, 1, network.clone()))
    }

    /// Removes addresses that have no connections and whose rate limits are full again. Does nothing below
    /// `sweep_at` addresses.
    fn sweep(&self) {
        if self.known.len() < self.sweep_at.load(Ordering::Relaxed) {
            return;
        }
        let refill_time = |rate: Option<Rate>| {
            rate.map_or(Duration::ZERO, |rate| rate.interval() * rate.at_once().get())
        };
        let rates = [
            self.limits.connects_per_address,
            self.limits.triggers_per_address,
            self.limits.creations_per_address,
        ];
        let remembered =
            rates.map(refill_time).into_iter().fold(MIN_ADDRESS_LIFETIME, Duration::max);
        self.known.retain(|_, address| {
            Arc::strong_count(address) > 1
                || address.last().elapsed() < remembered
                || !address.answers.is_full()
                || !address.incoming.is_full()
        });
        self.sweep_at.store(SWEEP_THRESHOLD.max(2 * self.known.len()), Ordering::Relaxed);
    }

    /// Registers a transport under its session id, until it is dropped.
    pub(crate) fn name(&self, sid: &str, transport: &Transport) {
        let sid: Arc<str> = sid.into();
        self.polling.insert(sid.clone(), Arc::downgrade(&transport.0));
        let named = (sid, Arc::downgrade(&self.polling));
        // No code that can panic runs under the lock.
        *transport.0.named.lock().unwrap_or_else(PoisonError::into_inner) = Some(named);
    }

    /// The transport with this session id.
    pub(crate) fn find(&self, sid: &str) -> Option<Transport> {
        self.polling.get(sid).and_then(|found| found.upgrade()).map(Transport)
    }

    /// The budget of the process.
    pub(crate) fn process(&self) -> &Arc<Budget> {
        &self.process
    }

    /// How many addresses have transports.
    pub(crate) fn addresses(&self) -> usize {
        self.counts.len()
    }
}

/// A handle of a transport. It is an extension of the request that opened the transport, which socketioxide
/// keeps.
#[derive(Clone)]
pub(crate) struct Transport(Arc<Opened>);

struct Opened {
    _slot: ConnectionSlot,
    account: Arc<Account>,
    intake: Arc<Intake>,
    address: Arc<Address>,
    connects: RateLimit,
    connects_in_all: Arc<RateLimit>,
    triggers_in_all: Arc<RateLimit>,
    outgoing: Arc<Outgoing>,
    process: Arc<Budget>,
    /// Bytes that polls uploaded before the session began.
    early: AtomicUsize,
    /// The session id, and the map to remove it from.
    named: Mutex<Option<(Arc<str>, Weak<Names>)>>,
    served: Arc<Served>,
    source: Source,
    refusals: Arc<Refusals>,
}

/// Counts one request of a session until it is dropped.
pub(crate) struct RequestSlot {
    served: Arc<Served>,
    cost: Cost,
}

/// Requests of one session that are served.
#[derive(Default)]
struct Served {
    number: AtomicUsize,
    /// Whether a poll is among them that is not charged.
    poll: AtomicBool,
}

/// What a request of a session costs while it is served.
enum Cost {
    Nothing,
    Poll,
    Memory(#[expect(dead_code, reason = "held")] Holding),
}

impl RequestSlot {
    /// The connection is the session's WebSocket from here on, whose memory is not counted.
    pub(crate) fn upgraded(&mut self) {
        self.cost = Cost::Nothing;
    }
}

impl Drop for RequestSlot {
    fn drop(&mut self) {
        if matches!(self.cost, Cost::Poll) {
            self.served.poll.store(false, Ordering::Relaxed);
        }
        self.served.number.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Transport {
    /// Counts the request that opens the session.
    pub(crate) fn take_first_slot(&self) -> Option<RequestSlot> {
        self.count()
    }

    /// Counts one more request of the session, or returns `None` if it has enough. Fails if the memory of its
    /// address is used up, unless it is the only `poll`.
    pub(crate) fn take_slot(&self, poll: bool) -> Result<Option<RequestSlot>, Limit> {
        let Some(mut slot) = self.count() else { return Ok(None) };
        if poll && !slot.served.poll.swap(true, Ordering::Relaxed) {
            slot.cost = Cost::Poll;
            return Ok(Some(slot));
        }
        let mut memory = Holding::new(self.0.address.requests.clone());
        if !memory.set_whole(REQUEST_BYTES) {
            return Err(Limit::AddressBytes);
        }
        slot.cost = Cost::Memory(memory);
        Ok(Some(slot))
    }

    fn count(&self) -> Option<RequestSlot> {
        let served = self.0.served.clone();
        let count = |n: usize| (n < REQUESTS_PER_SESSION).then_some(n + 1);
        served.number.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).ok()?;
        Some(RequestSlot { served, cost: Cost::Nothing })
    }

    /// Counts a refusal, and warns of it.
    fn refuse(&self, limit: Limit) {
        self.0.refusals.note(limit, self.0.source);
    }

    /// Checks the rate limits of a CONNECT: of the transport, its address and the server.
    pub(crate) fn check_connect(&self) -> Result<(), RateLimited> {
        self.0.connects.check()?;
        self.check_authenticate()
    }

    /// Checks the rate limits of an authentication: of the address and the server.
    pub(crate) fn check_authenticate(&self) -> Result<(), RateLimited> {
        let own = self.0.address.check(|address| &address.connects);
        own.inspect_err(|_| self.refuse(Limit::ConnectsPerAddress))?;
        self.0.connects_in_all.check().inspect_err(|_| self.refuse(Limit::ConnectsInAll))
    }

    /// Checks the rate limit of room creations and deletions of its address.
    pub(crate) fn check_creation(&self) -> Result<(), RateLimited> {
        let checked = self.0.address.check(|address| &address.creations);
        checked.inspect_err(|_| self.refuse(Limit::CreationsPerAddress))
    }

    /// Checks the rate limits of a trigger: of the address and the server.
    pub(crate) fn check_trigger(&self) -> Result<(), RateLimited> {
        let own = self.0.address.check(|address| &address.triggers);
        own.inspect_err(|_| self.refuse(Limit::TriggersPerAddress))?;
        self.0.triggers_in_all.check().inspect_err(|_| self.refuse(Limit::TriggersInAll))
    }

    /// Checks the byte rate of answers to the address.
    pub(crate) fn check_answers(&self) -> Result<(), RateLimited> {
        let checked = self.0.address.check_answers();
        checked.inspect_err(|_| self.refuse(Limit::AnswersPerAddress))
    }

    /// Charges an answer to the byte rate of the address.
    pub(crate) fn pay(&self, bytes: usize) {
        self.0.address.pay(bytes);
    }

    /// What the server keeps for the client.
    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.0.account
    }

    /// What the client sends.
    pub(crate) fn intake(&self) -> &Arc<Intake> {
        &self.0.intake
    }

    /// The queue of outgoing packets.
    pub(crate) fn outgoing(&self) -> &Arc<Outgoing> {
        &self.0.outgoing
    }

    /// A new charge to the budgets of the address and the process, for incoming data.
    pub(crate) fn holding(&self) -> Holding {
        Holding::new(self.0.address.budget.clone()).and(self.0.process.clone())
    }

    /// Adds to the bytes that polls uploaded before the session began. Returns their sum.
    pub(crate) fn count_early(&self, bytes: usize) -> usize {
        self.0.early.fetch_add(bytes, Ordering::Relaxed) + bytes
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.outgoing.close();
        let named = self.named.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((sid, names)) = named.take()
            && let Some(names) = names.upgrade()
        {
            names.remove(&sid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Source {
        Source { address: address.parse().ok(), forwarded: false }
    }

    #[test]
    fn connect_rate_of_an_address_persists_after_its_connections_close() {
        let mut limits = Limits::default();
        (limits.connects, limits.connects_in_all) = (None, None);
        limits.connects_per_address = Some(Rate::new(2, Duration::from_hours(1)));
        let transports = Transports::new(&limits, Arc::default());
        let open = |address: &str| transports.open(from(address), 0).unwrap();
        for allowed in [true, true, false] {
            assert_eq!(open("192.0.2.1").check_connect().is_ok(), allowed);
        }
        assert!(open("192.0.2.2").check_connect().is_ok());
        // A network of 48 bits has the rate of four addresses.
        let allowed = (0..10).filter(|n| {
            let address = format!("2001:db8:0:{n}::1");
            open(&address).check_connect().is_ok()
        });
        assert_eq!(allowed.count(), 8);
    }

    #[test]
    fn byte_budget_of_an_address_is_shared_by_its_connections() {
        let limits = Limits { address_bytes: 100_000, ..Limits::default() };
        let transports = Transports::new(&limits, Arc::default());
        let open = |address: &str| transports.open(from(address), 0).unwrap();
        let mut first = open("192.0.2.1").holding();
        let mut second = open("192.0.2.1").holding();
        assert!(first.set(80_000));
        assert!(!second.set(80_000));
        assert!(open("192.0.2.2").holding().set(80_000));
        drop(first);
        assert!(second.set(80_000));
    }

    #[test]
    fn transport_is_found_by_session_id_until_it_is_dropped() {
        let transports = Transports::new(&Limits::default(), Arc::default());
        let (sid, transport) = ("1", transports.open(Source::default(), 0).unwrap());
        assert!(transports.find(sid).is_none());
        transports.name(sid, &transport);
        assert!(transports.find(sid).is_some());
        drop(transport);
        assert!(transports.find(sid).is_none());
        assert!(transports.polling.is_empty());
    }
}
