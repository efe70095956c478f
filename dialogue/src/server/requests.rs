//! What clients ask for: decode, route, answer.

use std::{borrow::Cow, fmt, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    Client,
    gateway::{Frame, Packet},
    message::Envelope,
    rooms::{
        live::Live,
        membership::{self, Answer},
        trigger::publish,
    },
    session::internal,
};
use crate::{
    App, JoinError, Meta, TriggerError, issues, name,
    protocol::{
        self, Ack, ErrorCode, Failure, GetHistory, InRoom, Join, Page, Subscribe, Subscriptions,
        event,
    },
};

/// Handles one request and answers it, whatever happens.
pub(crate) async fn handle<A: App>(client: &Client<A>, frame: Frame) {
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
    client.connection().send(&packet).await;
}

async fn route<A: App>(client: &Client<A>, frame: &Frame) -> Result<(), Failure> {
    let text = frame.text().ok_or_else(|| invalid("binary attachments are not supported"))?;
    let depth = client.dialogue().limits().depth;
    if nests_deeper_than(text, depth) {
        return Err(invalid(format!("the message nests deeper than {depth} levels")));
    }
    let request: Request<'_> =
        serde_json::from_str(text).map_err(|error| invalid(issues::explain(&error)))?;
    match &*request.name {
        event::TRIGGER => trigger(client, frame.ack, request.decode()?).await,
        event::JOIN => join(client, frame.ack, request.decode()?).await,
        event::LEAVE => leave(client, frame.ack, request.decode()?).await,
        event::SUBSCRIBE => subscribe(client, frame.ack, &request.decode()?).await,
        event::SUBSCRIBE_ALL => {
            let InRoom { room_id } = request.decode()?;
            let every = Subscribe { room_id, event_name: name::EVERY_EVENT.into() };
            subscribe(client, frame.ack, &every).await
        }
        event::UNSUBSCRIBE => unsubscribe(client, frame.ack, &request.decode()?).await,
        event::GET_HISTORY => get_history(client, frame.ack, &request.decode()?).await,
        event::LIST_ROOMS => list_rooms(client, frame.ack).await,
        _ => Err(invalid("no such request")),
    }
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, message)
}

/// `serde_json` limits the depth of what it decodes, not of what it passes on undecoded.
fn nests_deeper_than(json: &str, limit: usize) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// `["name"]` or `["name", payload]`.
struct Request<'a> {
    name: Cow<'a, str>,
    payload: &'a RawValue,
}

impl<'a> Request<'a> {
    fn decode<T: Deserialize<'a>>(&self) -> Result<T, Failure> {
        serde_json::from_str(self.payload.get()).map_err(|error| invalid(issues::explain(&error)))
    }
}

impl<'de> Deserialize<'de> for Request<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// A name that borrows where it has no escapes.
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        struct Arguments;

        impl<'de> Visitor<'de> for Arguments {
            type Value = Request<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a request and at most one payload")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
                let Name(name) =
                    seq.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                let payload = seq.next_element()?.unwrap_or(RawValue::NULL);
                match seq.next_element::<de::IgnoredAny>()? {
                    None => Ok(Request { name, payload }),
                    Some(_) => Err(de::Error::invalid_length(3, &self)),
                }
            }
        }

        deserializer.deserialize_seq(Arguments)
    }
}

/// Answers a request that succeeded, if it asked for an answer.
async fn acknowledge<A: App>(client: &Client<A>, ack: Option<i64>, body: impl Serialize) {
    if let Some(id) = ack {
        client.connection().send(&Packet::ack(id, &Ack { ok: true, body })).await;
    }
}

/// The body of an answer that says nothing more.
#[derive(Serialize)]
struct Done {}

/// The room, if the client is a member.
fn member<A: App>(client: &Client<A>, room_id: &str) -> Result<Arc<Live<A>>, Failure> {
    if let Some(live) = client.member_of(room_id) {
        return Ok(live);
    }
    Err(match client.dialogue().hub().resolve(room_id) {
        Some(_) => not_in_room(room_id),
        None => Failure::from(JoinError::RoomNotFound).in_room(room_id),
    })
}

fn not_in_room(room_id: &str) -> Failure {
    Failure::new(ErrorCode::NotInRoom, "join the room first").in_room(room_id)
}

fn event_name(room_id: &str, event: &str) -> Result<(), Failure> {
    if name::is_event_name(event) {
        return Ok(());
    }
    let most = name::MAX_EVENT_NAME;
    let message = format!(
        "an event's name has 1 to {most} printable bytes, is not `{}` and does not start with `{}`",
        name::EVERY_EVENT,
        name::RESERVED_PREFIX
    );
    Err(invalid(message).in_room(room_id))
}

/// The names of subscriptions: an event's, or the one that means every event.
fn event_or_every(room_id: &str, event: &str) -> Result<(), Failure> {
    if event == name::EVERY_EVENT { Ok(()) } else { event_name(room_id, event) }
}

