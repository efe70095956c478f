//! Event messages with the payload's type forgotten.

use std::{
    any::{Any, TypeId},
    borrow::Cow,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{Event, EventMessage, Issues, Meta, Position, RawMessage};

/// How a room's row makes a message of its event from JSON.
pub(crate) type Decode = fn(Envelope, &RawValue) -> Result<Box<dyn AnyMessage>, Issues>;

/// What surrounds a payload.
pub(crate) struct Envelope {
    pub(crate) room_id: Arc<str>,
    pub(crate) from: String,
    pub(crate) timestamp: u64,
    pub(crate) meta: Option<Meta>,
}

impl Envelope {
    /// As of now.
    pub(crate) fn new(room_id: &Arc<str>, from: &str, meta: Option<Meta>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Milliseconds exceed 64 bits in 584 million years.
        let timestamp = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        Self { room_id: room_id.clone(), from: from.to_owned(), timestamp, meta }
    }

    /// What surrounded another payload.
    pub(crate) fn of<E>(message: EventMessage<E>) -> (Self, Cow<'static, str>, E) {
        let EventMessage { event, room_id, data, from, timestamp, meta, position: _ } = message;
        (Self { room_id, from, timestamp, meta }, event, data)
    }

    pub(crate) fn around<E>(self, event: impl Into<Cow<'static, str>>, data: E) -> EventMessage<E> {
        let Self { room_id, from, timestamp, meta } = self;
        let event = event.into();
        EventMessage { event, room_id, data, from, timestamp, meta, position: None }
    }
}

pub(crate) fn decode<E: Event>(
    envelope: Envelope,
    json: &RawValue,
) -> Result<Box<dyn AnyMessage>, Issues> {
    let data = E::parse_raw(json)?;
    Ok(Box::new(envelope.around(E::SPEC.name, data)))
}

/// Why a message is none of a room's event.
pub(crate) enum Unfit {
    /// Its payload has another type.
    AnotherType,
    /// Its payload is wrong.
    Invalid(Issues),
    /// Its payload cannot be written as JSON.
    NotJson(serde_json::Error),
}

/// An [`EventMessage`] of some payload.
pub(crate) trait AnyMessage: Any + Send + Sync {
    fn event(&self) -> &str;
    fn payload_type(&self) -> TypeId;
    fn data_mut(&mut self) -> &mut (dyn Any + Send + Sync);
    fn as_any(&self) -> &(dyn Any + Send + Sync);
    fn from(&self) -> &str;
    fn sender_mut(&mut self) -> &mut String;
    fn meta_mut(&mut self) -> &mut Option<Meta>;
    fn position_mut(&mut self) -> &mut Option<Position>;
    fn check(&self) -> Result<(), Issues>;
    /// Writes the message as JSON.
    fn write(&self, to: &mut Vec<u8>) -> serde_json::Result<()>;

    /// The message with its payload as JSON.
    fn to_raw(&self) -> serde_json::Result<RawMessage>;

    fn is_raw(&self) -> bool {
        self.payload_type() == TypeId::of::<Box<RawValue>>()
    }
}

/// A payload: an event, or JSON of which nothing is known.
trait Data: Serialize + Any + Send + Sync {
    fn check(&self) -> Result<(), Issues>;
}

impl<E: Event> Data for E {
    fn check(&self) -> Result<(), Issues> {
        Event::check(self)
    }
}

impl Data for Box<RawValue> {
    fn check(&self) -> Result<(), Issues> {
        Ok(())
    }
}

impl<T: Data> AnyMessage for EventMessage<T> {
    fn event(&self) -> &str {
        &self.event
    }

    fn payload_type(&self) -> TypeId {
        TypeId::of::<T>()
    }

    fn data_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        &mut self.data
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn from(&self) -> &str {
        &self.from
    }

    fn sender_mut(&mut self) -> &mut String {
        &mut self.from
    }

    fn meta_mut(&mut self) -> &mut Option<Meta> {
        &mut self.meta
    }

    fn position_mut(&mut self) -> &mut Option<Position> {
        &mut self.position
    }

    fn check(&self) -> Result<(), Issues> {
        self.data.check()
    }

    fn write(&self, to: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(to, self)
    }

    fn to_raw(&self) -> serde_json::Result<RawMessage> {
        Ok(self.with(to_raw_value(&self.data)?))
    }
}
