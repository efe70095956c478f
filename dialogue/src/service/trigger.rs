//! A client's trigger.

use std::time::Instant;

use serde_json::value::RawValue;

use super::{
    publish,
    rejections::{event_name, invalid},
    visibility,
};
use crate::{
    App, Client, EventNotListed, Meta, Receipt, TriggerError,
    model::{issues, message::Envelope, name},
    protocol::{self, ErrorCode, Failure},
    store::Key,
};

/// A client's request to trigger an event.
pub(crate) async fn trigger<A: App>(
    client: &Client<A>,
    request: protocol::Trigger<'_>,
) -> Result<Receipt, Failure> {
    let protocol::Trigger { room_id, event, data, meta, key } = request;
    event_name(&room_id, &event)?;
    if key.as_deref().is_some_and(|key| !name::is_key(key)) {
        return Err(invalid(name::key_rule()).in_room(&room_id).of_event(&event));
    }
    let meta = meta.map(|meta| decode_meta(meta, client)).transpose()?.flatten();
    let live = visibility::member(client, &room_id)?;
    let spec = live.room().spec();
    if !spec.allows(&event) {
        let failure = match spec.event(&event) {
            Some(_) => {
                let message = "only the server triggers this event";
                Failure::new(ErrorCode::EventNotAllowed, message).of_event(&event)
            }
            None => EventNotListed::new(&*event).into(),
        };
        return Err(failure.in_room(&room_id));
    }
    let row = spec.event(&event);
    if let Some(row) = row {
        let checked = client.rates().check_event(row);
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
        Ok(message) => publish::by_client(client, &live, message, key).await,
        Err(error) => Err(error),
    };
    published.map_err(|error| match error {
        // The room is about to be deleted: its log is.
        TriggerError::RoomNotFound if client.member().is_in(&live) => {
            visibility::no_such_room(&room_id)
        }
        TriggerError::RoomNotFound => visibility::no_member(client, &room_id),
        error => Failure::from(error).in_room(&room_id).of_event(&event),
    })
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
