//! What is read of the database, and what the sweep asks of it.

use std::{borrow::Cow, sync::atomic::Ordering};

use sqlx::{Connection, PgConnection, query, query_as, query_scalar};

use super::{
    super::{
        Created, EMPTY_LOG_TIME, Head, KEY_WINDOW, Key, KeyUse, LogId,
        sql::{
            self, EventRow, Failure, From, LEASE, ORPHANS_AT_ONCE, Place, Places, Result, Tables,
            millis, owned, signed,
        },
    },
    connections::Connections,
};
use crate::Epoch;

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
/// Takes the room's id, the names, the place, how many events and bytes, and an owner.
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
                    where r.id = $1 and ",
            owned!("r", "$6"),
            "
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

/// Takes a room's id, a name, how many to pass over, and an owner.
pub(super) const NEWEST: &str = concat!(
    "
    select e.seq
    from dialogue_rooms r
    join dialogue_names n on n.room = r.key and n.event = $2
    cross join lateral (
        select seq from dialogue_events where name = n.key order by seq desc limit 1 offset $3
    ) as e
    where r.id = $1 and ",
    owned!("r", "$4")
);

/// Takes a room's id, whose key, the key, for how long it is remembered, and an owner.
pub(super) const FIND: &str = concat!(
    "
    select k.digest, r.epoch, k.seq, k.prev
    from dialogue_rooms r
    join dialogue_keys k on k.room = r.key and k.owner = $2 and k.key = $3
    where r.id = $1 and k.at > ",
    now!(),
    " - $4 and ",
    owned!("r", "$5")
);

/// Takes a room's id and an owner. Says in each row whether the epoch is of the present generation.
pub(super) const HEAD: &str = concat!(
    "
    select r.epoch, r.seq, n.event, n.last, r.generation = i.generation
    from dialogue_rooms r
    cross join dialogue_identity i
    left join dialogue_names n on n.room = r.key and n.last > 0
    where r.id = $1 and ",
    owned!("r", "$2")
);

/// Takes a room's id, an owner and the next epoch.
pub(super) const RENEW: &str = concat!(
    "
    update dialogue_rooms as r set epoch = $3, generation = i.generation
    from dialogue_identity i
    where r.id = $1 and r.generation <> i.generation and ",
    owned!("r", "$2")
);

/// Takes a room's id, an epoch and an owner. Returns nothing if the room has a log.
pub(super) const BEGIN: &str = concat!(
    "
    with begun as (
        insert into dialogue_rooms (id, epoch, seq, owner, generation)
        values ($1, $2, 0, $3, (select generation from dialogue_identity))
        on conflict (id) do nothing
        returning key
    )
    insert into dialogue_empty_logs (room, at) select key, ",
    now!(),
    " from begun"
);

