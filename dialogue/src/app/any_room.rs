//! A room of any type, for hooks that run for all of them and for ids known at run time. What it does is in
//! `handle/any_room.rs`.

use std::{fmt, sync::Arc};

use super::{dialogue::Dialogue, hosted::Hosted};
use crate::{
    Room, RoomSpec,
    engine::{definition::Definition, live::Live},
};

/// A room whose type is known only at run time: what it takes is checked then. Cheap to clone.
///
/// A handle keeps no room open: it works whether or not the room has members, and finds none once the room is
/// deleted.
pub struct AnyRoom<A> {
    dialogue: Dialogue<A>,
    room: Arc<Hosted<A>>,
}

impl<A> Clone for AnyRoom<A> {
    fn clone(&self) -> Self {
        Self { dialogue: self.dialogue.clone(), room: self.room.clone() }
    }
}

impl<A: 'static> fmt::Debug for AnyRoom<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("id", &self.id()).finish()
    }
}

impl<A: 'static> AnyRoom<A> {
    pub(crate) fn new(dialogue: Dialogue<A>, room: Arc<Hosted<A>>) -> Self {
        Self { dialogue, room }
    }

    /// The room as the engine holds it.
    pub(crate) fn hosted(&self) -> &Arc<Hosted<A>> {
        &self.room
    }

    /// The same, for the engine.
    pub(crate) fn definition(&self) -> Arc<dyn Definition> {
        self.room.clone()
    }

    /// The room, if it is open.
    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        self.dialogue.hub().find_same(&*self.room)
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
        self.room.erased().key().downcast_ref()
    }

    /// The server that the room is of.
    pub fn dialogue(&self) -> &Dialogue<A> {
        &self.dialogue
    }
}
