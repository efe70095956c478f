//! Where rooms keep their events: [`Memory`], or what outlives the process: `Sqlite`, with the feature
//! `sqlite`, or `Postgres`, with the feature `postgres`, which several servers may share.
//!
//! An event with `history` is appended to its room's log before anybody hears of it: the log gives
//! it its place, and whoever triggered it is answered once it is there. [`Store`] is what a log needs
//! to be, for stores of your own; the module `conformance`, with the feature of that name, tells whether
//! one is.

mod archive;
#[cfg(feature = "conformance")]
pub mod conformance;
pub(crate) mod erased;
mod history;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::{
    borrow::Cow, error::Error, fmt, future::Future, num::NonZeroUsize, sync::Arc, time::Duration,
};

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

pub(crate) use self::archive::Keeper;
#[cfg(feature = "postgres")]
pub use self::postgres::{Postgres, PostgresOptions};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{Sqlite, SqliteOptions, Synchronous};
pub use self::{archive::Archive, history::History, memory::Memory};
use crate::{Epoch, Position, RawMessage};

/// For how long a key is remembered: an append with the same key appends nothing.
pub const KEY_WINDOW: Duration = Duration::from_mins(2);

/// An event in a log: its [`position`](crate::EventMessage::position) is always there.
pub type Stored = Arc<RawMessage>;

/// A place for the logs of rooms.
///
/// Every room has a log of its own. Several servers may share a store: it is the store that gives the
/// order, so [`append`](Store::append) is one step to everybody else. Calls about one room may come at
/// the same time, except that one server appends to a room and deletes it one call at a time.
///
/// A call that fails says so with a [`StoreError`], which is logged, and never told to clients. One that
/// takes longer than [`Limits::store_time`](crate::Limits::store_time) is dropped and counts as failed.
/// Whether what failed was appended all the same need not be known: the room finds out.
pub trait Store: Send + Sync + 'static {
    /// Where the log of a room ends; `None` if there is none.
    fn head(&self, room: &str) -> impl Future<Output = Result<Option<Head>, StoreError>> + Send;

    /// Appends events to a room's log: in their order, all or none, and for good when this returns.
    /// Says what became of each.
    ///
    /// Each gets the `seq` after the last one, from 1, and the `seq` of the last one of its name as
    /// `prev`. Where there is no log, one begins with the batch's epoch; otherwise its own is kept.
    ///
    /// An event whose key was appended less than [`KEY_WINDOW`] ago, in this batch or before it, is not
    /// appended again: it is [`Appended::Before`].
    fn append(
        &self,
        batch: Batch,
    ) -> impl Future<Output = Result<Vec<Appended>, StoreError>> + Send;

    /// What an event with this key would be, were it appended: `None` if it would be new.
    fn find(
        &self,
        room: &str,
        key: &Key,
    ) -> impl Future<Output = Result<Option<Before>, StoreError>> + Send;

    /// A part of a room's log; nothing where there is none.
    fn read(
        &self,
        room: &str,
        query: &Query,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// Deletes a room's log, keys included. The next append begins another one.
    fn delete(&self, room: &str) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Nobody is in the room any more, and nobody triggers there for now. A store that keeps logs in
    /// memory may let go of this one after a while. It is called while the room is being closed, and must
    /// not ask the server for anything. Default: does nothing.
    fn release(&self, room: &str) {
        let _ = room;
    }

    /// Called once, before anything else, with what the app itself keeps of events. Only a store that
    /// lets go of events by itself has a use for it. Default: does nothing.
    fn attach(&self, archive: Archive) {
        let _ = archive;
    }

    /// The server stops: nothing else is called after it. Default: does nothing.
    fn close(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// How many events are in the process's memory, for [`Stats::stored`](crate::Stats::stored).
    fn in_memory(&self) -> usize {
        0
    }
}

/// Where a log ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The log's epoch.
    pub epoch: Epoch,
    /// The `seq` of its last event.
    pub seq: u64,
    /// The `seq` of the last event of each name that it ever had, in no particular order.
    pub last: Vec<(Cow<'static, str>, u64)>,
}

/// Events for a room's log.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The room's id.
    pub room: Arc<str>,
    /// The epoch of the log, if it begins with this batch.
    pub epoch: Epoch,
    /// The events, in their order; at least one.
    pub events: Vec<NewEvent>,
}

