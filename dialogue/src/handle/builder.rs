//! Setting up a server.

use std::{fmt, sync::Arc};

use crate::{
    App, Contract, Cors, Dialogue, Error, Limits, RateLimiter, RoomEvent,
    app::{
        clients::Clients,
        dialogue::{Inner, Published},
        stopping::Stop,
    },
    connection::{rate_limiter::ByteRates, refusals::Refusals, transports::Transports},
    engine::hub::{Env, Hub},
    service::{abandoned_rooms, archive::AppArchive, host::AppHost},
    store::{Archive, Memory, Store, erased::AnyStore},
    transport::{http::layer, socketio::gateway::Gateway},
    untagged_enums,
    web::{exposure::Warned, origin::Proxies},
};

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

impl<A: App> fmt::Debug for Builder<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("path", &self.path)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A store that has not been told how long its calls may take.
type NewStore = Box<dyn FnOnce(&Limits) -> AnyStore + Send>;

impl<A: App> Builder<A> {
    pub(crate) fn new(app: A) -> Self {
        let (limits, cors) = (Limits::default(), Cors::any());
        let (proxies, store) = (Vec::new(), None);
        let path = layer::DEFAULT_PATH.to_owned();
        Self { app, limits, cors, proxies, store, publish_contract: true, path }
    }

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

    /// Whether every client may read the app's [`Contract`]: at `/dialogue/contract.json`, and as `AsyncAPI` 3 at
    /// `/dialogue/asyncapi.json`. Default: yes. It lists every room that the app declares, also those that
    /// [`App::sees`] hides.
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
        let mut declared = A::rooms().iter().map(|entry| entry.declared.spec.check_names());
        declared.try_for_each(|checked| checked).map_err(Error::Name)?;
        A::direct().iter().try_for_each(RoomEvent::check_name).map_err(Error::Name)?;
        let contract = Contract::of::<A>();
        let published = publish_contract.then(|| Published::new(&contract));
        let limits = limits.clamped();
        for event in A::rooms().iter().flat_map(|room| room.declared.spec.events) {
            untagged_enums::check(event, &limits)?;
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
        let answers = ByteRates::new(limits.answers);
        let store = match store {
            Some(store) => store(&limits),
            None => AnyStore::new(Memory::new(), limits.store_time),
        };
        let store = Arc::new(store);
        let clients = Clients::new();
        let dialogue = Dialogue::new_cyclic(|inner| {
            let hub = Arc::new(Hub::new(Env {
                limits: limits.clone(),
                store: store.clone(),
                process: transports.process().clone(),
                declared: A::rooms().iter().map(|entry| entry.declared).collect(),
                host: Box::new(AppHost::new(inner.clone())),
            }));
            let transport = Box::new(Gateway::open(inner, &limits, &path));
            Inner {
                app,
                contract,
                published,
                limits,
                gate,
                proxies,
                path,
                transport,
                store,
                hub,
                clients,
                transports,
                answers,
                history,
                warned: Warned::default(),
                refusals,
                stop: Stop::new(),
            }
        });
        tokio::spawn(abandoned_rooms::sweep(dialogue.downgrade(), dialogue.limits().empty_time));
        dialogue.store().attach(Archive::new(AppArchive(dialogue.downgrade())));
        Ok(dialogue)
    }
}
