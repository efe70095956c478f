//! The one way of an event through a room.

use std::{future::IntoFuture, sync::Arc};

use serde::Serialize;

use super::{
    super::{
        hook::{self, BoxFuture},
        message::{AnyMessage, Envelope},
    },
    erased::ErasedRoom,
    on,
};
use crate::{App, Dialogue, Event, Meta, TriggerError, name};

/// An event about to be triggered by the server's own code: set what goes with it, then await it.
///
/// It resolves after the event was handed to every subscriber's connection and before `#[on]`
/// handlers run.
#[must_use = "a trigger does nothing until it is awaited"]
pub struct Trigger<A: App> {
    dialogue: Dialogue<A>,
    room: Arc<dyn ErasedRoom<A>>,
    message: Box<dyn AnyMessage>,
}

impl<A: App> Trigger<A> {
    pub(crate) fn new(
        dialogue: Dialogue<A>,
        room: Arc<dyn ErasedRoom<A>>,
        data: impl Event,
    ) -> Self {
        Self { message: message(&room, data), dialogue, room }
    }

    /// Who the event is from. Default: [`SYSTEM`](crate::SYSTEM).
    pub fn from(mut self, from: impl Into<String>) -> Self {
        *self.message.sender_mut() = from.into();
        self
    }

    /// Attaches context: one entry of [`EventMessage::meta`](crate::EventMessage::meta).
    /// A value that is not JSON, such as a map with keys that are no strings, is left out.
    pub fn meta(mut self, key: impl Into<String>, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.message.meta_mut().get_or_insert_with(Meta::new).insert(key.into(), value);
        }
        self
    }
}

fn message<A: App, E: Event>(room: &Arc<dyn ErasedRoom<A>>, data: E) -> Box<dyn AnyMessage> {
    let from = name::SYSTEM.to_owned();
    let envelope = Envelope { room_id: room.id().clone(), from, meta: None };
    Box::new(envelope.around(E::SPEC.name, data))
}

impl<A: App> IntoFuture for Trigger<A> {
    type Output = Result<Receipt, TriggerError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            self.message.check().map_err(TriggerError::Invalid)?;
            publish(&self.dialogue, &self.room, self.message).await
        })
    }
}

/// What became of a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// How many subscribers the event was addressed to. One that is too slow to take it in misses
    /// it.
    pub recipients: usize,
}

/// Passes a valid message through the room: `#[before]`, its place in the order, fan-out.
pub(crate) async fn publish<A: App>(
    dialogue: &Dialogue<A>,
    room: &Arc<dyn ErasedRoom<A>>,
    mut message: Box<dyn AnyMessage>,
) -> Result<Receipt, TriggerError> {
    let row = room.spec().event(message.event());
    if row.is_some_and(|row| (row.payload_type)() != message.payload_type()) {
        return Err(TriggerError::AnotherType);
    }
    if room.has_before(message.event()) {
        let before = room.clone().before(dialogue, &mut *message);
        hook::run(dialogue.limits().hook_time, "before", room.id(), before)
            .await
            .map_err(|hook::Failed| TriggerError::Internal)?
            .map_err(TriggerError::Denied)?;
        message.check().map_err(TriggerError::Invalid)?;
    }
    let body = message.encode().map_err(|error| {
        tracing::error!(room = %room.id(), event = message.event(), %error, "not JSON");
        TriggerError::Internal
    })?;
    let body = body.into();
    let history =
        row.map(crate::room::RoomEvent::spec).and_then(|spec| Some((spec.name, spec.history?)));
    let message: Arc<dyn AnyMessage> = message.into();
    loop {
        let live = dialogue.hub().open(room).ok_or(TriggerError::RoomNotFound)?;
        let place = live.handlers.place(room, message.event()).await?;
        let then = || {
            if let Some(place) = place
                && live.handlers.push(message.clone(), place)
            {
                tokio::spawn(on::work(dialogue.clone(), live.live()));
            }
        };
        let sent = live.broadcast(dialogue.gateway(), message.event(), &body, history, then);
        if let Some(recipients) = sent {
            return Ok(Receipt { recipients });
        }
    }
}
