//! The queue of outgoing packets of one connection.
//!
//! Dialogue has its own queue instead of socketioxide's, to count bytes, to share texts between connections
//! and to know which packets were written. [`crate::transport::socketio::websocket`] and [`crate::transport::socketio::polling`] take from it.

use std::{
    any::Any,
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    time::Duration,
};

use axum::body::Bytes;
use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use super::{
    budget::{Budget, Holding},
    packet::{ENTRY_OVERHEAD, Packet},
};
use crate::{
    Limits,
    connection::text_frames::{text_header, texts},
    protocol::event,
};

/// First pause of [`Outgoing::retry`]. It doubles while the queue does not shrink.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);
/// Longest pause of [`Outgoing::retry`].
const MAX_RETRY_DELAY: Duration = Duration::from_secs(2);
/// The frame of a heartbeat.
const PING: &[u8] = &[0x81, 1, b'2'];
/// Approximate number of bytes per [`Outgoing::take`]. A heartbeat overtakes what stays in the queue.
const BATCH_BYTES: usize = 65_536;
/// Maximum number of bytes that a client may send before its session begins, on either transport.
pub(crate) const MAX_BEFORE_SESSION: usize = 65_536;
/// Capacity that an empty queue keeps, in entries of about 90 bytes. One thread fills the queue and another one
/// empties it: buffers that come and go with each batch make them wait for the allocator.
const IDLE_CAPACITY: usize = 16;

/// The queue of one transport. Sessions use it one after the other.
pub(crate) struct Outgoing {
    queue: Mutex<Queue>,
    /// Wakes the task that takes from the queue.
    reader: AtomicWaker,
    /// Notified when the queue shrinks.
    shrunk: Notify,
    /// Number of the current session. The queue rejects packets of earlier sessions.
    session: AtomicU64,
    max_packets: usize,
    max_bytes: usize,
    process: Arc<Budget>,
    /// A large message from the client, and its length. While it is kept here, the transport cannot reuse its
    /// buffer and allocates a new one for the next message.
    large_incoming: Mutex<Option<(Box<dyn Any + Send>, usize)>>,
}

struct Queue {
    entries: VecDeque<Entry>,
    /// Number of packets that are queued or being written.
    packets: usize,
    /// Memory of the packets and frames that are queued or being written, in bytes.
    bytes: usize,
    /// The part of `bytes` that is being written.
    taken: usize,
    held: Holding,
    phase: Phase,
    /// Whether a client was ever let in.
    was_open: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No session has connected.
    Idle,
    /// The session has begun, and the greeting is not queued yet. Packets wait for it.
    Opening,
    Open,
    Closed,
}

/// What leaves next.
pub(crate) struct Entry {
    /// The header of a packet's frame, for a WebSocket.
    header: [u8; 10],
    header_length: usize,
    content: Content,
}

enum Content {
    Packet(Packet),
    /// Frames that the transport has made itself.
    Frames(Bytes),
    /// A heartbeat besides the transport's own. It is in no queue, and weighs nothing.
    Heartbeat,
}

impl Entry {
    fn packet(packet: Packet) -> Self {
        let (header, header_length) = text_header(packet.len());
        Self { header, header_length, content: Content::Packet(packet) }
    }

    fn frames(frames: Bytes) -> Self {
        Self { header: [0; 10], header_length: 0, content: Content::Frames(frames) }
    }

    /// A heartbeat besides the transport's own.
    pub(crate) fn heartbeat() -> Self {
        let mut header = [0; 10];
        header[..PING.len()].copy_from_slice(PING);
        Self { header, header_length: PING.len(), content: Content::Heartbeat }
    }

    /// Whether the client answers it as a heartbeat.
    pub(crate) fn is_heartbeat(&self) -> bool {
        match &self.content {
            Content::Packet(_) => false,
            Content::Frames(frames) => **frames == *PING,
            Content::Heartbeat => true,
        }
    }

    /// Whether it came from the transport.
    pub(crate) fn is_transports_own(&self) -> bool {
        matches!(self.content, Content::Frames(_))
    }

    fn is_packet(&self) -> bool {
        matches!(self.content, Content::Packet(_))
    }