async fn join<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    Join { room_id, subscribe }: Join<'_>,
) -> Result<(), Failure> {
    let answer = ack.map_or(Answer::Events, Answer::Ack);
    for event in subscribe.iter().flatten() {
        event_or_every(&room_id, event)?;
    }
    let Some(room) = client.dialogue().hub().resolve(&room_id) else {
        return Err(Failure::from(JoinError::RoomNotFound).in_room(&room_id));
    };
    membership::join(client, room, subscribe.as_deref(), answer)
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
    // The server's own code may have been faster.
    let left = membership::leave(client, &live, answer).await;
    if left { Ok(()) } else { Err(not_in_room(&room_id)) }
}

async fn subscribe<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    Subscribe { room_id, event_name: event }: &Subscribe<'_>,
) -> Result<(), Failure> {
    event_or_every(room_id, event)?;
    let live = member(client, room_id)?;
    let most = client.dialogue().limits().subscriptions_per_room;
    let subscriptions = live
        .subscribe(client, event, most)
        .map_err(|error| Failure::from(error).in_room(room_id).of_event(event))?;
    acknowledge(client, ack, Subscriptions { subscriptions: &subscriptions }).await;
    Ok(())
}

async fn unsubscribe<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    Subscribe { room_id, event_name: event }: &Subscribe<'_>,
) -> Result<(), Failure> {
    event_or_every(room_id, event)?;
    let live = member(client, room_id)?;
    let subscriptions = live.unsubscribe(client, event);
    acknowledge(client, ack, Subscriptions { subscriptions: &subscriptions }).await;
    Ok(())
}

async fn trigger<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    request: protocol::Trigger<'_>,
) -> Result<(), Failure> {
    let protocol::Trigger { room_id, event, data, meta } = request;
    event_name(&room_id, &event)?;
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
    let from = client.user_id().to_owned();
    let envelope = Envelope { room_id: live.id().clone(), from, meta };
    let data = data.unwrap_or(RawValue::NULL);
    let message = match spec.event(&event) {
        Some(row) => (row.decode)(envelope, data).map_err(TriggerError::Invalid),
        None => Ok(Box::new(envelope.around(event.clone().into_owned(), data.to_owned())) as _),
    };
    let published = match message {
        Ok(message) => publish(client.dialogue(), live.room(), message).await,
        Err(error) => Err(error),
    };
    published.map_err(|error| Failure::from(error).in_room(&room_id).of_event(&event))?;
    acknowledge(client, ack, Done {}).await;
    Ok(())
}

fn decode_meta<A: App>(meta: &RawValue, client: &Client<A>) -> Result<Option<Meta>, Failure> {
    let most = client.dialogue().limits().meta;
    if meta.get().len() > most {
        let message = format!("`meta` has more than {most} bytes");
        return Err(Failure::new(ErrorCode::LimitExceeded, message));
    }
    serde_json::from_str(meta.get()).map_err(|error| invalid(issues::explain(&error)))
}

async fn get_history<A: App>(
    client: &Client<A>,
    ack: Option<i64>,
    request: &GetHistory<'_>,
) -> Result<(), Failure> {
    let GetHistory { room_id, event_name: event, start, end } = request;
    event_name(room_id, event)?;
    if start > end {
        return Err(invalid("`start` is greater than `end`").in_room(room_id));
    }
    let live = member(client, room_id)?;
    let spec = live.room().spec();
    if spec.event(event).is_none() && !spec.any {
        let error = JoinError::EventNotAllowed(event.clone().into_owned());
        return Err(Failure::from(error).in_room(room_id).of_event(event));
    }
    let (events, complete) = live.page(event, *start..*end, client.dialogue().limits());
    let events: Vec<&RawValue> = events.iter().map(|event| &**event).collect();
    let packet = match ack {
        Some(id) => Packet::ack(id, &Ack { ok: true, body: Page { events: &events, complete } }),
        None => Packet::event(
            event::HISTORY_RESPONSE,
            &protocol::HistoryResponse {
                room_id,
                event_name: event,
                events: &events,
                start: *start,
                end: *end,
            },
        ),
    };
    client.connection().send(&packet).await;
    Ok(())
}

async fn list_rooms<A: App>(client: &Client<A>, ack: Option<i64>) -> Result<(), Failure> {
    let rooms = client.dialogue().hub().declared();
    let packet = match ack {
        Some(id) => Packet::ack(id, &Ack { ok: true, body: protocol::Rooms { rooms: &rooms } }),
        None => Packet::event(event::ROOMS, &rooms),
    };
    client.connection().send(&packet).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::nests_deeper_than;

    #[test]
    fn depth_is_of_brackets_outside_strings() {
        assert!(!nests_deeper_than(r#"[{"a":[]}]"#, 3));
        assert!(nests_deeper_than(r#"[{"a":[]}]"#, 2));
        assert!(!nests_deeper_than(r#"["[[[\"[[["]"#, 1));
        assert!(!nests_deeper_than("[[],[],[]]", 2));
    }
}
