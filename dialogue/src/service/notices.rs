//! Events that tell a client of its memberships, where it did not ask for an acknowledgement.

use std::borrow::Cow;

use crate::{
    SyncHistory,
    connection::{Connection, outgoing::Unsent, packet::Packet},
    protocol::{History, Joined, Membership, event},
};

/// Tells a client that it joined and, unless the room sends nothing of the past, what it missed. Both are encoded only
/// if the connection's queue has room.
pub(crate) fn joined(
    connection: &Connection,
    joined: &Joined<'_>,
    sync: SyncHistory,
) -> Result<(), Unsent> {
    let Joined { room_id, room_name, unknown_events, events, .. } = joined;
    let room_id = Cow::Borrowed(&**room_id);
    let room_name = Some(Cow::Borrowed(&**room_name));
    let unknown_events = Cow::Borrowed(&**unknown_events);
    let membership = Membership { room_id: room_id.clone(), room_name, unknown_events };
    connection.try_event(event::JOINED, &membership)?;
    if sync == SyncHistory::Nothing && events.is_empty() {
        return Ok(());
    }
    let events = Cow::Borrowed(&**events);
    connection.try_event(event::HISTORY, &History { room_id, events })
}

/// Tells a client that it left.
pub(crate) fn left(room_id: &str) -> Packet {
    Packet::event(event::LEFT, &Membership::of(room_id.into()))
}
