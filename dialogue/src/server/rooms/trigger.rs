//! The one way of an event through a room.

use std::{future::IntoFuture, sync::Arc};

use serde::Serialize;
use serde_json::value::to_raw_value;

use super::{
    super::{
        Client,
        hook::{self, BoxFuture},
        log::EVENT_LOG,
        message::{AnyMessage, Envelope, Unfit},
    },
    any::AnyRoom,
    live::{By, Live},
    log::Stored,
    on::{self, Job},
};
use crate::{App, Dialogue, Event, Meta, RawMessage, TriggerError, name, room::RoomEvent};

/// An event about to be triggered by the server's own code: set what goes with it, then await it.
///
/// It resolves after the event was handed to every subscriber's connection and before `#[on]`
/// handlers run.
#[must_use = "a trigger does nothing until it is awaited"]
pub struct Trigger<A: App> {
    room: AnyRoom<A>,
    message: Result<Box<dyn AnyMessage>, TriggerError>,
    except: Vec<Client<A>>,
}

impl<A: App> Trigger<A> {
    pub(crate) fn new<E: Event>(room: AnyRoom<A>, data: E) -> Self {
        let message = envelope(&room).around(E::SPEC.name, data);
        Self { room, message: Ok(Box::new(message)), except: Vec::new() }
    }

    pub(crate) fn raw(room: AnyRoom<A>, event: String, data: impl Serialize) -> Self {
        let message = match to_raw_value(&data) {
            _ if !name::is_event_name(&event) => Err(TriggerError::NotCarried),
            Ok(data) => Ok(Box::new(envelope(&room).around(event, data)) as Box<dyn AnyMessage>),
            Err(error) => Err(not_json(&room, &event, &error)),
        };
        Self { room, message, except: Vec::new() }
    }

    /// Who the event is from. Default: [`SYSTEM`](crate::SYSTEM).
    pub fn from(mut self, from: impl Into<String>) -> Self {
        if let Ok(message) = &mut self.message {
            *message.sender_mut() = from.into();
        }
        self
    }

    /// Attaches context: one entry of [`EventMessage::meta`](crate::EventMessage::meta).
    /// A value that is not JSON, such as a map with keys that are no strings, is left out.
    pub fn meta(mut self, key: impl Into<String>, value: impl Serialize) -> Self {
        if let Ok(message) = &mut self.message
            && let Ok(value) = serde_json::to_value(value)
        {
            message.meta_mut().get_or_insert_with(Meta::new).insert(key.into(), value);
        }
        self
    }

    /// Leaves a client out: it does not receive the event now, but finds it in the history. May be
    /// given several times.
    pub fn except(mut self, client: &Client<A>) -> Self {
        if self.except.iter().all(|other| other.id() != client.id()) {
            self.except.push(client.clone());
        }
        self
    }
}

fn envelope<A: App>(room: &AnyRoom<A>) -> Envelope {
    Envelope::new(room.erased().id(), name::SYSTEM, None)
}