    /// The bytes on a WebSocket, in order.
    pub(crate) fn parts(&self) -> [&[u8]; 3] {
        let header = &self.header[..self.header_length];
        match &self.content {
            Content::Packet(packet) => {
                let [head, body] = packet.parts();
                [header, head, body]
            }
            Content::Frames(frames) => [header, &[], frames],
            Content::Heartbeat => [header, &[], &[]],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// How many packets it is, and what it weighs in the queue.
    pub(crate) fn weight(&self) -> (usize, usize) {
        match &self.content {
            Content::Packet(packet) => (1, packet.weight()),
            Content::Frames(frames) => (0, frames.len() + ENTRY_OVERHEAD),
            Content::Heartbeat => (0, 0),
        }
    }

    /// Whether it is Engine.IO's answer to the probe of an upgrade.
    pub(crate) fn answers_probe(&self) -> bool {
        match &self.content {
            Content::Frames(frames) => texts(frames).any(|text| text == b"3probe"),
            Content::Packet(_) | Content::Heartbeat => false,
        }
    }
}

/// Whether a packet is the greeting (`dialogue:connected`). `socketioxide` sends it, after the CONNECT reply
/// and the packets of `App::socket_connected`. It is the last packet before the queue opens.
pub(crate) fn is_greeting(packet: &[u8]) -> bool {
    let name = packet
        .strip_prefix(b"42[\"")
        .and_then(|rest| rest.strip_prefix(event::CONNECTED.as_bytes()));
    name.is_some_and(|rest| rest.starts_with(b"\""))
}

/// Why a packet was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The queue is at its limit of packets or bytes, or a budget is spent.
    Full,
    /// The connection is gone.
    Closed,
}

impl Outgoing {
    /// An empty queue, whose bytes are charged to the budget of the client's address.
    pub(crate) fn new(limits: &Limits, address: Arc<Budget>, process: Arc<Budget>) -> Self {
        let queue = Queue {
            entries: VecDeque::new(),
            packets: 0,
            bytes: 0,
            taken: 0,
            held: Holding::new(address),
            phase: Phase::Idle,
            was_open: false,
        };
        Self {
            queue: Mutex::new(queue),
            reader: AtomicWaker::new(),
            shrunk: Notify::new(),
            session: AtomicU64::new(0),
            max_packets: limits.outgoing_packets,
            max_bytes: limits.outgoing_bytes,
            process,
            large_incoming: Mutex::default(),
        }
    }

    /// Keeps a large incoming message of `length` bytes until the transport reads the next one.
    pub(crate) fn keep_large(&self, message: impl Any + Send, length: usize) {
        let kept = Some((Box::new(message) as Box<dyn Any + Send>, length));
        *self.large_incoming.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    }

    /// Drops the large incoming message. Returns its length, if there was one.
    pub(crate) fn forget_large(&self) -> Option<usize> {
        let mut large = self.large_incoming.lock().unwrap_or_else(PoisonError::into_inner);
        large.take().map(|(_, length)| length)
    }

    /// The budget of the process, which encoded packets are counted against.
    pub(crate) fn process(&self) -> &Arc<Budget> {
        &self.process
    }

