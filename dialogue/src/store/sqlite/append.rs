//! One transaction of the writer.

use std::{collections::HashMap, sync::Arc};

use sqlx::{QueryBuilder, SqliteConnection, query, query_as, query_scalar};

use super::{
    super::{
        Appended, Batch, Created, Key, KeyUse, LogId, Stored,
        sql::{self, LEASE, ORPHANS_AT_ONCE, Places, Result, millis, owned, position, signed},
    },
    clock::Clock,
    known::{Known, Room},
};
use crate::{Epoch, Position};

/// How many events one statement inserts.
const MOST_ROWS: usize = 128;

const INSERT: &str = "insert into dialogue_events (room, name, seq, prev, sender, at, data, meta) ";

/// Takes a room's id, whose key, the key, when it must have been used at the earliest, and an owner.
pub(super) const FIND: &str = concat!(
    "
    select k.digest, r.epoch, k.seq, k.prev
    from dialogue_rooms r
    cross join dialogue_keys k on k.room = r.key and k.owner = $2 and k.key = $3 and k.at > $4
    where r.id = $1 and ",
    owned!("r", "$5")
);

/// Takes room keys and `seq`s as JSON.
pub(super) const ROOMS: &str = "
    update dialogue_rooms as r set seq = v.value ->> 1
    from json_each($1) v where r.key = v.value ->> 0";

/// Takes, as JSON, the keys of names, their last `seq`, how many events they keep, and how many events and
/// bytes more they have.
pub(super) const NAMES: &str = "
    update dialogue_names as n set
        last = v.value ->> 1, keep = v.value ->> 2,
        count = n.count + (v.value ->> 3), bytes = n.bytes + (v.value ->> 4)
    from json_each($1) v where n.key = v.value ->> 0";

/// Takes a key and when it was used at the latest if it is forgotten. Returns nothing if it is not.
const NOTE: &str = "
    insert into dialogue_keys (room, owner, key, digest, seq, prev, at)
    values ($1, $2, $3, $4, $5, $6, $7)
    on conflict (room, owner, key) do update
    set digest = excluded.digest, seq = excluded.seq, prev = excluded.prev, at = excluded.at
    where at <= $8
    returning 1";

/// Takes the key of a name and `seq`s as JSON.
pub(super) const REMOVE: &str = "
    delete from dialogue_events where name = $1 and seq in (select value from json_each($2))
    returning octet_length(data) + ifnull(octet_length(meta), 0)";

pub(super) const REMOVED: &str =
    "update dialogue_names set count = count - $2, bytes = bytes - $3 where key = $1";

pub(super) const FORGET: &str = "
    delete from dialogue_keys
    where id in (select id from dialogue_keys where at <= $1 order by at limit 500)";

pub(super) const DELETE: [&str; 4] = [
    "delete from dialogue_events where room = $1",
    "delete from dialogue_keys where room = $1",
    "delete from dialogue_names where room = $1",
    "delete from dialogue_rooms where key = $1",
];

/// Takes a room's id and an owner.
pub(super) const OWNED: &str =
    concat!("select key from dialogue_rooms as r where id = $1 and ", owned!("r", "$2"));

/// Takes a server, and what the clock says.
const SEEN: &str = "
    insert into dialogue_servers (id, seen) values ($1, $2)
    on conflict (id) do update set seen = excluded.seen";

/// Takes a time.
pub(super) const GONE: &str = "select id from dialogue_servers where seen <= $1 limit 1";

/// What is not in the file yet goes there when the transaction is finished.
pub(super) struct Transaction<'a> {
    connection: &'a mut SqliteConnection,
    known: &'a mut Known,
    clock: &'a Clock,
    events: Vec<Row>,
    /// The `seq`s of rooms, by their keys.
    rooms: HashMap<i64, i64>,
    /// What has changed of names, by their keys.
    names: HashMap<i64, Change>,
    /// The keys of rooms that were appended to.
    written: Vec<i64>,
}

struct Row {
    room: i64,
    name: i64,
    event: Stored,
    meta: Option<String>,
}

