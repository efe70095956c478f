//! What the server's own code does with a client.

use std::{any::Any, borrow::Cow, sync::Arc};

use futures_util::future::BoxFuture;

use crate::{
    AnyRoom, App, Carries, Client, Dialogue, DisconnectReason, Event, Hosts, JoinError, Room,
    SendError, Sends, SubscribeError,
    app::{hosted::Hosted, keyed::Keyed},
    connection::packet::Packet,
    engine::{admission::Change, live::Live},
    service::{join, leave},
    socketio::Socket,
    transport::socketio::gateway::SocketWire,
};

impl<A: App> Client<A> {
    /// What [`App::authenticate`] returned: at first, or when the client last authenticated anew.
    #[allow(clippy::missing_panics_doc, reason = "cannot, as said below")]
    pub fn identity(&self) -> Arc<A::Identity> {
        let identity: Arc<dyn Any + Send + Sync> = self.proven();
        // `authenticate` returned it.
        identity.downcast().expect("a client has an identity of its app")
    }

    /// The Socket.IO socket, for what Dialogue itself does not do; none if the client came another way. Its id is a
    /// secret between it and the server: a program that knows it can speak for a client on long polling.
    pub fn socket(&self) -> Option<&Socket> {
        SocketWire::of(self.connection())
    }

    /// Joins a room, as if the client had asked: `before_join` decides, and the client is told.
    /// Joining a room twice runs `before_join` again and changes nothing else.
    pub fn join<R: Room>(&self, room: R) -> BoxFuture<'_, Result<(), JoinError>>
    where
        A: Hosts<R>,
    {
        Box::pin(async move {
            let room = AnyRoom::new(self.dialogue().clone(), Hosted::new(Keyed::new(room)));
            join::join_unasked(self, &room).await
        })
    }

    /// Joins a room, as [`Client::join`] does, whose id is known at run time.
    pub fn join_id<'a>(&'a self, room_id: &'a str) -> BoxFuture<'a, Result<(), JoinError>> {
        Box::pin(async move {
            let room = self.dialogue().resolve(room_id).ok_or(JoinError::RoomNotFound)?;
            join::join_unasked(self, &room).await
        })
    }

    /// Leaves a room, and tells the client. Returns whether it was a member.
    pub fn leave<R: Room>(&self, room: R) -> BoxFuture<'_, bool>
    where
        A: Hosts<R>,
    {
        Box::pin(async move {
            let live = self.member_of_same(&*Hosted::<A>::new(Keyed::new(room)));
            leave::leave_unasked(self, live).await
        })
    }

    /// Leaves a room, as [`Client::leave`] does, whose id is known at run time.
    pub fn leave_id<'a>(&'a self, room_id: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(leave::leave_unasked(self, self.member().member_of(room_id)))
    }

    /// The ids of the rooms that the client is in, in no particular order.
    pub fn rooms(&self) -> Vec<String> {
        self.member().rooms().iter().map(|live| live.id().to_string()).collect()
    }

    /// Whether the client is in a room.
    pub fn is_in<R: Room>(&self, room: R) -> bool
    where
        A: Hosts<R>,
    {
        self.member_of_same(&*Hosted::<A>::new(Keyed::new(room))).is_some()
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
        self.change(&*self.in_same(room)?, Change::Add(E::SPEC.name))
    }

    /// Subscribes to everything in a room that the client is in.
    pub fn subscribe_all(&self, room: impl HostedBy<A>) -> Result<(), SubscribeError> {
        self.change(&*self.in_same(room)?, Change::Add(crate::EVERY_EVENT))
    }

    /// Ends the subscription to an event in a room that the client is in.
    pub fn unsubscribe<E: Event>(
        &self,
        room: impl Carries<E> + HostedBy<A>,
    ) -> Result<(), SubscribeError> {
        self.change(&*self.in_same(room)?, Change::Remove(E::SPEC.name))
    }

    /// The names of the events that the client receives in a room; none where it is not in it.
    pub fn subscriptions(&self, room: impl HostedBy<A>) -> Vec<Cow<'static, str>> {
        let live = self.in_same(room).ok();
        live.and_then(|live| live.subscriptions(self.member())).unwrap_or_default()
    }

    /// Subscribes to an event, or to [`EVERY_EVENT`](crate::EVERY_EVENT), by names known at run
    /// time.
    pub fn subscribe_id(&self, room_id: &str, event: &str) -> Result<(), SubscribeError> {
        self.change(&*self.in_id(room_id)?, Change::Add(event))
    }

    /// Ends a subscription, or all with [`EVERY_EVENT`](crate::EVERY_EVENT), by names known at run
    /// time.
    pub fn unsubscribe_id(&self, room_id: &str, event: &str) -> Result<(), SubscribeError> {
        self.change(&*self.in_id(room_id)?, Change::Remove(event))
    }

    /// The names of the events that the client receives in a room whose id is known at run time.
    pub fn subscriptions_id(&self, room_id: &str) -> Vec<Cow<'static, str>> {
        let live = self.in_id(room_id).ok();
        live.and_then(|live| live.subscriptions(self.member())).unwrap_or_default()
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

    fn in_same(&self, room: impl HostedBy<A>) -> Result<Arc<Live>, SubscribeError> {
        let room = room.__any(self.dialogue());
        self.member_of_same(&**room.hosted()).ok_or(SubscribeError::NotInRoom)
    }

    fn in_id(&self, room_id: &str) -> Result<Arc<Live>, SubscribeError> {
        self.member().member_of(room_id).ok_or(SubscribeError::NotInRoom)
    }

    fn change(&self, live: &Live, change: Change<'_>) -> Result<(), SubscribeError> {
        let limits = self.dialogue().limits();
        live.change(limits, self.member(), change, |_| Ok(())).unwrap_or(Ok(()))
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
        AnyRoom::new(dialogue.clone(), Hosted::new(Keyed::new(self)))
    }
}
