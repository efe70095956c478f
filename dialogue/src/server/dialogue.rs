//! The server as its own code holds it.

use std::{
    ops::Range,
    sync::{Arc, Weak},
    time::Duration,
};

use axum::Router;
use futures_util::future::BoxFuture;
use tokio::net::{self, TcpListener, ToSocketAddrs};

use tower::Layer;
use tower_http::cors::CorsLayer;

use super::{
    AnyRoom, Client, ClientId, Cors, DialogueLayer, Limits, RateLimited, RateLimiter, RoomConfig,
    Stats, UserRooms,
    clients::Clients,
    connection::socketio,
    connections::Connections,
    crowd::Transports,
    document::Document,
    exposure::Warned,
    gateway::{Endpoint, Gateway},
    hook, layer, listener,
    origin::{Gate, Proxies},
    rate::{Meter, Meters},
    refusals::Refusals,
    rooms::{
        announce::Announcer,
        erased::Keyed,
        hub::{Asker, Hub},
        lifecycle,
    },
    stop::{self, Stop},
    untagged,
};
use crate::{
    App, Contract, CreateError, DeleteError, Error, Hosts, RawMessage, Room, RoomEvent, RoomHandle,
    protocol::RoomInfo,
    store::{Archive, Keeper, Memory, Store, erased::AnyStore},
};

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
    contract: Contract,
    published: Option<Published>,
    limits: Limits,
    gate: Gate,
    proxies: Proxies,
    /// Where Socket.IO is.
    path: String,
    endpoint: Endpoint,
    gateway: Gateway,
    store: Arc<AnyStore>,
    hub: Hub<A>,
    announcer: Announcer<A>,
    clients: Clients<A>,
    /// Transports by address.
    transports: Transports,
    /// What the answers of each user may weigh.
    answers: Meters,
    /// How often each user asks for history.
    history: Option<RateLimiter>,
    /// Of credentials that others could read.
    warned: Warned,
    refusals: Arc<Refusals>,
    stop: Stop,
}

/// The contract, as it is served.
pub(crate) struct Published {
    pub(crate) contract: Document,
    pub(crate) asyncapi: Document,
}

impl Published {
    fn new(contract: &Contract) -> Self {
        Self {
            contract: Document::json(contract.to_string()),
            asyncapi: Document::json(contract.asyncapi().to_string()),
        }
    }
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
    cors: Cors,
    proxies: Vec<String>,
    store: Option<NewStore>,
    publish_contract: bool,
    path: String,
}

/// A store that has not been told how long its calls may take.
type NewStore = Box<dyn FnOnce(&Limits) -> AnyStore + Send>;

