//! Rooms that modules declare, by their keys.

use std::{any::Any, sync::Arc};

use futures_util::future::BoxFuture;

use super::{
    any_room::AnyRoom, client::Client, context::Context, hosted::ErasedRoom, registry::Hosts,
    room_handle::RoomHandle,
};
use crate::{Deny, Room, RoomSpec, model::message::AnyMessage};

/// A room's key, and the id that it makes.
pub(crate) struct Keyed<R> {
    key: R,
    id: Arc<str>,
}

impl<R: Room> Keyed<R> {
    pub(crate) fn new(key: R) -> Self {
        let id = key.id().into();
        Self { key, id }
    }
}

fn context<A: 'static, R: Room>(room: &AnyRoom<A>) -> Context<A, R> {
    Context::new(RoomHandle::of(room.clone()))
}

impl<A: Hosts<R>, R: Room> ErasedRoom<A> for Keyed<R> {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn spec(&self) -> RoomSpec<'_> {
        R::SPEC
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
        &'a self,
        room: &'a AnyRoom<A>,
        message: &'a mut dyn AnyMessage,
    ) -> BoxFuture<'a, Result<(), Deny>> {
        Box::pin(async move {
            let context = context(room);
            for before in A::__handlers().before {
                if before.event == message.event() {
                    (before.call)(&context, message.data_mut()).await?;
                }
            }
            Ok(())
        })
    }

    fn on<'a>(
        &'a self,
        room: &'a AnyRoom<A>,
        message: &'a dyn AnyMessage,
        n: usize,
    ) -> Option<BoxFuture<'a, ()>> {
        let on = A::__handlers().on.iter().filter(|on| on.event == message.event()).nth(n)?;
        Some(Box::pin(async move { (on.call)(&context(room), message.as_any()).await }))
    }

    fn before_join<'a>(
        &'a self,
        room: &'a AnyRoom<A>,
        client: &'a Client<A>,
    ) -> Option<BoxFuture<'a, Result<(), Deny>>> {
        let call = A::__handlers().before_join?;
        Some(Box::pin(async move { call(&context(room), client).await }))
    }

    fn joined<'a>(
        &'a self,
        room: &'a AnyRoom<A>,
        client: &'a Client<A>,
    ) -> Option<BoxFuture<'a, ()>> {
        let call = A::__handlers().joined?;
        Some(Box::pin(async move { call(&context(room), client).await }))
    }

    fn left<'a>(
        &'a self,
        room: &'a AnyRoom<A>,
        client: &'a Client<A>,
    ) -> Option<BoxFuture<'a, ()>> {
        let call = A::__handlers().left?;
        Some(Box::pin(async move { call(&context(room), client).await }))
    }
}