impl<A: App> IntoFuture for Trigger<A> {
    type Output = Result<Receipt, TriggerError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { room, message, except } = self;
        Box::pin(async move {
            let row = room.spec().event(message.as_ref().map_or("", |message| message.event()));
            let message = match row {
                Some(row) => row.fit(message?).map_err(|unfit| refuse(&room, row, unfit))?,
                None if room.spec().any => {
                    let message = message?;
                    message.check().map_err(TriggerError::Invalid)?;
                    message
                }
                None => return message.and(Err(TriggerError::NotCarried)),
            };
            let hub = room.dialogue().hub();
            let live = hub.find_same(&**room.erased());
            if room.spec().explicit && live.is_none() {
                return Err(TriggerError::RoomNotFound);
            }
            let prepared = prepare(&room, live.as_deref(), message).await?;
            loop {
                let live = hub.open(room.erased()).ok_or(TriggerError::RoomNotFound)?;
                if let Some(receipt) =
                    prepared.broadcast(room.dialogue(), &live, &By::Server(&except)).await?
                {
                    return Ok(receipt);
                }
                // The room is being closed; it has left the hub in a moment.
                tokio::task::yield_now().await;
            }
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

/// Passes a client's valid message through a room that it is in, for as long as it is.
pub(crate) async fn publish<A: App>(
    client: &Client<A>,
    live: &Arc<Live<A>>,
    message: Box<dyn AnyMessage>,
) -> Result<Receipt, TriggerError> {
    let room = AnyRoom::new(client.dialogue().clone(), live.room().clone());
    let prepared = prepare(&room, Some(live), message).await?;
    // A room that has members is closed only when it is deleted.
    let sent = prepared.broadcast(room.dialogue(), live, &By::Client(client)).await?;
    sent.ok_or(TriggerError::RoomNotFound)
}

/// A message that passed all that may refuse it, ready to go out.
struct Prepared {
    message: Arc<dyn AnyMessage>,
    /// For the hooks that follow every broadcast.
    raw: Option<Arc<RawMessage>>,
    body: Stored,
}

/// What comes before the broadcast: the room's `#[before]`, handlers added at run time, and the
/// app's `before_each`.
async fn prepare<A: App>(
    room: &AnyRoom<A>,
    live: Option<&Live<A>>,
    mut message: Box<dyn AnyMessage>,
) -> Result<Prepared, TriggerError> {
    let (dialogue, erased) = (room.dialogue(), room.erased());
    let (app, time) = (dialogue.app(), dialogue.limits().hook_time);
    let row = erased.spec().event(message.event());
    let failed = |hook::Failed| TriggerError::Internal;

    let mut rewritten = false;
    if erased.has_before(message.event()) {
        let before = erased.clone().before(dialogue, &mut *message);
        let verdict = hook::run(time, "before", room.id(), before).await.map_err(failed)?;
        verdict.map_err(TriggerError::Denied)?;
        rewritten = true;
    }
    let added = live.map(|live| live.handlers.before(message.event()));
    for before in added.into_iter().flatten() {
        let verdict =
            hook::run(time, "before", room.id(), before(message)).await.map_err(failed)?;
        message = verdict.map_err(TriggerError::Denied)?;
        rewritten = true;
    }
    if rewritten {
        match row {
            Some(row) => row.check(&*message).map_err(|unfit| refuse(room, row, unfit))?,
            None => message.check().map_err(TriggerError::Invalid)?,
        }
    }

    let unwritable = |error: &_| not_json(room, "", error);
    let mut raw = None;
    if A::HOOKS.before_each || A::HOOKS.follow() {
        raw = Some(message.to_raw().map_err(|error| unwritable(&error))?);
    }
    if let Some(raw) = &mut raw
        && A::HOOKS.before_each
    {
        let data = raw.data.clone();
        hook::run_now("before_each", room.id(), || app.before_each(raw))
            .map_err(failed)?
            .map_err(TriggerError::Denied)?;
        // Which event it is and in which room is not the hook's to say.
        raw.event = message.event().to_owned().into();
        raw.room_id = erased.id().clone();
        if raw.data.get() == data.get() {
            message.sender_mut().clone_from(&raw.from);
            message.meta_mut().clone_from(&raw.meta);
        } else {
            let (envelope, event, data) = Envelope::of(raw.clone());
            message = match row {
                Some(row) => row.decode(envelope, &data).map_err(TriggerError::Invalid)?,
                None => Box::new(envelope.around(event, data)),
            };
            // What is broadcast is the parsed value.
            *raw = message.to_raw().map_err(|error| unwritable(&error))?;
        }
    }
    let body = match &raw {
        Some(raw) => raw.encode(),
        None => message.encode(),
    };
    let body = body.map_err(|error| unwritable(&error))?.into();
    Ok(Prepared { message: message.into(), raw: raw.map(Arc::new), body })
}

impl Prepared {
    /// Takes a place among what handlers have yet to see, if any will, and goes out. `None` if the
    /// room was closed in between.
    async fn broadcast<A: App>(
        &self,
        dialogue: &Dialogue<A>,
        live: &Arc<Live<A>>,
        by: &By<'_, A>,
    ) -> Result<Option<Receipt>, TriggerError> {
        let event = self.message.event();
        let place = live.handlers.place(live.room(), event);
        let place = match by {
            By::Server(_) => place.await?,
            // Handlers may take their time; a connection that the server ends does not wait for it.
            By::Client(client) => tokio::select! {
                place = place => place?,
                () = client.connection().inbox.ended_by_server() => return Ok(None),
            },
        };
        let then = |recipients| {
            if let Some(place) = place {
                let (message, raw) = (self.message.clone(), self.raw.clone());
                if live.handlers.push(Job { message, raw, recipients, place }) {
                    tokio::spawn(on::work(dialogue.clone(), live.clone()));
                }
            }
        };
        let spec = live.room().spec();
        let row = spec.event(event);
        let sent = live.broadcast(dialogue.gateway(), event, row, &self.body, by, then);
        if let Some(recipients) = sent {
            // `?` escapes what would break a line. What was sent is not above `trace`.
            let (room, from) = (live.id(), self.message.from());
            tracing::debug!(target: EVENT_LOG, ?room, ?event, ?from, recipients);
            tracing::trace!(target: EVENT_LOG, body = self.body.get());
        }
        Ok(sent.map(|recipients| Receipt { recipients }))
    }
}

fn refuse<A: App>(room: &AnyRoom<A>, row: &RoomEvent, unfit: Unfit) -> TriggerError {
    match unfit {
        Unfit::AnotherType => TriggerError::AnotherType,
        Unfit::Invalid(issues) => TriggerError::Invalid(issues),
        Unfit::NotJson(error) => not_json(room, &row.name, &error),
    }
}

fn not_json<A: App>(room: &AnyRoom<A>, event: &str, error: &serde_json::Error) -> TriggerError {
    tracing::error!(room = ?room.id(), ?event, %error, "an event is not JSON");
    TriggerError::Internal
}