impl<A: App> Builder<A> {
    /// Replaces the default [`Limits`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Says which pages may connect, and read what is served under `/dialogue/`. Default: [`Cors::any`],
    /// where hooks see no cookies.
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = cors;
        self
    }

    /// Names the reverse proxies in front of the server, as addresses or networks such as
    /// `10.0.0.0/8`: for what comes from them, their `X-Forwarded-For` says who the client is.
    /// Without it, all clients behind a proxy have its address, and share its
    /// [`connections_per_address`](Limits::connections_per_address).
    pub fn proxies(mut self, proxies: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.proxies = proxies.into_iter().map(Into::into).collect();
        self
    }

    /// Where rooms keep their events. Default: [`Memory`].
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Box::new(|limits| AnyStore::new(store, limits.store_time)));
        self
    }

    /// Whether anybody may read the app's [`Contract`]: at `/dialogue/contract.json`, and as `AsyncAPI` 3 at
    /// `/dialogue/asyncapi.json`. Default: yes. It lists every room that the app declares, also those that
    /// [`App::sees`] hides from whoever reads it.
    ///
    /// If not, these paths are the app's own routes', which may give it to whom they know:
    ///
    /// ```
    /// # use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
    /// # use dialogue::{App, Contract, Dialogue};
    /// # fn may_read() -> bool { true }
    /// async fn contract<A: App>(State(chat): State<Dialogue<A>>) -> Result<Json<Contract>, StatusCode> {
    ///     if may_read() { Ok(Json(chat.contract().clone())) } else { Err(StatusCode::FORBIDDEN) }
    /// }
    ///
    /// fn routes<A: App>(chat: Dialogue<A>) -> Router {
    ///     Router::new().route("/dialogue/contract.json", get(contract::<A>)).with_state(chat)
    /// }
    /// ```
    pub fn publish_contract(mut self, publish: bool) -> Self {
        self.publish_contract = publish;
        self
    }

    /// Sets the path of Socket.IO. Clients have an option of the same name. Default: `/socket.io`.
    ///
    /// Everything at and below the path is Socket.IO's: with `/api`, no route `/api/..` of the app is reached.
    /// It moves Socket.IO alone: what is under `/dialogue/` stays there. To move both, nest the layer in a
    /// router of your own; see [`Dialogue::layer`].
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Opens the app's rooms. Nothing listens yet.
    ///
    /// Fails where the path, a heartbeat, origins or proxies are not valid, and where clients may trigger an
    /// event that holds a recursive `#[serde(untagged)]` enum without a [`depth`](crate::EventSpec::depth) that
    /// is small enough.
    pub async fn build(self) -> Result<Dialogue<A>, Error> {
        let Self { app, limits, cors, proxies, store, publish_contract, path } = self;
        layer::check_path(&path)?;
        limits.check()?;
        let mut declared = A::rooms().iter().map(|entry| entry.spec.check_names());
        declared.try_for_each(|checked| checked).map_err(Error::Name)?;
        A::direct().iter().try_for_each(RoomEvent::check_name).map_err(Error::Name)?;
        let contract = Contract::of::<A>();
        let published = publish_contract.then(|| Published::new(&contract));
        let limits = limits.clamped();
        for event in A::rooms().iter().flat_map(|room| room.spec.events) {
            untagged::check(event, &limits)?;
        }
        let (gate, proxies) = (cors.build()?, Proxies::parse(&proxies)?);
        if gate.is_same_origin() && !proxies.is_empty() {
            tracing::info!(
                "pages of the host that `X-Forwarded-Host` or else `Host` names may connect: have the proxies \
                 pass one of them as the client sent it"
            );
        }
        let refusals = Arc::<Refusals>::default();
        let transports = Transports::new(&limits, refusals.clone());
        let history = limits.history.map(RateLimiter::new);
        let answers = Meters::new(limits.answers);
        let store = match store {
            Some(store) => store(&limits),
            None => AnyStore::new(Memory::new(), limits.store_time),
        };
        let store = Arc::new(store);
        let (hub, clients) = (Hub::new(&limits, store.clone()), Clients::new());
        let dialogue = Dialogue(Arc::new_cyclic(|inner| {
            let (endpoint, gateway) = Gateway::open(inner, &limits, &path);
            Inner {
                app,
                contract,
                published,
                limits,
                gate,
                proxies,
                path,
                endpoint,
                gateway,
                store,
                hub,
                announcer: Announcer::new(),
                clients,
                transports,
                answers,
                history,
                warned: Warned::default(),
                refusals,
                stop: Stop::new(),
            }
        }));
        tokio::spawn(lifecycle::sweep(dialogue.downgrade(), dialogue.limits().empty_time));
        dialogue.store().attach(Archive::new(AppArchive(dialogue.downgrade())));
        Ok(dialogue)
    }
}

/// The app's hooks for what leaves memory.
struct AppArchive<A: App>(Weak<Inner<A>>);

impl<A: App> Keeper for AppArchive<A> {
    fn keeps(&self) -> bool {
        A::HOOKS.evicted || A::HOOKS.load
    }

