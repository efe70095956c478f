//! How much of everything there may be.

use std::time::Duration;

use crate::Rate;

/// Bounds on what clients and hooks may take. The defaults suit a public chat.
///
/// ```
/// use dialogue::{Limits, Rate};
///
/// let mut limits = Limits::default();
/// limits.payload = 64 * 1024;
/// limits.triggers = Some(Rate::per_second(10).burst(50));
/// limits.requests = None;                                  // as often as they like
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
    /// The time that a client may take to send one HTTP request, its body included. Default: 30 s.
    pub request_time: Duration,
    /// Connections that the server holds at once, where [`Dialogue::serve`](crate::Dialogue::serve)
    /// and its like serve it; one more is answered 503. Default: as many files as the process may
    /// open, less 64 for everything else.
    pub connections: usize,
    /// Connections of one address, by whatever transport; one more is answered 429. Default: 1,000.
    pub connections_per_address: usize,
    /// How often one connection may trigger events. Default: 100/s, 200 at once.
    pub triggers: Option<Rate>,
    /// How often one user may ask for history. Default: 5/s, 20 at once.
    pub history: Option<Rate>,
    /// How often one connection may ask for anything else. Default: 100/s, 200 at once.
    pub requests: Option<Rate>,
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
    /// Rooms that one user may have created, by asking for them, and not deleted. Default: 20.
    pub rooms_per_user: usize,
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
            request_time: Duration::from_secs(30),
            connections: open_files().saturating_sub(64).max(64),
            connections_per_address: 1_000,
            triggers: Some(Rate::per_second(100).burst(200)),
            history: Some(Rate::per_second(5).burst(20)),
            requests: Some(Rate::per_second(100).burst(200)),
            hook_time: Duration::from_secs(5),
            outgoing_packets: 128,
            waiting_requests: 16_384,
            waiting_bytes: 8_000_000,
            waiting_events: 1_024,
            rooms_per_connection: 100,
            rooms_per_user: 20,
            subscriptions_per_room: 100,
            page_events: 100,
            page_bytes: 256_000,
            empty_rooms: 1_000,
        }
    }
}

/// How many files the process may open.
fn open_files() -> usize {
    #[cfg(unix)]
    if let Ok((soft, _)) = rlimit::Resource::NOFILE.get() {
        return usize::try_from(soft).unwrap_or(usize::MAX);
    }
    16_384
}
