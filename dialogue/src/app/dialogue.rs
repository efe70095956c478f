//! A running server, as hooks and handlers see it. What it does is in `handle/dialogue.rs`, `builder.rs` and `serve.rs`.

use std::{
    any::Any,
    fmt,
    sync::{Arc, Weak},
};

use futures_util::future::BoxFuture;

use super::{client::Client, clients::Clients, hooks::Hooks, stopping::Stop};
use crate::{
    Contract, Limits,
    connection::{
        rate_limiter::{ByteRate, ByteRates, RateLimited, RateLimiter},
        refusals::Refusals,
        transports::Transports,
    },
    engine::hub::Hub,
    store::erased::AnyStore,
    web::{
        document::Document,
        exposure::Warned,
        origin::{Gate, Proxies},
    },
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
pub struct Dialogue<A>(Arc<Inner<A>>);

impl<A> fmt::Debug for Dialogue<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialogue").field("path", &self.0.path).finish_non_exhaustive()
    }
}

pub(crate) struct Inner<A> {
    pub(crate) app: A,
    pub(crate) contract: Contract,
    pub(crate) published: Option<Published>,
    pub(crate) limits: Limits,
    pub(crate) gate: Gate,
    pub(crate) proxies: Proxies,
    /// Where Socket.IO is.
    pub(crate) path: String,
    pub(crate) transport: Box<dyn TransportServer>,
    pub(crate) store: Arc<AnyStore>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) clients: Clients<A>,
    /// Transports by address.
    pub(crate) transports: Transports,
    /// What the answers of each user may weigh.
    pub(crate) answers: ByteRates,
    /// How often each user asks for history.
    pub(crate) history: Option<RateLimiter>,
    /// Of credentials that others could read.
    pub(crate) warned: Warned,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) stop: Stop,
}

/// For tasks that end when the server does.
pub(crate) type WeakDialogue<A> = Weak<Inner<A>>;

/// What clients connect by.
pub(crate) trait TransportServer: Any + Send + Sync {
    /// Closes all connections. No client is let in any more.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// The contract, as it is served.
pub(crate) struct Published {
    pub(crate) contract: Document,
    pub(crate) asyncapi: Document,
}

impl Published {
    pub(crate) fn new(contract: &Contract) -> Self {
        Self {
            contract: Document::json(contract.to_string()),
            asyncapi: Document::json(contract.asyncapi().to_string()),
        }
    }
}

impl<A> Clone for Dialogue<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A> Dialogue<A> {
    /// A server whose parts refer to it.
    pub(crate) fn new_cyclic(inner: impl FnOnce(&WeakDialogue<A>) -> Inner<A>) -> Self {
        Self(Arc::new_cyclic(inner))
    }

    /// The app: its fields are the shared state.
    pub fn app(&self) -> &A {
        &self.0.app
    }

    /// What the app offers its clients.
    pub fn contract(&self) -> &Contract {
        &self.0.contract
    }

    pub(crate) fn upgrade(server: &WeakDialogue<A>) -> Option<Self> {
        server.upgrade().map(Self)
    }

    /// For tasks that end when the server does.
    pub(crate) fn downgrade(&self) -> WeakDialogue<A> {
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
    pub(crate) fn answers_of(&self, user_id: &Arc<str>) -> Arc<ByteRate> {
        self.0.answers.of(user_id)
    }

    pub(crate) fn refusals(&self) -> &Arc<Refusals> {
        &self.0.refusals
    }

    pub(crate) fn warned(&self) -> &Warned {
        &self.0.warned
    }

    /// The runner of the app's hooks.
    pub(crate) fn hooks(&self) -> Hooks {
        Hooks::new(self.limits().hook_time)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The transport of its clients.
    pub(crate) fn transport(&self) -> &dyn TransportServer {
        &*self.0.transport
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.0.hub
    }

    pub(crate) fn connected(&self) -> &Clients<A> {
        &self.0.clients
    }

    pub(crate) fn add_client(&self, client: Client<A>) {
        self.0.clients.add(client);
    }

    pub(crate) fn remove_client(&self, client: &Client<A>) {
        self.0.clients.remove(client);
    }
}