/// What has changed of a name.
#[derive(Default)]
struct Change {
    last: i64,
    keep: i64,
    count: i64,
    bytes: i64,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(
        connection: &'a mut SqliteConnection,
        known: &'a mut Known,
        clock: &'a Clock,
    ) -> Self {
        let (rooms, names) = (HashMap::new(), HashMap::new());
        Self { connection, known, clock, events: Vec::new(), rooms, names, written: Vec::new() }
    }

    /// `None` if the log is not there, or another owner's.
    pub(super) async fn append(&mut self, batch: Batch) -> Result<Option<Vec<Appended>>> {
        let Batch { log, epoch, events } = batch;
        let Some(room) = self.known.room(self.connection, &log, epoch).await? else {
            return Ok(None);
        };
        let known = room.names.len();
        let mut appended = Vec::with_capacity(events.len());
        for event in events {
            let mut message = event.message;
            let name = room.name(self.connection, &message.event).await?;
            let position = position(room.epoch, room.seq + 1, name.last);
            if let Some(key) = event.key
                && let Some(before) =
                    note(self.connection, self.clock, &log, room, &key, position).await?
            {
                appended.push(Appended::KeyUsed(before));
                continue;
            }
            room.advance(&message.event);
            message.position = Some(position);
            let meta = sql::meta(&message);
            let change = self.names.entry(name.key).or_default();
            change.last = room.seq;
            change.keep = signed(event.keep.get());
            change.count += 1;
            change.bytes += sql::size(message.data.get(), meta.as_deref());
            let event = Arc::new(message);
            appended.push(Appended::Now(event.clone()));
            self.events.push(Row { room: room.key, name: name.key, event, meta });
        }
        self.rooms.insert(room.key, room.seq);
        let lookups = room.names.len() - known;
        self.known.lookups += lookups;
        Ok(Some(appended))
    }

    /// Creates a log, which ends with the server if it belongs to a creation.
    pub(super) async fn create(
        &mut self,
        log: &LogId,
        epoch: Epoch,
        server: &str,
    ) -> Result<Created> {
        let server = sql::server(log, server);
        if let Some(server) = server {
            self.seen(server).await?;
        }
        self.known.forget(&log.room);
        let created = query_scalar(sql::CREATE).bind(&*log.room).bind(epoch.to_string());
        let created = created.bind(log.owner.as_str()).bind(server);
        Ok(sql::created(created.fetch_optional(&mut *self.connection).await?))
    }

    async fn seen(&mut self, server: &str) -> Result<()> {
        query(SEEN).bind(server).bind(self.clock.now()).execute(&mut *self.connection).await?;
        Ok(())
    }

    /// Says that the server is there, and deletes logs of one that is not. Returns whether there may be more.
    pub(super) async fn tend(&mut self, server: Option<&str>) -> Result<bool> {
        if let Some(server) = server {
            self.seen(server).await?;
        }
        let gone = query_scalar(GONE).bind(self.clock.now().saturating_sub(millis(LEASE)));
        let gone: Option<String> = gone.fetch_optional(&mut *self.connection).await?;
        let Some(gone) = gone else { return Ok(false) };
        let orphans = query_as(sql::ORPHANS).bind(&gone).fetch_all(&mut *self.connection).await?;
        let orphans: Vec<_> = orphans.into_iter().map(sql::orphan).collect();
        for orphan in &orphans {
            self.delete(orphan).await?;
        }
        if orphans.len() < ORPHANS_AT_ONCE {
            query(sql::FORGET_SERVER).bind(&gone).execute(&mut *self.connection).await?;
        }
        // Another server may be gone, too.
        Ok(true)
    }

    pub(super) async fn leave(&mut self, server: &str) -> Result<()> {
        query(sql::LEAVE).bind(server).execute(&mut *self.connection).await?;
        Ok(())
    }

    pub(super) async fn end_epoch(
        &mut self,
        LogId { room, owner }: &LogId,
        ended: Epoch,
        next: Epoch,
    ) -> Result<()> {
        self.flush().await?;
        self.known.forget(room);
        let end = query(sql::END_EPOCH).bind(&**room).bind(owner.as_str());
        let end = end.bind(ended.to_string()).bind(next.to_string());
        end.execute(&mut *self.connection).await?;
        Ok(())
    }

