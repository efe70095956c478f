//! A bot for the chat example: it answers whoever writes `!help`.

use chat_protocol::{Message, general};
use dialogue_client::{Client, JoinError};
use serde::Serialize;

/// What the bot is asked.
const QUESTION: &str = "!help";
/// What it says then.
const ANSWER: &str = "Write anything, and everybody in the room reads it. I only know `!help`.";

/// How the chat is told who one is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// The user's id.
    pub user_id: String,
}

/// Joins the chat room and answers, until the room is left or the client closed.
pub async fn run(client: &Client) -> Result<(), JoinError> {
    let room = client.join(general::Room).await?;
    let mut messages = room.on::<Message>();
    while let Some(message) = messages.next().await {
        if message.data.text.trim() != QUESTION {
            continue;
        }
        let answer = Message { text: ANSWER.to_owned(), reply_to: message.id() };
        if let Err(error) = room.trigger(answer).await {
            eprintln!("{} gets no answer: {error}", message.from);
        }
    }
    Ok(())
}
