//! The application: shared state, hooks, and the rooms it hosts.

pub(crate) mod any_room;
pub(crate) mod client;
pub(crate) mod clients;
pub(crate) mod context;
pub(crate) mod dialogue;
#[allow(
    missing_docs,
    missing_debug_implementations,
    reason = "only expansions see it, through `__private`"
)]
pub(crate) mod handlers;
pub(crate) mod hooks;
pub(crate) mod hosted;
pub(crate) mod identity;
pub(crate) mod keyed;
pub(crate) mod registry;
pub(crate) mod room_config;
pub(crate) mod room_handle;
pub(crate) mod stopping;

use std::{future::Future, ops::Range};

use serde::de::DeserializeOwned;

use self::{
    any_room::AnyRoom, client::Client, identity::Identity, registry::Registry,
    room_config::RoomConfig,
};
use crate::{
    Deny, DisconnectReason, Handshake, RawMessage, Socket,
    protocol::{CreateRoom, RoomInfo},
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
    /// The contract lists all rooms that the app declares, to every reader; where their names are a
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

    /// A room was deleted, by a client or by the server's own code; it has no members any more. What the
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
    /// declares, the room was deleted, it has been empty for long, or the server stops. Only where
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
