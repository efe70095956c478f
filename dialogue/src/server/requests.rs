//! What clients ask for: route, answer.

use std::{borrow::Cow, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures_util::FutureExt;
use serde::{Serialize, de::IgnoredAny};
use serde_json::value::RawValue;
use tracing::Instrument;

use super::{
    AnyRoom, Client,
    budget::Holding,
    decode::{Request, invalid},
    hook,
    packet::Packet,
    proven::Proven,
    raw_request::RawRequest,
    rooms::{
        hub::Asker,
        live::{Change, Live},
        membership::{self, Answer, Asked},
        trigger::publish,
    },
    session::{self, internal},
};
use crate::{
    App, CreateError, DeleteError, JoinError, Meta, SubscribeError, TriggerError, issues,
    message::Envelope,
    name,
    protocol::{
        self, Ack, CreateRoom, ErrorCode, Failure, GetHistory, InRoom, Join, ListRooms, Page,
        RoomCreated, Subscribe, Triggered, event,
    },
    store::{Key, Part, Query, erased::Unavailable},
};

/// How many events a page of history has, unless the request says otherwise.
const DEFAULT_PAGE: usize = 50;

/// How many rooms a page of the list looks at, at least, to find some that the client sees.
const FEWEST_SCANNED: usize = 16;

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
    check_pace(client, &request.name)?;
    let span = tracing::debug_span!("request", name = ?logged(&request.name));
    dispatch(client, frame.ack, &request).instrument(span).await
}

/// A request's name for the log: what is none, is a client's own text.
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
        event::TRIGGER => trigger(client, ack, request.decode()?).await,
        event::JOIN => join(client, ack, request.decode()?).await,
        event::LEAVE => leave(client, ack, request.decode()?).await,
        event::SUBSCRIBE => {
            let Subscribe { room_id, event_name } = &request.decode()?;
            change_subscriptions(client, ack, room_id, Change::Add(event_name)).await
        }
        event::SUBSCRIBE_ALL => {
            let InRoom { room_id } = &request.decode()?;
            change_subscriptions(client, ack, room_id, Change::Add(name::EVERY_EVENT)).await
        }
        event::UNSUBSCRIBE => {
            let Subscribe { room_id, event_name } = &request.decode()?;
            change_subscriptions(client, ack, room_id, Change::Remove(event_name)).await
        }
        event::GET_HISTORY => get_history(client, ack, &request.decode()?).await,
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
            list_rooms(client, ack, asked).await
        }
        event::CREATE_ROOM => create_room(client, ack, request.decode()?).await,
        event::DELETE_ROOM => delete_room(client, ack, &request.decode()?).await,
        event::AUTHENTICATE => authenticate(client, ack, request.decode()?).await,
        _ => Err(invalid("no such request")),
    }
}

/// Lets a client ask only so often, for what it asks.
fn check_pace<A: App>(client: &Client<A>, request: &str) -> Result<(), Failure> {
    let (paces, transport) = (client.paces(), client.connection().transport());
    let long = matches!(request, event::JOIN | event::GET_HISTORY | event::LIST_ROOMS);
    if long {
        client.connection().check_answers()?;
    }
    let checked = match request {
        event::TRIGGER => paces.triggers.check().and_then(|()| transport.check_trigger()),
        event::AUTHENTICATE => paces.requests.check().and_then(|()| transport.check_authenticate()),
        event::JOIN => paces.joins.check(),
        event::GET_HISTORY => client.dialogue().check_history(client.user_id()),
        event::CREATE_ROOM | event::DELETE_ROOM => {
            paces.creations.check().and_then(|()| transport.check_creation())
        }
        _ => paces.requests.check(),
    };
    checked.map_err(Failure::from)
}

