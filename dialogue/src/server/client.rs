//! A connected client, as hooks and handlers see it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    ClientId, DisconnectReason,
    gateway::Connection,
    hook::BoxFuture,
    rooms::{
        erased::{ErasedRoom, Keyed},
        live::Live,
        membership,
    },
    session::Proven,
};
use crate::{App, Dialogue, Hosts, JoinError, Room};

/// One connection and who it belongs to. Cheap to clone.
///
/// A user with several connections is several clients. A clone that outlives the connection keeps
/// some memory of it, and does nothing else.
pub struct Client<A: App>(Arc<Inner<A>>);

struct Inner<A: App> {
    dialogue: Dialogue<A>,
    connection: Connection,
    identity: A::Identity,
    user_id: Arc<str>,
    rooms: Mutex<Rooms<A>>,
}

/// Where the client is a member; `None` once it is gone.
type Rooms<A> = Option<HashMap<Arc<str>, Arc<Live<A>>>>;

impl<A: App> Clone for Client<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: App> fmt::Debug for Client<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id()).field("user_id", &self.user_id()).finish()
    }
}

impl<A: App> Client<A> {
    pub(crate) fn new(
        dialogue: Dialogue<A>,
        connection: Connection,
        Proven { identity, user_id }: Proven<A>,
    ) -> Self {
        let rooms = Mutex::new(Some(HashMap::new()));
        Self(Arc::new(Inner { dialogue, connection, identity, user_id, rooms }))
    }

    /// The connection's id.
    pub fn id(&self) -> ClientId {
        self.0.connection.id
    }

    /// Who the client was proven to be.
    pub fn user_id(&self) -> &str {
        &self.0.user_id
    }

    pub(crate) fn shared_user_id(&self) -> &Arc<str> {
        &self.0.user_id
    }

    /// What [`App::authenticate`] returned.
    pub fn identity(&self) -> &A::Identity {
        &self.0.identity
    }

    /// The server that the client is connected to.
    pub fn dialogue(&self) -> &Dialogue<A> {
        &self.0.dialogue
    }

    /// Joins a room, as if the client had asked: `before_join` decides, and the client is told.
    /// Joining a room twice runs `before_join` again and changes nothing else.
    pub fn join<R: Room>(&self, room: R) -> BoxFuture<'_, Result<(), JoinError>>
    where
        A: Hosts<R>,
    {
        Box::pin(membership::join_unasked(self, Arc::new(Keyed::new(room))))
    }

    /// Leaves a room, and tells the client. Returns whether it was a member.
    pub fn leave<R: Room>(&self, room: R) -> BoxFuture<'_, bool>
    where
        A: Hosts<R>,
    {
        Box::pin(async move { membership::leave_unasked(self, &Keyed::new(room)).await })
    }

    /// The ids of the rooms that the client is in, in no particular order.
    pub fn rooms(&self) -> Vec<String> {
        self.lock().iter().flatten().map(|(id, _)| id.to_string()).collect()
    }

    /// Whether the client is in a room.
    pub fn is_in<R: Room>(&self, room: R) -> bool
    where
        A: Hosts<R>,
    {
        self.member_of_same(&Keyed::new(room)).is_some()
    }

    /// Disconnects the client. It receives no more events; a request that is being handled is
    /// finished, those that wait are dropped.
    pub fn disconnect(&self) {
        self.connection().inbox.close(DisconnectReason::ServerClosed);
        self.connection().unlisten_all();
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// The room with this id, if the client is a member.
    pub(crate) fn member_of(&self, id: &str) -> Option<Arc<Live<A>>> {
        self.lock().as_ref()?.get(id).cloned()
    }

    /// The same room, if the client is a member: not another one that happens to have its id.
    pub(crate) fn member_of_same(&self, room: &dyn ErasedRoom<A>) -> Option<Arc<Live<A>>> {
        self.member_of(room.id()).filter(|live| live.is(room))
    }

    /// The rooms that the client is a member of.
    pub(crate) fn memberships(&self) -> Vec<Arc<Live<A>>> {
        self.lock().iter().flatten().map(|(_, live)| live.clone()).collect()
    }

    /// Notes a membership. Called by the room, under its lock.
    pub(crate) fn note_joined(&self, live: &Arc<Live<A>>, most: usize) -> Result<(), JoinError> {
        let mut rooms = self.lock();
        let rooms = rooms.as_mut().ok_or(JoinError::Closed)?;
        if self.connection().inbox.is_closed() {
            return Err(JoinError::Closed);
        }
        if rooms.len() >= most && !rooms.contains_key(live.id()) {
            return Err(JoinError::LimitExceeded { what: "rooms", most });
        }
        rooms.insert(live.id().clone(), live.clone());
        Ok(())
    }

    /// Forgets a membership. Called by the room, under its lock.
    pub(crate) fn note_left(&self, id: &str) {
        if let Some(rooms) = self.lock().as_mut() {
            rooms.remove(id);
        }
    }

    /// Ends all joining; returns the rooms that are left to leave.
    pub(crate) fn depart(&self) -> Vec<Arc<Live<A>>> {
        self.lock().take().into_iter().flatten().map(|(_, live)| live).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Rooms<A>> {
        // No code that can panic runs under the lock.
        self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
