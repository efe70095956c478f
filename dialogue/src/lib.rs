//! Typed realtime rooms and events over Socket.IO: events are structs, rooms are modules, and what
//! does not fit does not compile.
//!
//! - An [`Event`] is a struct with a name, and validator rules if it has any.
//! - A [`room`](macro@room) is a module that lists its events and holds its handlers.
//! - An [`App`] lists its rooms, decides who a client is, and holds the shared state.
//! - A [`Dialogue`] serves an app on axum; its handles trigger events from anywhere.
//!
//! ```no_run
//! use dialogue::{
//!     App, Context, Deny, Dialogue, Event, Handshake,
//!     auth::{ClaimedUser, TrustClientUserId},
//! };
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use validator::Validate;
//!
//! /// Chat message sent by a user.
//! #[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
//! #[event(history = 100)]
//! struct Message {
//!     #[validate(length(min = 1, max = 2000))]
//!     text: String,
//! }
//!
//! #[dialogue::room("general", app = Chat, events(Message), sync_history = 50)]
//! mod general {
//!     use super::*;
//!
//!     #[before]
//!     async fn tidy(_: &Context<Chat, Room>, message: &mut Message) -> Result<(), Deny> {
//!         message.text = message.text.trim().to_owned();
//!         Ok(())
//!     }
//! }
//!
//! struct Chat;
//!
//! #[dialogue::app(rooms(general))]
//! impl App for Chat {
//!     type Credentials = TrustClientUserId;
//!     type Identity = ClaimedUser;
//!
//!     async fn authenticate(&self, who: TrustClientUserId, handshake: &Handshake) -> Result<ClaimedUser, Deny> {
//!         who.or_client_id(handshake)
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), dialogue::Error> {
//!     let chat = Dialogue::builder(Chat).build().await?;
//!     chat.serve("127.0.0.1:3000").await
//! }
//! ```
//!
//! # Features
//!
//! - `server` (default) is everything that serves. Without it, only types and macros are left, for
//!   a protocol crate that servers and clients share.
//! - `jwt` is `auth::JwtVerifier`: tokens as credentials.
//! - `json-schema` is `EventConfig::schema`: events of created rooms whose payload a JSON Schema describes.
//! - `sqlite` is `store::Sqlite`, and `postgres` is `store::Postgres`: rooms whose events outlive the
//!   process, in a file or in a database that several servers may share. Such servers do not hear each
//!   other yet: a room's clients should connect to one server. Each takes most of a minute to compile.
//! - `conformance` is `store::conformance`, the tests that every store passes.
//! - `dev-log` is `log_events`, a logger for development.
//! - `testing` is `testing::TestClient`, a client for tests in the process of the server.
//! - `bench` is for the benchmarks of Dialogue itself.
//!
//! # Rust
//!
//! A protocol crate needs Rust 1.91. The server needs what socketioxide needs: Rust 1.94 with version 0.18.9.

#![warn(missing_debug_implementations)]

#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "only expansions see them")]
pub mod __private;
mod model;
pub mod protocol;

#[cfg(feature = "server")]
mod app;
#[cfg(feature = "server")]
pub mod auth;
#[cfg(feature = "bench")]
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "only benchmarks see them")]
pub mod bench;
#[cfg(feature = "server")]
mod connection;
#[cfg(feature = "server")]
mod contract;
#[cfg(feature = "server")]
mod engine;
#[cfg(feature = "server")]
mod error;
#[cfg(feature = "server")]
mod handle;
#[cfg(feature = "server")]
mod limits;
#[cfg(feature = "server")]
mod logging;
#[cfg(feature = "server")]
mod service;
#[cfg(feature = "server")]
pub mod socketio;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "server")]
mod transport;
#[cfg(feature = "server")]
mod untagged_enums;
#[cfg(feature = "server")]
mod web;