    pub(super) async fn delete(&mut self, log: &LogId) -> Result<()> {
        self.flush().await?;
        self.known.forget(&log.room);
        let room = query_scalar(OWNED).bind(&*log.room).bind(log.owner.as_str());
        let room: Option<i64> = room.fetch_optional(&mut *self.connection).await?;
        let Some(room) = room else { return Ok(()) };
        for statement in DELETE {
            query(statement).bind(room).execute(&mut *self.connection).await?;
        }
        Ok(())
    }

    pub(super) async fn remove(&mut self, places: &Places) -> Result<u64> {
        self.flush().await?;
        let mut removed = 0;
        for (name, seqs) in places {
            let seqs = serde_json::to_string(seqs)?;
            let sizes = query_scalar(REMOVE).bind(name).bind(seqs);
            let sizes: Vec<i64> = sizes.fetch_all(&mut *self.connection).await?;
            let (count, bytes) = (signed(sizes.len()), sizes.iter().sum::<i64>());
            let names = query(REMOVED).bind(name).bind(count).bind(bytes);
            names.execute(&mut *self.connection).await?;
            removed += sizes.len() as u64;
        }
        Ok(removed)
    }

    /// Forgets keys that were used then, or before.
    pub(super) async fn forget(&mut self, keys: i64) -> Result<u64> {
        let forgotten = query(FORGET).bind(keys).execute(&mut *self.connection).await?;
        Ok(forgotten.rows_affected())
    }

    /// Says which rooms were appended to.
    pub(super) async fn finish(mut self) -> Result<Vec<i64>> {
        self.flush().await?;
        Ok(self.written)
    }

    /// Everything so far is in the file after this.
    async fn flush(&mut self) -> Result<()> {
        let events = std::mem::take(&mut self.events);
        let mut rows = &events[..];
        while !rows.is_empty() {
            // Few different statements, which stay prepared.
            let count = 1 << rows.len().min(MOST_ROWS).ilog2();
            let (next, rest) = rows.split_at(count);
            self.insert(next).await?;
            rows = rest;
        }
        let rooms: Vec<_> = self.rooms.drain().collect();
        let names: Vec<_> = self.names.drain().map(|(key, name)| name.row(key)).collect();
        if !events.is_empty() {
            self.update(ROOMS, serde_json::to_string(&rooms)?).await?;
            self.update(NAMES, serde_json::to_string(&names)?).await?;
        }
        self.written.extend(rooms.into_iter().map(|(key, _)| key));
        Ok(())
    }

    async fn insert(&mut self, rows: &[Row]) -> Result<()> {
        let mut statement = QueryBuilder::new(INSERT);
        statement.push_values(rows, |mut values, Row { room, name, event, meta }| {
            let (seq, prev) = event.position.map_or((0, 0), |at| (at.seq, at.prev));
            values.push_bind(*room).push_bind(*name).push_bind(signed(seq)).push_bind(signed(prev));
            values.push_bind(&*event.from).push_bind(signed(event.timestamp));
            values.push_bind(event.data.get()).push_bind(meta.as_deref());
        });
        statement.build().execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn update(&mut self, statement: &'static str, rows: String) -> Result<()> {
        query(statement).bind(rows).execute(&mut *self.connection).await?;
        Ok(())
    }
}

impl Change {
    fn row(self, key: i64) -> (i64, i64, i64, i64, i64) {
        let Self { last, keep, count, bytes } = self;
        (key, last, keep, count, bytes)
    }
}

/// Notes where the event with this key is to be, unless the key was used before.
async fn note(
    connection: &mut SqliteConnection,
    clock: &Clock,
    log: &LogId,
    room: &Room,
    key: &Key,
    at: Position,
) -> Result<Option<KeyUse>> {
    let noted = query_scalar::<_, i64>(NOTE)
        .bind(room.key)
        .bind(&*key.user)
        .bind(&*key.text)
        .bind(&key.digest[..])
        .bind(signed(at.seq))
        .bind(signed(at.prev))
        .bind(clock.now())
        .bind(clock.oldest_key())
        .fetch_optional(&mut *connection)
        .await?;
    if noted.is_some() {
        return Ok(None);
    }
    // However old, it is the one that was in the way.
    let found = query_as(FIND).bind(&*log.room).bind(&*key.user).bind(&*key.text).bind(i64::MIN);
    let found = found.bind(log.owner.as_str());
    sql::before(key, found.fetch_one(connection).await?).map(Some)
}
