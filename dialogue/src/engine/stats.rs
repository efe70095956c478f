//! Counts of what a server holds.

/// Counts of what a server holds; see [`Dialogue::stats`](crate::Dialogue::stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connected clients.
    pub connections: usize,
    /// Different user ids among them.
    pub users: usize,
    /// Different addresses that transports come from, where they are known.
    pub addresses: usize,
    /// Rooms that are open: the static ones, those that were created, and those of families that
    /// somebody is in or enters, that have handlers added at run time, or events that wait to be
    /// stored or for handlers.
    pub rooms: usize,
    /// Memberships, of all rooms together.
    pub members: usize,
    /// Subscriptions, of all members together.
    pub subscriptions: usize,
    /// What waits: requests for their connection's turn, and events for the store and for `#[on]`
    /// handlers.
    pub queued: usize,
    /// Events that the store keeps in memory: all of them, if it is [`Memory`](crate::store::Memory).
    pub stored: usize,
    /// How often the server refused something over a limit of an address or of all, since it was built:
    /// connections and their requests, and triggers, creations and answers over a rate of their address.
    pub refused: u64,
}
