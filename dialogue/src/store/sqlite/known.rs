//! Where logs end: what the writer need not read again.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use sqlx::{SqliteConnection, query_as, query_scalar};

use super::super::{
    LogId, Owner,
    sql::{Result, owned},
};
use crate::Epoch;

/// How many rooms and names are known at most.
const MOST_KNOWN: usize = 50_000;

/// Takes a room's id and an owner.
pub(super) const ROOM: &str = concat!(
    "select key, epoch, seq from dialogue_rooms as r where id = $1 and ",
    owned!("r", "$2")
);
/// Takes a room's id, an epoch and an owner. Returns nothing if the log is another owner's.
const NEW_ROOM: &str = "
    insert into dialogue_rooms (id, epoch, seq, owner) values ($1, $2, 0, $3)
    on conflict (id) do nothing returning key";
pub(super) const NAME: &str = "select key, last from dialogue_names where room = $1 and event = $2";
const NEW_NAME: &str = "
    insert into dialogue_names (room, event, last, keep, count, bytes)
    values ($1, $2, 0, 0, 0, 0) returning key";

#[derive(Default)]
pub(super) struct Known {
    /// Changes when somebody else has written to the file.
    version: i64,
    rooms: HashMap<Arc<str>, Room>,
    /// How many rooms and names were looked up.
    pub(super) lookups: usize,
}

/// Where a room's log ends.
pub(super) struct Room {
    owner: Owner,
    pub(super) key: i64,
    pub(super) epoch: Epoch,
    pub(super) seq: i64,
    pub(super) names: HashMap<String, Name>,
}

/// Where the events of one name end.
#[derive(Clone, Copy)]
pub(super) struct Name {
    pub(super) key: i64,
    pub(super) last: i64,
}

impl Known {
    /// What is known is of the file's present version, and not too much.
    pub(super) fn refresh(&mut self, version: i64) {
        if self.version != version || self.lookups > MOST_KNOWN {
            *self = Self { version, ..Self::default() };
        }
    }

    /// The end of a log, which begins with this epoch if there is none and it may begin by itself. `None` if
    /// it may not, or if the room has a log of another owner.
    pub(super) async fn room(
        &mut self,
        connection: &mut SqliteConnection,
        LogId { room: id, owner }: &LogId,
        epoch: Epoch,
    ) -> Result<Option<&mut Room>> {
        let entry = match self.rooms.entry(id.clone()) {
            Entry::Occupied(known) if known.get().owner == *owner => {
                return Ok(Some(known.into_mut()));
            }
            entry => entry,
        };
        self.lookups += 1;
        let found = query_as(ROOM).bind(&**id).bind(owner.as_str());
        let (names, owner) = (HashMap::new(), owner.clone());
        let room = if let Some((key, epoch, seq)) = found.fetch_optional(&mut *connection).await? {
            let epoch: String = epoch;
            Room { owner, key, epoch: epoch.parse()?, seq, names }
        } else if owner.is_creation() {
            return Ok(None);
        } else {
            let new = query_scalar(NEW_ROOM).bind(&**id).bind(epoch.to_string());
            let new = new.bind(owner.as_str()).fetch_optional(connection).await?;
            let Some(key) = new else { return Ok(None) };
            Room { owner, key, epoch, seq: 0, names }
        };
        Ok(Some(entry.insert_entry(room).into_mut()))
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.rooms.remove(id);
    }
}

impl Room {
    /// Where the events of a name end, which the log may not have had yet.
    pub(super) async fn name(
        &mut self,
        connection: &mut SqliteConnection,
        event: &str,
    ) -> Result<Name> {
        if let Some(name) = self.names.get(event) {
            return Ok(*name);
        }
        let found = query_as(NAME).bind(self.key).bind(event).fetch_optional(&mut *connection);
        let name = if let Some((key, last)) = found.await? {
            Name { key, last }
        } else {
            let new = query_scalar(NEW_NAME).bind(self.key).bind(event);
            Name { key: new.fetch_one(connection).await?, last: 0 }
        };
        self.names.insert(event.to_owned(), name);
        Ok(name)
    }

    /// The log has one more event.
    pub(super) fn advance(&mut self, event: &str) {
        self.seq += 1;
        if let Some(name) = self.names.get_mut(event) {
            name.last = self.seq;
        }
    }
}