/// Reserves memory for an answer that may be long. `None` if the connection is gone.
async fn reserve<A: App>(client: &Client<A>) -> Result<Option<Holding>, Failure> {
    let limits = client.dialogue().limits();
    match client.connection().reserve(limits.answer_bytes(), limits.join_time).await {
        Ok(reserved) => Ok(Some(reserved)),
        Err(JoinError::Closed) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Answers a request that succeeded, if it asked for an answer.
async fn acknowledge<A: App>(client: &Client<A>, ack: Option<i64>, body: impl Serialize) {
    if let Some(id) = ack {
        client.connection().acknowledge(id, &Ack { ok: true, body }).await;
    }
}

/// The body of an answer that says nothing more.
#[derive(Serialize)]
struct Done {}

/// The room, if the client is a member.
fn member<A: App>(client: &Client<A>, room_id: &str) -> Result<Arc<Live<A>>, Failure> {
    client.member_of(room_id).ok_or_else(|| no_member(client, room_id))
}

/// What a client hears that is in no room of this id, or is no longer: the server's own code may
/// have been faster, or the room was deleted.
fn no_member<A: App>(client: &Client<A>, room_id: &str) -> Failure {
    if visible(client, room_id).is_none() {
        return no_such_room(room_id);
    }
    Failure::from(SubscribeError::NotInRoom).in_room(room_id)
}

/// The room, if the client may know that it exists.
fn visible<A: App>(client: &Client<A>, room_id: &str) -> Option<AnyRoom<A>> {
    client.dialogue().find(room_id).filter(|room| room.is_seen_by(client))
}

fn no_such_room(room_id: &str) -> Failure {
    Failure::from(JoinError::RoomNotFound).in_room(room_id)
}

fn event_name(room_id: &str, event: &str) -> Result<(), Failure> {
    if name::is_event_name(event) {
        return Ok(());
    }
    Err(invalid(name::event_name_rule()).in_room(room_id))
}

/// The names of subscriptions: an event's, or the one that means every event.
fn event_or_every(room_id: &str, event: &str) -> Result<(), Failure> {
    if event == name::EVERY_EVENT { Ok(()) } else { event_name(room_id, event) }
}

async fn join<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    Join { room_id, subscribe, defaults, since, limit }: Join<'_>,
) -> Result<(), Failure> {
    let answer = ack.map_or(Answer::Events, Answer::Ack);
    if subscribe.as_ref().is_some_and(|names| names.len() > protocol::MAX_NAMES) {
        let message = format!("a join may name up to {} events", protocol::MAX_NAMES);
        return Err(Failure::new(ErrorCode::LimitExceeded, message).in_room(&room_id));
    }
    for event in subscribe.iter().flatten() {
        event_or_every(&room_id, event)?;
    }
    let room = client.dialogue().hub().resolve(&room_id).ok_or_else(|| no_such_room(&room_id))?;
    membership::join(client, room, Asked { subscribe, defaults, since, limit }, answer)
        .await
        .map_err(|error| Failure::from(error).in_room(&room_id))
}

async fn leave<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    InRoom { room_id }: InRoom<'_>,
) -> Result<(), Failure> {
    let live = member(client, &room_id)?;
    let answer = match ack {
        Some(id) => Packet::ack(id, &Ack { ok: true, body: Done {} }),
        None => membership::left(&room_id),
    };
    let left = membership::leave(client, &live, answer).await;
    if left { Ok(()) } else { Err(no_member(client, &room_id)) }
}

async fn change_subscriptions<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    room_id: &str,
    change: Change<'_>,
) -> Result<(), Failure> {
    let (Change::Add(event) | Change::Remove(event)) = change;
    event_or_every(room_id, event)?;
    let live = member(client, room_id)?;
    let changed = client.connection().retry(|| live.change_and_answer(client, change, ack)).await;
    // Without an outcome, nobody is there any more to be told.
    changed.unwrap_or(Ok(())).map_err(|error| match error {
        SubscribeError::NotInRoom => no_member(client, room_id),
        error => Failure::from(error).in_room(room_id).of_event(event),
    })
}

