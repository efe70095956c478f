//! Rooms of an app as the engine holds them: the type of the key is forgotten, so that one table holds all rooms.

use std::{any::Any, sync::Arc};

use futures_util::future::BoxFuture;

use super::{any_room::AnyRoom, client::Client};
use crate::{
    Deny, RoomSpec,
    engine::definition::Definition,
    model::message::AnyMessage,
    store::{LogId, Owner},
};

/// A room of an app, and what its handlers do.
pub(crate) trait ErasedRoom<A>: Send + Sync {
    fn id(&self) -> &Arc<str>;
    fn spec(&self) -> RoomSpec<'_>;

    /// Which creation of its id the room is, if it was created at run time: after deletion, another
    /// room may take the id.
    fn creation(&self) -> Option<u64> {
        None
    }

    /// The owner of the room's log.
    fn owner(&self) -> Owner {
        Owner::app()
    }

    fn key(&self) -> &dyn Any {
        &()
    }

    fn has_before(&self, event: &str) -> bool {
        let _ = event;
        false
    }

    fn has_on(&self, event: &str) -> bool {
        let _ = event;
        false
    }

    /// Runs the `#[before]` handlers of an event.
    fn before<'a>(
        &'a self,
        room: &'a AnyRoom<A>,
        message: &'a mut dyn AnyMessage,
    ) -> BoxFuture<'a, Result<(), Deny>> {
        let _ = (room, message);
        Box::pin(async { Ok(()) })
    }

    /// Runs the `n`th `#[on]` handler of an event; `None` if there are fewer.
    fn on<'a>(
        &'a self,
        room: &'a AnyRoom<A>,
        message: &'a dyn AnyMessage,
        n: usize,
    ) -> Option<BoxFuture<'a, ()>> {
        let _ = (room, message, n);
        None
    }

    fn before_join<'a>(
        &'a self,
        room: &'a AnyRoom<A>,
        client: &'a Client<A>,
    ) -> Option<BoxFuture<'a, Result<(), Deny>>> {
        let _ = (room, client);
        None
    }

    fn joined<'a>(
        &'a self,
        room: &'a AnyRoom<A>,
        client: &'a Client<A>,
    ) -> Option<BoxFuture<'a, ()>> {
        let _ = (room, client);
        None
    }

    fn left<'a>(
        &'a self,
        room: &'a AnyRoom<A>,
        client: &'a Client<A>,
    ) -> Option<BoxFuture<'a, ()>> {
        let _ = (room, client);
        None
    }
}

/// A room of an app as the engine holds it.
pub(crate) struct Hosted<A>(Box<dyn ErasedRoom<A>>);

impl<A: 'static> Hosted<A> {
    pub(crate) fn new(room: impl ErasedRoom<A> + 'static) -> Arc<Self> {
        Arc::new(Self(Box::new(room)))
    }

    /// The room that the engine holds.
    ///
    /// # Panics
    ///
    /// If it is another app's: an engine holds the rooms of one app.
    pub(crate) fn of(definition: &Arc<dyn Definition>) -> Arc<Self> {
        let any: Arc<dyn Any + Send + Sync> = definition.clone();
        any.downcast().expect("an engine holds the rooms of one app")
    }

    /// Names the room's log in the store.
    pub(crate) fn log_id(&self) -> LogId {
        LogId::new(self.0.id().clone(), self.0.owner())
    }

    pub(crate) fn erased(&self) -> &dyn ErasedRoom<A> {
        &*self.0
    }
}

impl<A: 'static> Definition for Hosted<A> {
    fn id(&self) -> &Arc<str> {
        self.0.id()
    }

    fn spec(&self) -> RoomSpec<'_> {
        self.0.spec()
    }

    fn creation(&self) -> Option<u64> {
        self.0.creation()
    }

    fn owner(&self) -> Owner {
        self.0.owner()
    }
}
