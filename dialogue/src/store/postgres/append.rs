//! Appending: one statement, or a few where a key was used before.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sqlx::{Connection, PgConnection, query, query_as};

use super::{
    super::{
        Appended, Batch, KEY_WINDOW, Key, KeyUse, LogId, NewEvent,
        sql::{self, Failure, Result, millis, owned, position, signed},
    },
    columns::Columns,
    connections::Connections,
    tables::now,
};
use crate::Position;

/// Appends events that are new, or fails where a key is not.
///
/// The room's row comes first, and is locked until the end: it gives the order. What is written to it and
/// to the rows of names is what they are then, not what they were when the statement began.
///
/// Takes the room's id, an epoch and the number of events; names, and for each the place of its last event
/// in the batch, how many events it keeps, and how many events and bytes more it has; of the events names,
/// the places in the batch of those before them of the same name, senders, times, data and meta; of the
/// keys the places of their events, whose they are, the keys and digests; and an owner. Returns nothing where the
/// log is another owner's.
macro_rules! append {
    ($room:expr) => {
        concat!(
    "
    with room as (",
    $room,
    "
        returning key, epoch, seq, seq - $3 as before
    ), names as (
        insert into dialogue_names as n (room, event, last, prev, keep, count, bytes)
        select room.key, b.event, room.before + b.last, 0, b.keep, b.count, b.bytes
        from room, unnest($4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
            as b (event, last, keep, count, bytes)
        on conflict (room, event) do update
        set last = excluded.last, prev = n.last, keep = excluded.keep,
            count = n.count + excluded.count, bytes = n.bytes + excluded.bytes
        returning key, event, prev
    ), events as (
        insert into dialogue_events (room, seq, name, prev, sender, at, data, meta)
        select room.key, room.before + b.place, names.key,
            coalesce(room.before + b.prev, names.prev), b.sender, b.at, b.data, b.meta
        from room, unnest($9::text[], $10::bigint[], $11::text[], $12::bigint[], $13::text[], $14::text[])
            with ordinality as b (event, prev, sender, at, data, meta, place)
        join names on names.event = b.event
        returning seq, prev
    ), keys as (
        insert into dialogue_keys (room, owner, key, digest, seq, prev, at)
        select room.key, b.owner, b.key, b.digest, events.seq, events.prev, ",
    now!(),
    "
        from room, unnest($15::bigint[], $16::text[], $17::text[], $18::bytea[])
            as b (place, owner, key, digest)
        join events on events.seq = (select before from room) + b.place
    )
    select room.key, room.epoch, room.before, names.event, names.prev from room, names"
        )
    };
}

/// To a log that begins by itself.
pub(super) const APPEND: &str = append!(concat!(
    "
        insert into dialogue_rooms as r (id, epoch, seq, owner, generation)
        values ($1, $2, $3, $19, (select generation from dialogue_identity))
        on conflict (id) do update set seq = r.seq + excluded.seq, generation = excluded.generation,
            epoch = case when r.generation = excluded.generation then r.epoch else excluded.epoch end
        where ",
    owned!("r", "$19")
));

/// To a log that a creation has begun.
pub(super) const APPEND_CREATED: &str = append!(
    "
        update dialogue_rooms as r set seq = r.seq + $3, generation = i.generation,
            epoch = case when r.generation = i.generation then r.epoch else $2 end
        from dialogue_identity i
        where r.id = $1 and r.owner = $19"
);

/// What the unique index of keys is called.
const ONCE: &str = "dialogue_keys_once";

/// Takes a room's id, an epoch and an owner.
pub(super) const LOCK: &str = concat!(
    "
    insert into dialogue_rooms as r (id, epoch, seq, owner, generation)
    values ($1, $2, 0, $3, (select generation from dialogue_identity))
    on conflict (id) do update set generation = excluded.generation,
        epoch = case when r.generation = excluded.generation then r.epoch else excluded.epoch end
    where ",
    owned!("r", "$3"),
    "
    returning key, epoch"
);

/// The same, of a log that a creation has begun.
pub(super) const LOCK_CREATED: &str = "
    update dialogue_rooms as r set generation = i.generation,
        epoch = case when r.generation = i.generation then r.epoch else $2 end
    from dialogue_identity i
    where r.id = $1 and r.owner = $3
    returning r.key, r.epoch";

/// Takes a room's key, whose keys, the keys, and for how long they are remembered.
pub(super) const FORGET: &str = concat!(
    "
    delete from dialogue_keys
    where room = $1 and (owner, key) in (select * from unnest($2::text[], $3::text[]))
        and at <= ",
    now!(),
    " - $4"
);

pub(super) const KNOWN: &str = "
    select owner, key, digest, seq, prev from dialogue_keys
    where room = $1 and (owner, key) in (select * from unnest($2::text[], $3::text[]))";

/// What was appended under a key.
type Keys = HashMap<Name, (Vec<u8>, Position)>;

/// Whose key it is, and which.
type Name = (Arc<str>, Arc<str>);

struct Written {
    /// The room's key.
    room: i64,
    /// Of the events that are new, in their order.
    positions: Vec<Position>,
    /// Those of the batch that were used before.
    known: Keys,
}

/// Says what became of the events, and the key of the room.
pub(super) async fn append(
    connections: &Connections,
    batch: Batch,
) -> Result<(i64, Vec<Appended>)> {
    sql::storable(&batch)?;
    let mut lease = connections.lease().await?;
    let new = new(&batch.events, &Keys::new());
    let mut written = write(&mut lease, &batch, &new).await;
    if let Err(Failure::Database(error)) = &written
        && is_known(error)
    {
        written = look_and_write(&mut lease, &batch).await;
    }
    let Written { room, positions, known } = lease.end(written)?;
    Ok((room, appended(batch.events, positions, known)))
}

/// Appends what is new, where that takes a look.
async fn look_and_write(connection: &mut PgConnection, batch: &Batch) -> Result<Written> {
    let mut transaction = connection.begin().await?;
    let LogId { room: id, owner } = &batch.log;
    let lock = if owner.is_creation() { LOCK_CREATED } else { LOCK };
    let room = query_as(lock).bind(&**id).bind(batch.epoch.to_string()).bind(owner.as_str());
    let room: Option<(i64, String)> = room.fetch_optional(&mut *transaction).await?;
    let (room, epoch) = room.ok_or(Failure::NotOwned)?;
    let epoch = epoch.parse()?;

    let keys = batch.events.iter().filter_map(|event| event.key.as_ref());
    let (owners, keys): (Vec<_>, Vec<_>) = keys.map(|key| (&*key.user, &*key.text)).unzip();
    let window = millis(KEY_WINDOW);
    let forget = query(FORGET).bind(room).bind(&owners).bind(&keys).bind(window);
    forget.execute(&mut *transaction).await?;
    let known = query_as(KNOWN).bind(room).bind(&owners).bind(&keys);
    let known: Vec<(String, String, Vec<u8>, i64, i64)> =
        known.fetch_all(&mut *transaction).await?;
    let known = known.into_iter().map(|(owner, key, digest, seq, prev)| {
        ((owner.into(), key.into()), (digest, position(epoch, seq, prev)))
    });
    let known: Keys = known.collect();

    let new = new(&batch.events, &known);
    let written = if new.is_empty() {
        Written { room, positions: Vec::new(), known }
    } else {
        Written { known, ..write(&mut transaction, batch, &new).await? }
    };
    transaction.commit().await?;
    Ok(written)
}

async fn write(
    connection: &mut PgConnection,
    batch: &Batch,
    events: &[&NewEvent],
) -> Result<Written> {
    let columns = Columns::new(events);
    let Columns { names, events: rows, keys } = &columns;
    let LogId { room, owner } = &batch.log;
    let append = if owner.is_creation() { APPEND_CREATED } else { APPEND };
    let ends: Vec<(i64, String, i64, String, i64)> = query_as(append)
        .bind(&**room)
        .bind(batch.epoch.to_string())
        .bind(signed(events.len()))
        .bind(&names.event)
        .bind(&names.last)
        .bind(&names.keep)
        .bind(&names.count)
        .bind(&names.bytes)
        .bind(&rows.event)
        .bind(&rows.prev)
        .bind(&rows.sender)
        .bind(&rows.at)
        .bind(&rows.data)
        .bind(&rows.meta)
        .bind(&keys.place)
        .bind(&keys.owner)
        .bind(&keys.key)
        .bind(&keys.digest)
        .bind(owner.as_str())
        .fetch_all(&mut *connection)
        .await?;
    // There is one row for each name.
    let Some(&(room, ref epoch, before, ..)) = ends.first() else {
        return Err(Failure::NotOwned);
    };
    let epoch = epoch.parse()?;
    let last: HashMap<_, _> = ends.iter().map(|(.., event, prev)| (&**event, *prev)).collect();
    let positions =
        (1_i64..).zip(rows.event.iter().zip(&rows.prev)).map(|(place, (event, prev))| {
            let last = || last.get(event).copied().unwrap_or_default();
            position(epoch, before + place, prev.map_or_else(last, |prev| before + prev))
        });
    Ok(Written { room, positions: positions.collect(), known: Keys::new() })
}

/// The events whose keys are not known, nor those of others before them.
fn new<'a>(events: &'a [NewEvent], known: &Keys) -> Vec<&'a NewEvent> {
    let mut seen = HashSet::new();
    let mut is_new = |key: &Key| !known.contains_key(&name(key)) && seen.insert(name(key));
    events.iter().filter(|event| event.key.as_ref().is_none_or(&mut is_new)).collect()
}

fn name(key: &Key) -> Name {
    (key.user.clone(), key.text.clone())
}

fn is_known(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.constraint()) == Some(ONCE)
}

/// What became of the events, of which those that are new have these positions.
fn appended(events: Vec<NewEvent>, new: Vec<Position>, mut known: Keys) -> Vec<Appended> {
    let mut new = new.into_iter();
    let mut appended = Vec::with_capacity(events.len());
    for NewEvent { mut message, key, .. } in events {
        let before = key.as_ref().and_then(|key| known.get(&name(key)));
        if let (Some((digest, position)), Some(key)) = (before, &key) {
            let same = *digest == key.digest;
            let before = if same { KeyUse::Same(*position) } else { KeyUse::Other };
            appended.push(Appended::KeyUsed(before));
            continue;
        }
        message.position = new.next();
        if let (Some(key), Some(position)) = (key, message.position) {
            known.insert((key.user, key.text), (key.digest.to_vec(), position));
        }
        appended.push(Appended::Now(Arc::new(message)));
    }
    appended
}
