//! The connected clients, by connection and by user.

use std::sync::Arc;

use dashmap::{DashMap, Entry};

use super::client::Client;
use crate::{ClientId, Stats};

/// The connected clients of a server.
pub(crate) struct Clients<A> {
    by_id: DashMap<ClientId, Client<A>>,
    /// The connections of each user, oldest first.
    by_user: DashMap<Arc<str>, Vec<ClientId>>,
}

impl<A> Clients<A> {
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
