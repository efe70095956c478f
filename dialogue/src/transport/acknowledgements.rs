//! Answers to requests: an acknowledgement where the client asks for one, otherwise an event.

use std::borrow::Cow;

use serde::Serialize;

use crate::{
    App, Client,
    connection::packet::Packet,
    model::name,
    protocol::{self, Ack, Failure, GetHistory, Page, event},
    service::{history::HistoryPage, list_rooms::RoomList},
};

/// Answers a request that was rejected.
pub(super) async fn reject<A: App>(client: &Client<A>, ack: Option<i64>, failure: Failure) {
    let packet = match ack {
        Some(id) => Packet::ack(id, &Ack { ok: false, body: failure }),
        None => Packet::event(event::ERROR, &failure),
    };
    client.connection().send(packet).await;
}

/// Acknowledges a request that succeeded, if it asked for that.
pub(super) async fn acknowledge<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    body: impl Serialize,
) {
    if let Some(id) = ack {
        client.connection().acknowledge(id, &Ack { ok: true, body }).await;
    }
}

/// The body of an answer that says nothing more.
#[derive(Serialize)]
pub(super) struct Done {}

/// Answers with a page of history.
pub(super) async fn send_page<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    asked: &GetHistory<'_>,
    page: HistoryPage,
) {
    let HistoryPage { page, complete, epoch, seq, start, end, reserved } = page;
    let events = Cow::from(&page.events);
    let packet = if let Some(id) = ack {
        Packet::ack(id, &Ack { ok: true, body: Page { events, complete, epoch, seq } })
    } else {
        let event_name = asked.event_name.as_deref().unwrap_or(name::EVERY_EVENT).into();
        let room_id = asked.room_id.as_ref().into();
        let response = protocol::HistoryResponse { room_id, event_name, events, start, end };
        Packet::event(event::HISTORY_RESPONSE, &response)
    };
    client.connection().send_paid(packet, reserved).await;
}

/// Answers with a page of the list of rooms.
pub(super) async fn send_list<A: App>(client: &Client<A>, ack: Option<i64>, list: RoomList) {
    let RoomList { rooms, next, reserved } = list;
    let packet = match ack {
        Some(id) => {
            let body = protocol::Rooms { rooms: (&rooms).into(), next };
            Packet::ack(id, &Ack { ok: true, body })
        }
        None => Packet::event(event::ROOMS, &rooms),
    };
    client.connection().send_paid(packet, reserved).await;
}
