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
mod owner;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod weight;

use std::{
    borrow::Cow, error::Error, fmt, future::Future, num::NonZeroUsize, sync::Arc, time::Duration,
};

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

#[cfg(feature = "postgres")]
pub use self::postgres::{Postgres, PostgresOptions};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{Sqlite, SqliteOptions, Synchronous};
pub use self::{
    archive::Archive,
    history::History,
    memory::Memory,
    owner::{LogId, Owner},
};
pub(crate) use self::{archive::Keeper, weight::weight};
use crate::{Epoch, Position, RawMessage};

/// For how long a key is remembered: an append with the same key appends nothing.
/// A step of the system's time should not change that.
pub const KEY_WINDOW: Duration = Duration::from_mins(2);

/// For how long a log without events keeps its epoch at least, after [`Store::begin`].
pub const EMPTY_LOG_TIME: Duration = Duration::from_mins(10);

/// An event in a log: its [`position`](crate::EventMessage::position) is always there.
pub type Stored = Arc<RawMessage>;

/// A place for the logs of rooms.
///
/// Every room has one log at most, and every log has one [`Owner`]. Several servers may share a store: it is
/// the store that gives the order, so [`create`](Store::create) and [`append`](Store::append) are one step to
/// everybody else. Calls about one room may come at the same time, except that one server appends to a room and
/// deletes it one call at a time.
///
/// A call names the log that it is about by a [`LogId`]: room and owner. Where the room has a log of another
/// owner, the call finds nothing and changes nothing.
///
/// A log that belongs to a [creation](Owner::is_creation) ends with the server that created it, for after that
/// no room goes on with it. A store that outlives its server deletes such a log once its server is gone, and
/// only then is the room's id free again. `Sqlite` and `Postgres` do so as soon as the server has closed the
/// store, and ten minutes after it was last heard of.
///
/// A call that fails says so with a [`StoreError`], which is logged, and never told to clients. One that
/// takes longer than [`Limits::store_time`](crate::Limits::store_time) is dropped and counts as failed.
/// Whether what failed was appended all the same need not be known: the room finds out.
pub trait Store: Send + Sync + 'static {
    /// Creates the log of a room: empty, and with this epoch.
    ///
    /// Where the room has a log of this owner, that is [`Created::Owned`], too, and nothing changes; where it
    /// has another owner's, it is [`Created::Exists`]. Nothing is ever deleted here.
    fn create(
        &self,
        log: &LogId,
        epoch: Epoch,
    ) -> impl Future<Output = Result<Created, StoreError>> + Send;

    /// Where a log ends, with a `seq` of 0 if it is empty; `None` if there is none.
    fn head(&self, log: &LogId) -> impl Future<Output = Result<Option<Head>, StoreError>> + Send;

    /// Where a log ends. Where there is none, it begins with this epoch, and with no event.
    ///
    /// A [shared](Store::is_shared) store keeps the epoch of a log that begins so for at least
    /// [`EMPTY_LOG_TIME`], so that all servers tell those who join an empty room the same epoch. No log of a
    /// [creation](Owner::is_creation) begins here, and none where the room has another owner's: the answer is
    /// this epoch all the same. Default: the head, or this epoch and a `seq` of 0, and nothing is written.
    fn begin(
        &self,
        log: &LogId,
        epoch: Epoch,
    ) -> impl Future<Output = Result<Head, StoreError>> + Send {
        async move { Ok(self.head(log).await?.unwrap_or_else(|| Head::empty(epoch))) }
    }

    /// Whether other servers may append to the same logs at the same time. A server then asks for the head of a
    /// log before a join or a page of history says where it ends, and before it tells members that of a quiet one.
    /// Default: false.
    fn is_shared(&self) -> bool {
        false
    }

    /// Appends events to a log: in their order, all or none, and for good when this returns. Says what became
    /// of each.
    ///
    /// Each gets the `seq` after the last one, from 1, and the `seq` of the last one of its name as
    /// `prev`. Where the room has no log, one begins with the batch's epoch, unless its owner is a
    /// [creation](Owner::is_creation): that fails with [`StoreError::not_owned`], as does an append to the log of
    /// another owner.
    ///
    /// An event whose key was appended less than [`KEY_WINDOW`] ago, in this batch or before it, is not
    /// appended again: it is [`Appended::KeyUsed`].
    fn append(
        &self,
        batch: Batch,
    ) -> impl Future<Output = Result<Vec<Appended>, StoreError>> + Send;

    /// What an event with this key would be, were it appended: `None` if it would be new.
    fn find(
        &self,
        log: &LogId,
        key: &Key,
    ) -> impl Future<Output = Result<Option<KeyUse>, StoreError>> + Send;

    /// A part of a log; nothing where there is none.
    fn read(
        &self,
        log: &LogId,
        query: &Query,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// Ends an epoch: the log goes on as another one, with its events, keys and numbers. Where the log's epoch
    /// is not `ended`, or there is none, nothing changes.
    ///
    /// A server asks for it when it learns that the log has gone back, as it does when a database is restored, or
    /// fails over to a server that lacks the last events: an event got a place, or the log ended, before what
    /// subscribers were told.
    fn end_epoch(
        &self,
        log: &LogId,
        ended: Epoch,
        next: Epoch,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Deletes a log, keys included, and frees the room's id. The app's next append begins another log.
    fn delete(&self, log: &LogId) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Nobody is in the room any more, and nobody triggers there for now. A store that keeps logs in
    /// memory may let go of this one after a while. It is called while the room is being closed, and must
    /// not ask the server for anything. Default: does nothing.
    fn release(&self, log: &LogId) {
        let _ = log;
    }

    /// Called once, before anything else, with what the app itself keeps of events. Only a store that
    /// lets go of events by itself has a use for it. Default: does nothing.
    fn attach(&self, archive: Archive) {
        let _ = archive;
    }

    /// Whether events can be appended at the moment, and why not. While they cannot, `/dialogue/ready` is answered
    /// 503. It is asked often and must not wait. Default: they can.
    fn ready(&self) -> Result<(), StoreError> {
        Ok(())
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

/// Whether a log was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The room has a log of this owner: a new one, or the one that it had.
    Owned,
    /// The room has a log of another owner.
    Exists,
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

impl Head {
    /// Where a log without events ends.
    pub fn empty(epoch: Epoch) -> Self {
        Self { epoch, seq: 0, last: Vec::new() }
    }
}

/// Events for a room's log.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Which log.
    pub log: LogId,
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
    KeyUsed(KeyUse),
}

/// A key that was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
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
pub struct StoreError(Reason);

enum Reason {
    Failed(Box<dyn Error + Send + Sync>),
    NotOwned,
}

impl StoreError {
    /// With its cause, for the log.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Reason::Failed(cause.into()))
    }

    /// There is no log of the owner that the append names. The room ends on the server that learns of it.
    pub fn not_owned() -> Self {
        Self(Reason::NotOwned)
    }

    /// Whether the append named a log that is not there: [`StoreError::not_owned`].
    pub fn is_not_owned(&self) -> bool {
        matches!(self.0, Reason::NotOwned)
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Failed(cause) => fmt::Debug::fmt(cause, f),
            Reason::NotOwned => f.write_str("NotOwned"),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Failed(cause) => fmt::Display::fmt(cause, f),
            Reason::NotOwned => f.write_str("the room has no log of this owner"),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Reason::Failed(cause) => cause.source(),
            Reason::NotOwned => None,
        }
    }
}
