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
use tokio::sync::Notify;

use super::{
    Limits,
    budget::{Budget, Holding},
    frames::{text_header, texts},
    packet::Packet,
};
use crate::protocol::event;

/// After how long to try again what did not fit.
const AGAIN: Duration = Duration::from_millis(50);
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
            Content::Frames(frames) => (0, frames.len()),
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
        }
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
        queue.bytes += frames.len();
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
            std::mem::swap(&mut queue.entries, entries);
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
        drop(queue);
        self.reader.wake();
        self.room.notify_waiters();
    }

    /// Whether a packet may be queued, as far as what waits already goes.
    pub(crate) fn has_room(&self) -> bool {
        let queue = self.lock();
        queue.packets < self.max_packets && (queue.packets == 0 || queue.bytes < self.max_bytes)
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
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            // From here on, it is noticed.
            room.as_mut().enable();
            if let Some(done) = attempt() {
                return done;
            }
            let _ = tokio::time::timeout(AGAIN, room).await;
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
