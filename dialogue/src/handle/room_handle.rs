//! A room as the server's own code holds it.

use std::{future::Future, ops::Range, sync::Arc};

use serde::Serialize;

use super::any_room::StoredEvents;
use crate::{
    AnyRoom, App, Carries, CarriesAny, Client, CreateError, DeleteError, Deny, Dialogue, Event,
    EventMessage, HandlerGuard, HistoryError, Hosts, Room, RoomHandle, RoomInfo, Trigger,
    app::{hosted::Hosted, keyed::Keyed},
    service::create_room,
};

impl<A: App, R: Room> RoomHandle<A, R> {
    pub(crate) fn new(dialogue: Dialogue<A>, key: R) -> Self
    where
        A: Hosts<R>,
    {
        Self::of(AnyRoom::new(dialogue, Hosted::new(Keyed::new(key))))
    }

    /// Creates the room, if it is one of a family with `create = "explicit"`: from now on, it may
    /// be joined and triggered into, until it is deleted.
    pub async fn create(&self) -> Result<(), CreateError> {
        create_room::create(self.any(), None).await.map(drop)
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
        self.any().trigger(event)
    }

    /// Triggers an event by its name, in a room with `events(any)`: to be awaited. One that the
    /// room lists is validated as its type.
    pub fn trigger_raw(&self, event: impl Into<String>, data: impl Serialize) -> Trigger<A>
    where
        R: CarriesAny,
    {
        self.any().trigger_raw(event, data)
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
        self.any().history(range).await
    }

    /// Adds a handler that runs before every broadcast of `E` in this room; see
    /// [`AnyRoom::before`].
    // The compiler shows these bounds for a closure without a type, or one that captures.
    pub fn before<E, F, Fut>(&self, handler: F) -> HandlerGuard
    where
        E: Event, // say which: `|message: EventMessage<Message>|`
        R: Carries<E>,
        F: Fn(EventMessage<E>) -> Fut + Send + Sync + 'static, // `move |m| { let x = x.clone(); async move { .. } }` captures
        Fut: Future<Output = Result<EventMessage<E>, Deny>> + Send + 'static,
    {
        self.any().before(handler)
    }

    /// Adds a handler that runs after every broadcast of `E` in this room; see [`AnyRoom::on`].
    // The compiler shows these bounds for a closure without a type, or one that captures.
    pub fn on<E, F, Fut>(&self, handler: F) -> HandlerGuard
    where
        E: Event, // say which: `|message: Arc<EventMessage<Message>>|`
        R: Carries<E>,
        F: Fn(Arc<EventMessage<E>>) -> Fut + Send + Sync + 'static, // `move |m| { let x = x.clone(); async move { .. } }` captures
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.any().on(handler)
    }

    /// How many connections are in the room.
    pub fn size(&self) -> usize {
        self.any().size()
    }

    /// Whether the room has as many members as it takes.
    pub fn is_full(&self) -> bool {
        self.any().is_full()
    }

    /// The clients in the room, in no particular order.
    pub fn participants(&self) -> Vec<Client<A>> {
        self.any().participants()
    }

    /// What clients may know of the room.
    pub fn info(&self) -> RoomInfo {
        self.any().info()
    }

    /// Deletes the room, if it is one of a family, as [`Dialogue::delete_room`] does.
    pub async fn delete(&self) -> Result<(), DeleteError> {
        self.any().delete().await
    }
}
