//! Pages of history.

use std::sync::Arc;

use super::{
    rates,
    rejections::{event_name, invalid},
    visibility,
};
use crate::{
    App, Client, Epoch, EventNotListed, JoinError,
    connection::budget::Holding,
    model::name,
    protocol::{Failure, GetHistory},
    store::{Page, Part, Query, erased::Unavailable},
};

/// How many events a page of history has, unless the request says otherwise.
const DEFAULT_PAGE: usize = 50;

/// A page of history, and the memory that was reserved for it.
pub(crate) struct HistoryPage {
    pub(crate) page: Arc<Page>,
    /// Whether the page has everything that was asked for.
    pub(crate) complete: bool,
    /// Where the log ended when it was read.
    pub(crate) epoch: Epoch,
    pub(crate) seq: u64,
    /// The range of indices that was asked for; its defaults for a page by sequence number.
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) reserved: Holding,
}

/// A client's request for a page of history. `None` if the connection has ended.
pub(crate) async fn get_history<A: App>(
    client: &Client<A>,
    request: &GetHistory<'_>,
) -> Result<Option<HistoryPage>, Failure> {
    let GetHistory { room_id, event_name: event, start, end, after, before, limit } = request;
    let wrong = |message: &str| invalid(message).in_room(room_id);
    if let Some(event) = event {
        event_name(room_id, event)?;
    }
    let live = visibility::member(client, room_id)?;
    let spec = live.room().spec();
    if let Some(event) = event
        && spec.event(event).is_none()
        && !spec.any
    {
        return Err(Failure::from(EventNotListed::new(&**event)).in_room(room_id));
    }
    let by_index = (start.unwrap_or(0), end.unwrap_or(DEFAULT_PAGE));
    let by_cursor = after.or(*before).is_some();
    let (part, wanted) = match (after, before, event) {
        (None, None, Some(event)) if limit.is_none() => {
            let (start, end) = by_index;
            if start > end {
                return Err(wrong("`start` is greater than `end`"));
            }
            (Part::Newest { event: event.clone().into_owned().into(), skip: start }, end - start)
        }
        (None, None, None) => {
            return Err(wrong("`eventName` is missing, or `after` or `before`"));
        }
        (Some(_), Some(_), _) => return Err(wrong("either `after` or `before`, not both")),
        (None, None, Some(_)) => return Err(wrong("`limit` goes with `after` or `before`")),
        _ if start.or(*end).is_some() => {
            return Err(wrong("`start` and `end` do not go with `after` or `before`"));
        }
        (after, before, event) => {
            let subscribed = live
                .subscriptions(client.member())
                .ok_or_else(|| visibility::no_member(client, room_id))?;
            let asked = |name: &str| match event {
                Some(event) => *event == name,
                None => subscribed.iter().any(|own| own == name || own == name::EVERY_EVENT),
            };
            let events = live.stored_events().filter(|name| asked(name)).cloned().collect();
            let part = match (after, before) {
                (Some(seq), _) => Part::After { seq: *seq, events },
                (None, before) => Part::Before { seq: before.unwrap_or(u64::MAX), events },
            };
            (part, limit.unwrap_or(DEFAULT_PAGE))
        }
    };
    let limits = client.dialogue().limits();
    let limit = wanted.min(limits.page_events);
    let query = Query { part, limit, bytes: limits.page_bytes };
    // No page is in memory that the client's address has no room for.
    let Some(reserved) = rates::reserve(client).await? else { return Ok(None) };
    let read = live.page(client.dialogue().hub(), query).await;
    // The room may have been deleted meanwhile, and another one have its id.
    if !Arc::ptr_eq(&visibility::member(client, room_id)?, &live) {
        return Err(visibility::no_member(client, room_id));
    }
    let unavailable = |Unavailable| Failure::from(JoinError::StoreUnavailable).in_room(room_id);
    let (epoch, seq, page) = read.map_err(unavailable)?;
    // By index, the end of what is wanted is known.
    let complete = !page.more || (!by_cursor && page.events.len() == wanted);
    let (start, end) = by_index;
    Ok(Some(HistoryPage { page, complete, epoch, seq, start, end, reserved }))
}