pub use self::model::{
    deny::Deny,
    envelope::{Epoch, EventMessage, NotAnEpoch, Position, RawMessage},
    event::{Event, EventSpec},
    issues::{Issue, Issues},
    meta::Meta,
    name::{
        EVERY_EVENT, MAX_EVENT_NAME, MAX_KEY, MAX_ROOM_DESCRIPTION, MAX_ROOM_ID, MAX_ROOM_NAME,
        MAX_USER_ID, SYSTEM,
    },
    payload::{Element, Field, Payload},
    rate::Rate,
    room::{Accepts, Carries, CarriesAny, Room, RoomEvent, RoomSpec, SyncHistory},
    schema::Flow,
    unreadable::Unreadable,
};
pub use dialogue_macros::{Event, Payload};

/// Makes a module a room.
///
/// ```
/// # use dialogue::{App, Client, Context, Deny, Event, EventMessage, Handshake};
/// # use dialogue::auth::{ClaimedUser, TrustClientUserId};
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize, JsonSchema, Event)]
/// # struct Message { text: String }
/// # #[derive(Serialize, Deserialize, JsonSchema, Event)]
/// # struct Typing;
/// # #[derive(Serialize, Deserialize, JsonSchema, Event)]
/// # struct UserJoined { user_id: String }
/// # struct Chat;
/// # #[dialogue::app(rooms(general, document))]
/// # impl App for Chat {
/// #     type Credentials = TrustClientUserId;
/// #     type Identity = ClaimedUser;
/// #     async fn authenticate(&self, who: TrustClientUserId, handshake: &Handshake) -> Result<ClaimedUser, Deny> {
/// #         who.or_client_id(handshake)
/// #     }
/// # }
/// /// Public chat room for everyone.
/// #[dialogue::room(
///     "general",                        // the id, or a pattern
///     app = Chat,                       // whose handlers are in the module; none in protocol crates
///     name = "General Chat",            // for people; default: the id
///     events(Message, Typing),          // clients and the server may trigger these; `any`: others too
///     server_events(UserJoined),        // only the server may trigger these
///     subscribe(Message, UserJoined),   // what a joiner receives; or `all`; default: every event listed
///     sync_history = 50,                // what a joiner is sent of the past; or `all`; default: nothing
///     max_size = 500,                   // how many connections it takes; default: any number
/// )]
/// mod general {
///     use super::*;
///
///     #[before_join]
///     async fn may_join(cx: &Context<Chat, Room>, client: &Client<Chat>) -> Result<(), Deny> {
///         if client.user_id() == "mallory" { Err(Deny::new("not you")) } else { Ok(()) }
///     }
///
///     #[joined]
///     async fn welcome(cx: &Context<Chat, Room>, client: &Client<Chat>) {
///         let joined = UserJoined { user_id: client.user_id().to_owned() };
///         cx.room().trigger(joined).from(client.user_id()).await.ok();
///     }
///
///     #[left]
///     async fn goodbye(cx: &Context<Chat, Room>, client: &Client<Chat>) {
///         println!("{} left, {} stay", client.user_id(), cx.room().size());
///     }
///
///     #[before]
///     async fn tidy(cx: &Context<Chat, Room>, message: &mut Message) -> Result<(), Deny> {
///         message.text = message.text.trim().to_owned();
///         Ok(())
///     }
///
///     #[on]
///     async fn log(cx: &Context<Chat, Room>, message: &EventMessage<Message>) {
///         println!("{}: {}", message.from, message.data.text);
///     }
/// }
///
/// /// One room per document.
/// #[dialogue::room("doc:{document_id}", app = Chat, events(Message), max_size = 20)]
/// mod document {
///     #[derive(Clone)]
///     pub struct Room {
///         pub document_id: u64,
///     }
/// }
/// # fn main() {}
/// ```
///
/// The module gets a unit struct `Room`, the key of the room. A room with a pattern is one of a
/// family and declares `Room` itself, with one field per placeholder; a field's type is `FromStr`
/// and `Display`. A placeholder is one whole segment between `:`, percent-encoded in the id as
/// `encodeURIComponent` does, and an id opens a room only if it is exactly what its key makes.
///
/// `#[before]` runs before broadcast and may rewrite the payload, which is then validated again, or
/// refuse it. `#[on]` runs after broadcast, in the room's order and off the path of delivery.
/// There may be several of both per event, run in order of declaration, and one each of
/// `#[before_join]`, `#[joined]` and `#[left]`. Handlers need not be `async`.
///
/// With `events(any)`, events that are not listed pass unvalidated; those that are listed are
/// typed as everywhere. A handler's event must be listed.
pub use dialogue_macros::room;

