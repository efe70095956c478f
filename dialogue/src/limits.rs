//! Resource limits and their defaults.

use std::time::Duration;

use crate::{Error, Rate};

/// Resource limits for clients and hooks. The defaults suit a public chat.
///
/// ```
/// use dialogue::{Limits, Rate};
///
/// let mut limits = Limits::default();
/// limits.payload = 64 * 1024;
/// limits.triggers = Some(Rate::per_second(10).burst(50));
/// limits.requests = None;                                  // no rate limit
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The longest message from a client, in bytes, on any transport. A longer one closes the
    /// connection. Default: 1,000,000.
    pub payload: usize,
    /// Maximum number of binary attachments of one message. Only handlers that the app adds to
    /// [`Dialogue::io`](crate::Dialogue::io) receive attachments. Default: 10.
    pub attachments: usize,
    /// Maximum size of the attachments of one message together, in bytes. Default: 16,384.
    pub attachment_bytes: usize,
    /// Maximum size of the head of a Socket.IO request, in bytes. The server keeps the head as long as the
    /// connection. It answers a longer head with 431. Default: 16,384.
    pub head: usize,
    /// Maximum size of an event's `meta` from a client, in bytes. Default: 4,096.
    pub meta: usize,
    /// Maximum nesting of arrays and objects in a message. The message itself takes two levels. The server
    /// answers a deeper one with `INVALID_REQUEST`. Default: 32.
    pub depth: usize,
    /// Maximum number of objects and lists in a message, because each of them may break rules. Over it, the
    /// server rejects the request with `LIMIT_EXCEEDED`. Default: 20,000.
    pub containers: usize,
    /// The time between opening a transport and being authenticated. Default: 5 s.
    pub handshake_time: Duration,
    /// Time between two heartbeats of a connection, from 1 ms to 1 h. Clients learn it when they connect.
    /// Proxies must keep idle connections open for longer. Default: 25 s.
    pub heartbeat_interval: Duration,
    /// How long a client may take to answer a heartbeat, from 1 ms to 1 h; then the connection ends with
    /// [`DisconnectReason::TimedOut`](crate::DisconnectReason::TimedOut). Default: 20 s.
    pub heartbeat_timeout: Duration,
    /// The time that a client may take to send the body of a poll. Default: 30 s.
    pub request_time: Duration,
    /// Maximum number of open connections. A client that polls holds two while it sends. [`serve`](crate::Dialogue::serve),
    /// [`serve_with`](crate::Dialogue::serve_with) and [`serve_on`](crate::Dialogue::serve_on) answer a
    /// further connection with 503 and close it. With [`layer`](crate::Dialogue::layer), the limit applies to
    /// Socket.IO transports only, and a further one is answered 429. Default: the hard limit of open files
    /// (at most 1,048,576) minus 64, but at least 64; 16,320 where the system is not Unix.
    pub connections: usize,
    /// Maximum number of Socket.IO sessions of one address, over all transports. A further one is answered 429.
    /// IPv6 addresses are counted per /64, and an IPv6 /48 has four times as many. A poll of a session that was
    /// let in is served whatever else the address does. Its uploads, two at once, are served while all uploads of
    /// the address take at most a third of `address_bytes`, at 40,000 bytes each. [`serve`](crate::Dialogue::serve) and its like
    /// also serve at most as many requests of other kinds at once (a further one is answered 429), and let twice as
    /// many connections wait for a request: over that, they close the one that has waited longest. So one address
    /// holds up to four times as many TCP connections, and those of uploads, which count towards `address_bytes`.
    /// Default: 1,000, or an eighth of `connections` if less.
    pub connections_per_address: usize,
    /// Maximum memory for the clients of one address, in bytes, besides their connections, which take up to
    /// 26,000 bytes each, and twice that while they poll. An IPv6 /48 has four times as much. Default:
    /// 30,000,000. The server counts:
    ///
    /// - the head of a connection's request,
    /// - a membership as 2,500 bytes, the room's id twice, and the names of its subscriptions: 32 bytes each
    ///   or, for names that no room declares, three times their length and 128 bytes,
    /// - queued outgoing packets, answers that wait for space in the queue, and incoming data that is not
    ///   handled yet, beyond the first 4,096 bytes of each kind and connection.
    ///
    /// Events that wait for `#[on]` handlers count, too, at least 4,096 bytes each, and uploads of sessions that
    /// poll: 40,000 bytes each. Heads and memberships may take half of it, such uploads a third. At the limit, the
    /// server rejects connections and uploads (429), joins and long answers
    /// (`RATE_LIMITED`)
    /// and triggers with handlers (`TriggerError::Overloaded`, after [`join_time`](Limits::join_time)), lets
    /// requests wait, sets members aside as slow consumers, or closes connections.
    pub address_bytes: usize,
    /// Maximum memory for packets and incoming data of all clients, in bytes. A packet in several queues
    /// counts once; connections and memberships do not count. Default: 512,000,000.
    pub total_bytes: usize,
    /// Rate limit of Socket.IO CONNECT packets of one transport. Each one runs `App::authenticate`.
    /// Default: 1/s, burst 10.
    pub connects: Option<Rate>,
    /// Rate limit of authentications of one address. An IPv6 /48 has four times as much. Default: 100/s,
    /// burst 1,000.
    pub connects_per_address: Option<Rate>,
    /// Rate limit of all authentications. Default: 5,000/s, burst 20,000.
    pub connects_in_all: Option<Rate>,
    /// Rate limit of what one connection sends, in bytes. Each message and each request of long polling
    /// counts 1,024 bytes more, and each microsecond of decoding and validating a payload 50. Over it, the
    /// server reads from the connection when the debt is paid off. Default: 1,000,000/s, burst 4,000,000.
    pub incoming: Option<Rate>,
    /// The same limit for all connections of one address. An IPv6 /48 has four times as much. With this limit,
    /// the server also spreads the beginnings and ends of many connections of one address: 64 begin and 32 end at
    /// once, and after them 500 in each second. None waits for more than two seconds. Default: 10,000,000/s, burst 20,000,000.
    pub incoming_per_address: Option<Rate>,
    /// Rate limit of triggers of one connection. Default: 100/s, burst 200.
    pub triggers: Option<Rate>,
    /// Rate limit of triggers of one address. An IPv6 /48 has four times as much. Default: 2,000/s, burst
    /// 10,000.
    pub triggers_per_address: Option<Rate>,
    /// Rate limit of all triggers. Default: 100,000/s, burst 200,000.
    pub triggers_in_all: Option<Rate>,
    /// Rate limit of history requests of one user. Default: 5/s, burst 20.
    pub history: Option<Rate>,
    /// Rate limit of joins of one connection. Default: 10/s, burst 200.
    pub joins: Option<Rate>,
    /// Rate limit of the answers to one user's joins, history requests and room lists, in bytes. An answer
    /// may exceed what is left; then the next request is rejected until the debt is paid off. Default:
    /// 2,000,000/s, burst 20,000,000.
    pub answers: Option<Rate>,
    /// The same limit for all users of one address. An IPv6 /48 has four times as much. Default:
    /// 20,000,000/s, burst 200,000,000.
    pub answers_per_address: Option<Rate>,
    /// Rate limit of room creations and deletions of one connection. Default: 1/s, burst 20.
    pub creations: Option<Rate>,
    /// The same limit for all connections of one address, because the server announces rooms to all clients.
    /// An IPv6 /48 has four times as much. Default: 5/s, burst 100.
    pub creations_per_address: Option<Rate>,
    /// Rate limit of all other requests of one connection. Default: 100/s, burst 200.
    pub requests: Option<Rate>,
    /// Time limit of one call of a hook or handler. After a connection is lost, the server also starts
    /// handling its waiting requests for this long. Default: 5 s.
    pub hook_time: Duration,
    /// How long a join waits for a client that does not read its answers. Then the server answers
    /// `LIMIT_EXCEEDED`. After each wait, it runs `sees` and `before_join` again. Default: 10 s.
    pub join_time: Duration,
    /// Time limit of the shutdown of `serve`, `serve_with` and `serve_on` on SIGTERM or Ctrl-C. Default:
    /// 10 s.
    pub stop_time: Duration,
    /// Time limit of one call to the store. Default: 10 s.
    pub store_time: Duration,
    /// Time after a room's last stored event, after which its members receive `dialogue:position`. So they
    /// detect a gap without another event. Default: 10 s.
    pub quiet_time: Duration,
    /// Maximum time without progress, after which the server closes a connection. A WebSocket progresses while its
    /// client answers heartbeats, of which one follows 16,384 bytes at the latest (or a longer packet, for which
    /// the client has a second more per 1,000 bytes), and otherwise while the client reads of a pending write and
    /// its address is not over `address_bytes`. Another connection of `serve` and its like progresses while the
    /// client reads of its answer. Default: 20 s.
    pub write_time: Duration,
    /// Maximum number of queued outgoing packets of one connection. On overflow, the room sets the member
    /// aside as a slow consumer: it delivers nothing to the member until the queue has space again, and then
    /// sends `dialogue:position`. Default: 128.
    pub outgoing_packets: usize,
    /// Maximum size of the queued outgoing packets of one connection, in bytes. A single packet may exceed
    /// it. On overflow, the room sets the member aside, as with `outgoing_packets`. The server handles the
    /// connection's next request when the queue holds at most an eighth of this. Default: 1,000,000.
    pub outgoing_bytes: usize,
    /// Maximum number of waiting requests of one connection. On overflow, the server answers
    /// `LIMIT_EXCEEDED`. Default: 16,384.
    pub waiting_requests: usize,
    /// Maximum size of the waiting requests of one connection, in bytes. A single request may exceed it.
    /// Default: 4,000,000.
    pub waiting_bytes: usize,
    /// Maximum number of events that wait for a room's `#[on]` handlers. On overflow, triggers into the room
    /// wait. Events that `#[on]` handlers trigger have a second queue of twice this size; on its overflow,
    /// the trigger fails with `TriggerError::Overloaded`. Default: 1,024.
    pub waiting_events: usize,
    /// Maximum number of events of one room that wait to be stored. On overflow, the server answers
    /// `LIMIT_EXCEEDED`. Default: 10,000.
    pub waiting_appends: usize,
    /// Maximum number of rooms that one connection joins. Default: 100.
    pub rooms_per_connection: usize,
    /// Maximum number of open rooms that one user created with `dialogue:createRoom`. Default: 20.
    pub rooms_per_user: usize,
    /// Maximum number of open rooms that clients of one address created with `dialogue:createRoom`. IPv6
    /// addresses are counted per /64. Default: 100.
    pub rooms_per_address: usize,
    /// Maximum number of open rooms that users created, checked by `dialogue:createRoom`. The last tenth is
    /// reserved for users and addresses without a room. Default: 10,000.
    pub created_rooms: usize,
    /// How long a room that a client created may stay without members. Then the server deletes the room and
    /// its log, unless code has added handlers to the room. Default: 10 min.
    pub empty_time: Duration,
    /// Maximum number of subscriptions of one member in a room with `events(any)`. A join may have as many
    /// besides the room's defaults; names beyond are in the answer as `unknownEvents`. Default: 100.
    pub subscriptions_per_room: usize,
    /// Maximum number of rooms on one page of the room list, and of rooms that the server checks with `sees`
    /// for it. Default: 1,000.
    pub page_rooms: usize,
    /// Maximum number of events on one page of history. Default: 100.
    pub page_events: usize,
    /// Maximum size of one page of history, of the events in the answer to a join, and of one page of the
    /// room list, in bytes. An event counts as its payload, `meta`, sender, room and name plus 256 bytes. One
    /// event or room always fits. Default: 256,000.
    pub page_bytes: usize,
    /// Maximum number of missed events in a recovery. With more, the answer to the join says
    /// `recovered: false`: the Rust client reads them from the history, others start anew. Default: 1,000.
    pub recovery_events: usize,
    /// Maximum size of the missed events in a recovery, in bytes, counted as in `page_bytes`. Default:
    /// 256,000.
    pub recovery_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let connections = max_open_files().saturating_sub(64).max(64);
        Self {
            payload: 1_000_000,
            attachments: 10,
            attachment_bytes: 16_384,
            head: 16_384,
            meta: 4_096,
            depth: 32,
            containers: 20_000,
            handshake_time: Duration::from_secs(5),
            heartbeat_interval: Duration::from_secs(25),
            heartbeat_timeout: Duration::from_secs(20),
            request_time: Duration::from_secs(30),
            connections,
            connections_per_address: (connections / 8).min(1_000),
            address_bytes: 30_000_000,
            total_bytes: 512_000_000,
            connects: Some(Rate::per_second(1).burst(10)),
            connects_per_address: Some(Rate::per_second(100).burst(1_000)),
            connects_in_all: Some(Rate::per_second(5_000).burst(20_000)),
            incoming: Some(Rate::per_second(1_000_000).burst(4_000_000)),
            incoming_per_address: Some(Rate::per_second(10_000_000).burst(20_000_000)),
            triggers: Some(Rate::per_second(100).burst(200)),
            triggers_per_address: Some(Rate::per_second(2_000).burst(10_000)),
            triggers_in_all: Some(Rate::per_second(100_000).burst(200_000)),
            history: Some(Rate::per_second(5).burst(20)),
            joins: Some(Rate::per_second(10).burst(200)),
            answers: Some(Rate::per_second(2_000_000).burst(20_000_000)),
            answers_per_address: Some(Rate::per_second(20_000_000).burst(200_000_000)),
            creations_per_address: Some(Rate::per_second(5).burst(100)),
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

/// The hard limit of open files of this process, at most 1,048,576; 16,384 where the system is not Unix.
fn max_open_files() -> usize {
    #[cfg(unix)]
    if let Ok((_, hard)) = rlimit::Resource::NOFILE.get() {
        // The hard limit may be infinite. An app that needs more sets `Limits::connections`.
        return usize::try_from(hard).unwrap_or(usize::MAX).min(1 << 20);
    }
    16_384
}

/// Raises the soft limit of open files to `connections` + 64, or to the hard limit if that is lower.
pub(crate) fn raise_open_file_limit(connections: usize) {
    #[cfg(unix)]
    if let Err(error) = rlimit::increase_nofile_limit(connections.saturating_add(64) as u64) {
        tracing::warn!(%error, "cannot raise the limit of open files; raise it with `ulimit -n`");
    }
    #[cfg(not(unix))]
    let _ = connections;
}

impl Limits {
    /// Checks what the server cannot do without.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let valid = Duration::from_millis(1)..=Duration::from_hours(1);
        let heartbeats = [
            ("heartbeat_interval", self.heartbeat_interval),
            ("heartbeat_timeout", self.heartbeat_timeout),
        ];
        for (limit, value) in heartbeats {
            if !valid.contains(&value) {
                return Err(Error::Limit { limit, value, rule: "from 1 ms to 1 h" });
            }
        }
        Ok(())
    }

    /// How many bytes are reserved for a page of history, a list of rooms, or the history of a join.
    pub(crate) fn answer_bytes(&self) -> usize {
        // A small budget fits some answers, too.
        self.page_bytes.min(self.address_bytes / 8)
    }

    /// Clamps every duration to 365 days, so that adding it to an `Instant` cannot overflow, and
    /// `outgoing_packets` to at least 1.
    pub(crate) fn clamped(mut self) -> Self {
        const MAX_DURATION: Duration = Duration::from_hours(24 * 365);
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
            *time = (*time).min(MAX_DURATION);
        }
        self.outgoing_packets = self.outgoing_packets.max(1);
        self
    }
}