    /// Begins a session, and drops the queued packets of the session before it. Returns the session's number.
    pub(crate) fn begin(&self) -> u64 {
        let mut queue = self.lock();
        queue.forget_packets();
        if queue.phase != Phase::Closed {
            queue.phase = Phase::Opening;
        }
        self.session.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Ends a session, and drops its queued packets.
    pub(crate) fn end(&self, session: u64) {
        let mut queue = self.lock();
        if self.session.load(Ordering::Relaxed) == session {
            self.session.fetch_add(1, Ordering::Relaxed);
            queue.forget_packets();
        }
        drop(queue);
        self.shrunk.notify_waiters();
    }

    /// Whether a greeting was ever queued.
    pub(crate) fn was_open(&self) -> bool {
        self.lock().was_open
    }

    /// Opens the queue: the greeting is the next packet, and packets follow.
    pub(crate) fn open(&self) {
        let mut queue = self.lock();
        queue.open();
        drop(queue);
        self.reader.wake();
    }

    /// Queues a packet. An empty queue accepts a packet of any size, unless the budget of the client's
    /// address is spent.
    pub(crate) fn push(&self, session: u64, packet: Packet) -> Result<(), Unsent> {
        let mut queue = self.lock();
        if queue.phase == Phase::Closed || self.session.load(Ordering::Relaxed) != session {
            return Err(Unsent::Closed);
        }
        let bytes = queue.bytes + packet.weight();
        let behind = queue.packets > 0;
        if queue.packets >= self.max_packets
            || (behind && (bytes > self.max_bytes || self.process.is_spent()))
            || !queue.held.set(bytes)
        {
            return Err(Unsent::Full);
        }
        queue.bytes = bytes;
        queue.packets += 1;
        queue.entries.push_back(Entry::packet(packet));
        drop(queue);
        self.reader.wake();
        Ok(())
    }

    /// Queues the transport's own frames. `opens` says that the greeting is among them: after it, packets may
    /// leave.
    pub(crate) fn push_frames(&self, frames: Bytes, opens: bool) {
        let mut queue = self.lock();
        queue.bytes += frames.len() + ENTRY_OVERHEAD;
        let bytes = queue.bytes;
        queue.held.set_anyway(bytes);
        if matches!(queue.phase, Phase::Idle | Phase::Opening) {
            // The greeting precedes the packets that wait for it.
            let first = queue.entries.iter().position(Entry::is_packet);
            let first = first.unwrap_or(queue.entries.len());
            queue.entries.insert(first, Entry::frames(frames));
            if opens {
                queue.open();
            }
        } else if *frames == *PING {
            // Heartbeats overtake packets, so that a slow consumer answers before the heartbeat times out.
            queue.entries.push_front(Entry::frames(frames));
        } else {
            queue.entries.push_back(Entry::frames(frames));
        }
        drop(queue);
        self.reader.wake();
    }

    /// Moves the next entries to `entries`, which must be empty. The caller reports written entries with
    /// [`Outgoing::left`]. With `packets` false, it moves only frames of the transport.
    pub(crate) fn take(&self, entries: &mut VecDeque<Entry>, packets: bool) {
        let mut queue = self.lock();
        if queue.entries.is_empty() {
            return;
        }
        if packets && matches!(queue.phase, Phase::Open | Phase::Closed) {
            if queue.bytes <= BATCH_BYTES {
                std::mem::swap(&mut queue.entries, entries);
                queue.taken = queue.bytes;
                return;
            }
            let mut bytes = 0;
            while bytes < BATCH_BYTES
                && let Some(entry) = queue.entries.pop_front()
            {
                bytes += entry.weight().1;
                entries.push_back(entry);
            }
            queue.taken += bytes;
            return;
        }
        let all = std::mem::take(&mut queue.entries);
        (queue.entries, *entries) = all.into_iter().partition(Entry::is_packet);
        queue.taken += entries.iter().map(|entry| entry.weight().1).sum::<usize>();
    }

    /// Takes packets for a poll: up to `most` bytes, but at least one packet. They count towards the queue's
    /// limits until [`Outgoing::left`]. Registers `waker` for the next packet.
    pub(crate) fn take_packets(&self, most: usize, waker: &Waker) -> Vec<Packet> {
        self.reader.register(waker);
        let mut queue = self.lock();
        let (mut packets, mut bytes) = (Vec::new(), 0);
        if queue.phase != Phase::Open {
            return packets;
        }
        while let Some(Entry { content: Content::Packet(packet), .. }) = queue.entries.front() {
            bytes += packet.len() + 1;
            if bytes > most && !packets.is_empty() {
                break;
            }
            let packet = packet.clone();
            queue.taken += packet.weight();
            packets.push(packet);
            queue.entries.pop_front();
        }
        packets
    }

    /// Removes written packets and bytes from the queue's counts. Returns the buffer of
    /// [`Outgoing::take`] to the queue if it is small.
    pub(crate) fn left(&self, packets: usize, bytes: usize, entries: &mut VecDeque<Entry>) {
        let mut queue = self.lock();
        queue.packets = queue.packets.saturating_sub(packets);
        queue.bytes = queue.bytes.saturating_sub(bytes);
        queue.taken = queue.taken.saturating_sub(bytes);
        let bytes = queue.bytes;
        queue.held.set_anyway(bytes);
        if entries.is_empty() {
            // Reuse the buffer, unless it is large. The queue gets it if it has none.
            if entries.capacity() > IDLE_CAPACITY {
                *entries = VecDeque::new();
            }
            if queue.entries.capacity() == 0 {
                std::mem::swap(&mut queue.entries, entries);
            }
        }
        drop(queue);
        self.shrunk.notify_waiters();
    }

    /// Whether the transport's own frames may join the queue.
    pub(crate) fn has_room_for_frames(&self, most: usize) -> bool {
        let queue = self.lock();
        queue.bytes <= self.max_bytes.saturating_add(most)
    }

    /// Whether the budget of the client's address is nearly spent.
    pub(crate) fn is_over_budget(&self) -> bool {
        self.lock().held.is_nearly_spent()
    }

    /// Registers the task that takes from the queue. The queue wakes it for new entries.
    pub(crate) fn register(&self, waker: &Waker) {
        self.reader.register(waker);
    }

    /// Closes the queue and drops all packets. What is being written counts until [`Outgoing::left`].
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.phase = Phase::Closed;
        queue.forget_packets();
        (queue.packets, queue.bytes) = (0, queue.taken);
        let bytes = queue.bytes;
        queue.held.set_anyway(bytes);
        drop(queue);
        self.forget_large();
        self.reader.wake();
        self.shrunk.notify_waiters();
    }

