//! The application: shared state, hooks, and the rooms it hosts.

use std::{future::Future, marker::PhantomData, sync::Arc};

use serde::de::DeserializeOwned;

use crate::{
    AnyRoom, Client, Deny, DisconnectReason, Handshake, Room, RoomSpec,
    server::{
        handlers::{Handlers, Serve},
        rooms::erased::{ErasedRoom, Keyed},
    },
};

/// An application: its fields are the shared state, its methods the hooks, its rooms the registry.
///
/// ```
/// use dialogue::{App, Deny, Handshake, auth::{ClaimedUser, TrustClientUserId}};
/// # use dialogue::Event;
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, Event)]
/// # struct Ping;
/// # #[dialogue::room("general", app = Chat, events(Ping))]
/// # mod general { use super::*; }
///
/// struct Chat;
///
/// #[dialogue::app(rooms(general))]
/// impl App for Chat {
///     type Credentials = TrustClientUserId;
///     type Identity = ClaimedUser;
///
///     async fn authenticate(&self, who: TrustClientUserId, handshake: &Handshake) -> Result<ClaimedUser, Deny> {
///         who.or_client_id(handshake)
///     }
/// }
/// ```
///
/// Every hook runs under [`Limits::hook_time`](crate::Limits::hook_time). One that panics or takes
/// longer costs the request it belongs to, which is answered `INTERNAL`, and delays nothing but
/// that connection's next request.
pub trait App: Registry + Send + Sync + 'static {
    /// What the client sends as the handshake's `auth`. Where it sends none, `null` and then `{}`
    /// are tried.
    type Credentials: DeserializeOwned + Send;

    /// What authentication proves of a client.
    type Identity: Identity;

    /// Decides who a new connection is.
    fn authenticate(
        &self,
        credentials: Self::Credentials,
        handshake: &Handshake,
    ) -> impl Future<Output = Result<Self::Identity, Deny>> + Send;

    /// A client is connected: it has been told so and is in no room yet.
    fn connected(&self, client: &Client<Self>) -> impl Future<Output = ()> + Send {
        let _ = client;
        async {}
    }

    /// A client is gone; its rooms are still listed.
    fn disconnected(
        &self,
        client: &Client<Self>,
        reason: DisconnectReason,
    ) -> impl Future<Output = ()> + Send {
        let _ = (client, reason);
        async {}
    }

    /// May the client join the room? Runs after the room's own `#[before_join]`.
    fn before_join(
        &self,
        client: &Client<Self>,
        room: &AnyRoom<Self>,
    ) -> impl Future<Output = Result<(), Deny>> + Send {
        let _ = (client, room);
        async { Ok(()) }
    }

    /// A client joined a room, and has its answer. Runs after the room's own `#[joined]`.
    fn joined(
        &self,
        client: &Client<Self>,
        room: &AnyRoom<Self>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (client, room);
        async {}
    }

    /// A client left a room, or was disconnected. Runs after the room's own `#[left]`.
    fn left(&self, client: &Client<Self>, room: &AnyRoom<Self>) -> impl Future<Output = ()> + Send {
        let _ = (client, room);
        async {}
    }
}

/// Who a client is.
pub trait Identity: Send + Sync + 'static {
    /// The id that other users know this user by, and that its events are `from`: up to
    /// [`MAX_USER_ID`](crate::MAX_USER_ID) bytes, printable, and not [`SYSTEM`](crate::SYSTEM).
    /// Asked once, after authentication.
    fn user_id(&self) -> &str;
}

/// The rooms of an app, as `#[dialogue::app(rooms(..))]` lists them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no list of rooms",
    label = "an app without rooms",
    note = "put `#[dialogue::app(rooms(..))]` above `impl App for {Self}`"
)]
pub trait Registry: Sized + 'static {
    #[doc(hidden)]
    fn rooms() -> &'static [RoomEntry<Self>]
    where
        Self: App;
}

/// The app lists the room: its handlers run there.
#[diagnostic::on_unimplemented(
    message = "app `{Self}` does not host room `{R}`",
    label = "not one of this app's rooms",
    note = "list the room's module in `#[dialogue::app(rooms(..))]`"
)]
pub trait Hosts<R: Room>: App {
    #[doc(hidden)]
    const HANDLERS: Handlers<Self, R>;
}

/// A room in an app's list, its key's type forgotten.
#[doc(hidden)]
pub struct RoomEntry<A: App> {
    pub(crate) spec: &'static RoomSpec,
    pub(crate) open: fn(&str) -> Option<Arc<dyn ErasedRoom<A>>>,
}

impl<A: App> RoomEntry<A> {
    pub const fn of<R: Room>() -> Self
    where
        A: Hosts<R>,
    {
        Self {
            spec: const { &R::SPEC },
            open: |id| R::parse(id).map(|key| Arc::new(Keyed::new(key)) as Arc<dyn ErasedRoom<A>>),
        }
    }
}

/// The handlers that `R` has for `A`: the inherent constant where it has some, and otherwise the
/// one of [`NoHandlers`].
#[doc(hidden)]
pub struct Serving<A, R>(PhantomData<(A, R)>);

impl<A: App, R: Serve<A>> Serving<A, R> {
    pub const HANDLERS: Handlers<A, R> = <R as Serve<A>>::HANDLERS;
    pub const FOUND: bool = true;
}

#[doc(hidden)]
pub trait NoHandlers<A: App, R: Room> {
    const HANDLERS: Handlers<A, R> = Handlers::NONE;
    const FOUND: bool = false;
}

impl<A: App, R: Room> NoHandlers<A, R> for Serving<A, R> {}

/// A room whose module names an app: `#[dialogue::room(.., app = ..)]`.
#[doc(hidden)]
pub trait ForApp: Room {}

/// Whether a room's module names an app, found as in [`Serving`].
#[doc(hidden)]
pub struct Written<R>(PhantomData<R>);

impl<R: ForApp> Written<R> {
    pub const FOR_APP: bool = true;
}

#[doc(hidden)]
pub trait Unwritten {
    const FOR_APP: bool = false;
}

impl<R> Unwritten for Written<R> {}
