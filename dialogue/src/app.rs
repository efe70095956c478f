//! The application: shared state, hooks, and the rooms it hosts.

use std::{future::Future, marker::PhantomData, ops::Range, sync::Arc, time::SystemTime};

use serde::de::DeserializeOwned;

use crate::{
    __private::same,
    AnyRoom, Client, Deny, DisconnectReason, Handshake, RawMessage, Room, RoomConfig, RoomEvent,
    RoomSpec, Socket,
    protocol::{CreateRoom, RoomInfo},
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
/// For one connection, hooks run in this order: [`authenticate`](App::authenticate),
/// [`socket_connected`](App::socket_connected), then the client is told that it is connected, then
/// [`connected`](App::connected); per join [`sees`](App::sees), the room's `#[before_join]` and
/// [`before_join`](App::before_join), membership and the client's answer, the room's `#[joined]`
/// and [`joined`](App::joined); per trigger the room's `#[before]`,
/// [`before_each`](App::before_each), fan-out and the answer, then, off the path of delivery and in
/// the room's order, [`after_each`](App::after_each), [`triggered`](App::triggered) and the room's
/// `#[on]`; at the end [`disconnected`](App::disconnected), the room's `#[left]` and
/// [`left`](App::left) of each, and [`socket_disconnected`](App::socket_disconnected).
///
/// Every hook runs under [`Limits::hook_time`](crate::Limits::hook_time), except those that are not
/// `async`, which should be quick. One that panics or takes longer costs the request it belongs to,
/// which is answered `INTERNAL`, and delays nothing but that connection's next request.
pub trait App: Registry + Send + Sync + 'static {
    /// What the client sends as the handshake's `auth`. Where it sends none, `null` and then `{}`
    /// are tried.
    type Credentials: DeserializeOwned + Send;

    /// What authentication proves of a client.
    type Identity: Identity;

    /// Decides who a new connection is, and who it still is when it sends new credentials with
    /// `dialogue:authenticate`.
    fn authenticate(
        &self,
        credentials: Self::Credentials,
        handshake: &Handshake,
    ) -> impl Future<Output = Result<Self::Identity, Deny>> + Send;

    /// A socket was let in; its client has not been told yet.
    fn socket_connected(&self, socket: &Socket) -> impl Future<Output = ()> + Send {
        let _ = socket;
        async {}
    }

    /// A socket is gone, and everything of its client with it.
    fn socket_disconnected(&self, socket: &Socket) -> impl Future<Output = ()> + Send {
        let _ = socket;
        async {}
    }

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

    /// Does the room exist, as far as the client knows? One that it does not see is in no list of
    /// its, and answers like a room that does not exist. Default: it sees all.
    ///
    /// The contract lists all rooms that the app declares, whoever reads it; where their names are a
    /// secret, [do not publish it](crate::Builder::publish_contract).
    ///
    /// A panic counts as no.
    fn sees(&self, client: &Client<Self>, room: &RoomInfo) -> bool {
        let _ = (client, room);
        true
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

    /// A client left a room, was disconnected, or the room was deleted. Runs after the room's own
    /// `#[left]`.
    fn left(&self, client: &Client<Self>, room: &AnyRoom<Self>) -> impl Future<Output = ()> + Send {
        let _ = (client, room);
        async {}
    }

    /// May the client create the room it asks for, and if so, with which events?
    /// [`CreateRoom::config`] has what the client said of it. Default: no.
    fn create_room(
        &self,
        client: &Client<Self>,
        request: CreateRoom,
    ) -> impl Future<Output = Result<RoomConfig, Deny>> + Send {
        let _ = (client, request);
        async { Err(Deny::new("clients create no rooms here")) }
    }

    /// A room was created, by a client or by the server's own code.
    fn room_created(&self, room: &AnyRoom<Self>) -> impl Future<Output = ()> + Send {
        let _ = room;
        async {}
    }

    /// A room was deleted, by a client or by the server's own code; nobody is in it any more. What the
    /// app keeps of it by [`evicted`](App::evicted), all of which it has by now, is the app's to delete:
    /// [`load`](App::load) is asked for the events of the next room with this id, too.
    fn room_deleted(&self, room_id: &str) -> impl Future<Output = ()> + Send {
        let _ = room_id;
        async {}
    }

    /// May the event be broadcast, whatever room it is in? Runs after the room's own `#[before]`,
    /// and may change its data, which are then validated again, its `meta` and who it is from.
    fn before_each(&self, message: &mut RawMessage) -> Result<(), Deny> {
        let _ = message;
        Ok(())
    }

    /// An event was broadcast to so many subscribers.
    fn after_each(&self, message: &RawMessage, recipients: usize) {
        let _ = (message, recipients);
    }

    /// An event was broadcast: for side effects that take time. Runs after
    /// [`after_each`](App::after_each).
    fn triggered(&self, message: &RawMessage) -> impl Future<Output = ()> + Send {
        let _ = message;
        async {}
    }

    /// Events of one name leave the memory of a room, oldest first: more are kept there than the event
    /// declares, the room was deleted, nobody has been in it for long, or the server stops. Only where
    /// [`store::Memory`](crate::store::Memory) keeps them. Until this returns, they are read from
    /// memory; with [`load`](App::load), nothing is missing and nothing is twice in between.
    fn evicted(
        &self,
        room_id: &str,
        event: &str,
        messages: Vec<RawMessage>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (room_id, event, messages);
        async {}
    }

    /// The events of one name that left the memory of a room, newest first. `range` counts them, 0
    /// being the youngest. A range that goes beyond them returns what there is; a hook that fails
    /// returns nothing.
    ///
    /// What [`evicted`](App::evicted) got should come back with its
    /// [`position`](crate::EventMessage::position), by which is known what is in memory, too.
    fn load(
        &self,
        room_id: &str,
        event: &str,
        range: Range<usize>,
    ) -> impl Future<Output = Vec<RawMessage>> + Send {
        let _ = (room_id, event, range);
        async { Vec::new() }
    }
}

/// Who a client is.
pub trait Identity: Send + Sync + 'static {
    /// The id that other users know this user by, and that its events are `from`: up to
    /// [`MAX_USER_ID`](crate::MAX_USER_ID) bytes of visible characters in Unicode's form NFC, with single
    /// spaces of ASCII between them, which do not look like [`SYSTEM`](crate::SYSTEM). A client with another
    /// one is refused. Asked once, after authentication.
    fn user_id(&self) -> &str;

    /// When the proof ends: the client is then told `TOKEN_EXPIRED` and disconnected, unless it
    /// authenticated anew in time. Default: never.
    fn expires_at(&self) -> Option<SystemTime> {
        None
    }
}

