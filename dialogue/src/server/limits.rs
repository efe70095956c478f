//! How much of everything there may be.

use std::time::Duration;

/// Bounds on what clients and hooks may take. The defaults suit a public chat.
///
/// ```
/// use dialogue::Limits;
///
/// let mut limits = Limits::default();
/// limits.payload = 64 * 1024;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The longest message from a client, in bytes, on any transport. A longer one closes the
    /// connection. Default: 1,000,000.
    pub payload: usize,
    /// Binary attachments of one message, which count towards `payload`. Default: 10.
    pub attachments: usize,
    /// The bytes of an event's `meta`, as a client sends it. Default: 4,096.
    pub meta: usize,
    /// How deep the JSON of a message may nest. Default: 128.
    pub depth: usize,
    /// The time between opening a transport and being authenticated. Default: 5 s.
    pub handshake_time: Duration,
    /// The time that one run of a hook or handler may take, and for which the requests that still
    /// wait when a connection is lost are handled. Default: 5 s.
    pub hook_time: Duration,
    /// Packets that wait for a slow reader, per connection. Default: 128.
    pub outgoing_packets: usize,
    /// Requests that wait for their turn, per connection; one more is answered `LIMIT_EXCEEDED`.
    /// Default: 16,384.
    pub waiting_requests: usize,
    /// The bytes of the requests that wait, per connection. Default: 8,000,000.
    pub waiting_bytes: usize,
    /// Events that wait for a room's `#[on]` handlers; with more, triggers into the room wait. Twice
    /// as many again may wait of those that `#[on]` handlers trigger. Default: 1,024.
    pub waiting_events: usize,
    /// Rooms that one connection may be in. Default: 100.
    pub rooms_per_connection: usize,
    /// Subscriptions of one member in a room with `events(any)`. Default: 100.
    pub subscriptions_per_room: usize,
    /// Events on one page of history. Default: 100.
    pub page_events: usize,
    /// Bytes of the events on one page of history, or in the answer to a join; one event always
    /// fits. Default: 256,000.
    pub page_bytes: usize,
    /// Empty rooms of families whose history is kept in memory. Default: 1,000.
    pub empty_rooms: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload: 1_000_000,
            attachments: 10,
            meta: 4_096,
            depth: 128,
            handshake_time: Duration::from_secs(5),
            hook_time: Duration::from_secs(5),
            outgoing_packets: 128,
            waiting_requests: 16_384,
            waiting_bytes: 8_000_000,
            waiting_events: 1_024,
            rooms_per_connection: 100,
            subscriptions_per_room: 100,
            page_events: 100,
            page_bytes: 256_000,
            empty_rooms: 1_000,
        }
    }
}
