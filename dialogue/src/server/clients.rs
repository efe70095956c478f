//! Everyone who is connected: by connection, by user, and the rooms of a user.

use std::{collections::BTreeMap, fmt, future::Future, sync::Arc};

use dashmap::{DashMap, Entry};

use super::{
    AnyRoom, Client, ClientId, Stats, hook,
    rooms::{live::Live, membership},
};
use crate::{App, Dialogue};

/// The connected clients of a server.
pub(crate) struct Clients<A: App> {
    by_id: DashMap<ClientId, Client<A>>,
    /// The connections of each user, oldest first.
    by_user: DashMap<Arc<str>, Vec<ClientId>>,
}

impl<A: App> Clients<A> {
    pub(crate) fn new() -> Self {
        Self { by_id: DashMap::new(), by_user: DashMap::new() }
    }

    pub(crate) fn add(&self, client: Client<A>) {
        let mut of_user = self.by_user.entry(client.shared_user_id().clone()).or_default();
        of_user.push(client.id());
        self.by_id.insert(client.id(), client);
    }

    pub(crate) fn remove(&self, client: &Client<A>) {
        self.by_id.remove(&client.id());
        let of_user = self.by_user.entry(client.shared_user_id().clone());
        if let Entry::Occupied(mut of_user) = of_user {
            of_user.get_mut().retain(|id| *id != client.id());
            if of_user.get().is_empty() {
                of_user.remove();
            }
        }
    }

    pub(crate) fn get(&self, id: ClientId) -> Option<Client<A>> {
        self.by_id.get(&id).map(|client| client.clone())
    }

    pub(crate) fn all(&self) -> Vec<Client<A>> {
        self.by_id.iter().map(|client| client.clone()).collect()
    }

    pub(crate) fn of_user(&self, user_id: &str) -> Vec<Client<A>> {
        let ids = self.by_user.get(user_id).map(|ids| ids.clone()).unwrap_or_default();
        ids.into_iter().filter_map(|id| self.get(id)).collect()
    }

    pub(crate) fn count_into(&self, total: &mut Stats) {
        for client in &self.by_id {
            total.connections += 1;
            total.queued += client.connection().inbox.len();
        }
        total.users += self.by_user.len();
    }
}

/// The rooms that a user was in, by any of its connections, when [`Dialogue::rooms_of`] was asked.
pub struct UserRooms<A: App> {
    dialogue: Dialogue<A>,
    rooms: BTreeMap<Arc<str>, InRoom<A>>,
}

/// A room, and those of the user's connections that are in it.
struct InRoom<A: App> {
    live: Arc<Live<A>>,
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
            for live in client.memberships() {
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
            visit(AnyRoom::new(self.dialogue.clone(), live.room().clone())).await;
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
            before(AnyRoom::new(self.dialogue.clone(), live.room().clone())).await;
            // None of them hears more while the hooks of another run.
            let left: Vec<_> = clients.into_iter().filter(|client| live.dismiss(client)).collect();
            for client in left {
                hook::finish(membership::see_off(client, live.clone())).await;
            }
        }
    }
}
