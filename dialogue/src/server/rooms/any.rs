//! A room of any type, for hooks that run for all of them.

use std::{fmt, sync::Arc};

use super::erased::ErasedRoom;
use crate::{App, Dialogue, Room, RoomSpec};

/// A room whose type is known only at run time.
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
        f.debug_struct("AnyRoom").field("id", &self.id()).finish()
    }
}

impl<A: App> AnyRoom<A> {
    pub(crate) fn new(dialogue: Dialogue<A>, room: Arc<dyn ErasedRoom<A>>) -> Self {
        Self { dialogue, room }
    }

    /// The room's id.
    pub fn id(&self) -> &str {
        self.room.id()
    }

    /// The room's name for people: what it declares, or its id.
    pub fn name(&self) -> &str {
        self.spec().name.unwrap_or(self.id())
    }

    /// What the room declares.
    pub fn spec(&self) -> &'static RoomSpec {
        self.room.spec()
    }

    /// The room's key, if it is an `R`.
    pub fn key<R: Room>(&self) -> Option<&R> {
        self.room.key().downcast_ref()
    }

    /// How many connections are in the room.
    pub fn size(&self) -> usize {
        self.dialogue.hub().find_same(&*self.room).map_or(0, |live| live.size())
    }

    /// Whether the room has as many members as it takes.
    pub fn is_full(&self) -> bool {
        self.spec().max_size.is_some_and(|most| self.size() >= most.get())
    }
}
