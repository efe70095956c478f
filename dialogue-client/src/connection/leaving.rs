//! Leaving rooms, so that it is never lost and never overtakes a later join.

use std::mem::take;

use dialogue::protocol::{InRoom, event};
use tokio::sync::oneshot;

use super::Connection;
use crate::{
    core::Waiter,
    error::{Failed, Refusal},
    link::{About, Due, RoomId},
    membership::{AGAIN, Membership},
    request::{is_gone, passes},
};

/// A room that the server was asked to let go of, on this connection.
#[derive(Default)]
pub(super) struct Leaving {
    /// Dropped when the server has answered.
    told: Vec<oneshot::Sender<()>>,
    /// Who joins it anew, after that.
    joins: Vec<Waiter>,
}

impl Connection {
    /// Joins a room, or gives another handle of one that is joined.
    pub(super) fn join(&mut self, id: RoomId, reply: Waiter) {
        if let Some(leaving) = self.leaving.get_mut(&id) {
            leaving.joins.push(reply);
            return;
        }
        let Self { link, rooms, hub, .. } = self;
        let known = rooms.contains_key(&id);
        let room = rooms.entry(id.clone()).or_insert_with(|| Membership::new(id));
        room.give(reply, hub);
        if !known && link.is_up() {
            room.join(link);
        }
    }

    /// Keeps a room no longer, and has the server know; `told` is dropped when it does.
    pub(super) fn leave(&mut self, id: &RoomId, why: &Failed, told: Option<oneshot::Sender<()>>) {
        if self.forget(id, why) && self.link.is_up() {
            self.leaving.insert(id.clone(), Leaving::default());
            self.ask_to_leave(id);
        }
        if let Some(leaving) = self.leaving.get_mut(id) {
            leaving.told.extend(told);
        }
    }

    pub(super) fn ask_to_leave(&mut self, id: &RoomId) {
        if self.leaving.contains_key(id) {
            let room = InRoom { room_id: (&**id).into() };
            self.link.ask(event::LEAVE, &room, About::Leave(id.clone()));
        }
    }

    /// The server lets the room go, unless it is asked again.
    pub(super) fn on_left(&mut self, id: RoomId, refusal: Option<&Refusal>) {
        if let Some(refusal) = refusal.filter(|refusal| !is_gone(refusal)) {
            let wait = passes(refusal).unwrap_or(AGAIN);
            self.link.timers.after(wait, Due::Again(About::Leave(id)));
        } else if let Some(Leaving { joins, .. }) = self.leaving.remove(&id) {
            self.join_anew(&id, joins);
        }
    }

    /// The connection is no more: the server lets all its rooms go.
    pub(super) fn all_left(&mut self) {
        for (id, Leaving { joins, .. }) in take(&mut self.leaving) {
            self.join_anew(&id, joins);
        }
    }

    fn join_anew(&mut self, id: &RoomId, joins: Vec<Waiter>) {
        for reply in joins.into_iter().filter(|reply| !reply.is_closed()) {
            self.join(id.clone(), reply);
        }
    }
}
