//! What is read of the file, and what the sweep asks of it.

use std::{borrow::Cow, path::PathBuf, sync::Arc};

use sqlx::{query_as, query_scalar};

use super::{
    super::{
        Head, Key, KeyUse, LogId,
        sql::{self, EventRow, From, Place, Places, Result, STEP, Tables, owned, signed},
    },
    append::FIND,
    clock::Clock,
    state::State,
    writer::Writer,
};

/// The events of some names next to a place. Of each name, no more of the index is read than may be
/// wanted; of the events themselves, those that are.
///
/// Takes the room's id, the names as JSON, the place, how many events and bytes, and an owner.
macro_rules! events {
    ($past:literal, $until:literal, $order:literal, $end:literal) => {
        concat!(
            "
            with found as (
                select e.id, e.seq, n.event, r.epoch
                from dialogue_rooms r
                cross join dialogue_names n on n.room = r.key
                    and n.event in (select value from json_each($2))
                cross join dialogue_events e on e.name = n.key and e.seq ",
            $past,
            " $3 and e.seq ",
            $until,
            " ifnull((
                    select seq from dialogue_events
                    where name = n.key and seq ",
            $past,
            " $3 order by seq ",
            $order,
            " limit 1 offset $4 - 1
                ), ",
            $end,
            ")
                where r.id = $1 and ",
            owned!("r", "$6"),
            "
                order by e.seq ",
            $order,
            " limit $4
            ), weighed as (
                select found.id, found.seq, found.event, found.epoch, sum(
                    octet_length(e.data) + ifnull(octet_length(e.meta), 0) + octet_length(e.sender) + 256
                ) over (
                    order by found.seq ",
            $order,
            " rows between unbounded preceding and 2 preceding
                ) as before
                from found cross join dialogue_events e on e.id = found.id
            )
            select w.epoch, w.event, e.seq, e.prev, e.sender, e.at, e.data, e.meta
            from weighed w cross join dialogue_events e on e.id = w.id
            where ifnull(w.before, 0) <= $5
            order by w.seq ",
            $order
        )
    };
}

pub(super) const AFTER: &str = events!(">", "<=", "", "9223372036854775807");
pub(super) const BEFORE: &str = events!("<", ">=", "desc", "0");

/// Takes a room's id, a name, how many to pass over, and an owner.
pub(super) const NEWEST: &str = concat!(
    "
    select e.seq
    from dialogue_rooms r
    cross join dialogue_names n on n.room = r.key and n.event = $2
    cross join dialogue_events e on e.name = n.key
    where r.id = $1 and ",
    owned!("r", "$4"),
    "
    order by e.seq desc limit 1 offset $3"
);

/// Takes a room's id and an owner.
pub(super) const HEAD: &str = concat!(
    "
    select r.epoch, r.seq, n.event, n.last
    from dialogue_rooms r left join dialogue_names n on n.room = r.key and n.last > 0
    where r.id = $1 and ",
    owned!("r", "$2")
);

/// Takes a time.
pub(super) const AGED: &str =
    "select name, seq from dialogue_events where at < $1 order by at limit 500";

/// Takes a room's key.
pub(super) const SURPLUS: &str =
    "select key, count - keep from dialogue_names where room = $1 and count > keep limit 500";

/// Takes the key of a name, and how many.
pub(super) const OLDEST: &str =
    "select name, seq from dialogue_events where name = $1 order by seq limit $2";

/// The database, as those who do not write see it.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) state: Arc<State>,
    pub(super) clock: Arc<Clock>,
    pub(super) writer: Writer,
}

impl File {
    pub(super) async fn head(&self, LogId { room, owner }: &LogId) -> Result<Option<Head>> {
        let rows = query_as(HEAD).bind(&**room).bind(owner.as_str());
        sql::head(rows.fetch_all(&self.state.readers()?).await?)
    }

    pub(super) async fn find(
        &self,
        LogId { room, owner }: &LogId,
        key: &Key,
    ) -> Result<Option<KeyUse>> {
        let found = query_as(FIND)
            .bind(&**room)
            .bind(&*key.user)
            .bind(&*key.text)
            .bind(self.clock.oldest_key())
            .bind(owner.as_str())
            .fetch_optional(&self.state.readers()?)
            .await?;
        found.map(|row| sql::before(key, row)).transpose()
    }
}

impl Tables for File {
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
        let names = serde_json::to_string(names)?;
        let rows = query_as(statement).bind(&**room).bind(names).bind(place).bind(limit);
        Ok(rows.bind(bytes).bind(owner.as_str()).fetch_all(&self.state.readers()?).await?)
    }

    async fn newest(
        &self,
        LogId { room, owner }: &LogId,
        event: &str,
        skip: i64,
    ) -> Result<Option<i64>> {
        let seq = query_scalar(NEWEST).bind(&**room).bind(event).bind(skip).bind(owner.as_str());
        Ok(seq.fetch_optional(&self.state.readers()?).await?)
    }

    async fn tend(&self) -> Result<bool> {
        self.writer.tend().await
    }

    async fn forget_keys(&self) -> Result<u64> {
        self.writer.forget(self.clock.oldest_key()).await
    }

    async fn aged(&self, before: i64) -> Result<Vec<Place>> {
        Ok(query_as(AGED).bind(before).fetch_all(&self.state.readers()?).await?)
    }

    async fn surplus(&self, room: i64) -> Result<Vec<Place>> {
        // Both are of the same moment, so that nothing is counted that is not there any more.
        let mut snapshot = self.state.readers()?.begin().await?;
        let names: Vec<(i64, i64)> = query_as(SURPLUS).bind(room).fetch_all(&mut *snapshot).await?;
        let mut places: Vec<Place> = Vec::new();
        for (name, surplus) in names {
            let left = signed(STEP.saturating_sub(places.len()));
            let oldest = query_as(OLDEST).bind(name).bind(surplus.min(left));
            let oldest: Vec<Place> = oldest.fetch_all(&mut *snapshot).await?;
            places.extend(oldest);
        }
        Ok(places)
    }

    async fn heavy(&self, room: i64, bytes: i64) -> Result<Vec<Place>> {
        Ok(query_as(sql::HEAVY).bind(room).bind(bytes).fetch_all(&self.state.readers()?).await?)
    }

    async fn remove(&self, places: Places) -> Result<u64> {
        if places.is_empty() { Ok(0) } else { self.writer.remove(places).await }
    }
}
