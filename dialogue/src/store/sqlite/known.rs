//! Where logs end: what the writer need not read again.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use sqlx::{SqliteConnection, query_as, query_scalar};

use super::super::sql::Result;
use crate::Epoch;

/// How many rooms and names are known at most.
const MOST_KNOWN: usize = 50_000;

pub(super) const ROOM: &str = "select key, epoch, seq from dialogue_rooms where id = $1";
const NEW_ROOM: &str =
    "insert into dialogue_rooms (id, epoch, seq) values ($1, $2, 0) returning key";
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

    /// The end of a room's log, which begins with this epoch if there is none.
    pub(super) async fn room(
        &mut self,
        connection: &mut SqliteConnection,
        id: &Arc<str>,
        epoch: Epoch,
    ) -> Result<&mut Room> {
        let vacant = match self.rooms.entry(id.clone()) {
            Entry::Occupied(known) => return Ok(known.into_mut()),
            Entry::Vacant(vacant) => vacant,
        };
        self.lookups += 1;
        let found = query_as(ROOM).bind(&**id).fetch_optional(&mut *connection).await?;
        let names = HashMap::new();
        let room = if let Some((key, epoch, seq)) = found {
            let epoch: String = epoch;
            Room { key, epoch: epoch.parse()?, seq, names }
        } else {
            let new = query_scalar(NEW_ROOM).bind(&**id).bind(epoch.to_string());
            Room { key: new.fetch_one(connection).await?, epoch, seq: 0, names }
        };
        Ok(vacant.insert(room))
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
