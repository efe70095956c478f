//! Requests of Socket.IO clients: decoded, passed to their service, and answered by an acknowledgement or an event.

use std::{borrow::Cow, panic::AssertUnwindSafe};

use futures_util::FutureExt;
use serde::{Serialize, de::IgnoredAny};
use tracing::Instrument;

use crate::{
    App, Client,
    connection::{
        decode::Request,
        packet::{Body, Packet},
        raw_request::RawRequest,
    },
    engine::{admission::Change, join_answer::JoinAnswer},
    model::name,
    protocol::{
        self, Ack, Failure, GetHistory, InRoom, Join, ListRooms, Page, RoomCreated, Subscribe,
        Triggered, event,
    },
    service::{
        authenticate::authenticate,
        create_room::create_room,
        delete_room::delete_room,
        history::{HistoryPage, get_history},
        join,
        leave::leave,
        list_rooms::{RoomList, list_rooms},
        names::{internal, invalid},
        notices, rates,
        subscribe::subscribe,
        trigger::trigger,
    },
};

/// Handles one request and answers it, whatever happens.
pub(crate) async fn handle<A: App>(client: &Client<A>, frame: RawRequest) {
    // Hooks are guarded one by one; this guards the user's deserialisers and validators.
    let routed = AssertUnwindSafe(route(client, &frame)).catch_unwind().await;
    let failure = match routed {
        Ok(Ok(())) => return,
        Ok(Err(failure)) => failure,
        Err(_) => {
            tracing::error!(client = %client.id(), "a request panicked");
            internal()
        }
    };
    let packet = match frame.ack {
        Some(id) => Packet::ack(id, &Ack { ok: false, body: failure }),
        None => Packet::event(event::ERROR, &failure),
    };
    client.connection().send(packet).await;
}

async fn route<A: App>(client: &Client<A>, frame: &RawRequest) -> Result<(), Failure> {
    let request = Request::parse(frame, client.dialogue().limits())?;
    rates::check(client, &request.name)?;
    let span = tracing::debug_span!("request", name = ?logged(&request.name));
    dispatch(client, frame.ack, &request).instrument(span).await
}

/// A request's name for the log: an unknown one is a client's own text.
fn logged(request: &str) -> &str {
    let known = request.starts_with(name::RESERVED_PREFIX);
    if known { &request[..request.floor_char_boundary(32)] } else { "unknown" }
}

async fn dispatch<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    request: &Request<'_>,
) -> Result<(), Failure> {
    match &*request.name {
        event::TRIGGER => {
            let receipt = trigger(client, request.decode()?).await?;
            let position = receipt.position.map(|position| (position.epoch, position.seq));
            let (epoch, seq) = position.unzip();
            let answer = Triggered { epoch, seq, duplicate: receipt.duplicate };
            acknowledge(client, ack, answer).await;
        }
        event::JOIN => join_room(client, ack, request.decode()?).await?,
        event::LEAVE => {
            let InRoom { room_id } = &request.decode()?;
            let answer = match ack {
                Some(id) => Packet::ack(id, &Ack { ok: true, body: Done {} }),
                None => notices::left(room_id),
            };
            leave(client, room_id, answer).await?;
        }
        event::SUBSCRIBE => {
            let Subscribe { room_id, event_name } = &request.decode()?;
            change_subscriptions(client, ack, room_id, Change::Add(event_name)).await?;
        }
        event::SUBSCRIBE_ALL => {
            let InRoom { room_id } = &request.decode()?;
            change_subscriptions(client, ack, room_id, Change::Add(name::EVERY_EVENT)).await?;
        }
        event::UNSUBSCRIBE => {
            let Subscribe { room_id, event_name } = &request.decode()?;
            change_subscriptions(client, ack, room_id, Change::Remove(event_name)).await?;
        }
        event::GET_HISTORY => {
            let asked = request.decode()?;
            if let Some(page) = get_history(client, &asked).await? {
                send_page(client, ack, &asked, page).await;
            }
        }
        event::LIST_ROOMS => {
            let asked = match request.decode::<Option<ListRooms>>() {
                Ok(asked) => asked.unwrap_or_default(),
                Err(error) if request.has_object() => return Err(error),
                // Clients that know nothing of pages may send anything else.
                Err(_) => {
                    let IgnoredAny = request.decode()?;
                    ListRooms::default()
                }
            };
            if let Some(list) = list_rooms(client, asked).await? {
                send_list(client, ack, list).await;
            }
        }
        event::CREATE_ROOM => {
            let room = create_room(client, request.decode()?).await?;
            // Without an acknowledgement, the answer is the announcement.
            acknowledge(client, ack, RoomCreated { room: Cow::Borrowed(&room) }).await;
        }
        event::DELETE_ROOM => {
            let InRoom { room_id } = &request.decode()?;
            delete_room(client, room_id).await?;
            acknowledge(client, ack, Done {}).await;
        }
        event::AUTHENTICATE => {
            let authenticated = authenticate(client, request.decode()?).await?;
            acknowledge(client, ack, authenticated).await;
        }
        _ => return Err(invalid("no such request")),
    }
    Ok(())
}

/// Acknowledges a request that succeeded, if it asked for that.
async fn acknowledge<A: App>(client: &Client<A>, ack: Option<i64>, body: impl Serialize) {
    if let Some(id) = ack {
        client.connection().acknowledge(id, &Ack { ok: true, body }).await;
    }
}

/// The body of an answer that says nothing more.
#[derive(Serialize)]
struct Done {}

async fn join_room<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    request: Join<'_>,
) -> Result<(), Failure> {
    let connection = client.connection();
    let Some(id) = ack else { return join::join(client, request, join::by_events(client)).await };
    let hand_over = |mut answer: JoinAnswer<'_>| {
        connection.try_ack_of(id, |process| {
            answer.shared(|joined| Body::new(&Ack { ok: true, body: joined }, process))
        })
    };
    join::join(client, request, hand_over).await
}

async fn change_subscriptions<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    room_id: &str,
    change: Change<'_>,
) -> Result<(), Failure> {
    let hand_over = |body: &protocol::Subscriptions<'_>| match ack {
        Some(id) => client.connection().try_ack(id, &Ack { ok: true, body }),
        None => Ok(()),
    };
    subscribe(client, room_id, change, hand_over).await
}

async fn send_page<A: App>(
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

async fn send_list<A: App>(client: &Client<A>, ack: Option<i64>, list: RoomList) {
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