    /// Whether the queue is below its limits. [`Outgoing::push`] may still fail because of a budget.
    pub(crate) fn has_room(&self) -> bool {
        let queue = self.lock();
        let room = queue.packets == 0 || queue.bytes < self.max_bytes;
        queue.phase == Phase::Closed || (queue.packets < self.max_packets && room)
    }

    /// Whether the queue holds at most an eighth of its maximum bytes (its low-water mark). The server
    /// handles the connection's next request only then.
    pub(crate) fn is_below_low_water(&self) -> bool {
        let queue = self.lock();
        queue.bytes <= self.max_bytes / 8 || queue.phase == Phase::Closed
    }

    /// Waits until [`Outgoing::is_below_low_water`].
    pub(crate) async fn wait_for_low_water(&self) {
        self.retry(|| self.is_below_low_water().then_some(())).await;
    }

    /// Whether no packet waits.
    pub(crate) fn is_empty(&self) -> bool {
        let queue = self.lock();
        queue.packets == 0 || queue.phase == Phase::Closed
    }

    /// Calls `attempt` until it returns `Some`: whenever the queue shrinks, and every 50 ms to 2 s, because
    /// another connection may have freed the budget of the client's address.
    pub(crate) async fn retry<T>(&self, mut attempt: impl FnMut() -> Option<T>) -> T {
        let mut pause = MIN_RETRY_DELAY;
        loop {
            // Created before the attempt: a notification during the attempt is not lost.
            let room = self.shrunk.notified();
            if let Some(done) = attempt() {
                return done;
            }
            pause = match tokio::time::timeout(pause, room).await {
                Ok(()) => MIN_RETRY_DELAY,
                Err(_) => (pause * 2).min(MAX_RETRY_DELAY),
            };
        }
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code that can panic runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn open(&mut self) {
        if self.phase == Phase::Opening {
            (self.phase, self.was_open) = (Phase::Open, true);
        }
    }

    /// Drops the queued packets. The transport's own frames stay.
    fn forget_packets(&mut self) {
        let waited = self.entries.len();
        let mut weight = 0;
        self.entries.retain(|entry| {
            if entry.is_packet() {
                weight += entry.weight().1;
            }
            !entry.is_packet()
        });
        self.packets = self.packets.saturating_sub(waited - self.entries.len());
        self.bytes = self.bytes.saturating_sub(weight);
        self.held.set_anyway(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use serde_json::json;

    use super::*;

    fn limits() -> Limits {
        let mut limits = Limits::default();
        (limits.outgoing_packets, limits.outgoing_bytes) = (3, 100_000);
        limits
    }

    fn unbounded() -> Arc<Budget> {
        Budget::new(usize::MAX, None)
    }

    /// A queue of a session whose client has its greeting.
    fn open() -> (Outgoing, u64) {
        let outgoing = Outgoing::new(&limits(), unbounded(), unbounded());
        let session = outgoing.begin();
        outgoing.open();
        (outgoing, session)
    }

    fn packet(text: &str) -> Packet {
        Packet::direct("a", &json!(text)).unwrap()
    }

    /// What leaves a WebSocket next, without the headers of frames.
    fn leaves(outgoing: &Outgoing, packets: bool) -> Vec<String> {
        let mut entries = VecDeque::new();
        outgoing.take(&mut entries, packets);
        let texts = entries.iter().map(|entry| {
            let [_, head, body] = entry.parts();
            String::from_utf8([head, body].concat()).unwrap()
        });
        let texts = texts.collect();
        for entry in std::mem::take(&mut entries) {
            let (packets, bytes) = entry.weight();
            outgoing.left(packets, bytes, &mut VecDeque::new());
        }
        texts
    }

    #[test]
    fn packets_before_the_greeting_leave_after_it() {
        let outgoing = Outgoing::new(&limits(), unbounded(), unbounded());
        assert!(!outgoing.was_open());
        let session = outgoing.begin();
        outgoing.push_frames("open".into(), false);
        outgoing.push(session, packet("x")).unwrap();
        assert_eq!(leaves(&outgoing, true), ["open"]);
        outgoing.push_frames("connect".into(), false);
        outgoing.push_frames("greeting".into(), true);
        outgoing.push_frames("ping".into(), false);
        assert_eq!(leaves(&outgoing, true), ["connect", "greeting", r#"42["a","x"]"#, "ping"]);
        assert!(outgoing.was_open());
        assert_eq!((outgoing.bytes(), outgoing.is_empty()), (0, true));
    }

    #[test]
    fn greeting_is_told_from_every_other_packet() {
        assert!(is_greeting(br#"42["dialogue:connected",{"clientId":"x"}]"#));
        for other in [
            "40{\"sid\":\"x\"}",
            "42[\"dialogue:connectedly\",1]",
            "42[\"x\",\"dialogue:connected\"]",
        ] {
            assert!(!is_greeting(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn take_during_upgrade_returns_only_transport_frames() {
        let (outgoing, session) = open();
        outgoing.push(session, packet("x")).unwrap();
        outgoing.push_frames("3probe".into(), false);
        assert_eq!(leaves(&outgoing, false), ["3probe"]);
        assert_eq!(leaves(&outgoing, true), [r#"42["a","x"]"#]);
    }

    #[test]
    fn push_over_the_packet_or_byte_limit_returns_full() {
        let (outgoing, session) = open();
        let long = packet(&"x".repeat(200_000));
        outgoing.push(session, long.clone()).unwrap();
        assert_eq!(outgoing.push(session, packet("x")), Err(Unsent::Full), "it is over its bytes");
        assert!(!outgoing.has_room() && !outgoing.is_below_low_water());
        assert_eq!(leaves(&outgoing, true).len(), 1);
        for _ in 0..3 {
            outgoing.push(session, packet("x")).unwrap();
        }
        assert_eq!(outgoing.push(session, packet("x")), Err(Unsent::Full), "three packets wait");
        assert!(outgoing.is_below_low_water());
    }

    #[test]
    fn push_over_the_address_budget_returns_full_for_an_empty_queue() {
        let address = Budget::new(50_000, None);
        let queues: Vec<_> =
            (0..2).map(|_| Outgoing::new(&limits(), address.clone(), unbounded())).collect();
        let sessions: Vec<_> = queues.iter().map(Outgoing::begin).collect();
        let long = packet(&"x".repeat(40_000));
        queues[0].push(sessions[0], long.clone()).unwrap();
        assert_eq!(queues[1].push(sessions[1], long.clone()), Err(Unsent::Full));
        queues[0].end(sessions[0]);
        assert_eq!(address.held(), 0);
        queues[1].push(sessions[1], long).unwrap();
        drop(queues);
        assert_eq!(address.held(), 0);
    }

    #[test]
    fn packet_shared_by_queues_is_counted_once_in_the_process_budget() {
        let process = Budget::new(usize::MAX, None);
        let long = packet(&"x".repeat(40_000)).counted(&process);
        let held = process.held();
        assert!((36_000..48_000).contains(&held), "{held}");
        let copies = vec![long.clone(); 10];
        assert_eq!(process.held(), held);
        drop((long, copies));
        assert_eq!(process.held(), 0);
    }

    #[test]
    fn packets_of_an_ended_session_are_dropped_and_rejected() {
        let (outgoing, first) = open();
        outgoing.push(first, packet("old")).unwrap();
        outgoing.end(first);
        assert_eq!(outgoing.push(first, packet("late")), Err(Unsent::Closed));
        let second = outgoing.begin();
        outgoing.push(second, packet("new")).unwrap();
        outgoing.push_frames("greeting".into(), true);
        assert_eq!(leaves(&outgoing, true), ["greeting", r#"42["a","new"]"#]);
        outgoing.close();
        assert_eq!(outgoing.push(second, packet("gone")), Err(Unsent::Closed));
    }

    #[test]
    fn take_packets_returns_up_to_max_bytes_and_at_least_one_packet() {
        let (outgoing, session) = open();
        for text in ["a", "b", "c"] {
            outgoing.push(session, packet(&text.repeat(50))).unwrap();
        }
        let most = 2 * (packet(&"a".repeat(50)).len() + 1);
        let taken = |most| outgoing.take_packets(most, Waker::noop()).len();
        assert_eq!([taken(most), taken(1), taken(most)], [2, 1, 0]);
        assert!(!outgoing.is_empty(), "they have not left");
    }

    #[tokio::test(start_paused = true)]
    async fn retry_succeeds_as_soon_as_the_queue_shrinks() {
        let (outgoing, session) = open();
        for _ in 0..3 {
            outgoing.push(session, packet("x")).unwrap();
        }
        let mut sent = Box::pin(outgoing.retry(|| outgoing.push(session, packet("y")).ok()));
        assert!((&mut sent).now_or_never().is_none());
        let before = tokio::time::Instant::now();
        assert_eq!(leaves(&outgoing, true).len(), 3);
        sent.await;
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}