/// Takes for how long empty logs stay. Returns how many were looked at.
pub(super) const EMPTY: &str = concat!(
    "
    with old as (
        delete from dialogue_empty_logs where room = any(array(
            select room from dialogue_empty_logs
            where at <= (select ",
    now!(),
    " - $1)
            order by at limit 500
            for update skip locked
        ))
        returning room
    ), emptied as (
        delete from dialogue_rooms where key = any(array(select room from old)) and seq = 0 and server is null
    )
    select count(*) from old"
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

/// Takes a room's id and an owner.
pub(super) const OWNED: &str = concat!(
    "delete from dialogue_rooms as r where id = $1 and ",
    owned!("r", "$2"),
    " returning key"
);

/// Takes a server.
pub(super) const SEEN: &str = concat!(
    "
    insert into dialogue_servers (id, seen) values ($1, ",
    now!(),
    ")
    on conflict (id) do update set seen = excluded.seen"
);

/// Takes for how long a server may not have been heard of. Until the transaction ends, the server that is found
/// says nothing, and no other server looks at its logs.
pub(super) const GONE: &str = concat!(
    "
    select id from dialogue_servers where seen <= (select ",
    now!(),
    " - $1)
    order by seen limit 1 for update skip locked"
);

/// Epoch, `seq`, a name with its last `seq`, and whether the epoch is of the present generation.
type CheckedRow = (String, i64, Option<String>, Option<i64>, bool);

impl Connections {
    /// Creates a log, which ends with this server if it belongs to a creation.
    pub(super) async fn create(&self, log: &LogId, epoch: Epoch) -> Result<Created> {
        sql::no_zero(&log.room)?;
        let server = sql::server(log, &self.server);
        let mut lease = self.lease().await?;
        if let Some(server) = server {
            self.creates.store(true, Ordering::Relaxed);
            let seen = query(SEEN).bind(server).execute(&mut *lease).await;
            if let Err(error) = seen {
                return lease.end(Err(error.into()));
            }
        }
        let created = query_scalar(sql::CREATE).bind(&*log.room).bind(epoch.to_string());
        let created = created.bind(log.owner.as_str()).bind(server);
        let created = created.fetch_optional(&mut *lease).await;
        Ok(sql::created(lease.end(created)?))
    }

    /// The logs that end with this server may be deleted.
    pub(super) async fn leave(&self) {
        if !self.creates.load(Ordering::Relaxed) {
            return;
        }
        let left = async {
            let mut lease = self.lease().await?;
            let left = query(sql::LEAVE).bind(&self.server).execute(&mut *lease).await;
            lease.end(left).map(drop).map_err(Failure::from)
        };
        if let Err(error) = left.await {
            tracing::warn!(%error, "the logs of this server's created rooms stay for ten minutes");
        }
    }

    pub(super) async fn head(&self, LogId { room, owner }: &LogId) -> Result<Option<Head>> {
        let mut lease = self.lease().await?;
        let rows = async {
            loop {
                let rows = query_as(HEAD).bind(&**room).bind(owner.as_str());
                let rows: Vec<CheckedRow> = rows.fetch_all(&mut *lease).await?;
                if rows.first().is_none_or(|(.., is_current)| *is_current) {
                    break Ok::<_, sqlx::Error>(rows);
                }
                let renew = query(RENEW).bind(&**room).bind(owner.as_str());
                renew.bind(Epoch::random().to_string()).execute(&mut *lease).await?;
            }
        };
        let rows = rows.await;
        let rows = lease.end(rows)?.into_iter();
        sql::head(rows.map(|(epoch, seq, event, last, _)| (epoch, seq, event, last)).collect())
    }

    /// Where a log ends. One that is not there begins with this epoch, unless it is a creation's.
    pub(super) async fn begin(&self, log: &LogId, epoch: Epoch) -> Result<Head> {
        sql::no_zero(&log.room)?;
        let mut head = self.head(log).await?;
        if head.is_none() && !log.owner.is_creation() {
            let mut lease = self.lease().await?;
            let rows = query(BEGIN).bind(&*log.room).bind(epoch.to_string());
            let rows = rows.bind(log.owner.as_str()).execute(&mut *lease).await;
            lease.end(rows)?;
            // Another server may have been first.
            head = self.head(log).await?;
        }
        Ok(head.unwrap_or_else(|| Head::empty(epoch)))
    }

    pub(super) async fn find(
        &self,
        LogId { room, owner }: &LogId,
        key: &Key,
    ) -> Result<Option<KeyUse>> {
        let mut lease = self.lease().await?;
        let found = query_as(FIND)
            .bind(&**room)
            .bind(&*key.user)
            .bind(&*key.text)
            .bind(millis(KEY_WINDOW))
            .bind(owner.as_str())
            .fetch_optional(&mut *lease)
            .await;
        lease.end(found)?.map(|row| sql::before(key, row)).transpose()
    }

    pub(super) async fn end_epoch(
        &self,
        LogId { room, owner }: &LogId,
        ended: Epoch,
        next: Epoch,
    ) -> Result<()> {
        let mut lease = self.lease().await?;
        let end = query(sql::END_EPOCH).bind(&**room).bind(owner.as_str());
        let end = end.bind(ended.to_string()).bind(next.to_string());
        let end = end.execute(&mut *lease).await;
        Ok(lease.end(end).map(drop)?)
    }

    pub(super) async fn delete(&self, log: &LogId) -> Result<()> {
        let mut lease = self.lease().await?;
        let deleted = delete_alone(&mut lease, log).await;
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

async fn delete_alone(connection: &mut PgConnection, log: &LogId) -> Result<()> {
    let mut transaction = connection.begin().await?;
    delete(&mut transaction, log).await?;
    Ok(transaction.commit().await?)
}

/// In a transaction.
async fn delete(connection: &mut PgConnection, LogId { room, owner }: &LogId) -> Result<()> {
    // What is appended until this is locked is seen by the statements after it, and nothing is after it.
    let room = query_scalar(OWNED).bind(&**room).bind(owner.as_str());
    let room: Option<i64> = room.fetch_optional(&mut *connection).await?;
    if let Some(room) = room {
        for statement in DELETE {
            query(statement).bind(room).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// Deletes logs of a server that is gone. Returns whether there may be more.
async fn clear(connection: &mut PgConnection) -> Result<bool> {
    let mut transaction = connection.begin().await?;
    let gone = query_scalar(GONE).bind(millis(LEASE)).fetch_optional(&mut *transaction).await?;
    let Some(gone): Option<String> = gone else { return Ok(false) };
    let orphans = query_as(sql::ORPHANS).bind(&gone).fetch_all(&mut *transaction).await?;
    let orphans: Vec<_> = orphans.into_iter().map(sql::orphan).collect();
    for orphan in &orphans {
        delete(&mut transaction, orphan).await?;
    }
    if orphans.len() < ORPHANS_AT_ONCE {
        query(sql::FORGET_SERVER).bind(&gone).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    // Another server may be gone, too.
    Ok(true)
}

impl Tables for Connections {
    async fn events(
        &self,
        LogId { room, owner }: &LogId,
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
        let rows = query_as(statement).bind(&**room).bind(names).bind(place).bind(limit);
        let rows = rows.bind(bytes).bind(owner.as_str()).fetch_all(&mut *lease).await;
        Ok(lease.end(rows)?)
    }

    async fn newest(
        &self,
        LogId { room, owner }: &LogId,
        event: &str,
        skip: i64,
    ) -> Result<Option<i64>> {
        let mut lease = self.lease().await?;
        let seq = query_scalar(NEWEST).bind(&**room).bind(event).bind(skip).bind(owner.as_str());
        let seq = seq.fetch_optional(&mut *lease).await;
        Ok(lease.end(seq)?)
    }

    async fn tend(&self) -> Result<bool> {
        let mut lease = self.lease().await?;
        let tended = async {
            if self.creates.load(Ordering::Relaxed) {
                query(SEEN).bind(&self.server).execute(&mut *lease).await?;
            }
            let emptied = query_scalar(EMPTY).bind(millis(EMPTY_LOG_TIME));
            let emptied: i64 = emptied.fetch_one(&mut *lease).await?;
            Ok(clear(&mut lease).await? || emptied >= signed(sql::STEP))
        };
        let tended = tended.await;
        lease.end(tended)
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
