//! A room as the server's own code holds it. What it does is in `handle/room_handle.rs`.

use std::{marker::PhantomData, ops::Deref};

use super::any_room::AnyRoom;
use crate::Room;

/// A room of an app, whose events are checked by the compiler. Cheap to clone; made by
/// [`Dialogue::room`](crate::Dialogue::room).
///
/// What does not depend on its type is [`AnyRoom`]'s: `id`, `name`, `size`, `participants` and the
/// like.
#[must_use = "a handle does nothing by itself: `trigger`, `on`, `create`"]
pub struct RoomHandle<A, R> {
    any: AnyRoom<A>,
    key: PhantomData<fn() -> R>,
}

impl<A, R> Clone for RoomHandle<A, R> {
    fn clone(&self) -> Self {
        Self::of(self.any.clone())
    }
}

impl<A, R> Deref for RoomHandle<A, R> {
    type Target = AnyRoom<A>;

    fn deref(&self) -> &AnyRoom<A> {
        &self.any
    }
}

impl<A, R> RoomHandle<A, R> {
    /// A handle of a room whose key is an `R`.
    pub(crate) fn of(any: AnyRoom<A>) -> Self {
        Self { any, key: PhantomData }
    }
}

impl<A: 'static, R: Room> RoomHandle<A, R> {
    /// The room's key: its fields are what the placeholders of the id stand for.
    #[allow(clippy::missing_panics_doc, reason = "cannot, as said below")]
    pub fn key(&self) -> &R {
        // Who makes a handle knows that the key is an `R`.
        self.any.key_of().expect("the key of a handle is of its type")
    }
}
