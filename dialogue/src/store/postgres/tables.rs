//! What is read of the database, and what the sweep asks of it.

use std::borrow::Cow;

use sqlx::{Connection, PgConnection, query, query_as, query_scalar};

use super::{
    super::{
        Before, Head, KEY_WINDOW, Key,
        sql::{self, EventRow, From, Place, Places, Result, Tables, millis},
    },
    connections::Connections,
};

/// What the database's clock says, which is the same for all servers, in milliseconds since the Unix epoch.
macro_rules! now {
    () => {
        "floor(extract(epoch from clock_timestamp()) * 1000)::bigint"
    };
}
pub(super) use now;

/// The events of some names next to a place. Of each name, no more is read than may be wanted: limits that
/// the planner knows keep it from doing otherwise.
///
/// Takes the room's id, the names, the place, and how many events and bytes.
macro_rules! events {
    ($past:literal, $order:literal) => {
        concat!(
            "
            select epoch, event, seq, prev, sender, at, data, meta
            from (
                select *, sum(
                    octet_length(data) + coalesce(octet_length(meta), 0) + octet_length(sender) + 256
                ) over (
                    order by seq ",
            $order,
            " rows between unbounded preceding and 2 preceding
                ) as before
                from (
                    select r.epoch, n.event, e.seq, e.prev, e.sender, e.at, e.data, e.meta
                    from dialogue_rooms r
                    join dialogue_names n on n.room = r.key and n.event = any($2)
                    cross join lateral (
                        select * from (
                            select * from dialogue_events
                            where name = n.key and seq ",
            $past,
            " $3 order by seq ",
            $order,
            " limit 256
                        ) as of_this_name
                        order by seq ",
            $order,
            " limit $4
                    ) as e
                    where r.id = $1
                    order by seq ",
            $order,
            " limit $4
                ) as found
            ) as weighed
            where coalesce(before, 0) <= $5
            order by seq ",
            $order
        )
    };
}

pub(super) const AFTER: &str = events!(">", "asc");
pub(super) const BEFORE: &str = events!("<", "desc");

/// Takes a room's id, a name, and how many to pass over.
pub(super) const NEWEST: &str = "
    select e.seq
    from dialogue_rooms r
    join dialogue_names n on n.room = r.key and n.event = $2
    cross join lateral (
        select seq from dialogue_events where name = n.key order by seq desc limit 1 offset $3
    ) as e
    where r.id = $1";

/// Takes a room's id, whose key, the key, and for how long it is remembered.
pub(super) const FIND: &str = concat!(
    "
    select k.digest, r.epoch, k.seq, k.prev
    from dialogue_rooms r
    join dialogue_keys k on k.room = r.key and k.owner = $2 and k.key = $3
    where r.id = $1 and k.at > ",
    now!(),
    " - $4"
);