/// An event for a log.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The event; it has no position yet.
    pub message: RawMessage,
    /// How many events of its name the log is to keep, the newest. A store may keep more.
    pub keep: NonZeroUsize,
    /// What tells it from other events, if it must not be appended twice.
    pub key: Option<Key>,
}

/// What tells an event that may be sent twice from others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose key it is; empty for the server's own.
    pub user: Arc<str>,
    /// The key.
    pub text: Arc<str>,
    /// A digest of the event as it was sent: the same key with another one is a mistake.
    pub digest: [u8; 16],
}

impl Key {
    /// The key of an event of this name and data.
    pub(crate) fn new(user: &str, text: &str, event: &str, data: &RawValue) -> Self {
        // A name has no control characters: it ends where the zero is.
        let parts = [event.as_bytes(), &[0], data.get().as_bytes()];
        let digest = parts.iter().fold(Sha256::new(), Digest::chain_update).finalize();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Self { user: user.into(), text: text.into(), digest: half }
    }
}

/// What became of an event in a batch.
#[derive(Clone, Debug)]
pub enum Appended {
    /// It is in the log.
    Now(Stored),
    /// Its key was used before: nothing was appended.
    Before(Before),
}

/// A key that was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// For the same event, which is at this position.
    Same(Position),
    /// For another event.
    Other,
}

/// Which part of a log, and how much of it at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// Which part.
    pub part: Part,
    /// How many events at most.
    pub limit: usize,
    /// How many bytes they weigh at most: their texts, and 256 for each besides; but one event always fits.
    pub bytes: usize,
}

/// A part of a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The events of one name but the newest `skip`: newest first.
    Newest {
        /// The events' name.
        event: Cow<'static, str>,
        /// How many of the newest to pass over.
        skip: usize,
    },
    /// The events with a greater `seq`: oldest first.
    After {
        /// Where to begin.
        seq: u64,
        /// The names of events to return.
        events: Vec<Cow<'static, str>>,
    },
    /// The events with a smaller `seq`: newest first.
    Before {
        /// Where to begin.
        seq: u64,
        /// The names of events to return.
        events: Vec<Cow<'static, str>>,
    },
}

/// What a [`Query`] finds.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The events, in the order that the query's part says.
    pub events: Vec<Stored>,
    /// Whether the log has more of the part.
    pub more: bool,
}

impl Page {
    /// As much as the query allows of what there is.
    pub fn of(events: impl IntoIterator<Item = Stored>, query: &Query) -> Self {
        Self::within(events, query.limit, query.bytes)
    }

    /// At most `limit` events, which weigh at most `bytes`; but one event always fits.
    pub(crate) fn within(
        events: impl IntoIterator<Item = Stored>,
        limit: usize,
        bytes: usize,
    ) -> Self {
        let mut page = Self::default();
        let mut left = bytes;
        for event in events {
            let size = weight(&event);
            if page.events.len() >= limit || (size > left && !page.events.is_empty()) {
                page.more = true;
                break;
            }
            left = left.saturating_sub(size);
            page.events.push(event);
        }
        page
    }
}

/// Why a store did not do what it was asked.
pub struct StoreError(Box<dyn Error + Send + Sync>);

impl StoreError {
    /// With its cause, for the log.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// How many bytes an event takes where it is kept, about: the weight that every bound counts with.
pub(crate) fn weight(message: &RawMessage) -> usize {
    /// What an event takes besides its texts: its place, its position, their names in JSON.
    const PLACE: usize = 256;
    let meta = message.meta.as_ref().map_or(0, |meta| meta.as_json().len());
    let texts = [&*message.event, &*message.room_id, &*message.from, message.data.get()];
    texts.map(str::len).iter().sum::<usize>() + meta + PLACE
}
