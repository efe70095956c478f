//! Checks of what a room declares, and messages of its events.

use serde_json::value::RawValue;

use super::{
    message::{AnyMessage, Envelope, Unfit},
    name,
    room::EventPayload,
};
use crate::{Issues, RoomEvent, RoomSpec};

impl RoomSpec<'_> {
    /// Checks what a module declares: the macros check less, since they have no tables of Unicode.
    pub(crate) fn check_names(&self) -> Result<(), String> {
        let pattern = self.pattern;
        if !name::is_room_id(pattern) {
            return Err(format!("the id {pattern:?} of a room: {}", name::room_id_rule()));
        }
        if let Some(name) = self.name.filter(|name| !name::is_label(name)) {
            return Err(format!(
                "the name {name:?} of the room `{pattern}`: {}",
                name::VISIBLE_NAME
            ));
        }
        self.events.iter().try_for_each(RoomEvent::check_name)
    }
}

impl RoomEvent {
    /// Makes a message of JSON that a client sent.
    pub(crate) fn decode(
        &self,
        envelope: Envelope,
        json: &RawValue,
    ) -> Result<Box<dyn AnyMessage>, Issues> {
        match &self.payload {
            EventPayload::Typed { decode, .. } => decode(envelope, json),
            EventPayload::Described(schema) => {
                schema.check(json)?;
                Ok(Box::new(envelope.around(self.name.clone(), json.to_owned())))
            }
        }
    }

    /// Makes a message that the server's own code put together one of this row, if it keeps the rules.
    pub(crate) fn fit(&self, message: Box<dyn AnyMessage>) -> Result<Box<dyn AnyMessage>, Unfit> {
        match &self.payload {
            EventPayload::Typed { payload_type, .. }
                if payload_type() == message.payload_type() =>
            {
                message.check().map_err(Unfit::Invalid)?;
                Ok(message)
            }
            EventPayload::Typed { .. } if !message.is_raw() => Err(Unfit::AnotherType),
            EventPayload::Typed { .. } | EventPayload::Described(_) => {
                let (envelope, _, data) = Envelope::of(message.to_raw().map_err(Unfit::NotJson)?);
                self.decode(envelope, &data).map_err(Unfit::Invalid)
            }
        }
    }

    /// Whether a message of this row keeps its rules, after a hook has had it.
    pub(crate) fn check(&self, message: &dyn AnyMessage) -> Result<(), Unfit> {
        match &self.payload {
            EventPayload::Typed { .. } => message.check().map_err(Unfit::Invalid),
            EventPayload::Described(schema) => {
                let raw = message.to_raw().map_err(Unfit::NotJson)?;
                schema.check(&raw.data).map_err(Unfit::Invalid)
            }
        }
    }

    /// Checks the name of an event that a type declares.
    pub(crate) fn check_name(&self) -> Result<(), String> {
        let name = self.name();
        if name::is_event_name(name) {
            return Ok(());
        }
        Err(format!("invalid event name {name:?}: {}", name::event_name_rule()))
    }
}
