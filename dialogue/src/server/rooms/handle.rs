//! A room as the server's own code holds it.

use std::{future::Future, sync::Arc};

use super::{
    erased::{ErasedRoom, Keyed},
    on::{Handler, OnGuard},
    trigger::Trigger,
};
use crate::{App, Carries, Dialogue, Event, EventMessage, Hosts, Room};

/// A room of an app. Cheap to clone; made by [`Dialogue::room`].
///
/// A handle holds no place: it works whether or not anybody is in the room.
pub struct RoomHandle<A: App, R: Room> {
    dialogue: Dialogue<A>,
    room: Arc<Keyed<R>>,
    erased: Arc<dyn ErasedRoom<A>>,
}

impl<A: App, R: Room> Clone for RoomHandle<A, R> {
    fn clone(&self) -> Self {
        Self {
            dialogue: self.dialogue.clone(),
            room: self.room.clone(),
            erased: self.erased.clone(),
        }
    }
}

impl<A: Hosts<R>, R: Room> RoomHandle<A, R> {
    pub(crate) fn of(dialogue: Dialogue<A>, room: Arc<Keyed<R>>) -> Self {
        Self { dialogue, erased: room.clone(), room }
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

    /// The room's id.
    pub fn id(&self) -> &str {
        self.room.id()
    }

    /// The room's name for people: what it declares, or its id.
    pub fn name(&self) -> &str {
        R::SPEC.name.unwrap_or(self.id())
    }

    /// How many connections are in the room.
    pub fn size(&self) -> usize {
        self.dialogue.hub().find_same(&*self.erased).map_or(0, |live| live.size())
    }

    /// Whether the room has as many members as it takes.
    pub fn is_full(&self) -> bool {
        R::SPEC.max_size.is_some_and(|most| self.size() >= most.get())
    }

    /// The server that the room is of.
    pub fn dialogue(&self) -> &Dialogue<A> {
        &self.dialogue
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
        Trigger::new(self.dialogue.clone(), self.erased.clone(), event)
    }

    /// Adds a handler that runs after every broadcast of `E` in this room, after those of the
    /// room's module and in order. It stays until the guard is dropped.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use dialogue::{App, Carries, Event, EventMessage, Hosts, Room, RoomHandle};
    /// # fn watch<A: Hosts<R>, R: Room + Carries<E>, E: Event>(room: RoomHandle<A, R>) {
    /// let guard = room.on(|message: Arc<EventMessage<E>>| async move {
    ///     println!("{} from {}", message.event, message.from);
    /// });
    /// # drop(guard);
    /// # }
    /// ```
    pub fn on<E: Event, F, Fut>(&self, handler: F) -> OnGuard<A>
    where
        R: Carries<E>,
        F: Fn(Arc<EventMessage<E>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        OnGuard::add(&self.dialogue, &self.erased, &Handler::new(handler))
    }
}
