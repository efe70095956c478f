//! Where a handler runs.

use std::fmt;

use super::{dialogue::Dialogue, room_handle::RoomHandle};

/// What a room's handlers are given first: the app, and the room they run for.
pub struct Context<A, R> {
    room: RoomHandle<A, R>,
}

impl<A: 'static, R> fmt::Debug for Context<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("room", &self.room.any().id()).finish_non_exhaustive()
    }
}

impl<A: 'static, R> Context<A, R> {
    pub(crate) fn new(room: RoomHandle<A, R>) -> Self {
        Self { room }
    }

    /// The app: its fields are the shared state.
    pub fn app(&self) -> &A {
        self.room.any().dialogue().app()
    }

    /// The room.
    pub fn room(&self) -> &RoomHandle<A, R> {
        &self.room
    }

    /// The server, for what happens in other rooms.
    pub fn dialogue(&self) -> &Dialogue<A> {
        self.room.any().dialogue()
    }
}
