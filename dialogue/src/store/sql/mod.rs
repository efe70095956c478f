//! What the stores in SQL databases share: rows, pages, retention.
//!
//! A room's log is one row of `dialogue_rooms`, one of `dialogue_names` for each name that it ever had,
//! and one of `dialogue_events` for each event that is left. Short keys stand for rooms and names, which
//! keeps the indexes small.

mod read;
mod retention;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::value::RawValue;
use sqlx::{
    SqlSafeStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

pub(super) use self::{
    read::{From, read},
    retention::{Retention, Sweeper},
};
use super::{Batch, Created, Head, Key, KeyUse, LogId, Owner, StoreError, Stored};
use crate::{Epoch, Position, RawMessage, model::envelope::NotAnEpoch};

/// How many events are read by one statement at most; those of Postgres say it themselves.
pub(super) const CHUNK: usize = 256;
/// After how long without a sign of life a server is gone.
pub(super) const LEASE: Duration = Duration::from_mins(10);
/// How many logs of servers that are gone are deleted at once; the statement says it itself.
pub(super) const ORPHANS_AT_ONCE: usize = 100;
/// How many rows go at once; the statements say it themselves.
pub(super) const STEP: usize = 500;

pub(super) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why an SQL store does not do what it is asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("the database's tables are not as expected: {0}")]
    Tables(#[from] MigrateError),
    #[cfg(feature = "sqlite")]
    #[error("the folder `{0}` does not exist: create it first")]
    NoFolder(std::path::PathBuf),
    #[error("the database `{0}` cannot be opened: {1}")]
    Unopened(String, sqlx::Error),
    #[cfg(feature = "sqlite")]
    #[error("the database `{0}` was deleted or replaced while it was open: put it back")]
    Moved(String),
    #[cfg(feature = "sqlite")]
    #[error(
        "the database `{0}` was replaced, and the old one's `-wal` file is beside it: move that away"
    )]
    ForeignLog(String),
    #[error("the database has an epoch that is none: {0}")]
    Epoch(#[from] NotAnEpoch),
    #[error("the database has an event that is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("zero characters cannot be stored")]
    Zero,
    #[cfg(feature = "postgres")]
    #[error(
        "`{0}` is a pooler that gives each transaction another session: connect to PostgreSQL itself, or have the \
         pooler hold sessions (PgBouncer: `pool_mode = session`)"
    )]
    SharedSessions(String),
    #[cfg(feature = "postgres")]
    #[error("the database could not be connected to within {0:?}")]
    Unreachable(Duration),
    #[error("the store is closed")]
    Closed,
    #[error("the room has no log of this owner")]
    NotOwned,
    /// What was to be done in one transaction fails as one.
    #[error(transparent)]
    Together(#[from] Arc<Failure>),
}

/// What is asked of a database that has these tables.
pub(super) trait Tables: Send + Sync + 'static {
    /// At most `limit` events, not more than [`CHUNK`], that are next to a place, and not many more than
    /// have `bytes` of `data`.
    fn events(
        &self,
        log: &LogId,
        names: &[Cow<'static, str>],
        from: From,
        limit: i64,
        bytes: i64,
    ) -> impl Future<Output = Result<Vec<EventRow>>> + Send;

    /// The `seq` of the newest event of a name but `skip`.
    fn newest(
        &self,
        log: &LogId,
        event: &str,
        skip: i64,
    ) -> impl Future<Output = Result<Option<i64>>> + Send;

    /// Says that this server is there, and deletes some logs that belong to servers that are not. Returns whether
    /// there may be more.
    fn tend(&self) -> impl Future<Output = Result<bool>> + Send;

    /// Forgets old keys. Says how many.
    fn forget_keys(&self) -> impl Future<Output = Result<u64>> + Send;

    /// Events from before a time, in milliseconds since the Unix epoch.
    fn aged(&self, before: i64) -> impl Future<Output = Result<Vec<Place>>> + Send;

    /// The oldest events of names of which a room has more than it keeps.
    fn surplus(&self, room: i64) -> impl Future<Output = Result<Vec<Place>>> + Send;

    /// The oldest events of a room that has more bytes than this.
    fn heavy(&self, room: i64, bytes: i64) -> impl Future<Output = Result<Vec<Place>>> + Send;

    /// Removes events. Says how many were there.
    fn remove(&self, places: Places) -> impl Future<Output = Result<u64>> + Send;
}

/// Where an event is: the key of its name, and its `seq`.
pub(super) type Place = (i64, i64);

/// The `seq`s of events, by the keys of their names.
pub(super) type Places = BTreeMap<i64, Vec<i64>>;

/// Epoch, name, `seq`, `prev`, sender, time, data and meta.
pub(super) type EventRow = (String, String, i64, i64, String, i64, String, Option<String>);

/// Epoch, `seq`, and a name with its last `seq`.
pub(super) type HeadRow = (String, i64, Option<String>, Option<i64>);

/// Digest, epoch, `seq` and `prev`.
pub(super) type KeyRow = (Vec<u8>, String, i64, i64);

/// Whether a room's log, of which the row has this name, belongs to the owner that this parameter has.
macro_rules! owned {
    ($row:literal, $owner:literal) => {
        concat!(
            "(",
            $row,
            ".owner = ",
            $owner,
            " or (",
            $row,
            ".owner is null and ",
            $owner,
            " not like 'client:%'))"
        )
    };
}
pub(super) use owned;

/// Takes a room's id, an epoch, an owner and, if the log ends with it, the server. Returns nothing if the log is
/// another owner's.
pub(super) const CREATE: &str = concat!(
    "
    insert into dialogue_rooms as r (id, epoch, seq, owner, server) values ($1, $2, 0, $3, $4)
    on conflict (id) do update set owner = excluded.owner where ",
    owned!("r", "excluded.owner"),
    "
    returning key"
);

