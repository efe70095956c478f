//! A room as the server's own code holds it. What it does is in `handle/room_handle.rs`.

use std::{fmt, marker::PhantomData};

use super::{any_room::AnyRoom, dialogue::Dialogue};
use crate::{Room, RoomSpec};

/// A room of an app, whose events are checked by the compiler. Cheap to clone; made by
/// [`Dialogue::room`](crate::Dialogue::room).
///
/// [`RoomHandle::any`] is the same room as [`AnyRoom`] has it, for what is known at run time alone.
#[must_use = "a handle does nothing by itself: `trigger`, `on`, `create`"]
pub struct RoomHandle<A, R> {
    any: AnyRoom<A>,
    key: PhantomData<fn() -> R>,
}

impl<A: 'static, R> fmt::Debug for RoomHandle<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomHandle").field("id", &self.any.id()).finish_non_exhaustive()
    }
}

impl<A, R> Clone for RoomHandle<A, R> {
    fn clone(&self) -> Self {
        Self::of(self.any.clone())
    }
}

impl<A, R> RoomHandle<A, R> {
    /// The room as one whose type is known only at run time.
    pub fn any(&self) -> &AnyRoom<A> {
        &self.any
    }

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

    /// The room's id.
    pub fn id(&self) -> &str {
        self.any.id()
    }

    /// The room's name for people: what it declares, or its id.
    pub fn name(&self) -> &str {
        self.any.name()
    }

    /// What the room is for.
    pub fn description(&self) -> Option<&str> {
        self.any.description()
    }

    /// How many connections the room takes.
    pub fn max_size(&self) -> Option<usize> {
        self.any.max_size()
    }

    /// What the room declares: its events, default subscriptions and all else.
    pub fn spec(&self) -> RoomSpec<'_> {
        self.any.spec()
    }

    /// The server that the room is of.
    pub fn dialogue(&self) -> &Dialogue<A> {
        self.any.dialogue()
    }
}