async fn trigger<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    request: protocol::Trigger<'_>,
) -> Result<(), Failure> {
    let protocol::Trigger { room_id, event, data, meta, key } = request;
    event_name(&room_id, &event)?;
    if key.as_deref().is_some_and(|key| !name::is_key(key)) {
        return Err(invalid(name::key_rule()).in_room(&room_id).of_event(&event));
    }
    let meta = meta.map(|meta| decode_meta(meta, client)).transpose()?.flatten();
    let live = member(client, &room_id)?;
    let spec = live.room().spec();
    if !spec.allows(&event) {
        let message = match spec.event(&event) {
            Some(_) => "only the server triggers this event",
            None => "the room does not list this event",
        };
        let failure = Failure::new(ErrorCode::EventNotAllowed, message);
        return Err(failure.in_room(&room_id).of_event(&event));
    }
    let row = spec.event(&event);
    if let Some(row) = row {
        let checked = client.paces().check_event(row);
        checked.map_err(|limited| Failure::from(limited).in_room(&room_id).of_event(&event))?;
    }
    let envelope = Envelope::new(live.id(), client.user_id(), meta);
    let data = data.unwrap_or(RawValue::NULL);
    let began = Instant::now();
    let key = key.map(|key| Key::new(client.user_id(), &key, &event, data));
    let message = match row {
        Some(row) => row.decode(envelope, data).map_err(TriggerError::Invalid),
        None => Ok(Box::new(envelope.around(event.clone().into_owned(), data.to_owned())) as _),
    };
    client.connection().transport().intake().took(began.elapsed());
    let published = match message {
        Ok(message) => publish(client, &live, message, key).await,
        Err(error) => Err(error),
    };
    let receipt = published.map_err(|error| match error {
        // The room is about to be deleted: its log is.
        TriggerError::RoomNotFound if client.is_member_of(&live) => no_such_room(&room_id),
        TriggerError::RoomNotFound => no_member(client, &room_id),
        error => Failure::from(error).in_room(&room_id).of_event(&event),
    })?;
    let (epoch, seq) = receipt.position.map(|position| (position.epoch, position.seq)).unzip();
    let duplicate = receipt.duplicate;
    acknowledge(client, ack, Triggered { epoch, seq, duplicate }).await;
    Ok(())
}

fn decode_meta<A: App>(meta: &RawValue, client: &Client<A>) -> Result<Option<Meta>, Failure> {
    let most = client.dialogue().limits().meta;
    if meta.get().len() > most {
        let message = format!("`meta` has more than {most} bytes");
        return Err(Failure::new(ErrorCode::LimitExceeded, message));
    }
    if meta.get() == "null" {
        return Ok(None);
    }
    Meta::from_client(meta).map(Some).map_err(|error| invalid(issues::explain(&error)))
}

async fn get_history<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    request: &GetHistory<'_>,
) -> Result<(), Failure> {
    let GetHistory { room_id, event_name: event, start, end, after, before, limit } = request;
    let wrong = |message: &str| invalid(message).in_room(room_id);
    if let Some(event) = event {
        event_name(room_id, event)?;
    }
    let live = member(client, room_id)?;
    let spec = live.room().spec();
    if let Some(event) = event
        && spec.event(event).is_none()
        && !spec.any
    {
        let error = SubscribeError::EventNotAllowed(event.clone().into_owned());
        return Err(Failure::from(error).in_room(room_id).of_event(event));
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
            let subscribed =
                live.subscriptions(client).ok_or_else(|| no_member(client, room_id))?;
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
    let Some(reserved) = reserve(client).await? else { return Ok(()) };
    let read = live.page(client.dialogue(), query).await;
    // The room may have been deleted meanwhile, and another one have its id.
    if !Arc::ptr_eq(&member(client, room_id)?, &live) {
        return Err(no_member(client, room_id));
    }
    let unavailable = |Unavailable| Failure::from(JoinError::StoreUnavailable).in_room(room_id);
    let (epoch, seq, page) = read.map_err(unavailable)?;
    let events = Cow::from(&page.events);
    let packet = if let Some(id) = ack {
        // By index, the end of what is wanted is known.
        let complete = !page.more || (!by_cursor && events.len() == wanted);
        Packet::ack(id, &Ack { ok: true, body: Page { events, complete, epoch, seq } })
    } else {
        let (start, end) = by_index;
        let event_name = event.as_deref().unwrap_or(name::EVERY_EVENT).into();
        let room_id = room_id.as_ref().into();
        let response = protocol::HistoryResponse { room_id, event_name, events, start, end };
        Packet::event(event::HISTORY_RESPONSE, &response)
    };
    client.connection().send_paid(packet, reserved).await;
    Ok(())
}

async fn list_rooms<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    asked: ListRooms,
) -> Result<(), Failure> {
    let limits = client.dialogue().limits();
    let after = asked.after.as_deref().map(str::parse).transpose();
    let after = after.map_err(|_| invalid("`after` is not the `next` of another list"))?;
    let most = asked.limit.unwrap_or(usize::MAX).clamp(1, limits.page_rooms.max(1));
    let Some(reserved) = reserve(client).await? else { return Ok(()) };
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
    let packet = match ack {
        Some(id) => {
            let body = protocol::Rooms { rooms: (&rooms).into(), next };
            Packet::ack(id, &Ack { ok: true, body })
        }
        None => Packet::event(event::ROOMS, &rooms),
    };
    client.connection().send_paid(packet, reserved).await;
    Ok(())
}

