//! Event messages with the payload's type forgotten.

use std::{
    any::{Any, TypeId},
    borrow::Cow,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{Event, EventMessage, Issues, Meta};

/// How a room's row makes a message of its event from JSON.
pub(crate) type Decode = fn(Envelope, &RawValue) -> Result<Box<dyn AnyMessage>, Issues>;

/// What surrounds a payload.
pub(crate) struct Envelope {
    pub(crate) room_id: Arc<str>,
    pub(crate) from: String,
    pub(crate) meta: Option<Meta>,
}

impl Envelope {
    pub(crate) fn around<E>(self, event: impl Into<Cow<'static, str>>, data: E) -> EventMessage<E> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        EventMessage {
            event: event.into(),
            room_id: self.room_id,
            data,
            from: self.from,
            // Milliseconds exceed 64 bits in 584 million years.
            timestamp: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            meta: self.meta,
        }
    }
}

pub(crate) fn decode<E: Event>(
    envelope: Envelope,
    json: &RawValue,
) -> Result<Box<dyn AnyMessage>, Issues> {
    let data = E::parse_raw(json)?;
    Ok(Box::new(envelope.around(E::SPEC.name, data)))
}

/// An [`EventMessage`] of some payload.
pub(crate) trait AnyMessage: Any + Send + Sync {
    fn event(&self) -> &str;
    fn payload_type(&self) -> TypeId;
    fn data_mut(&mut self) -> &mut (dyn Any + Send + Sync);
    fn as_any(&self) -> &(dyn Any + Send + Sync);
    fn sender_mut(&mut self) -> &mut String;
    fn meta_mut(&mut self) -> &mut Option<Meta>;
    fn check(&self) -> Result<(), Issues>;
    fn encode(&self) -> serde_json::Result<Box<RawValue>>;
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

    fn sender_mut(&mut self) -> &mut String {
        &mut self.from
    }

    fn meta_mut(&mut self) -> &mut Option<Meta> {
        &mut self.meta
    }

    fn check(&self) -> Result<(), Issues> {
        self.data.check()
    }

    fn encode(&self) -> serde_json::Result<Box<RawValue>> {
        to_raw_value(self)
    }
}
