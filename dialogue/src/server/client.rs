//! A connected client, as hooks and handlers see it.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use futures_util::future::BoxFuture;

use super::{
    AnyRoom, ClientId, DisconnectReason, Handshake, Limits, RateLimited,
    connection::{Connection, socketio::Socket},
    outgoing::Unsent,
    packet::Packet,
    proven::Proven,
    rate::Pace,
    rooms::{
        erased::{ErasedRoom, Keyed},
        live::{Change, Live},
        membership,
    },
};
use crate::{
    App, Carries, Dialogue, Event, Hosts, JoinError, Rate, Room, SendError, Sends, SubscribeError,
    protocol::Authenticated, room::RoomEvent,
};

/// One connection and who it belongs to. Cheap to clone.
///
/// A user with several connections is several clients. A clone that outlives the connection keeps
/// some memory of it, and does nothing else.
pub struct Client<A: App>(Arc<Inner<A>>);

struct Inner<A: App> {
    dialogue: Dialogue<A>,
    connection: Connection,
    user_id: Arc<str>,
    proof: RwLock<Proof<A>>,
    rooms: Mutex<Rooms<A>>,
    paces: Paces,
    /// Whether the client was told that it is connected, which is the first thing it hears.
    greeted: AtomicBool,
}

/// What authentication proved last.
struct Proof<A: App> {
    identity: Arc<A::Identity>,
    expires_at: Option<SystemTime>,
}

/// Where the client is a member; `None` once it is gone.
type Rooms<A> = Option<HashMap<Arc<str>, Arc<Live<A>>>>;

/// How often the client does what it may do only so often.
pub(crate) struct Paces {
    pub(crate) triggers: Pace,
    pub(crate) joins: Pace,
    pub(crate) creations: Pace,
    /// Everything else but history, which is the user's.
    pub(crate) requests: Pace,
    /// Of events that say so themselves. There are only as many as rooms list.
    events: Mutex<HashMap<(Cow<'static, str>, Rate), Pace>>,
}

impl Paces {
    fn new(limits: &Limits) -> Self {
        Self {
            triggers: Pace::new(limits.triggers),
            joins: Pace::new(limits.joins),
            creations: Pace::new(limits.creations),
            requests: Pace::new(limits.requests),
            events: Mutex::default(),
        }
    }