/// Takes a room's id, an owner, the epoch that ends, and the next one.
pub(super) const END_EPOCH: &str = concat!(
    "update dialogue_rooms as r set epoch = $4 where id = $1 and epoch = $3 and ",
    owned!("r", "$2")
);

/// Takes a server.
pub(super) const ORPHANS: &str = "select id, owner from dialogue_rooms where server = $1 limit 100";

/// Takes a server of which no log is left.
pub(super) const FORGET_SERVER: &str = "delete from dialogue_servers where id = $1";

/// Takes a server: it has closed the store.
pub(super) const LEAVE: &str = "update dialogue_servers set seen = 0 where id = $1";

pub(super) fn created(key: Option<i64>) -> Created {
    if key.is_some() { Created::Owned } else { Created::Exists }
}

/// A log of a server that is gone.
pub(super) fn orphan((room, owner): (String, String)) -> LogId {
    LogId::new(room, Owner::kept(owner))
}

/// The server that a log ends with, if it ends with one.
pub(super) fn server<'a>(log: &LogId, server: &'a str) -> Option<&'a str> {
    log.owner.is_creation().then_some(server)
}

impl Failure {
    /// Whether the disk is full, or another process writes to the file.
    #[cfg(feature = "sqlite")]
    pub(super) fn is_full_or_locked(&self) -> bool {
        let (Self::Unopened(_, error) | Self::Database(error)) = self else { return false };
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        matches!(code.as_deref(), Some("5" | "13"))
    }

    /// Whether the path names another file than the one that was opened.
    #[cfg(feature = "sqlite")]
    pub(super) fn is_of_another_file(&self) -> bool {
        matches!(self, Self::Moved(_) | Self::ForeignLog(_))
    }

    /// What an append says.
    pub(super) fn of_append(self) -> StoreError {
        match self {
            Self::NotOwned => StoreError::not_owned(),
            failure => StoreError::new(failure),
        }
    }
}

/// Takes a room's key, and how many bytes it may have.
pub(super) const HEAVY: &str = "
    select name, seq
    from (
        select name, seq, cast(sum(size) over (
            order by seq rows between unbounded preceding and 1 preceding
        ) as bigint) as gone
        from (
            select name, seq, octet_length(data) + coalesce(octet_length(meta), 0) as size
            from dialogue_events where room = $1 order by seq limit 500
        ) as oldest
    ) as summed
    where coalesce(gone, 0) < (select sum(bytes) from dialogue_names where room = $1) - $2";

pub(super) fn stored(room: &Arc<str>, row: EventRow) -> Result<Stored> {
    let (epoch, event, seq, prev, from, at, data, meta) = row;
    let mut message = RawMessage::new(event, room.clone(), RawValue::from_string(data)?);
    message.from = from;
    message.timestamp = at.cast_unsigned();
    message.meta = meta.as_deref().map(serde_json::from_str).transpose()?;
    message.position = Some(position(epoch.parse()?, seq, prev));
    Ok(Arc::new(message))
}

/// What is read of a place is what was written: never less than zero.
pub(super) fn position(epoch: Epoch, seq: i64, prev: i64) -> Position {
    Position { epoch, seq: seq.cast_unsigned(), prev: prev.cast_unsigned() }
}

pub(super) fn head(rows: Vec<HeadRow>) -> Result<Option<Head>> {
    let Some((epoch, seq, ..)) = rows.first() else { return Ok(None) };
    let (epoch, seq) = (epoch.parse()?, seq.cast_unsigned());
    let last = |(.., event, last): HeadRow| Some((event?.into(), last?.cast_unsigned()));
    Ok(Some(Head { epoch, seq, last: rows.into_iter().filter_map(last).collect() }))
}

pub(super) fn before(key: &Key, row: KeyRow) -> Result<KeyUse> {
    let (digest, epoch, seq, prev) = row;
    let same = digest == key.digest;
    Ok(if same { KeyUse::Same(position(epoch.parse()?, seq, prev)) } else { KeyUse::Other })
}

/// How much of an event counts where bytes are counted.
pub(super) fn size(data: &str, meta: Option<&str>) -> i64 {
    signed(data.len() + meta.map_or(0, str::len))
}

pub(super) fn meta(message: &RawMessage) -> Option<String> {
    message.meta.as_ref().map(|meta| meta.as_json().to_owned())
}

/// Neither database keeps zero characters in texts reliably. In JSON, they are escaped.
pub(super) fn storable(batch: &Batch) -> Result<()> {
    let texts = batch.events.iter().flat_map(|event| {
        let key = event.key.iter().flat_map(|key| [&*key.user, &*key.text]);
        key.chain([&*event.message.event, &*event.message.from])
    });
    texts.chain([&*batch.log.room]).try_for_each(no_zero)
}

pub(super) fn no_zero(text: &str) -> Result<()> {
    if text.contains('\0') { Err(Failure::Zero) } else { Ok(()) }
}

/// As much of a number as the database can count with.
pub(super) fn signed(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// What the clock says, in milliseconds since the Unix epoch.
pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    millis(now)
}

pub(super) fn millis(time: Duration) -> i64 {
    signed(time.as_millis())
}

/// Makes the tables, in these steps: names and SQL. Its own table has a name that the app's migrations do not
/// have.
pub(super) fn migrator<const N: usize>(steps: [(&'static str, &'static str); N]) -> Migrator {
    let migrations = (1..).zip(steps).map(|(version, (name, sql))| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name("dialogue_migrations");
    migrator
}