/// The rooms of an app, as `#[dialogue::app(rooms(..))]` lists them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no list of rooms",
    label = "an app without rooms",
    note = "put `#[dialogue::app(rooms(..))]` above `impl App for {Self}`"
)]
pub trait Registry: Sized + 'static {
    #[doc(hidden)]
    const HOOKS: Hooks;

    #[doc(hidden)]
    fn rooms() -> &'static [RoomEntry<Self>]
    where
        Self: App;

    #[doc(hidden)]
    fn direct() -> &'static [RoomEvent];

    #[doc(hidden)]
    fn package() -> Package;
}

/// What the app's package is called, and its version.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Package {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

impl Package {
    /// As cargo says it to the compiler; what else calls the compiler may not.
    pub fn new(name: Option<&'static str>, version: Option<&'static str>) -> Self {
        Self { name: name.unwrap_or("app"), version: version.unwrap_or("0.0.0") }
    }
}

/// Which hooks an app has, of those that are worth knowing: what nobody listens to is not prepared.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "one per hook")]
pub struct Hooks {
    pub(crate) sees: bool,
    pub(crate) before_each: bool,
    pub(crate) after_each: bool,
    pub(crate) triggered: bool,
    pub(crate) evicted: bool,
    pub(crate) load: bool,
}

impl Hooks {
    pub const ALL: Self = Self {
        sees: true,
        before_each: true,
        after_each: true,
        triggered: true,
        evicted: true,
        load: true,
    };

