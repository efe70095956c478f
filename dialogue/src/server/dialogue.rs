//! The server as its own code holds it.

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
};

use axum::Router;
use tokio::net::{TcpListener, ToSocketAddrs};

use super::{
    Client, ClientId, DialogueLayer, Limits, UserRooms,
    clients::Clients,
    gateway::{Endpoint, Gateway},
    listen,
    rooms::{erased::Keyed, hub::Hub},
};
use crate::{App, Error, Hosts, Room, RoomHandle};

/// A running server of one app. Cheap to clone: routes, jobs and webhooks each hold one.
///
/// ```no_run
/// # use dialogue::{App, Dialogue, Deny, Event, Handshake, auth::{ClaimedUser, TrustClientUserId}};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, Event)]
/// # struct Notice { text: String }
/// # #[dialogue::room("general", app = Chat, server_events(Notice))]
/// # mod general { use super::*; }
/// # struct Chat;
/// # #[dialogue::app(rooms(general))]
/// # impl App for Chat {
/// #     type Credentials = TrustClientUserId;
/// #     type Identity = ClaimedUser;
/// #     async fn authenticate(&self, who: TrustClientUserId, handshake: &Handshake) -> Result<ClaimedUser, Deny> {
/// #         who.or_client_id(handshake)
/// #     }
/// # }
/// # async fn main_() -> Result<(), Box<dyn std::error::Error>> {
/// let chat = Dialogue::builder(Chat).build().await?;
///
/// let bell = chat.clone();
/// tokio::spawn(async move {
///     bell.room(general::Room).trigger(Notice { text: "noon".into() }).await
/// });
///
/// chat.serve("127.0.0.1:3000").await?;
/// # Ok(())
/// # }
/// ```
pub struct Dialogue<A: App>(Arc<Inner<A>>);

pub(crate) struct Inner<A: App> {
    app: A,
    limits: Limits,
    endpoint: Endpoint,
    gateway: Gateway,
    hub: Hub<A>,
    clients: Clients<A>,
}

impl<A: App> Clone for Dialogue<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Sets up a server. Made by [`Dialogue::builder`].
#[must_use = "a builder does nothing until it is built"]
pub struct Builder<A: App> {
    app: A,
    limits: Limits,
}

impl<A: App> Builder<A> {
    /// Replaces the default [`Limits`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Opens the app's rooms. Nothing listens yet.
    pub async fn build(self) -> Result<Dialogue<A>, Error> {
        let Self { app, limits } = self;
        Ok(Dialogue(Arc::new_cyclic(|inner| {
            let (endpoint, gateway) = Gateway::open(inner, &limits);
            let (hub, clients) = (Hub::new(&limits), Clients::new());
            Inner { app, limits, endpoint, gateway, hub, clients }
        })))
    }
}

impl<A: App> Dialogue<A> {
    /// Starts to set up a server for an app.
    pub fn builder(app: A) -> Builder<A> {
        Builder { app, limits: Limits::default() }
    }

    /// The app: its fields are the shared state.
    pub fn app(&self) -> &A {
        &self.0.app
    }

    /// A handle of a room, which need not have members nor have been used before.
    pub fn room<R: Room>(&self, room: R) -> RoomHandle<A, R>
    where
        A: Hosts<R>,
    {
        RoomHandle::new(self.clone(), room)
    }

    /// The client of a connection.
    pub fn client(&self, id: ClientId) -> Option<Client<A>> {
        self.0.clients.get(id)
    }

    /// All connected clients at this moment, in no particular order.
    pub fn clients(&self) -> Vec<Client<A>> {
        self.0.clients.all()
    }

    /// The clients of a user: one per connection, oldest first.
    pub fn clients_of(&self, user_id: &str) -> Vec<Client<A>> {
        self.0.clients.of_user(user_id)
    }

    /// The rooms that a user is in, by any of its connections.
    ///
    /// ```
    /// # use dialogue::{App, Dialogue};
    /// # async fn evict<A: App>(chat: Dialogue<A>) {
    /// chat.rooms_of("mallory").leave_all(async |room| println!("out of {}", room.id())).await;
    /// # }
    /// ```
    pub fn rooms_of(&self, user_id: &str) -> UserRooms<A> {
        UserRooms::new(self, user_id)
    }

    /// Whether any of a user's connections is in a room.
    pub fn is_in_room<R: Room>(&self, user_id: &str, room: R) -> bool
    where
        A: Hosts<R>,
    {
        let room = Keyed::new(room);
        self.clients_of(user_id).iter().any(|client| client.member_of_same(&room).is_some())
    }

    /// Serves the app at an address, and nothing else.
    pub async fn serve(&self, address: impl ToSocketAddrs) -> Result<(), Error> {
        self.serve_with(address, Router::new()).await
    }

    /// Serves the app at an address, in front of routes of its own.
    pub async fn serve_with(
        &self,
        address: impl ToSocketAddrs,
        routes: Router,
    ) -> Result<(), Error> {
        self.serve_on(TcpListener::bind(address).await?, routes).await
    }

    /// Serves the app on a listener that is already bound.
    pub async fn serve_on(&self, tcp: TcpListener, routes: Router) -> Result<(), Error> {
        let service = routes.layer(self.layer());
        let service = service.into_make_service_with_connect_info::<SocketAddr>();
        Ok(axum::serve(listen(tcp), service).await?)
    }

    /// The layer that [`Dialogue::serve_with`] puts on the routes, for servers set up by hand:
    ///
    /// ```no_run
    /// # use dialogue::{App, Dialogue};
    /// # async fn serve<A: App>(chat: Dialogue<A>, app: axum::Router) -> std::io::Result<()> {
    /// let tcp = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// axum::serve(dialogue::listen(tcp), app.layer(chat.layer())).await
    /// # }
    /// ```
    ///
    /// Add routes and fallbacks before the layer: a [`Router::fallback`] that comes after it
    /// answers in its place.
    pub fn layer(&self) -> DialogueLayer<A> {
        DialogueLayer::new(self.clone(), self.0.endpoint.clone())
    }

    /// How much of everything there is at this moment.
    pub fn stats(&self) -> Stats {
        let mut stats = self.0.hub.stats();
        self.0.clients.count_into(&mut stats);
        stats
    }

    pub(crate) fn upgrade(inner: &Weak<Inner<A>>) -> Option<Self> {
        inner.upgrade().map(Self)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.0.gateway
    }

    pub(crate) fn hub(&self) -> &Hub<A> {
        &self.0.hub
    }

    pub(crate) fn add_client(&self, client: Client<A>) {
        self.0.clients.add(client);
    }

    pub(crate) fn remove_client(&self, client: &Client<A>) {
        self.0.clients.remove(client);
    }
}

/// How much of everything a server holds; see [`Dialogue::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connected clients.
    pub connections: usize,
    /// Different user ids among them.
    pub users: usize,
    /// Rooms that are open: the static ones, and those of families that somebody is in or enters,
    /// that have handlers added at run time, or events that wait for handlers.
    pub rooms: usize,
    /// Memberships, of all rooms together.
    pub members: usize,
    /// Subscriptions, of all members together.
    pub subscriptions: usize,
    /// What waits: requests for their connection's turn, and events for `#[on]` handlers.
    pub queued: usize,
    /// Events kept as history.
    pub stored: usize,
}
