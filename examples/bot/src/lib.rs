//! A bot for the chat example: it answers whoever writes `!help`.

use dialogue::Event;
use dialogue_client::{Client, JoinError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

/// What the bot is asked.
const QUESTION: &str = "!help";
/// What it says then.
const ANSWER: &str = "Write anything, and everybody in the room reads it. I only know `!help`.";

/// A message, as the chat declares it. An app whose clients are its own shares a crate with them instead,
/// as `examples/protocol` does.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(rename_all = "camelCase")]
#[event(name = "message", history = 100)]
pub struct Message {
    /// What it says.
    #[validate(length(min = 1, max = 2000))]
    pub text: String,
    /// Who wrote it.
    pub sender_id: String,
    /// The message that it answers.
    pub reply_to: Option<String>,
}

/// What the bot knows of the chat's room.
#[dialogue::room("general", events(Message))]
pub mod general {}

/// How the chat is told who one is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// The user's id.
    pub user_id: String,
}

/// Joins the chat room and answers, until the client is closed.
pub async fn run(client: &Client) -> Result<(), JoinError> {
    let room = client.join(general::Room).await?;
    let mut messages = room.on::<Message>();
    while let Some(message) = messages.next().await {
        if message.data.text.trim() != QUESTION {
            continue;
        }
        let answer = Message {
            text: ANSWER.to_owned(),
            sender_id: client.user_id().to_string(),
            reply_to: message.id(),
        };
        if let Err(error) = room.trigger(answer).await {
            eprintln!("{} gets no answer: {error}", message.from);
        }
    }
    Ok(())
}
