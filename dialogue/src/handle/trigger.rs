//! A trigger by the server's own code.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::{
    AnyRoom, App, Client, ClientId, Event, EventNotListed, Meta, Receipt, TriggerError,
    engine::definition::Definition,
    model::{
        finite,
        message::{AnyMessage, Envelope},
        name,
    },
    service::publish,
};

/// An event about to be triggered by the server's own code: set what goes with it, then await it.
///
/// It resolves after the event was handed to every subscriber's connection and before `#[on]`
/// handlers run.
#[must_use = "a trigger does nothing until it is awaited"]
pub struct Trigger<A: App>(Stage<A>);

impl<A: App> fmt::Debug for Trigger<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trigger").finish_non_exhaustive()
    }
}

enum Stage<A: App> {
    Prepared(Parts<A>),
    Running(BoxFuture<'static, Result<Receipt, TriggerError>>),
    /// While it starts.
    Started,
}

struct Parts<A: App> {
    room: AnyRoom<A>,
    message: Result<Box<dyn AnyMessage>, TriggerError>,
    except: Vec<ClientId>,
    key: Option<String>,
}

impl<A: App> Trigger<A> {
    pub(crate) fn new<E: Event>(room: AnyRoom<A>, data: E) -> Self {
        let message = envelope(&room).around(E::SPEC.name, data);
        Self::of(room, Ok(Box::new(message)))
    }

    pub(crate) fn raw(room: AnyRoom<A>, event: String, data: impl Serialize) -> Self {
        let message = match finite::write(&data) {
            _ if !name::is_event_name(&event) => Err(EventNotListed::new(&*event).into()),
            Err(issues) => Err(TriggerError::Invalid(issues)),
            Ok(Ok(data)) => {
                Ok(Box::new(envelope(&room).around(event, data)) as Box<dyn AnyMessage>)
            }
            Ok(Err(error)) => Err(publish::not_json(&room, &event, &error)),
        };
        Self::of(room, message)
    }

    fn of(room: AnyRoom<A>, message: Result<Box<dyn AnyMessage>, TriggerError>) -> Self {
        Self(Stage::Prepared(Parts { room, message, except: Vec::new(), key: None }))
    }

    /// What is set before the trigger is polled for the first time; afterwards it is too late.
    fn set(mut self, set: impl FnOnce(&mut Parts<A>)) -> Self {
        if let Stage::Prepared(parts) = &mut self.0 {
            set(parts);
        }
        self
    }

    /// Who the event is from: a user's id, as clients have them. Default: [`SYSTEM`](crate::SYSTEM). What
    /// no user may have for an id, such as a name that looks like `system`, is a
    /// [`TriggerError::InvalidSender`].
    pub fn from(self, from: impl Into<String>) -> Self {
        self.set(|parts| {
            if let Ok(message) = &mut parts.message {
                *message.sender_mut() = from.into();
            }
        })
    }

    /// Attaches context: one entry of [`EventMessage::meta`](crate::EventMessage::meta).
    /// The trigger fails with [`TriggerError::InvalidMeta`] if [`Meta::insert`] rejects the entry: at most 64
    /// keys and 8 levels.
    pub fn meta(self, key: impl Into<String>, value: impl Serialize) -> Self {
        self.set(|parts| {
            if let Ok(message) = &mut parts.message {
                let (meta, key) = (message.meta_mut().get_or_insert_with(Meta::new), key.into());
                if let Err(error) = meta.insert(&*key, value) {
                    parts.message = Err(TriggerError::InvalidMeta(error.to_string()));
                }
            }
        })
    }

    /// Leaves a client out: it does not receive the event now, but finds it in the history. May be
    /// given several times.
    pub fn except(self, client: &Client<A>) -> Self {
        self.set(|parts| {
            if !parts.except.contains(&client.id()) {
                parts.except.push(client.id());
            }
        })
    }

    /// What tells this event from others: triggered again with the same key, within
    /// [`KEY_WINDOW`](crate::store::KEY_WINDOW), it is stored and broadcast once, no handler
    /// sees it again, and the receipt has the first one's position and says [`duplicate`](Receipt::duplicate).
    /// Another event with the same key is a
    /// [`TriggerError::KeyConflict`]. A key has 1 to 128 bytes and no control characters, or it is a
    /// [`TriggerError::InvalidKey`]. Only for events with history; the keys of the server's own code are
    /// apart from those of clients.
    pub fn key(self, key: impl Into<String>) -> Self {
        self.set(|parts| parts.key = Some(key.into()))
    }
}

fn envelope<A: App>(room: &AnyRoom<A>) -> Envelope {
    Envelope::new(room.hosted().id(), name::SYSTEM, None)
}

impl<A: App> Future for Trigger<A> {
    type Output = Result<Receipt, TriggerError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            self.0 = match std::mem::replace(&mut self.0, Stage::Started) {
                Stage::Prepared(parts) => Stage::Running(parts.run()),
                Stage::Running(mut running) => {
                    let polled = running.as_mut().poll(cx);
                    self.0 = Stage::Running(running);
                    return polled;
                }
                // Nothing panics between the two.
                Stage::Started => unreachable!("a trigger that was started is running"),
            };
        }
    }
}

impl<A: App> Parts<A> {
    fn run(self) -> BoxFuture<'static, Result<Receipt, TriggerError>> {
        let Self { room, message, except, key } = self;
        Box::pin(async move { publish::by_server(&room, message, &except, key).await })
    }
}
