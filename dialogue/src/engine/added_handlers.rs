//! Handlers that were added to a room at run time.

use std::{
    any::Any,
    borrow::Cow,
    future::Future,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::future::BoxFuture;

use crate::{
    Deny, Event, EventMessage, RawMessage,
    model::{
        message::{AnyMessage, Envelope},
        name,
    },
};

/// The handlers of one open room that were added at run time.
#[derive(Default)]
pub(crate) struct AddedHandlers {
    added: RwLock<Vec<(u64, Handler)>>,
    next: AtomicU64,
}

impl AddedHandlers {
    /// Whether one of them runs after events of this name.
    pub(crate) fn follow(&self, event: &str) -> bool {
        self.added().iter().any(|(_, added)| added.follows(event))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.added().is_empty()
    }

    /// What runs before an event of this name.
    pub(crate) fn before(&self, event: &str) -> Vec<BeforeCall> {
        let before = |(_, added): &(u64, Handler)| match added {
            Handler::Before(name, call) if *name == event => Some(call.clone()),
            Handler::Before(..) | Handler::On(..) => None,
        };
        self.added().iter().filter_map(before).collect()
    }

    /// What runs after an event of this name.
    pub(crate) fn after(&self, event: &str) -> Vec<OnCall> {
        let after = |(_, added): &(u64, Handler)| match added {
            Handler::On(_, call) if added.follows(event) => Some(call.clone()),
            Handler::Before(..) | Handler::On(..) => None,
        };
        self.added().iter().filter_map(after).collect()
    }

    /// Adds a handler. Returns its number.
    pub(crate) fn add(&self, handler: Handler) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.added.write().unwrap_or_else(PoisonError::into_inner).push((number, handler));
        number
    }

    pub(crate) fn remove(&self, number: u64) {
        let removed = {
            let mut added = self.added.write().unwrap_or_else(PoisonError::into_inner);
            let place = added.iter().position(|(found, _)| *found == number);
            place.map(|place| added.remove(place))
        };
        // What a closure holds is the user's, and is dropped without the lock.
        drop(removed);
    }

    fn added(&self) -> RwLockReadGuard<'_, Vec<(u64, Handler)>> {
        self.added.read().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) type BeforeCall = Arc<
    dyn Fn(Box<dyn AnyMessage>) -> BoxFuture<'static, Result<Box<dyn AnyMessage>, Deny>>
        + Send
        + Sync,
>;
pub(crate) type OnCall = Arc<dyn Fn(Arc<dyn AnyMessage>) -> BoxFuture<'static, ()> + Send + Sync>;

/// A handler added at run time for the events of one name, their type forgotten.
#[derive(Clone)]
pub(crate) enum Handler {
    Before(&'static str, BeforeCall),
    On(Cow<'static, str>, OnCall),
}

impl Handler {
    pub(crate) fn before<E: Event, F, Fut>(handler: F) -> Self
    where
        F: Fn(EventMessage<E>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<EventMessage<E>, Deny>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let call = move |message: Box<dyn AnyMessage>| -> BoxFuture<'static, _> {
            let handler = handler.clone();
            Box::pin(async move {
                let message = match own(message) {
                    Ok(message) => message,
                    Err(another) => return Ok(another),
                };
                let (event, room_id) = (message.event.clone(), message.room_id.clone());
                let mut message = handler(message).await?;
                // Which event it is and in which room is not the handler's to say.
                (message.event, message.room_id) = (event, room_id);
                Ok(Box::new(message) as Box<dyn AnyMessage>)
            })
        };
        Self::Before(E::SPEC.name, Arc::new(call))
    }

    pub(crate) fn on<E: Event, F, Fut>(handler: F) -> Self
    where
        F: Fn(Arc<EventMessage<E>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let call = move |message| -> BoxFuture<'static, ()> {
            let handler = handler.clone();
            Box::pin(async move {
                if let Some(message) = share(message) {
                    handler(message).await;
                }
            })
        };
        Self::On(E::SPEC.name.into(), Arc::new(call))
    }

    pub(crate) fn on_raw<F, Fut>(event: String, handler: F) -> Self
    where
        F: Fn(Arc<RawMessage>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let call = move |message: Arc<dyn AnyMessage>| -> BoxFuture<'static, ()> {
            let handler = handler.clone();
            Box::pin(async move {
                // It was written as JSON before.
                if let Ok(raw) = message.to_raw() {
                    handler(Arc::new(raw)).await;
                }
            })
        };
        Self::On(event.into(), Arc::new(call))
    }

    /// Whether it runs after events of this name.
    fn follows(&self, event: &str) -> bool {
        match self {
            Self::On(name, _) => name == event || name == name::EVERY_EVENT,
            Self::Before(..) => false,
        }
    }
}

/// The message as an `E`. What has no type, because it is undeclared or a schema describes it, is
/// decoded; what is something else comes back.
fn own<E: Event>(message: Box<dyn AnyMessage>) -> Result<EventMessage<E>, Box<dyn AnyMessage>> {
    if message.as_any().is::<EventMessage<E>>() {
        let message: Box<dyn Any> = message;
        // It was just seen to be one.
        return Ok(*message.downcast().expect("an `E`"));
    }
    let raw = message.as_any().downcast_ref::<RawMessage>();
    raw.and_then(decode).ok_or(message)
}

/// As [`own`], for a message that others see too.
fn share<E: Event>(message: Arc<dyn AnyMessage>) -> Option<Arc<EventMessage<E>>> {
    let message: Arc<dyn Any + Send + Sync> = message;
    match message.downcast::<EventMessage<E>>() {
        Ok(message) => Some(message),
        Err(message) => message.downcast_ref::<RawMessage>().and_then(decode).map(Arc::new),
    }
}

fn decode<E: Event>(raw: &RawMessage) -> Option<EventMessage<E>> {
    let data = match E::parse_raw(&raw.data) {
        Ok(data) => data,
        Err(issues) => {
            tracing::trace!(event = E::SPEC.name, %issues, "an event is not of a handler's type");
            return None;
        }
    };
    let (envelope, event, _) = Envelope::of(raw.clone());
    Some(envelope.around(event, data))
}