    /// Those among the names of the app's methods.
    pub const fn among(written: &[&str]) -> Self {
        let mut this = Self {
            sees: false,
            before_each: false,
            after_each: false,
            triggered: false,
            evicted: false,
            load: false,
        };
        let mut i = 0;
        while i < written.len() {
            let name = written[i].as_bytes();
            this.sees |= same(name, b"sees");
            this.before_each |= same(name, b"before_each");
            this.after_each |= same(name, b"after_each");
            this.triggered |= same(name, b"triggered");
            this.evicted |= same(name, b"evicted");
            this.load |= same(name, b"load");
            i += 1;
        }
        this
    }

    /// Whether anything follows every broadcast.
    pub(crate) const fn follow(self) -> bool {
        self.after_each || self.triggered
    }
}

/// The app may send the event to single clients: `#[dialogue::app(.., direct(..))]`.
#[diagnostic::on_unimplemented(
    message = "app `{Self}` does not send event `{E}` directly",
    label = "not one of this app's direct events",
    note = "list `{E}` in `#[dialogue::app(.., direct(..))]`"
)]
pub trait Sends<E>: App {}

#[diagnostic::do_not_recommend]
impl<A: App + ListsDirect<E>, E> Sends<E> for A {}

/// The app lists the room: its handlers run there.
#[diagnostic::on_unimplemented(
    message = "app `{Self}` does not host room `{R}`",
    label = "not one of this app's rooms",
    note = "list the room's module in `#[dialogue::app(rooms(..))]`"
)]
pub trait Hosts<R: Room>: App {
    #[doc(hidden)]
    fn __handlers() -> Handlers<Self, R>;
}

#[diagnostic::do_not_recommend]
impl<A: App + ListsRoom<R>, R: Room> Hosts<R> for A {
    fn __handlers() -> Handlers<A, R> {
        <A as ListsRoom<R>>::handlers()
    }
}

// What the attributes implement asks nothing of the app, here and in [`Serve`]: what it lacks, such as `Sync`, is told
// where it implements [`App`], and not again for each room and event.

/// What `#[dialogue::app]` says of an event in `direct`.
#[doc(hidden)]
pub trait ListsDirect<E> {}

/// What `#[dialogue::app]` says of a room in `rooms`.
#[doc(hidden)]
pub trait ListsRoom<R: Room>: Sized {
    fn handlers() -> Handlers<Self, R>
    where
        Self: App;
}

/// A room in an app's list, its key's type forgotten.
#[doc(hidden)]
pub struct RoomEntry<A: App> {
    pub(crate) spec: RoomSpec<'static>,
    pub(crate) open: fn(&str) -> Option<Arc<dyn ErasedRoom<A>>>,
}

impl<A: App> RoomEntry<A> {
    pub const fn of<R: Room>() -> Self
    where
        A: Hosts<R>,
    {
        Self {
            spec: R::SPEC,
            open: |id| R::parse(id).map(|key| Arc::new(Keyed::new(key)) as Arc<dyn ErasedRoom<A>>),
        }
    }
}

/// The handlers that `R` has for `A`: the inherent function where it has some, and otherwise the
/// one of [`NoHandlers`].
#[doc(hidden)]
pub struct Serving<A, R>(PhantomData<(A, R)>);

impl<A: App, R: Serve<A>> Serving<A, R> {
    pub const FOUND: bool = true;

    pub fn handlers() -> Handlers<A, R> {
        <R as Serve<A>>::handlers()
    }
}

#[doc(hidden)]
pub trait NoHandlers<A: App, R: Room> {
    const FOUND: bool = false;

    fn handlers() -> Handlers<A, R> {
        Handlers::NONE
    }
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
