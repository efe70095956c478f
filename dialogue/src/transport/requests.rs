//! Requests of Socket.IO clients: decoded, passed to their service, and answered by an acknowledgement or an event.

use std::{borrow::Cow, panic::AssertUnwindSafe};

use futures_util::FutureExt;
use serde::de::IgnoredAny;
use tracing::Instrument;

use super::acknowledgements::{Done, acknowledge, reject, send_list, send_page};
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
        self, Ack, Failure, InRoom, Join, ListRooms, RoomCreated, Subscribe, Triggered, event,
    },
    service::{
        authenticate::authenticate,
        create_room::create_room,
        delete_room::delete_room,
        history::get_history,
        join,
        leave::leave,
        list_rooms::list_rooms,
        notices, rates,
        rejections::{internal, invalid},
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
    reject(client, frame.ack, failure).await;
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
