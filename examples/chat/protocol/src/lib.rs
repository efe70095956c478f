//! What the chat's server and its clients in Rust share: its events and its room.

use dialogue::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

/// Chat message sent by a user, whom the server proves: `from` of the message that arrives.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(rename_all = "camelCase")]
#[event(name = "message", history = 100)]
pub struct Message {
    /// What it says.
    #[validate(length(min = 1, max = 2000))]
    pub text: String,
    /// The id of the message that it answers.
    #[validate(length(min = 1, max = 64))]
    pub reply_to: Option<String>,
}

/// The sender started or stopped typing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
pub struct Typing {
    /// Whether they type.
    pub is_typing: bool,
}

/// Somebody entered the room.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(rename_all = "camelCase")]
#[event(name = "user:joined")]
pub struct UserJoined {
    /// Who.
    #[validate(length(min = 1, max = 256))]
    pub user_id: String,
    /// What they are called.
    #[validate(length(min = 1, max = 256))]
    pub username: String,
}

/// Somebody left the room.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(rename_all = "camelCase")]
#[event(name = "user:left")]
pub struct UserLeft {
    /// Who.
    #[validate(length(min = 1, max = 256))]
    pub user_id: String,
}

/// Public chat room for everyone.
#[dialogue::room(
    "general",
    name = "General Chat",
    events(Message, Typing),
    server_events(UserJoined, UserLeft),
    subscribe(Message, UserJoined, UserLeft),
    sync_history = 50
)]
pub mod general {}
