//! Which rooms a client may know of.

use std::sync::Arc;

use crate::{
    AnyRoom, App, Client, Dialogue, JoinError, SubscribeError,
    app::{
        hooks::{self, Hook},
        hosted::Hosted,
    },
    engine::{definition::Definition, live::Live},
    protocol::{Failure, RoomInfo},
};

impl<A: App> Dialogue<A> {
    /// Whether the client may see the room; a panic says no.
    pub(crate) fn sees(&self, client: &Client<A>, room: &RoomInfo) -> bool {
        !A::HOOKS.sees
            || hooks::run_now(Hook::Sees, &room.id, || self.app().sees(client, room))
                .unwrap_or(false)
    }

    /// The room that answers to an id, open or not.
    pub(crate) fn resolve(&self, id: &str) -> Option<AnyRoom<A>> {
        self.hub().resolve(id).map(|room| self.any(&room))
    }

    /// A handle of a room of the engine.
    pub(crate) fn any(&self, room: &Arc<dyn Definition>) -> AnyRoom<A> {
        AnyRoom::new(self.clone(), Hosted::of(room))
    }
}

impl<A: App> AnyRoom<A> {
    /// Whether the client may know that the room exists.
    pub(crate) fn is_seen_by(&self, client: &Client<A>) -> bool {
        !A::HOOKS.sees || self.dialogue().sees(client, &self.info())
    }
}

/// The room, if the client may know that it exists.
pub(crate) fn visible<A: App>(client: &Client<A>, room_id: &str) -> Option<AnyRoom<A>> {
    client.dialogue().resolve(room_id).filter(|room| room.is_seen_by(client))
}

/// The room, if the client is a member.
pub(crate) fn member<A: App>(client: &Client<A>, room_id: &str) -> Result<Arc<Live>, Failure> {
    client.member().member_of(room_id).ok_or_else(|| no_member(client, room_id))
}

/// Rejects a request of a client that is in no room of this id, or is no longer: the server's own code may
/// have been faster, or the room was deleted.
pub(crate) fn no_member<A: App>(client: &Client<A>, room_id: &str) -> Failure {
    if visible(client, room_id).is_none() {
        return no_such_room(room_id);
    }
    Failure::from(SubscribeError::NotInRoom).in_room(room_id)
}

pub(crate) fn no_such_room(room_id: &str) -> Failure {
    Failure::from(JoinError::RoomNotFound).in_room(room_id)
}
