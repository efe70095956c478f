//! A room of any type, for hooks that run for all of them and for ids known at run time.

use std::{fmt, future::Future, ops::Range, sync::Arc};

use serde::Serialize;

use super::{
    super::Client,
    erased::ErasedRoom,
    lifecycle,
    on::{Handler, HandlerGuard},
    trigger::Trigger,
};
use crate::{
    App, DeleteError, Deny, Dialogue, Event, EventMessage, HistoryError, RawMessage, Room,
    RoomSpec, Unreadable, issues,
    protocol::RoomInfo,
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

/// A room whose type is known only at run time: what it takes is checked then. Cheap to clone.
///
/// A handle holds no place: it works whether or not anybody is in the room, and finds nobody there
/// once the room is deleted.
pub struct AnyRoom<A: App> {
    dialogue: Dialogue<A>,
    room: Arc<dyn ErasedRoom<A>>,
}

impl<A: App> Clone for AnyRoom<A> {
    fn clone(&self) -> Self {
        Self { dialogue: self.dialogue.clone(), room: self.room.clone() }
    }
}

impl<A: App> fmt::Debug for AnyRoom<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("id", &self.id()).finish()
    }
}

impl<A: App> AnyRoom<A> {
    pub(crate) fn new(dialogue: Dialogue<A>, room: Arc<dyn ErasedRoom<A>>) -> Self {
        Self { dialogue, room }
    }

    /// Whether the client may know that the room exists.
    pub(crate) fn is_seen_by(&self, client: &Client<A>) -> bool {
        !A::HOOKS.sees || self.dialogue.sees(client, &self.info())
    }

    pub(crate) fn erased(&self) -> &Arc<dyn ErasedRoom<A>> {
        &self.room
    }

    /// The room's id.
    pub fn id(&self) -> &str {
        self.room.id()
    }

    /// The room's name for people: what it declares, or its id.
    pub fn name(&self) -> &str {
        self.spec().name.unwrap_or(self.id())
    }

    /// What the room is for.
    pub fn description(&self) -> Option<&str> {
        self.spec().description
    }

    /// How many connections the room takes.
    pub fn max_size(&self) -> Option<usize> {
        self.spec().max_size.map(Into::into)
    }

    /// The user who created the room.
    pub fn created_by(&self) -> Option<&str> {
        self.spec().created_by
    }

    /// What the room declares: its events, default subscriptions and all else.
    pub fn spec(&self) -> RoomSpec<'_> {
        self.room.spec()
    }

    /// The room's key, if it is an `R`.
    pub fn key_of<R: Room>(&self) -> Option<&R> {
        self.room.key().downcast_ref()
    }

    /// The server that the room is of.
    pub fn dialogue(&self) -> &Dialogue<A> {
        &self.dialogue
    }

    /// How many connections are in the room.
    pub fn size(&self) -> usize {
        self.dialogue.hub().find_same(&*self.room).map_or(0, |live| live.size())
    }

    /// Whether the room has as many members as it takes.
    pub fn is_full(&self) -> bool {
        self.max_size().is_some_and(|most| self.size() >= most)
    }

    /// The clients in the room, in no particular order.
    pub fn participants(&self) -> Vec<Client<A>> {
        self.dialogue.hub().find_same(&*self.room).map_or_else(Vec::new, |live| live.members())
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
    /// # use dialogue::{App, Deny, Event, EventMessage, AnyRoom};
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
    pub fn before<E, F, Fut>(&self, handler: F) -> HandlerGuard<A>
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
    pub fn on<E, F, Fut>(&self, handler: F) -> HandlerGuard<A>
    where
        E: Event, // say which: `|message: Arc<EventMessage<Message>>|`
        F: Fn(Arc<EventMessage<E>>) -> Fut + Send + Sync + 'static, // `move |m| { let x = x.clone(); async move { .. } }` captures
        Fut: Future<Output = ()> + Send + 'static,
    {
        HandlerGuard::add(self, Handler::on(handler))
    }

    /// Adds a handler as [`AnyRoom::on`] does, for an event whose type is not known, or with
    /// [`EVERY_EVENT`](crate::EVERY_EVENT) as its name for all of them.
    pub fn on_raw<F, Fut>(&self, event: impl Into<String>, handler: F) -> HandlerGuard<A>
    where
        F: Fn(Arc<RawMessage>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        HandlerGuard::add(self, Handler::on_raw(event.into(), handler))
    }

    /// Deletes the room, as [`Dialogue::delete_room`] does.
    pub async fn delete(&self) -> Result<(), DeleteError> {
        lifecycle::delete(self).await
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
            return Err(HistoryError::NotCarried);
        }
        let hub = self.dialogue.hub();
        let live = match row.filter(|row| row.history.is_some()) {
            Some(_) => hub.open(&self.room),
            None => None,
        };
        let Some(live) = live else { return Ok(Arc::default()) };
        let part = Part::Newest { event: event.to_owned().into(), skip: range.start };
        let query = Query { part, limit: range.len(), bytes: usize::MAX };
        let read = live.page(&self.dialogue, query).await;
        let (.., page) = read.map_err(|Unavailable| HistoryError::StoreUnavailable)?;
        Ok(page)
    }
}