    /// Lets the client trigger an event once more, where the event itself says how often.
    pub(crate) fn check_event(&self, event: &RoomEvent) -> Result<(), RateLimited> {
        let Some(rate) = event.rate else { return Ok(()) };
        // No code that can panic runs under the lock.
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.entry((event.name.clone(), rate)).or_insert_with(|| Pace::new(Some(rate))).check()
    }
}

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
        Proven { identity, user_id, expires_at }: Proven<A>,
    ) -> Self {
        let paces = Paces::new(dialogue.limits());
        Self(Arc::new(Inner {
            dialogue,
            connection,
            user_id,
            proof: RwLock::new(Proof { identity: Arc::new(identity), expires_at }),
            rooms: Mutex::new(Some(HashMap::new())),
            paces,
            greeted: AtomicBool::new(false),
        }))
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

    /// What [`App::authenticate`] returned: at first, or when the client last authenticated anew.
    pub fn identity(&self) -> Arc<A::Identity> {
        self.0.proof.read().unwrap_or_else(PoisonError::into_inner).identity.clone()
    }

    /// When what authentication proved ends.
    pub(crate) fn expires_at(&self) -> Option<SystemTime> {
        self.0.proof.read().unwrap_or_else(PoisonError::into_inner).expires_at
    }

    /// The same as clients are told it, at this moment.
    pub(crate) fn expiry(&self) -> Authenticated {
        let expires_at = self.expires_at();
        let since = |start| {
            let since = expires_at?.duration_since(start).unwrap_or_default();
            u64::try_from(since.as_millis()).ok()
        };
        Authenticated { expires_at: since(UNIX_EPOCH), expires_in_ms: since(SystemTime::now()) }
    }

    /// Replaces the identity by another one of the same user.
    pub(crate) fn renew(&self, identity: A::Identity, expires_at: Option<SystemTime>) {
        let proof = Proof { identity: Arc::new(identity), expires_at };
        let mut present = self.0.proof.write().unwrap_or_else(PoisonError::into_inner);
        let replaced = std::mem::replace(&mut *present, proof);
        drop(present);
        self.connection().inbox.renew();
        // An identity is the user's, and is dropped without the lock.
        drop(replaced);
    }

    /// The HTTP request that opened the connection.
    pub fn handshake(&self) -> Handshake {
        let request = self.socket().req_parts();
        Handshake::new(self.id(), request, self.dialogue().proxies())
    }

    /// The Socket.IO socket, for what Dialogue itself does not do. Its id is a secret between it and
    /// the server: whoever knows it may speak for a client on long polling.
    pub fn socket(&self) -> &Socket {
        self.connection().socket()
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

    /// Joins a room, as [`Client::join`] does, whose id is known at run time.
    pub fn join_id<'a>(&'a self, room_id: &'a str) -> BoxFuture<'a, Result<(), JoinError>> {
        Box::pin(async move {
            let room = self.dialogue().hub().resolve(room_id).ok_or(JoinError::RoomNotFound)?;
            membership::join_unasked(self, room).await
        })
    }

    /// Leaves a room, and tells the client. Returns whether it was a member.
    pub fn leave<R: Room>(&self, room: R) -> BoxFuture<'_, bool>
    where
        A: Hosts<R>,
    {
        Box::pin(async move {
            let live = self.member_of_same(&Keyed::new(room));
            membership::leave_unasked(self, live).await
        })
    }

    /// Leaves a room, as [`Client::leave`] does, whose id is known at run time.
    pub fn leave_id<'a>(&'a self, room_id: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(membership::leave_unasked(self, self.member_of(room_id)))
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

    /// Subscribes to an event in a room that the client is in.
    ///
    /// ```
    /// # use dialogue::{App, Carries, Client, Event, HostedBy, SubscribeError};
    /// # async fn follow<A: App, R: Carries<E> + HostedBy<A>, E: Event>(client: Client<A>, room: R) -> Result<(), SubscribeError> {
    /// client.subscribe::<E>(room)
    /// # }
    /// ```
    pub fn subscribe<E: Event>(
        &self,
        room: impl Carries<E> + HostedBy<A>,
    ) -> Result<(), SubscribeError> {
        self.in_same(room)?.change(self, Change::Add(E::SPEC.name))
    }

    /// Subscribes to everything in a room that the client is in.
    pub fn subscribe_all(&self, room: impl HostedBy<A>) -> Result<(), SubscribeError> {
        self.in_same(room)?.change(self, Change::Add(crate::EVERY_EVENT))
    }

    /// Ends the subscription to an event in a room that the client is in.
    pub fn unsubscribe<E: Event>(
        &self,
        room: impl Carries<E> + HostedBy<A>,
    ) -> Result<(), SubscribeError> {
        self.in_same(room)?.change(self, Change::Remove(E::SPEC.name))
    }

    /// The names of the events that the client receives in a room; none where it is not in it.
    pub fn subscriptions(&self, room: impl HostedBy<A>) -> Vec<Cow<'static, str>> {
        let live = self.in_same(room).ok();
        live.and_then(|live| live.subscriptions(self)).unwrap_or_default()
    }

    /// Subscribes to an event, or to [`EVERY_EVENT`](crate::EVERY_EVENT), by names known at run
    /// time.
    pub fn subscribe_id(&self, room_id: &str, event: &str) -> Result<(), SubscribeError> {
        self.in_id(room_id)?.change(self, Change::Add(event))
    }

    /// Ends a subscription, or all with [`EVERY_EVENT`](crate::EVERY_EVENT), by names known at run
    /// time.
    pub fn unsubscribe_id(&self, room_id: &str, event: &str) -> Result<(), SubscribeError> {
        self.in_id(room_id)?.change(self, Change::Remove(event))
    }

    /// The names of the events that the client receives in a room whose id is known at run time.
    pub fn subscriptions_id(&self, room_id: &str) -> Vec<Cow<'static, str>> {
        let live = self.in_id(room_id).ok();
        live.and_then(|live| live.subscriptions(self)).unwrap_or_default()
    }

    /// Sends an event to this client alone, outside any room: clients listen to it by its name.
    /// Waits while the client is behind.
    ///
    /// ```
    /// # use dialogue::{App, Client, Event, SendError, Sends};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, Event)]
    /// # struct Welcome { motd: String }
    /// # async fn greet<A: Sends<Welcome>>(client: Client<A>) -> Result<(), SendError> {
    /// client.send(Welcome { motd: "Be kind.".into() }).await
    /// # }
    /// ```
    #[allow(clippy::needless_pass_by_value, reason = "as everywhere that an event is sent")]
    pub fn send<E: Event>(&self, event: E) -> BoxFuture<'_, Result<(), SendError>>
    where
        A: Sends<E>,
    {
        let packet = event
            .check()
            .map_err(SendError::Invalid)
            .and_then(|()| Packet::direct(E::SPEC.name, &event).map_err(|_| SendError::NotJson));
        Box::pin(async move {
            let sent = self.connection().send(packet?).await;
            if sent { Ok(()) } else { Err(SendError::Closed) }
        })
    }

    /// Disconnects the client. It receives no more events; a request that is being handled is
    /// finished, those that wait are dropped.
    pub fn disconnect(&self) {
        self.end(DisconnectReason::ServerClosed);
    }

    pub(crate) fn end(&self, reason: DisconnectReason) {
        self.connection().inbox.close(reason);
        if reason.is_servers() {
            self.connection().deafen();
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.0.connection
    }

    pub(crate) fn note_greeted(&self) {
        self.0.greeted.store(true, Ordering::Release);
    }

    /// Tells the client something that it may miss: before it was greeted, or if it is too slow.
    pub(crate) fn tell(&self, packet: &Packet) {
        if self.0.greeted.load(Ordering::Acquire)
            && let Err(Unsent::Full) = self.connection().try_send(packet.clone())
        {
            tracing::debug!(client = %self.id(), "a reader is too slow");
        }
    }

    /// Tells the client something as soon as it can hear it.
    pub(crate) fn tell_surely(&self, packet: Packet) {
        if let Err(Unsent::Full) = self.connection().try_send(packet.clone()) {
            let client = self.clone();
            tokio::spawn(async move { client.connection().send(packet).await });
        }
    }

    pub(crate) fn paces(&self) -> &Paces {
        &self.0.paces
    }

    fn in_same(&self, room: impl HostedBy<A>) -> Result<Arc<Live<A>>, SubscribeError> {
        let room = room.__any(self.dialogue());
        self.member_of_same(&**room.erased()).ok_or(SubscribeError::NotInRoom)
    }

    fn in_id(&self, room_id: &str) -> Result<Arc<Live<A>>, SubscribeError> {
        self.member_of(room_id).ok_or(SubscribeError::NotInRoom)
    }

    /// The room with this id, if the client is a member.
    pub(crate) fn member_of(&self, id: &str) -> Option<Arc<Live<A>>> {
        self.lock().as_ref()?.get(id).cloned()
    }

    /// Whether the client is a member of this very room.
    pub(crate) fn is_member_of(&self, live: &Arc<Live<A>>) -> bool {
        self.member_of(live.id()).is_some_and(|found| Arc::ptr_eq(&found, live))
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
            return Err(JoinError::LimitExceeded { most });
        }
        rooms.insert(live.id().clone(), live.clone());
        Ok(())
    }

    /// Forgets a membership, unless it is of a room that has taken the id since.
    pub(crate) fn note_left(&self, live: &Arc<Live<A>>) {
        if let Some(rooms) = self.lock().as_mut()
            && rooms.get(live.id()).is_some_and(|noted| Arc::ptr_eq(noted, live))
        {
            rooms.remove(live.id());
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

/// A room that the app hosts: [`Hosts`] seen from the room's side.
#[diagnostic::on_unimplemented(
    message = "app `{A}` does not host room `{Self}`",
    label = "not one of this app's rooms",
    note = "list the room's module in `#[dialogue::app(rooms(..))]`"
)]
pub trait HostedBy<A: App>: Room {
    #[doc(hidden)]
    fn __any(self, dialogue: &Dialogue<A>) -> AnyRoom<A>;
}

#[diagnostic::do_not_recommend]
impl<A: Hosts<R>, R: Room> HostedBy<A> for R {
    fn __any(self, dialogue: &Dialogue<A>) -> AnyRoom<A> {
        AnyRoom::new(dialogue.clone(), Arc::new(Keyed::new(self)))
    }
}
