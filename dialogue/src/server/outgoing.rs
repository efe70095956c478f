//! What waits for one connection's reader, whichever transport it reads from.
//!
//! The queue is ours rather than the transport's: it counts bytes, shares texts between connections, and
//! knows what has left. A WebSocket ([`super::websocket`]) and polls ([`super::polling`]) take from it.

use std::{
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
use socketioxide::handler::Value;
use tokio::sync::Notify;

use super::{
    Limits,
    budget::{Budget, Holding},
    frames::{text_header, texts},
    packet::Packet,
};
use crate::protocol::event;

/// After how long to try again what did not fit, if nothing has left meanwhile; twice as long each time.
const AGAIN: Duration = Duration::from_millis(50);
const LONGEST_AGAIN: Duration = Duration::from_secs(2);
/// What frames take besides their bytes: a place in the queue.
const PLACE: usize = 128;
/// The frame of a heartbeat.
const PING: &[u8] = &[0x81, 1, b'2'];
/// How many bytes are taken off the queue at once, about: a heartbeat overtakes the rest.
const AT_ONCE: usize = 65_536;
/// How many bytes a client may send before it is let in, on either transport.
pub(super) const BEFORE_SESSION: usize = 65_536;
/// How many entries an idle queue keeps room for.
const IDLE: usize = 4;

/// The queue of one transport. Sessions use it one after the other.
pub(crate) struct Outgoing {
    queue: Mutex<Queue>,
    /// The task that takes from the queue.
    reader: AtomicWaker,
    /// Those who wait for room.
    room: Notify,
    /// The present session: what an earlier one sends is not queued any more.
    session: AtomicU64,
    max_packets: usize,
    max_bytes: usize,
    process: Arc<Budget>,
    /// A large message that arrived: while it is here, the transport makes another buffer for the next one.
    large: Mutex<Option<Value>>,
}

struct Queue {
    entries: VecDeque<Entry>,
    /// Packets that have not left, those on their way included.
    packets: usize,
    /// Their weight.
    bytes: usize,
    held: Holding,
    phase: Phase,
    /// Whether a client was ever let in.
    was_open: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No session has connected.
    Idle,
    /// The client has not been sent its greeting, which precedes every packet.
    Opening,
    Open,
    Closed,
}

/// What leaves next.
pub(super) struct Entry {
    /// The header of a packet's frame, for a WebSocket.
    header: [u8; 10],
    header_length: usize,
    content: Content,
}

enum Content {
    Packet(Packet),
    /// Frames that the transport has made itself.
    Frames(Bytes),
}

impl Entry {
    fn packet(packet: Packet) -> Self {
        let (header, header_length) = text_header(packet.len());
        Self { header, header_length, content: Content::Packet(packet) }
    }

    fn frames(frames: Bytes) -> Self {
        Self { header: [0; 10], header_length: 0, content: Content::Frames(frames) }
    }

    fn is_packet(&self) -> bool {
        matches!(self.content, Content::Packet(_))
    }

    /// The bytes on a WebSocket, in order.
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        let header = &self.header[..self.header_length];
        match &self.content {
            Content::Packet(packet) => {
                let [head, body] = packet.parts();
                [header, head, body]
            }
            Content::Frames(frames) => [header, &[], frames],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// How many packets it is, and what it weighs in the queue.
    pub(super) fn weight(&self) -> (usize, usize) {
        match &self.content {
            Content::Packet(packet) => (1, packet.weight()),
            Content::Frames(frames) => (0, frames.len() + PLACE),
        }
    }

    /// Whether it tells a client that polls that a WebSocket would do.
    pub(super) fn answers_probe(&self) -> bool {
        match &self.content {
            Content::Frames(frames) => texts(frames).any(|text| text == b"3probe"),
            Content::Packet(_) => false,
        }
    }
}

/// Whether a packet of the transport's is the greeting: it goes the transport's own way, as the CONNECT
/// reply does and what an app sends when a socket connects, and ends it.
pub(super) fn is_greeting(packet: &[u8]) -> bool {
    let name = packet
        .strip_prefix(b"42[\"")
        .and_then(|rest| rest.strip_prefix(event::CONNECTED.as_bytes()));
    name.is_some_and(|rest| rest.starts_with(b"\""))
}

/// Why a packet was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// As many packets or bytes wait as may.
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
            held: Holding::new(address),
            phase: Phase::Idle,
            was_open: false,
        };
        Self {
            queue: Mutex::new(queue),
            reader: AtomicWaker::new(),
            room: Notify::new(),
            session: AtomicU64::new(0),
            max_packets: limits.outgoing_packets,
            max_bytes: limits.outgoing_bytes,
            process,
            large: Mutex::default(),
        }
    }

    /// Keeps a large message until the transport reads on.
    pub(crate) fn keep_large(&self, message: Value) {
        *self.large.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
    }

    /// Lets go of a large message; returns whether there was one.
    pub(super) fn forget_large(&self) -> bool {
        self.large.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }

    /// The budget of the process, which encoded packets are counted against.
    pub(crate) fn process(&self) -> &Arc<Budget> {
        &self.process
    }

    /// Begins a session; returns its number. What an earlier one left is gone.
    pub(crate) fn begin(&self) -> u64 {
        let mut queue = self.lock();
        queue.forget_packets();
        if queue.phase != Phase::Closed {
            queue.phase = Phase::Opening;
        }
        self.session.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Ends a session: nothing that it left reaches the client.
    pub(crate) fn end(&self, session: u64) {
        let mut queue = self.lock();
        if self.session.load(Ordering::Relaxed) == session {
            self.session.fetch_add(1, Ordering::Relaxed);
            queue.forget_packets();
        }
        drop(queue);
        self.room.notify_waiters();
    }

    /// Whether a client was ever let in.
    pub(crate) fn was_open(&self) -> bool {
        self.lock().was_open
    }

    /// The client gets its greeting next: packets may follow.
    pub(super) fn open(&self) {
        let mut queue = self.lock();
        queue.open();
        drop(queue);
        self.reader.wake();
    }

    /// Queues a packet. One that finds nothing before it always fits the connection; not so the
    /// budget of the client's address.
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

    /// Queues frames that the transport made; with the greeting among them, packets may follow.
    pub(super) fn push_frames(&self, frames: Bytes, opens: bool) {
        let mut queue = self.lock();
        queue.bytes += frames.len() + PLACE;
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
            // A client that reads slowly answers in time.
            queue.entries.push_front(Entry::frames(frames));
        } else {
            queue.entries.push_back(Entry::frames(frames));
        }
        drop(queue);
        self.reader.wake();
    }

    /// Moves what may leave now to `entries`, which is empty. What leaves is told by [`Outgoing::left`].
    /// With `packets` false, only the transport's own frames leave.
    pub(super) fn take(&self, entries: &mut VecDeque<Entry>, packets: bool) {
        let mut queue = self.lock();
        if queue.entries.is_empty() {
            return;
        }
        if packets && matches!(queue.phase, Phase::Open | Phase::Closed) {
            if queue.bytes <= AT_ONCE {
                std::mem::swap(&mut queue.entries, entries);
                return;
            }
            let mut bytes = 0;
            while bytes < AT_ONCE
                && let Some(entry) = queue.entries.pop_front()
            {
                bytes += entry.weight().1;
                entries.push_back(entry);
            }
            return;
        }
        let all = std::mem::take(&mut queue.entries);
        (queue.entries, *entries) = all.into_iter().partition(Entry::is_packet);
    }

    /// Takes packets for a poll: as many as fit `most` bytes, but at least one. They weigh on the queue
    /// until [`Outgoing::left`] is told. Remembers who waits, if there is none.
    pub(super) fn take_packets(&self, most: usize, waker: &Waker) -> Vec<Packet> {
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
            packets.push(packet.clone());
            queue.entries.pop_front();
        }
        packets
    }

    /// Notes that packets have left, and what they and frames weighed. `entries` are those that
    /// [`Outgoing::take`] gave.
    pub(super) fn left(&self, packets: usize, bytes: usize, entries: &mut VecDeque<Entry>) {
        let mut queue = self.lock();
        queue.packets = queue.packets.saturating_sub(packets);
        queue.bytes = queue.bytes.saturating_sub(bytes);
        let bytes = queue.bytes;
        queue.held.set_anyway(bytes);
        if entries.is_empty() {
            // One buffer goes back and forth; what was large is not kept.
            let buffer = std::mem::take(entries);
            if queue.entries.capacity() == 0 && buffer.capacity() <= IDLE {
                queue.entries = buffer;
            }
        }
        drop(queue);
        self.room.notify_waiters();
    }

    /// Whether the transport's own frames may join the queue.
    pub(super) fn has_room_for_frames(&self, most: usize) -> bool {
        let queue = self.lock();
        queue.bytes <= self.max_bytes.saturating_add(most)
    }

    /// The task that takes from the queue is to be woken when there is something.
    pub(super) fn register(&self, waker: &Waker) {
        self.reader.register(waker);
    }

    /// Nothing leaves any more.
    pub(super) fn close(&self) {
        let mut queue = self.lock();
        queue.phase = Phase::Closed;
        queue.forget_packets();
        (queue.packets, queue.bytes) = (0, 0);
        queue.held.set_anyway(0);
        drop(queue);
        self.forget_large();
        self.reader.wake();
        self.room.notify_waiters();
    }

    /// Whether a packet may be queued, as far as what waits already goes.
    pub(crate) fn has_room(&self) -> bool {
        let queue = self.lock();
        let room = queue.packets == 0 || queue.bytes < self.max_bytes;
        queue.phase == Phase::Closed || (queue.packets < self.max_packets && room)
    }

    /// Whether so little waits that the client may be answered something else.
    pub(crate) fn is_kept_up_with(&self) -> bool {
        let queue = self.lock();
        queue.bytes <= self.max_bytes / 8 || queue.phase == Phase::Closed
    }

    /// Waits until so little waits that the client may be answered something else.
    pub(crate) async fn keeps_up(&self) {
        self.retry(|| self.is_kept_up_with().then_some(())).await;
    }

    /// Whether no packet waits.
    pub(crate) fn is_empty(&self) -> bool {
        let queue = self.lock();
        queue.packets == 0 || queue.phase == Phase::Closed
    }

    /// Tries until it succeeds, each time that something has left, and now and then: the budget of the
    /// client's address may have room again because of another connection.
    pub(crate) async fn retry<T>(&self, mut attempt: impl FnMut() -> Option<T>) -> T {
        let mut pause = AGAIN;
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            // From here on, it is noticed.
            room.as_mut().enable();
            if let Some(done) = attempt() {
                return done;
            }
            pause = match tokio::time::timeout(pause, room).await {
                Ok(()) => AGAIN,
                Err(_) => (pause * 2).min(LONGEST_AGAIN),
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

    /// Drops what waits and is not the transport's own.
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
    fn while_a_client_upgrades_only_the_transports_frames_leave() {
        let (outgoing, session) = open();
        outgoing.push(session, packet("x")).unwrap();
        outgoing.push_frames("3probe".into(), false);
        assert_eq!(leaves(&outgoing, false), ["3probe"]);
        assert_eq!(leaves(&outgoing, true), [r#"42["a","x"]"#]);
    }

    #[test]
    fn push_beyond_the_packets_or_bytes_of_a_connection_is_full() {
        let (outgoing, session) = open();
        let long = packet(&"x".repeat(200_000));
        outgoing.push(session, long.clone()).unwrap();
        assert_eq!(outgoing.push(session, packet("x")), Err(Unsent::Full), "it is over its bytes");
        assert!(!outgoing.has_room() && !outgoing.is_kept_up_with());
        assert_eq!(leaves(&outgoing, true).len(), 1);
        for _ in 0..3 {
            outgoing.push(session, packet("x")).unwrap();
        }
        assert_eq!(outgoing.push(session, packet("x")), Err(Unsent::Full), "three packets wait");
        assert!(outgoing.is_kept_up_with());
    }

    #[test]
    fn push_beyond_the_bytes_of_an_address_is_full_also_for_a_client_that_keeps_up() {
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
    fn text_that_several_queues_share_is_counted_once_in_the_process() {
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
    fn what_an_ended_session_left_and_sends_reaches_nobody() {
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
    fn poll_takes_as_much_as_fits_and_at_least_one_packet() {
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
    async fn retry_succeeds_as_soon_as_something_has_left() {
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