    fn evicted<'a>(
        &'a self,
        room: &'a str,
        event: &'a str,
        messages: Vec<RawMessage>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let Some(dialogue) = Dialogue::upgrade(&self.0) else { return };
            let evicted = Box::pin(async { dialogue.app().evicted(room, event, messages).await });
            // What fails is logged, and what it was to take is lost.
            let _ = hook::run(dialogue.limits().hook_time, "evicted", room, evicted).await;
        })
    }

    fn load<'a>(
        &'a self,
        room: &'a str,
        event: &'a str,
        range: Range<usize>,
    ) -> BoxFuture<'a, Vec<RawMessage>> {
        Box::pin(async move {
            let Some(dialogue) = Dialogue::upgrade(&self.0) else { return Vec::new() };
            let load = Box::pin(async { dialogue.app().load(room, event, range).await });
            let loaded = hook::run(dialogue.limits().hook_time, "load", room, load).await;
            loaded.unwrap_or_default()
        })
    }
}

impl<A: App> Dialogue<A> {
    /// Starts to set up a server for an app.
    pub fn builder(app: A) -> Builder<A> {
        let (limits, cors) = (Limits::default(), Cors::any());
        let (proxies, store) = (Vec::new(), None);
        let path = layer::DEFAULT_PATH.to_owned();
        Builder { app, limits, cors, proxies, store, publish_contract: true, path }
    }

    /// The app: its fields are the shared state.
    pub fn app(&self) -> &A {
        &self.0.app
    }

    /// What the app offers its clients.
    pub fn contract(&self) -> &Contract {
        &self.0.contract
    }

    /// A handle of a room, which need not have members nor have been used before.
    pub fn room<R: Room>(&self, room: R) -> RoomHandle<A, R>
    where
        A: Hosts<R>,
    {
        RoomHandle::new(self.clone(), room)
    }

    /// The room with this id, if there is one: declared, created, or of a family that opens when it
    /// is used. What the handle is asked to do is checked at run time.
    pub fn find(&self, id: &str) -> Option<AnyRoom<A>> {
        self.0.hub.resolve(id).map(|room| AnyRoom::new(self.clone(), room))
    }

    /// All open rooms at this moment: the static ones in the order of the app's list, then those
    /// that were created or are in use, the oldest first.
    pub fn rooms(&self) -> Vec<AnyRoom<A>> {
        let all = self.0.hub.all().into_iter();
        all.map(|live| AnyRoom::new(self.clone(), live.room().clone())).collect()
    }

    /// Creates a room that no module declares. Clients that may see it are told, soon after.
    ///
    /// ```
    /// # use dialogue::{App, CreateError, Dialogue, Event, RoomConfig};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, Event)]
    /// # struct Move { x: i32, y: i32 }
    /// # async fn host<A: App>(games: Dialogue<A>) -> Result<(), CreateError> {
    /// let config = RoomConfig::new("Game session").event::<Move>().max_size(4).created_by("ann");
    /// let room = games.create_room("game-42", config).await?;
    /// assert_eq!((room.size(), room.is_full()), (0, false));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The id must not be one that a declared room or family answers to. The room stays until it is deleted. Where
    /// it has events with history, its log is the one that the app's code left for the same
    /// [creator](RoomConfig::created_by), on any server that shares the store and in any run of it, or a new one.
    /// A log that belongs to another creator, or to a room that a client asked for, is never taken over:
    /// that is [`CreateError::Exists`]. Deleting the room deletes the log, and frees the id.
    ///
    /// A room that a client asked for ends when nobody has been in it for [`empty_time`](Limits::empty_time), unless
    /// it has handlers that code added. It ends with the server, too, and so does its log: its id is free as soon as the
    /// store was closed, and ten minutes after the server was last heard of if it was not.
    ///
    /// What code creates does not count towards
    /// [`rooms_per_user`](Limits::rooms_per_user) of its creator until that user asks for rooms.
    pub async fn create_room(
        &self,
        id: &str,
        config: RoomConfig,
    ) -> Result<AnyRoom<A>, CreateError> {
        self.create_within(id, config, None).await.map(|(room, _)| room)
    }