async fn create_room<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    request: CreateRoom,
) -> Result<(), Failure> {
    let (dialogue, id) = (client.dialogue(), request.id.clone());
    if !name::is_created_room_id(&id) {
        return Err(CreateError::InvalidId.into());
    }
    if !name::is_room_name(&request.name) {
        return Err(invalid(name::room_name_rule()).in_room(&id));
    }
    if !request.description.as_deref().is_none_or(name::is_room_description) {
        return Err(invalid(name::room_description_rule()).in_room(&id));
    }
    let decided = Box::pin(async { dialogue.app().create_room(client, request).await });
    let decided = hook::run(dialogue.limits().hook_time, "create_room", &id, decided).await;
    let created = match decided {
        Ok(Ok(config)) => {
            let config = config.created_by_default(client.user_id());
            let address = client.handshake().address();
            dialogue.create_within(&id, config, Some(Asker::at(address))).await
        }
        Ok(Err(deny)) => Err(CreateError::Denied(deny)),
        Err(hook::Failed) => Err(CreateError::Internal),
    };
    if let Err(CreateError::InvalidConfig(mistake)) = &created {
        tracing::error!(room = ?id, mistake, "`create_room` returned what is no room");
    }
    let (_, room) = created.map_err(|error| match error {
        CreateError::Exists | CreateError::Declared => id_is_taken(client, &id),
        error => Failure::from(error).in_room(&id),
    })?;
    // Without an acknowledgement, the answer is what everyone is told.
    acknowledge(client, ack, RoomCreated { room: Cow::Borrowed(&room) }).await;
    Ok(())
}

/// Refuses an id that is taken. Of a room that the client does not see, it learns no more than of an id
/// that a family answers to, whether or not such a room is open.
fn id_is_taken<A: App>(client: &Client<A>, id: &str) -> Failure {
    let open = client.dialogue().hub().find(id).filter(|live| !live.room().spec().is_family());
    let room = open.map(|live| AnyRoom::new(client.dialogue().clone(), live.room().clone()));
    let failure = if room.is_some_and(|room| room.is_seen_by(client)) {
        Failure::from(CreateError::Exists)
    } else {
        Failure::new(ErrorCode::PermissionDenied, "this id cannot be used; choose another one")
    };
    failure.in_room(id)
}

async fn delete_room<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    InRoom { room_id }: &InRoom<'_>,
) -> Result<(), Failure> {
    let room = visible(client, room_id).ok_or_else(|| no_such_room(room_id))?;
    if room.created_by() != Some(client.user_id()) {
        let message = "a room is deleted by who created it";
        return Err(Failure::new(ErrorCode::PermissionDenied, message).in_room(room_id));
    }
    // A declared room was created by nobody, so only somebody else can have been faster.
    room.delete().await.map_err(|error| match error {
        DeleteError::RoomNotFound | DeleteError::Declared => no_such_room(room_id),
        error => Failure::from(error).in_room(room_id),
    })?;
    acknowledge(client, ack, Done {}).await;
    Ok(())
}

async fn authenticate<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    credentials: &RawValue,
) -> Result<(), Failure> {
    let handshake = client.handshake();
    let proven =
        session::authenticate(client.dialogue(), Some(credentials.get()), &handshake).await?;
    let Proven { identity, user_id, expires_at } = proven;
    if *user_id != *client.user_id() {
        let message = "these are another user's credentials; connect anew with them";
        return Err(Failure::new(ErrorCode::Unauthenticated, message));
    }
    client.renew(identity, expires_at);
    acknowledge(client, ack, client.expiry()).await;
    Ok(())
}
