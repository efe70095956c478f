//! A room as the server's own code holds it.

use std::{future::Future, ops::Deref, ops::Range, sync::Arc};

use serde::Serialize;

use super::{
    any::{AnyRoom, StoredEvents},
    erased::Keyed,
    lifecycle,
    on::HandlerGuard,
    trigger::Trigger,
};
use crate::{
    App, Carries, CarriesAny, CreateError, Deny, Dialogue, Event, EventMessage, HistoryError,
    Hosts, Room,
};

/// A room of an app, whose events are checked by the compiler. Cheap to clone; made by
/// [`Dialogue::room`].
///
/// What does not depend on its type is [`AnyRoom`]'s: `id`, `name`, `size`, `participants` and the
/// like.
#[must_use = "a handle does nothing by itself: `trigger`, `on`, `create`"]
pub struct RoomHandle<A: App, R: Room> {
    room: Arc<Keyed<R>>,
    any: AnyRoom<A>,
}

impl<A: App, R: Room> Clone for RoomHandle<A, R> {
    fn clone(&self) -> Self {
        Self { room: self.room.clone(), any: self.any.clone() }
    }
}

impl<A: App, R: Room> Deref for RoomHandle<A, R> {
    type Target = AnyRoom<A>;

    fn deref(&self) -> &AnyRoom<A> {
        &self.any
    }
}

impl<A: Hosts<R>, R: Room> RoomHandle<A, R> {
    pub(crate) fn of(dialogue: Dialogue<A>, room: Arc<Keyed<R>>) -> Self {
        Self { any: AnyRoom::new(dialogue, room.clone()), room }
    }

    pub(crate) fn new(dialogue: Dialogue<A>, key: R) -> Self {
        Self::of(dialogue, Arc::new(Keyed::new(key)))
    }
}

impl<A: App, R: Room> RoomHandle<A, R> {
    /// The room's key: its fields are what the placeholders of the id stand for.
    pub fn key(&self) -> &R {
        &self.room.key
    }

    /// Creates the room, if it is one of a family with `create = "explicit"`: from now on, it may
    /// be joined and triggered into, until it is deleted.
    pub async fn create(&self) -> Result<(), CreateError> {
        lifecycle::create(&self.any, None).await.map(drop)
    }

    /// Triggers an event: to be awaited.
    ///
    /// ```
    /// # use dialogue::{App, Carries, Event, Hosts, Room, RoomHandle, TriggerError};
    /// # async fn announce<A: Hosts<R>, R: Room + Carries<E>, E: Event>(room: RoomHandle<A, R>, event: E) -> Result<(), TriggerError> {
    /// let receipt = room.trigger(event).from("api").meta("trace", "7c1").await?;
    /// println!("{} subscribers", receipt.recipients);
    /// # Ok(())
    /// # }
    /// ```
    pub fn trigger<E: Event>(&self, event: E) -> Trigger<A>
    where
        R: Carries<E>,
    {
        self.any.trigger(event)
    }

    /// Triggers an event by its name, in a room with `events(any)`: to be awaited. One that the
    /// room lists is validated as its type.
    pub fn trigger_raw(&self, event: impl Into<String>, data: impl Serialize) -> Trigger<A>
    where
        R: CarriesAny,
    {
        self.any.trigger_raw(event, data)
    }

    /// The events of one type that the room keeps, newest first, 0 being the newest. What does not have the
    /// type any more is [`unreadable`](StoredEvents::unreadable).
    ///
    /// ```
    /// # use dialogue::{App, Carries, Event, EventMessage, HistoryError, Hosts, Room, RoomHandle};
    /// # async fn last_ten<A: Hosts<R>, R: Room + Carries<E>, E: Event>(room: RoomHandle<A, R>) -> Result<(), HistoryError> {
    /// let newest: Vec<EventMessage<E>> = room.history(0..10).await?.events;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn history<E: Event>(
        &self,
        range: Range<usize>,
    ) -> Result<StoredEvents<E>, HistoryError>
    where
        R: Carries<E>,
    {
        self.any.history(range).await
    }

    /// Adds a handler that runs before every broadcast of `E` in this room; see
    /// [`AnyRoom::before`].
    // The compiler shows these bounds for a closure without a type, or one that captures.
    pub fn before<E, F, Fut>(&self, handler: F) -> HandlerGuard<A>
    where
        E: Event, // say which: `|message: EventMessage<Message>|`
        R: Carries<E>,
        F: Fn(EventMessage<E>) -> Fut + Send + Sync + 'static, // `move |m| { let x = x.clone(); async move { .. } }` captures
        Fut: Future<Output = Result<EventMessage<E>, Deny>> + Send + 'static,
    {
        self.any.before(handler)
    }

    /// Adds a handler that runs after every broadcast of `E` in this room; see [`AnyRoom::on`].
    // The compiler shows these bounds for a closure without a type, or one that captures.
    pub fn on<E, F, Fut>(&self, handler: F) -> HandlerGuard<A>
    where
        E: Event, // say which: `|message: Arc<EventMessage<Message>>|`
        R: Carries<E>,
        F: Fn(Arc<EventMessage<E>>) -> Fut + Send + Sync + 'static, // `move |m| { let x = x.clone(); async move { .. } }` captures
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.any.on(handler)
    }
}
