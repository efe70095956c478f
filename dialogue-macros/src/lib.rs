//! The macros of `dialogue`, which re-exports and documents them.
//!
//! Each goes through the same stages: parse the user's tokens into plain data, check them while
//! collecting every mistake, expand what is sound. Expansions declare, and call
//! `::dialogue::__private`; the logic is there.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

use proc_macro::TokenStream;

mod app;
mod arguments;
mod docs;
mod errors;
mod event;
mod handlers;
mod payload;
mod room;

/// Makes a type an event; see the trait of the same name.
///
/// `#[event(name = "..")]` sets the name, by default the type's own in kebab case;
/// `#[event(history = N)]` keeps the last `N` in every room. The doc comment is the description.
#[proc_macro_derive(Event, attributes(event, serde, validate))]
pub fn event(input: TokenStream) -> TokenStream {
    event::expand(input.into()).into()
}

/// Tells the names on the wire of a type that is nested in an event; see the trait of the same
/// name.
#[proc_macro_derive(Payload, attributes(serde, validate))]
pub fn payload(input: TokenStream) -> TokenStream {
    payload::expand(input.into()).into()
}

/// Makes a module a room.
///
/// ```ignore
/// /// Public chat room for everyone.
/// #[dialogue::room(
///     "general",                        // the id, or a pattern: "doc:{document_id}"
///     app = Chat,                       // whose handlers are in the module; none in protocol crates
///     name = "General Chat",            // for people; default: the id
///     events(Message, Typing),          // clients and the server may trigger these; `any`: others too
///     server_events(UserJoined),        // only the server may trigger these
///     subscribe(Message, UserJoined),   // what a joiner receives; `all`; default: every event listed
///     sync_history = 50,                // what a joiner is sent of the past; or `all`; default: nothing
///     max_size = 500,                   // how many connections it takes; default: any number
/// )]
/// pub mod general {
///     use super::*;
///
///     #[before_join]
///     async fn may_join(cx: &Context<Chat, Room>, client: &Client<Chat>) -> Result<(), Deny> { Ok(()) }
///     #[joined]
///     async fn welcome(cx: &Context<Chat, Room>, client: &Client<Chat>) {}
///     #[left]
///     async fn goodbye(cx: &Context<Chat, Room>, client: &Client<Chat>) {}
///     #[before]
///     async fn tidy(cx: &Context<Chat, Room>, message: &mut Message) -> Result<(), Deny> { Ok(()) }
///     #[on]
///     async fn count(cx: &Context<Chat, Room>, message: &EventMessage<Message>) {}
/// }
/// ```
///
/// The module gets a unit struct `Room`, the key of the room. One with a pattern is a family and
/// declares `Room` itself, with one field per placeholder that is `FromStr + Display`.
///
/// `#[before]` runs before broadcast, in order of declaration, and may rewrite the payload or
/// refuse it; `#[on]` runs after, in order per room. Each may be there several times per event.
#[proc_macro_attribute]
pub fn room(arguments: TokenStream, item: TokenStream) -> TokenStream {
    room::expand(arguments.into(), &item.into()).into()
}

/// Attaches an app's handlers to a room that is declared elsewhere, such as in a protocol crate.
///
/// ```ignore
/// #[dialogue::handlers(protocol::general, app = Chat)]
/// mod general_handlers {
///     use super::*;
///     use protocol::general::Room;
///
///     #[on]
///     async fn count(cx: &Context<Chat, Room>, message: &EventMessage<Message>) {}
/// }
/// ```
#[proc_macro_attribute]
pub fn handlers(arguments: TokenStream, item: TokenStream) -> TokenStream {
    handlers::expand(arguments.into(), &item.into()).into()
}

/// Lists the rooms of an app: `#[dialogue::app(rooms(general, document))]` above
/// `impl App for ..`, with the paths of the rooms' modules.
#[proc_macro_attribute]
pub fn app(arguments: TokenStream, item: TokenStream) -> TokenStream {
    app::expand(arguments.into(), &item.into()).into()
}
