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
    /// Binary attachments of one message. Dialogue's own requests have none; handlers of the app's on
    /// [`Dialogue::io`](crate::Dialogue::io) may take some. Default: 10.
    pub attachments: usize,
    /// The bytes of the attachments of one message, which are held until all are there. Default: 16,384.
    pub attachment_bytes: usize,
    /// The bytes of the head of a request of Socket.IO's, which stays as long as the connection; a longer
    /// one is answered 431. Default: 16,384.
    pub head: usize,
    /// The bytes of an event's `meta`, as a client sends it. Default: 4,096.
    pub meta: usize,
    /// How deep the JSON of a message may nest: arrays and objects within each other, of which the
    /// message itself takes two. A deeper one is answered `INVALID_REQUEST`. Default: 32.
    pub depth: usize,
    /// The time between opening a transport and being authenticated. Default: 5 s.
    pub handshake_time: Duration,
    /// The time that a client may take to send the body of a poll. Default: 30 s.
    pub request_time: Duration,
    /// Connections that the server holds at once, where [`Dialogue::serve`](crate::Dialogue::serve)
    /// and its like serve it; one more is closed, with 503 where it still hears it. Default: as many
    /// files as the process may be allowed to open, less 64 for everything else.
    pub connections: usize,
    /// Connections of one address, or of one IPv6 network of 64 bits, by whatever transport; one more
    /// is answered 429 where it comes through a trusted proxy, and closed otherwise. Default: 1,000,
    /// or a quarter of `connections`, if that is less.
    pub connections_per_address: usize,
    /// The bytes that the server keeps because of the clients of one address, beyond 4,096 for each
    /// connection and direction: what waits for them, and what they sent and is not handled. An IPv6
    /// network of 48 bits may have four times as many. At the limit, clients wait, are set aside as slow
    /// consumers, or are closed. Default: 24,000,000.
    pub address_bytes: usize,
    /// The bytes that the server keeps because of all clients together, each text once, however many
    /// clients it waits for. Default: 512,000,000.
    pub total_bytes: usize,
    /// How often one transport may connect, by which is meant to authenticate. Default: 1/s, 10 at
    /// once.
    pub connects: Option<Rate>,
    /// How often the transports of one address may authenticate. An IPv6 network of 48 bits may four
    /// times as often. Default: 100/s, 1,000 at once.
    pub connects_per_address: Option<Rate>,
    /// How often all transports together may authenticate. Default: 5,000/s, 20,000 at once.
    pub connects_in_all: Option<Rate>,
    /// How often one connection may trigger events. Default: 100/s, 200 at once.
    pub triggers: Option<Rate>,
    /// How often the connections of one address may trigger events. An IPv6 network of 48 bits may four
    /// times as often. Default: 2,000/s, 10,000 at once.
    pub triggers_per_address: Option<Rate>,
    /// How often all connections together may trigger events. Default: 100,000/s, 200,000 at once.
    pub triggers_in_all: Option<Rate>,
    /// How often one user may ask for history. Default: 5/s, 20 at once.
    pub history: Option<Rate>,
    /// How often one connection may join rooms, whose answers may be long. Default: 10/s, 200 at once.
    pub joins: Option<Rate>,
    /// The bytes of answers to joins, and to requests for history and lists of rooms, that one user may be
    /// given: each time that the rate allows is a byte. One that is over it is paid off before the next.
    /// Default: 2,000,000/s, 20,000,000 at once.
    pub answers: Option<Rate>,
    /// The same for the users of one address together. An IPv6 network of 48 bits may have four times as
    /// many. Default: 20,000,000/s, 200,000,000 at once.
    pub answers_per_address: Option<Rate>,
    /// How often one connection may create or delete rooms. Default: 1/s, 20 at once.
    pub creations: Option<Rate>,
    /// How often one connection may ask for anything else. Default: 100/s, 200 at once.
    pub requests: Option<Rate>,
    /// The time that one run of a hook or handler may take, and for which the requests that still
    /// wait when a connection is lost are handled. Default: 5 s.
    pub hook_time: Duration,
    /// The time that a join may wait for a client that does not read its answers; then it is answered
    /// `LIMIT_EXCEEDED`. After each wait, the hooks decide again whether the client may join. Default:
    /// 10 s.
    pub join_time: Duration,
    /// The time that [`Dialogue::serve`](crate::Dialogue::serve) and its like take to stop at most, when
    /// the process is told to end. Default: 10 s.
    pub stop_time: Duration,
    /// The time that one call to the store may take. Default: 10 s.
    pub store_time: Duration,
    /// After how long without another event the members of a room are told where its log ends, so that
    /// nobody waits for what it missed. Default: 10 s.
    pub quiet_time: Duration,
    /// For how long a client may take nothing of what is being written to it, before its connection is
    /// closed. Default: 20 s.
    pub write_time: Duration,
    /// Packets that wait for a slow reader, per connection. With more, it is moved aside: it hears of
    /// nothing until it has room again, and is then told where the room's log ends. Default: 128.
    pub outgoing_packets: usize,
    /// The bytes of the packets that wait for a slow reader, per connection; one that waits alone may have
    /// more. With more, it is set aside in the same way. Its next request is handled once an eighth of
    /// them or less wait. Default: 1,000,000.
    pub outgoing_bytes: usize,
    /// Requests that wait for their turn, per connection; one more is answered `LIMIT_EXCEEDED`.
    /// Default: 16,384.
    pub waiting_requests: usize,
    /// The bytes of the requests that wait, per connection; one that waits alone may have more. Default:
    /// 4,000,000.
    pub waiting_bytes: usize,
    /// Events that wait for a room's `#[on]` handlers; with more, triggers into the room wait. Twice
    /// as many again may wait of those that `#[on]` handlers trigger. Default: 1,024.
    pub waiting_events: usize,
    /// Events that wait to be stored, per room; one more is answered `LIMIT_EXCEEDED`. Default: 10,000.
    pub waiting_appends: usize,
    /// Rooms that one connection may be in. Default: 100.
    pub rooms_per_connection: usize,
    /// Rooms that one user may have created, by asking for them, and not deleted. Default: 20.
    pub rooms_per_user: usize,
    /// Rooms that clients of one address may have created, by asking for them, and not deleted; IPv6 addresses are
    /// counted per /64. Default: 100.
    pub rooms_per_address: usize,
    /// Rooms that users may have created, all together, when one asks for another. The last tenth is for users and
    /// addresses that have none. Default: 10,000.
    pub created_rooms: usize,
    /// The time that a room which a client asked for may be empty. After that it ends as if it had been deleted, and
    /// its log with it; not so if code has added handlers to it. Default: 10 min.
    pub empty_time: Duration,
    /// Subscriptions of one member in a room with `events(any)`. Default: 100.
    pub subscriptions_per_room: usize,
    /// Rooms in one answer to a request for the list of rooms, and rooms that are looked at for it.
    /// Default: 1,000.
    pub page_rooms: usize,
    /// Events on one page of history. Default: 100.
    pub page_events: usize,
    /// Bytes of the events on one page of history, or in the answer to a join, and of the rooms in a list:
    /// what an event weighs is its texts (payload, context, sender, room, name) and 256 bytes; one always
    /// fits. Default: 256,000.
    pub page_bytes: usize,
    /// Events that a client may have missed to be sent them all when it comes back; with more, it starts
    /// anew. Default: 1,000.
    pub recovery_events: usize,
    /// What they may weigh, in bytes. Default: 256,000.
    pub recovery_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let connections = open_files().saturating_sub(64).max(64);
        Self {
            payload: 1_000_000,
            attachments: 10,
            attachment_bytes: 16_384,
            head: 16_384,
            meta: 4_096,
            depth: 32,
            handshake_time: Duration::from_secs(5),
            request_time: Duration::from_secs(30),
            connections,
            connections_per_address: (connections / 4).min(1_000),
            address_bytes: 24_000_000,
            total_bytes: 512_000_000,
            connects: Some(Rate::per_second(1).burst(10)),
            connects_per_address: Some(Rate::per_second(100).burst(1_000)),
            connects_in_all: Some(Rate::per_second(5_000).burst(20_000)),
            triggers: Some(Rate::per_second(100).burst(200)),
            triggers_per_address: Some(Rate::per_second(2_000).burst(10_000)),
            triggers_in_all: Some(Rate::per_second(100_000).burst(200_000)),
            history: Some(Rate::per_second(5).burst(20)),
            joins: Some(Rate::per_second(10).burst(200)),
            answers: Some(Rate::per_second(2_000_000).burst(20_000_000)),
            answers_per_address: Some(Rate::per_second(20_000_000).burst(200_000_000)),
            creations: Some(Rate::per_second(1).burst(20)),
            requests: Some(Rate::per_second(100).burst(200)),
            hook_time: Duration::from_secs(5),
            join_time: Duration::from_secs(10),
            stop_time: Duration::from_secs(10),
            store_time: Duration::from_secs(10),
            quiet_time: Duration::from_secs(10),
            write_time: Duration::from_secs(20),
            outgoing_packets: 128,
            outgoing_bytes: 1_000_000,
            waiting_requests: 16_384,
            waiting_bytes: 4_000_000,
            waiting_events: 1_024,
            waiting_appends: 10_000,
            rooms_per_connection: 100,
            rooms_per_user: 20,
            rooms_per_address: 100,
            created_rooms: 10_000,
            empty_time: Duration::from_mins(10),
            subscriptions_per_room: 100,
            page_rooms: 1_000,
            page_events: 100,
            page_bytes: 256_000,
            recovery_events: 1_000,
            recovery_bytes: 256_000,
        }
    }
}

