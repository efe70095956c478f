//! A room with its key's type forgotten: what lets one table hold all rooms of an app.

use std::{any::Any, sync::Arc};

use futures_util::future::BoxFuture;

use super::super::{Client, Context};
use crate::{
    App, Deny, Dialogue, Hosts, Room, RoomHandle, RoomSpec, message::AnyMessage, store::Owner,
};

pub(crate) trait ErasedRoom<A: App>: Send + Sync {
    fn id(&self) -> &Arc<str>;
    fn spec(&self) -> RoomSpec<'_>;

    /// Which creation of its id the room is, if it was created at run time: after deletion, another
    /// room may take the id.
    fn creation(&self) -> Option<u64>;

    /// Who the room's log belongs to.
    fn owner(&self) -> Owner {
        Owner::app()
    }

    fn key(&self) -> &dyn Any;

    fn has_before(&self, event: &str) -> bool;
    fn has_on(&self, event: &str) -> bool;

    fn before<'a>(
        self: Arc<Self>,
        dialogue: &'a Dialogue<A>,
        message: &'a mut dyn AnyMessage,
    ) -> BoxFuture<'a, Result<(), Deny>>;

    /// Runs the `n`th handler of an event; `None` if there are fewer.
    fn on<'a>(
        self: Arc<Self>,
        dialogue: &'a Dialogue<A>,
        message: &'a dyn AnyMessage,
        n: usize,
    ) -> Option<BoxFuture<'a, ()>>;

    fn before_join(self: Arc<Self>, client: &Client<A>) -> Option<BoxFuture<'_, Result<(), Deny>>>;
    fn joined(self: Arc<Self>, client: &Client<A>) -> Option<BoxFuture<'_, ()>>;
    fn left(self: Arc<Self>, client: &Client<A>) -> Option<BoxFuture<'_, ()>>;
}

/// A room's key, and the id that it makes.
pub(crate) struct Keyed<R> {
    pub(crate) key: R,
    id: Arc<str>,
}

impl<R: Room> Keyed<R> {
    pub(crate) fn new(key: R) -> Self {
        let id = key.id().into();
        Self { key, id }
    }

    fn context<A: Hosts<R>>(self: &Arc<Self>, dialogue: &Dialogue<A>) -> Context<A, R> {
        Context::new(RoomHandle::of(dialogue.clone(), self.clone()))
    }
}

impl<A: Hosts<R>, R: Room> ErasedRoom<A> for Keyed<R> {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn spec(&self) -> RoomSpec<'_> {
        R::SPEC
    }

    fn creation(&self) -> Option<u64> {
        None
    }

    fn key(&self) -> &dyn Any {
        &self.key
    }

    fn has_before(&self, event: &str) -> bool {
        A::__handlers().before.iter().any(|before| before.event == event)
    }

    fn has_on(&self, event: &str) -> bool {
        A::__handlers().on.iter().any(|on| on.event == event)
    }

    fn before<'a>(
        self: Arc<Self>,
        dialogue: &'a Dialogue<A>,
        message: &'a mut dyn AnyMessage,
    ) -> BoxFuture<'a, Result<(), Deny>> {
        Box::pin(async move {
            let context = self.context(dialogue);
            for before in A::__handlers().before {
                if before.event == message.event() {
                    (before.call)(&context, message.data_mut()).await?;
                }
            }
            Ok(())
        })
    }

    fn on<'a>(
        self: Arc<Self>,
        dialogue: &'a Dialogue<A>,
        message: &'a dyn AnyMessage,
        n: usize,
    ) -> Option<BoxFuture<'a, ()>> {
        let on = A::__handlers().on.iter().filter(|on| on.event == message.event()).nth(n)?;
        Some(Box::pin(async move {
            let context = self.context(dialogue);
            (on.call)(&context, message.as_any()).await;
        }))
    }

    fn before_join(self: Arc<Self>, client: &Client<A>) -> Option<BoxFuture<'_, Result<(), Deny>>> {
        let call = A::__handlers().before_join?;
        Some(Box::pin(async move {
            let context = self.context(client.dialogue());
            call(&context, client).await
        }))
    }

    fn joined(self: Arc<Self>, client: &Client<A>) -> Option<BoxFuture<'_, ()>> {
        let call = A::__handlers().joined?;
        Some(Box::pin(async move {
            let context = self.context(client.dialogue());
            call(&context, client).await;
        }))
    }

    fn left(self: Arc<Self>, client: &Client<A>) -> Option<BoxFuture<'_, ()>> {
        let call = A::__handlers().left?;
        Some(Box::pin(async move {
            let context = self.context(client.dialogue());
            call(&context, client).await;
        }))
    }
}