    /// Creates a room, for a client that asked for it if it is one.
    pub(crate) async fn create_within(
        &self,
        id: &str,
        config: RoomConfig,
        asker: Option<Asker>,
    ) -> Result<(AnyRoom<A>, RoomInfo), CreateError> {
        let config = config.build(id, self.0.hub.number(), asker.is_some(), self.limits())?;
        let room = Arc::new(config);
        let room = AnyRoom::new(self.clone(), room);
        let info = lifecycle::create(&room, asker).await?;
        Ok((room, info))
    }

    /// Deletes a room that was created, or one of a family: its members are in it no more and are
    /// told so, what it kept is gone, and nothing can be triggered there. Clients that may see it
    /// are told. A family's id may be used again, which opens the room anew.
    pub async fn delete_room(&self, id: &str) -> Result<(), DeleteError> {
        match self.find(id) {
            Some(room) => room.delete().await,
            None => Err(DeleteError::RoomNotFound),
        }
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

    /// The Socket.IO server, for what Dialogue itself does not do. What is sent through it is
    /// neither validated nor ordered nor kept.
    pub fn io(&self) -> &socketio::SocketIo {
        self.0.gateway.io()
    }

    /// A layer that lets the pages that may connect read the answers of an app's own routes, too:
    ///
    /// ```
    /// # use dialogue::{App, Dialogue};
    /// # fn routes<A: App>(chat: Dialogue<A>) -> axum::Router {
    /// axum::Router::new().route("/login", axum::routing::post(login)).layer(chat.cors())
    /// # }
    /// # async fn login() {}
    /// ```
    pub fn cors(&self) -> CorsLayer {
        self.0.gate.layer.clone()
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
        let mut addresses = Vec::new();
        let bound = async {
            addresses.extend(net::lookup_host(address).await?);
            TcpListener::bind(&*addresses).await
        };
        let bound = bound.await;
        let tcp = bound.map_err(|error| Error::Listen { addresses, error })?;
        self.serve_on(tcp, routes).await
    }

    /// Serves the app on a listener that is already bound.
    ///
    /// It returns once the server has [stopped](Dialogue::stop), by whoever's code, or because the
    /// process is told to end, with SIGTERM or Ctrl-C: it then stops within
    /// [`stop_time`](Limits::stop_time), or at once when told again.
    pub async fn serve_on(&self, tcp: TcpListener, routes: Router) -> Result<(), Error> {
        // Around the routes, not on each of them: there is one endpoint.
        let service = self.layer().layer(routes.with_state(()));
        let Inner { limits, proxies, refusals, stop, .. } = &*self.0;
        let connections = Connections::new(limits, refusals.clone());
        if let Ok(address) = tcp.local_addr() {
            tracing::info!("listening on http://{address}");
        }
        let told_twice = async {
            listener::told_to_end().await;
            tokio::select! {
                _ = self.stop(limits.stop_time) => std::future::pending().await,
                () = listener::told_to_end() => {}
            }
        };
        tokio::select! {
            () = listener::serve(tcp, service, limits, proxies, &connections, stop) => {}
            () = told_twice => tracing::warn!("told to end once more; not waiting"),
        }
        Ok(())
    }

    /// Stops the server: new connections are answered 503 and joins `DRAINING`, clients are told when to
    /// come back, what they asked for before is done and acknowledged, their sessions end with all their
    /// hooks, `#[on]` handlers see what waits for them, transports and the store are closed, and
    /// [`serve`](Dialogue::serve) and its like return. All of this within `deadline`, at half of which
    /// whoever does not read its answers is given up. Returns whether all was done in time.
    ///
    /// In a server that is set up by hand, this is for the signal that it shuts down on:
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use dialogue::{App, Dialogue};
    /// # async fn serve<A: App>(chat: Dialogue<A>, app: axum::Router) -> std::io::Result<()> {
    /// let tcp = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// let served = app.layer(chat.layer());
    /// let stopped = async move {
    ///     tokio::signal::ctrl_c().await.ok();
    ///     chat.stop(Duration::from_secs(10)).await;
    /// };
    /// axum::serve(dialogue::listen(tcp), served).with_graceful_shutdown(stopped).await
    /// # }
    /// ```
    ///
    /// Load balancers learn of it at `/dialogue/ready`, which is answered 200 until then, and 503 with
    /// `draining` from then on. It is also answered 503, with `store unavailable`, while
    /// [the store says](crate::store::Store::ready) that it cannot store events.
    pub async fn stop(&self, deadline: Duration) -> bool {
        stop::stop(self, deadline).await
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
    ///
    /// Under a prefix, nest a router with the layer as a service. [`Router::nest`] does not work: it makes routes of
    /// the router, each with a layer of its own, which knows no session of the others.
    ///
    /// ```
    /// # use axum::Router;
    /// # use dialogue::{App, Dialogue};
    /// # fn serve<A: App>(chat: Dialogue<A>, routes: Router) -> Router {
    /// use tower::Layer;
    ///
    /// // Clients connect with the path `/app/socket.io`, and import `/app/dialogue/client.js`.
    /// Router::new().nest_service("/app", chat.layer().layer(routes))
    /// # }
    /// ```
    pub fn layer(&self) -> DialogueLayer<A> {
        DialogueLayer::new(self.clone(), self.0.endpoint.clone())
    }

    /// How much of everything there is at this moment.
    pub fn stats(&self) -> Stats {
        let mut stats = self.0.hub.stats();
        self.0.clients.count_into(&mut stats);
        stats.addresses = self.0.transports.addresses();
        stats.stored = self.0.store.in_memory();
        stats.refused = self.0.refusals.count();
        stats
    }

    pub(crate) fn upgrade(inner: &Weak<Inner<A>>) -> Option<Self> {
        inner.upgrade().map(Self)
    }

    /// For tasks that end when the server does.
    pub(crate) fn downgrade(&self) -> Weak<Inner<A>> {
        Arc::downgrade(&self.0)
    }

    pub(crate) fn published(&self) -> Option<&Published> {
        self.0.published.as_ref()
    }

    pub(crate) fn stopping(&self) -> &Stop {
        &self.0.stop
    }

    pub(crate) fn store(&self) -> &Arc<AnyStore> {
        &self.0.store
    }

    /// Whether the client may see the room; what panics says no.
    pub(crate) fn sees(&self, client: &Client<A>, room: &RoomInfo) -> bool {
        !A::HOOKS.sees
            || hook::run_now("sees", &room.id, || self.app().sees(client, room)).unwrap_or(false)
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Where Socket.IO is.
    pub(crate) fn path(&self) -> &str {
        &self.0.path
    }

    pub(crate) fn proxies(&self) -> &Proxies {
        &self.0.proxies
    }

    pub(crate) fn transports(&self) -> &Transports {
        &self.0.transports
    }

    /// Lets a user ask for history once more.
    pub(crate) fn check_history(&self, user_id: &str) -> Result<(), RateLimited> {
        self.0.history.as_ref().map_or(Ok(()), |history| history.check(user_id))
    }

    /// What a user's answers may weigh, over all its connections.
    pub(crate) fn answers_of(&self, user_id: &Arc<str>) -> Arc<Meter> {
        self.0.answers.of(user_id)
    }

    pub(crate) fn refusals(&self) -> &Refusals {
        &self.0.refusals
    }

    pub(crate) fn warned(&self) -> &Warned {
        &self.0.warned
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.0.gateway
    }

    pub(crate) fn announcer(&self) -> &Announcer<A> {
        &self.0.announcer
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