/// How many files the process may be allowed to open.
fn open_files() -> usize {
    #[cfg(unix)]
    if let Ok((_, hard)) = rlimit::Resource::NOFILE.get() {
        // Nobody has a million connections on one machine without saying so.
        return usize::try_from(hard).unwrap_or(usize::MAX).min(1 << 20);
    }
    16_384
}

/// Has the process allowed to open as many files as so many connections take, where it may be.
pub(crate) fn allow_connections(connections: usize) {
    #[cfg(unix)]
    if let Err(error) = rlimit::increase_nofile_limit(connections.saturating_add(64) as u64) {
        tracing::warn!(%error, "the limit of open files stays");
    }
    #[cfg(not(unix))]
    let _ = connections;
}

impl Limits {
    /// With numbers that everything below can count with.
    pub(crate) fn sane(mut self) -> Self {
        const LONG: Duration = Duration::from_hours(24 * 365);
        for time in [
            &mut self.handshake_time,
            &mut self.request_time,
            &mut self.hook_time,
            &mut self.join_time,
            &mut self.stop_time,
            &mut self.store_time,
            &mut self.quiet_time,
            &mut self.write_time,
            &mut self.empty_time,
        ] {
            *time = (*time).min(LONG);
        }
        self.outgoing_packets = self.outgoing_packets.max(1);
        self
    }
}
