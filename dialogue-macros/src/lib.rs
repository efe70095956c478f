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
mod rules;
#[cfg(test)]
mod snapshot;

/// Makes a type an event. Documented at the trait of the same name.
#[proc_macro_derive(Event, attributes(event, serde, validate))]
pub fn event(input: TokenStream) -> TokenStream {
    event::expand(input.into()).into()
}

/// Tells the names on the wire of a type that is nested in an event. Documented at the trait of the
/// same name.
#[proc_macro_derive(Payload, attributes(serde, validate))]
pub fn payload(input: TokenStream) -> TokenStream {
    payload::expand(input.into()).into()
}

/// Makes a module a room. Documented where `dialogue` re-exports it.
#[proc_macro_attribute]
pub fn room(arguments: TokenStream, item: TokenStream) -> TokenStream {
    room::expand(arguments.into(), &item.into()).into()
}

/// Attaches an app's handlers to a room of another crate. Documented where `dialogue` re-exports it.
#[proc_macro_attribute]
pub fn handlers(arguments: TokenStream, item: TokenStream) -> TokenStream {
    handlers::expand(arguments.into(), &item.into()).into()
}

/// Lists the rooms of an app. Documented where `dialogue` re-exports it.
#[proc_macro_attribute]
pub fn app(arguments: TokenStream, item: TokenStream) -> TokenStream {
    app::expand(arguments.into(), &item.into()).into()
}
