//! A room of any type, for hooks that run for all of them and for ids known at run time.

use std::{future::Future, ops::Range, sync::Arc};

use serde::Serialize;

use crate::{
    AnyRoom, App, Client, DeleteError, Deny, Event, EventMessage, EventNotListed, HandlerGuard,
    HistoryError, RawMessage, Trigger, Unreadable,
    engine::added_handlers::Handler,
    model::issues,
    protocol::RoomInfo,
    service::delete_room,
    store::{Page, Part, Query, erased::Unavailable},
};

/// Events that a room keeps; read by [`RoomHandle::history`](crate::RoomHandle::history).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoredEvents<E> {
    /// Newest first.
    pub events: Vec<EventMessage<E>>,
    /// Events in the same range that are not of type `E`, newest first: the type was another one when they
    /// were stored. [`AnyRoom::history_raw`] has their JSON.
    pub unreadable: Vec<Unreadable>,
}

impl<A: App> AnyRoom<A> {
    /// How many connections are in the room.
    pub fn size(&self) -> usize {
        self.live().map_or(0, |live| live.size())
    }

    /// Whether the room has as many members as it takes.
    pub fn is_full(&self) -> bool {
        self.max_size().is_some_and(|most| self.size() >= most)
    }

    /// The clients in the room, in no particular order.
    pub fn participants(&self) -> Vec<Client<A>> {
        self.live()
            .iter()
            .flat_map(|live| live.members())
            .map(|participant| Client::of(&participant))
            .collect()
    }

    /// What clients may know of the room.
    pub fn info(&self) -> RoomInfo {
        RoomInfo::of(self.id(), self.spec(), self.size())
    }

    /// Triggers an event, if the room lists it: to be awaited.
    ///
    /// ```
    /// # use dialogue::{App, Dialogue, Event, TriggerError};
    /// # async fn announce<A: App, E: Event>(chat: Dialogue<A>, event: E) -> Result<(), TriggerError> {
    /// let room = chat.find("game-42").ok_or(TriggerError::RoomNotFound)?;
    /// room.trigger(event).from("referee").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn trigger<E: Event>(&self, event: E) -> Trigger<A> {
        Trigger::new(self.clone(), event)
    }

    /// Triggers an event by its name: to be awaited. One that the room lists is validated as its
    /// type; another passes only where the room takes any.
    pub fn trigger_raw(&self, event: impl Into<String>, data: impl Serialize) -> Trigger<A> {
        Trigger::raw(self.clone(), event.into(), data)
    }

    /// The events of one name that the room keeps, newest first, 0 being the newest.
    pub async fn history_raw(
        &self,
        event: &str,
        range: Range<usize>,
    ) -> Result<Vec<RawMessage>, HistoryError> {
        let page = self.stored(event, range).await?;
        Ok(page.events.iter().map(|stored| RawMessage::clone(stored)).collect())
    }

    /// Adds a handler that runs before every broadcast of `E` in this room, after those of the
    /// room's module and in order: it may rewrite the message's `data`, `meta` and `from`, or
    /// refuse. It stays until the guard is dropped.
    ///
    /// ```
    /// # use dialogue::{App, Deny, Event, EventMessage, EventNotListed, AnyRoom};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, Event)]
    /// # struct Message { text: String }
    /// # fn tidy<A: App>(room: AnyRoom<A>) {
    /// let guard = room.before(async |mut message: EventMessage<Message>| {
    ///     message.data.text = message.data.text.replace("darn", "****");
    ///     if message.data.text.is_empty() { Err(Deny::new("say something")) } else { Ok(message) }
    /// });
    /// # drop(guard);
    /// # }
    /// ```
    // The compiler shows these bounds for a closure without a type, or one that captures.
    pub fn before<E, F, Fut>(&self, handler: F) -> HandlerGuard
    where
        E: Event, // say which: `|message: EventMessage<Message>|`
        F: Fn(EventMessage<E>) -> Fut + Send + Sync + 'static, // `move |m| { let x = x.clone(); async move { .. } }` captures
        Fut: Future<Output = Result<EventMessage<E>, Deny>> + Send + 'static,
    {
        HandlerGuard::add(self, Handler::before(handler))
    }

    /// Adds a handler that runs after every broadcast of `E` in this room, after those of the
    /// room's module and in order. It stays until the guard is dropped.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use dialogue::{AnyRoom, App, Event, EventMessage};
    /// # fn watch<A: App, E: Event>(room: AnyRoom<A>) {
    /// let guard = room.on(|message: Arc<EventMessage<E>>| async move {
    ///     println!("{} from {}", message.event, message.from);
    /// });
    /// # drop(guard);
    /// # }
    /// ```
    // The compiler shows these bounds for a closure without a type, or one that captures.
    pub fn on<E, F, Fut>(&self, handler: F) -> HandlerGuard
    where
        E: Event, // say which: `|message: Arc<EventMessage<Message>>|`
        F: Fn(Arc<EventMessage<E>>) -> Fut + Send + Sync + 'static, // `move |m| { let x = x.clone(); async move { .. } }` captures
        Fut: Future<Output = ()> + Send + 'static,
    {
        HandlerGuard::add(self, Handler::on(handler))
    }

    /// Adds a handler as [`AnyRoom::on`] does, for an event whose type is not known, or with
    /// [`EVERY_EVENT`](crate::EVERY_EVENT) as its name for all of them.
    pub fn on_raw<F, Fut>(&self, event: impl Into<String>, handler: F) -> HandlerGuard
    where
        F: Fn(Arc<RawMessage>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        HandlerGuard::add(self, Handler::on_raw(event.into(), handler))
    }

    /// Deletes the room, as [`Dialogue::delete_room`](crate::Dialogue::delete_room) does.
    pub async fn delete(&self) -> Result<(), DeleteError> {
        delete_room::delete(self).await
    }

    /// The newest events of a type.
    pub(crate) async fn history<E: Event>(
        &self,
        range: Range<usize>,
    ) -> Result<StoredEvents<E>, HistoryError> {
        let page = self.stored(E::SPEC.name, range).await?;
        let mut read = StoredEvents { events: Vec::new(), unreadable: Vec::new() };
        for stored in &page.events {
            if let Ok(data) = serde_json::from_str(stored.data.get()) {
                read.events.push(stored.with(data));
            } else {
                let issues = issues::of_decoding::<E>(stored.data.get());
                read.unreadable.push(Unreadable::new(stored, issues));
            }
        }
        Ok(read)
    }

    /// A page of the newest events of one name.
    async fn stored(&self, event: &str, range: Range<usize>) -> Result<Arc<Page>, HistoryError> {
        let row = self.spec().event(event);
        if row.is_none() && !self.spec().any {
            return Err(EventNotListed::new(event).into());
        }
        let hub = self.dialogue().hub();
        let live = match row.filter(|row| row.history.is_some()) {
            Some(_) => hub.open(&self.definition()),
            None => None,
        };
        let Some(live) = live else { return Ok(Arc::default()) };
        let part = Part::Newest { event: event.to_owned().into(), skip: range.start };
        let query = Query { part, limit: range.len(), bytes: usize::MAX };
        let read = live.page(hub, query).await;
        let (.., page) = read.map_err(|Unavailable| HistoryError::StoreUnavailable)?;
        Ok(page)
    }
}
