//! Typed client of [Dialogue](dialogue) servers: rooms are joined by their types, events come as streams
//! and are triggered with an acknowledgement, and lost connections lose nothing.
//!
//! - A [`Client`] is a connection that comes back by itself.
//! - A [`Room`] is joined by its key, or by an id that is known at run time alone; what its type does not
//!   list does not compile.
//! - [`Events`] is the stream of a room's events of one type, in the room's order.
//! - [`Trigger`] sends an event until the server says that it has it.
//! - [`History`] reads what the room keeps.
//!
//! Events and rooms are those of the server: of a crate that depends on `dialogue` without its server, and
//! that both use.
//!
//! ```no_run
//! use dialogue_client::Client;
//! use protocol::{Note, board};
//!
//! #[derive(serde::Serialize)]
//! struct Login {
//!     token: String,
//! }
//!
//! # async fn token() -> String { String::new() }
//! # async fn chat() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("wss://notes.example.com")
//!     .auth(|| async { Login { token: token().await } })
//!     .connect()
//!     .await?;
//! let board = client.join(board::Room { team: "red".into() }).await?;
//! let mut notes = board.on::<Note>();
//! let page = board.history::<Note>().limit(50).await?;
//! let receipt = board.trigger(Note { text: "hello".into() }).await?;
//! while let Some(note) = notes.next().await {
//!     println!("{}: {}", note.from, note.data.text);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! Of events with history, a stream has every one, once and in order, across lost connections, restarted
//! servers and slow readers, as long as the server keeps what was missed. Where it does not,
//! [`Room::resets`] says so. An acknowledged trigger of such an event is stored once. Events without
//! history are heard and sent at most once.

#![warn(missing_debug_implementations)]

mod answer;
mod builder;
mod client;
mod command;
mod config;
mod connection;
mod core;
mod direct;
mod error;
mod feed;
mod history;
mod hub;
mod link;
mod membership;
mod packet;
mod place;
mod reader;
mod reconnect;
mod request;
mod room;
mod shared;
mod socket;
mod state;
mod stream;
mod timers;
mod tls;
mod trigger;
mod who;

/// The examples in the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// What [`Builder::tls`] takes is of this version of it.
pub use rustls;

pub use dialogue::{
    Epoch, EventMessage, Position, Unreadable,
    protocol::{CreateRoom, ErrorCode, RoomInfo},
};

pub use crate::{
    builder::Builder,
    client::Client,
    core::{Reset, RoomState},
    error::{
        ClientError, ConnectError, HistoryError, JoinError, Refusal, RequestError, TriggerError,
    },
    feed::Feed,
    history::{History, Page},
    place::At,
    reconnect::Reconnect,
    room::{ById, Room},
    state::State,
    stream::Events,
    trigger::{Receipt, Trigger},
};
