//! The list of rooms.

use super::{rates, rejections::invalid};
use crate::{
    App, Client, RoomInfo,
    connection::budget::Holding,
    protocol::{Failure, ListRooms},
};

/// How many rooms a page of the list looks at, at least, to find some that the client sees.
const FEWEST_SCANNED: usize = 16;

/// A page of the list, and the memory that was reserved for it.
pub(crate) struct RoomList {
    pub(crate) rooms: Vec<RoomInfo>,
    /// The `after` of the next page, if there is one.
    pub(crate) next: Option<String>,
    pub(crate) reserved: Holding,
}

/// A client's request for a page of the rooms that it may see. `None` if the connection has ended.
pub(crate) async fn list_rooms<A: App>(
    client: &Client<A>,
    asked: ListRooms,
) -> Result<Option<RoomList>, Failure> {
    let limits = client.dialogue().limits();
    let after = asked.after.as_deref().map(str::parse).transpose();
    let after = after.map_err(|_| invalid("`after` is not the `next` of another list"))?;
    let most = asked.limit.unwrap_or(usize::MAX).clamp(1, limits.page_rooms.max(1));
    let Some(reserved) = rates::reserve(client).await? else { return Ok(None) };
    let (mut rooms, mut bytes, mut next) = (Vec::new(), 0, None);
    // A short page looks at few rooms, and may be empty.
    let scanned = most.max(FEWEST_SCANNED).min(limits.page_rooms.max(1));
    let mut looked_at = client.dialogue().hub().listed(after, scanned.saturating_add(1));
    // One more than is looked at says whether there is more.
    let more = looked_at.len() > scanned;
    looked_at.truncate(scanned);
    let last = looked_at.last().map(|live| live.number()).filter(|_| more);
    let mut before = after;
    for live in looked_at {
        let room = live.info();
        if client.dialogue().sees(client, &room) {
            bytes += room.weight();
            let full = rooms.len() >= most || (bytes > limits.page_bytes && !rooms.is_empty());
            if full {
                next = before;
                break;
            }
            rooms.push(room);
        }
        before = Some(live.number());
    }
    let next = next.or(last).map(|next: u64| next.to_string());
    Ok(Some(RoomList { rooms, next, reserved }))
}
