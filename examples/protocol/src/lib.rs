//! A protocol crate: the events and rooms that a server and its Rust clients share.
//!
//! It depends on `dialogue` without the server, so a client that uses it compiles no tokio, axum or
//! socketioxide. The server attaches its handlers with `#[dialogue::handlers(..)]`.

use dialogue::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

/// A note on the board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[event(name = "note", history = 10)]
pub struct Note {
    /// What it says.
    #[validate(length(min = 1, max = 280))]
    pub text: String,
}

/// The board was wiped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
pub struct Wiped;

/// Notes that everyone on a team reads.
#[dialogue::room("board:{team}", events(Note), server_events(Wiped), sync_history = all)]
pub mod board {
    /// Which team's board.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct Room {
        /// The team's name.
        pub team: String,
    }
}