/// Takes for how long keys are remembered.
pub(super) const FORGET: &str = concat!(
    "
    delete from dialogue_keys where ctid = any(array(
        select ctid from dialogue_keys
        where at <= (select ",
    now!(),
    " - $1)
        order by at limit 500
        for update skip locked
    ))"
);

/// Takes a time.
pub(super) const AGED: &str =
    "select name, seq from dialogue_events where at < $1 order by at limit 500";

/// Takes a room's key.
pub(super) const SURPLUS: &str = "
    select n.key, e.seq
    from dialogue_names n
    cross join lateral (
        select seq from (
            select seq from dialogue_events where name = n.key order by seq limit 500
        ) as oldest
        order by seq limit n.count - n.keep
    ) as e
    where n.room = $1 and n.count > n.keep
    limit 500";

/// Takes the key of a name, and `seq`s. Of one name at a time, so that no two wait for each other.
pub(super) const REMOVE: &str = "
    with removed as (
        delete from dialogue_events where name = $1 and seq = any($2)
        returning octet_length(data) + coalesce(octet_length(meta), 0) as size
    ), summed as (
        select count(*) as count, coalesce(sum(size), 0) as bytes from removed
    ), counted as (
        update dialogue_names as n set count = n.count - summed.count, bytes = n.bytes - summed.bytes
        from summed where n.key = $1
    )
    select count from summed";

/// In the order in which others lock these: first the room's row, last those of names.
pub(super) const DELETE: [&str; 3] = [
    "delete from dialogue_events where room = $1",
    "delete from dialogue_keys where room = $1",
    "delete from dialogue_names where room = $1",
];

impl Connections {
    pub(super) async fn head(&self, room: &str) -> Result<Option<Head>> {
        let mut lease = self.lease().await?;
        let rows = query_as(sql::HEAD).bind(room).fetch_all(&mut *lease).await;
        sql::head(lease.end(rows)?)
    }

    pub(super) async fn find(&self, room: &str, key: &Key) -> Result<Option<Before>> {
        let mut lease = self.lease().await?;
        let found = query_as(FIND)
            .bind(room)
            .bind(&*key.user)
            .bind(&*key.text)
            .bind(millis(KEY_WINDOW))
            .fetch_optional(&mut *lease)
            .await;
        lease.end(found)?.map(|row| sql::before(key, row)).transpose()
    }

    pub(super) async fn delete(&self, room: &str) -> Result<()> {
        let mut lease = self.lease().await?;
        let deleted = delete(&mut lease, room).await;
        lease.end(deleted)
    }

    async fn places(
        &self,
        statement: &'static str,
        of: i64,
        beyond: Option<i64>,
    ) -> Result<Vec<Place>> {
        let mut lease = self.lease().await?;
        let mut places = query_as(statement).bind(of);
        if let Some(beyond) = beyond {
            places = places.bind(beyond);
        }
        let places = places.fetch_all(&mut *lease).await;
        Ok(lease.end(places)?)
    }
}

async fn delete(connection: &mut PgConnection, room: &str) -> Result<()> {
    let mut transaction = connection.begin().await?;
    // What is appended until this is locked is seen by the statements after it, and nothing is after it.
    let room = query_scalar("delete from dialogue_rooms where id = $1 returning key").bind(room);
    let room: Option<i64> = room.fetch_optional(&mut *transaction).await?;
    if let Some(room) = room {
        for statement in DELETE {
            query(statement).bind(room).execute(&mut *transaction).await?;
        }
    }
    Ok(transaction.commit().await?)
}

impl Tables for Connections {
    async fn events(
        &self,
        room: &str,
        names: &[Cow<'static, str>],
        from: From,
        limit: i64,
        bytes: i64,
    ) -> Result<Vec<EventRow>> {
        let (statement, place) = match from {
            From::After(seq) => (AFTER, seq),
            From::Before(seq) => (BEFORE, seq),
        };
        let names: Vec<_> = names.iter().map(|name| &**name).collect();
        let mut lease = self.lease().await?;
        let rows = query_as(statement).bind(room).bind(names).bind(place).bind(limit).bind(bytes);
        let rows = rows.fetch_all(&mut *lease).await;
        Ok(lease.end(rows)?)
    }

    async fn newest(&self, room: &str, event: &str, skip: i64) -> Result<Option<i64>> {
        let mut lease = self.lease().await?;
        let seq = query_scalar(NEWEST).bind(room).bind(event).bind(skip);
        let seq = seq.fetch_optional(&mut *lease).await;
        Ok(lease.end(seq)?)
    }

    async fn forget_keys(&self) -> Result<u64> {
        let mut lease = self.lease().await?;
        let forgotten = query(FORGET).bind(millis(KEY_WINDOW)).execute(&mut *lease).await;
        Ok(lease.end(forgotten)?.rows_affected())
    }

    async fn aged(&self, before: i64) -> Result<Vec<Place>> {
        self.places(AGED, before, None).await
    }

    async fn surplus(&self, room: i64) -> Result<Vec<Place>> {
        self.places(SURPLUS, room, None).await
    }

    async fn heavy(&self, room: i64, bytes: i64) -> Result<Vec<Place>> {
        self.places(sql::HEAVY, room, Some(bytes)).await
    }

    async fn remove(&self, places: Places) -> Result<u64> {
        let mut removed = 0;
        for (name, seqs) in places {
            let mut lease = self.lease().await?;
            let count = query_scalar(REMOVE).bind(name).bind(seqs).fetch_one(&mut *lease).await;
            removed += lease.end::<sqlx::Result<i64>>(count)?.cast_unsigned();
        }
        Ok(removed)
    }
}
