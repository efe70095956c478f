//! Where a handler runs.

use crate::{App, Dialogue, Room, RoomHandle};

/// What a room's handlers are given first: the app, and the room they run for.
pub struct Context<A: App, R: Room> {
    room: RoomHandle<A, R>,
}

impl<A: App, R: Room> Context<A, R> {
    pub(crate) fn new(room: RoomHandle<A, R>) -> Self {
        Self { room }
    }

    /// The app: its fields are the shared state.
    pub fn app(&self) -> &A {
        self.room.dialogue().app()
    }

    /// The room.
    pub fn room(&self) -> &RoomHandle<A, R> {
        &self.room
    }

    /// The server, for what happens in other rooms.
    pub fn dialogue(&self) -> &Dialogue<A> {
        self.room.dialogue()
    }
}