#[cfg(feature = "server")]
pub use self::{
    app::{
        App,
        any_room::AnyRoom,
        client::Client,
        context::Context,
        dialogue::Dialogue,
        identity::Identity,
        registry::{Hosts, Registry, Sends},
        room_config::{EventConfig, RoomConfig},
        room_handle::RoomHandle,
    },
    connection::{
        client_id::ClientId,
        disconnect_reason::DisconnectReason,
        rate_limiter::{RateLimited, RateLimiter},
    },
    contract::{Contract, Direction, EventContract, RoomContract},
    engine::{receipt::Receipt, stats::Stats},
    error::{
        CreateError, DeleteError, Error, EventNotListed, HistoryError, JoinError, SendError,
        SubscribeError, TriggerError,
    },
    handle::{
        any_room::StoredEvents, builder::Builder, client::HostedBy, handler_guard::HandlerGuard,
        trigger::Trigger, user_rooms::UserRooms,
    },
    limits::Limits,
    protocol::{CreateRoom, RoomInfo},
    socketio::Socket,
    transport::http::{
        layer::{DialogueLayer, DialogueService},
        listener::listen,
    },
    web::{exposure::Encrypted, handshake::Handshake, origin::Cors},
};

#[cfg(feature = "dev-log")]
pub use self::logging::log_events;

/// Lists the rooms of an app, by the paths of their modules.
///
/// ```
/// # use dialogue::{App, Deny, Event, Handshake, auth::{ClaimedUser, TrustClientUserId}};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, Event)]
/// # struct Ping;
/// # #[dialogue::room("general", events(Ping))]
/// # mod general {}
/// # #[dialogue::room("lobby", events(Ping))]
/// # mod lobby {}
/// struct Chat;
///
/// #[dialogue::app(rooms(general, lobby))]
/// impl App for Chat {
///     // ..
/// #     type Credentials = TrustClientUserId;
/// #     type Identity = ClaimedUser;
/// #     async fn authenticate(&self, who: TrustClientUserId, handshake: &Handshake) -> Result<ClaimedUser, Deny> {
/// #         who.or_client_id(handshake)
/// #     }
/// }
/// ```
///
/// Two rooms that would answer to one id do not compile. A static room beside a family that would
/// match its id does: the static room answers.
#[cfg(feature = "server")]
pub use dialogue_macros::app;

/// Attaches an app's handlers to a room that is declared elsewhere, such as in a protocol crate
/// that clients use too.
///
/// ```
/// # use dialogue::{App, Context, Deny, EventMessage, Handshake, auth::{ClaimedUser, TrustClientUserId}};
/// # use protocol::Note;
/// # struct Notes;
/// # #[dialogue::app(rooms(protocol::board))]
/// # impl App for Notes {
/// #     type Credentials = TrustClientUserId;
/// #     type Identity = ClaimedUser;
/// #     async fn authenticate(&self, who: TrustClientUserId, handshake: &Handshake) -> Result<ClaimedUser, Deny> {
/// #         who.or_client_id(handshake)
/// #     }
/// # }
/// #[dialogue::handlers(protocol::board, app = Notes)]
/// mod board_handlers {
///     use super::*;
///     use protocol::board::Room;
///
///     #[on]
///     async fn log(cx: &Context<Notes, Room>, note: &EventMessage<Note>) {
///         println!("{}", note.data.text);
///     }
/// }
/// # fn main() {}
/// ```
#[cfg(feature = "server")]
pub use dialogue_macros::handlers;

/// Keeps what an expansion writes for servers only.
#[cfg(feature = "server")]
#[doc(hidden)]
#[macro_export]
macro_rules! __server {
    ($($tokens:tt)*) => { $($tokens)* };
}

/// Drops what an expansion writes for servers only.
#[cfg(not(feature = "server"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __server {
    ($($tokens:tt)*) => {};
}

/// The examples in the project's pages compile.
#[cfg(all(doctest, feature = "server"))]
mod pages {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/guide.md")]
    struct Guide;
    #[doc = include_str!("../../docs/tls.md")]
    struct Tls;
}
