//! The rooms of a user.

use std::{collections::BTreeMap, fmt, future::Future, sync::Arc};

use crate::{AnyRoom, App, Client, Dialogue, app::hooks, engine::live::Live, service::leave};

/// The rooms that a user was in, by any of its connections, when [`Dialogue::rooms_of`] was asked.
pub struct UserRooms<A: App> {
    dialogue: Dialogue<A>,
    rooms: BTreeMap<Arc<str>, InRoom<A>>,
}

/// A room, and those of the user's connections that are in it.
struct InRoom<A: App> {
    live: Arc<Live>,
    clients: Vec<Client<A>>,
}

impl<A: App> fmt::Debug for UserRooms<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UserRooms").field(&self.ids().collect::<Vec<_>>()).finish()
    }
}

impl<A: App> UserRooms<A> {
    pub(crate) fn new(dialogue: &Dialogue<A>, user_id: &str) -> Self {
        let mut rooms = BTreeMap::new();
        for client in dialogue.clients_of(user_id) {
            for live in client.member().rooms() {
                let room = rooms.entry(live.id().clone());
                let room = room.or_insert_with(|| InRoom { live, clients: Vec::new() });
                room.clients.push(client.clone());
            }
        }
        Self { dialogue: dialogue.clone(), rooms }
    }

    /// The ids of the rooms, in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.rooms.keys().map(|id| &**id)
    }

    /// Calls `visit` with each room, one after the other.
    pub async fn for_each<F, Fut>(&self, mut visit: F)
    where
        F: FnMut(AnyRoom<A>) -> Fut,
        Fut: Future<Output = ()>,
    {
        for InRoom { live, .. } in self.rooms.values() {
            visit(self.dialogue.any(live.room())).await;
        }
    }

    /// Makes all of the user's connections leave each room, as [`Client::leave`] does, after
    /// `before` was called with it.
    pub async fn leave_all<F, Fut>(self, mut before: F)
    where
        F: FnMut(AnyRoom<A>) -> Fut,
        Fut: Future<Output = ()>,
    {
        for InRoom { live, clients } in self.rooms.into_values() {
            before(self.dialogue.any(live.room())).await;
            // None of them hears more while the hooks of another run.
            let left: Vec<_> =
                clients.into_iter().filter(|client| live.dismiss(client.member())).collect();
            for client in left {
                hooks::finish(leave::see_off(client, live.clone())).await;
            }
        }
    }
}
