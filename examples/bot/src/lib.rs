//! A bot for the chat example: it answers whoever writes `!help`.

use chat_protocol::{Message, general};
use dialogue_client::{At, Client, EventMessage, HistoryError, JoinError, Room};
use serde::Serialize;

/// What the bot is asked.
const QUESTION: &str = "!help";
/// What it says then.
const ANSWER: &str = "Write anything, and everybody in the room reads it. I only know `!help`.";

/// Among how many of the latest messages it looks for questions that it missed.
const MISSED: usize = 50;

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
    let mut resets = room.resets();
    let mut messages = room.on::<Message>();
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => answer(&room, &message).await,
                None => return Ok(()),
            },
            Some(reset) = resets.next() => match missed(&room, reset.at, client).await {
                Ok(messages) => for message in messages {
                    answer(&room, &message).await;
                },
                Err(error) => eprintln!("missed messages get no answer: {error}"),
            },
        }
    }
}

/// Answers a message that is the question.
async fn answer(room: &Room<general::Room>, message: &EventMessage<Message>) {
    if message.data.text.trim() != QUESTION {
        return;
    }
    let answer = Message { text: ANSWER.to_owned(), reply_to: message.id() };
    if let Err(error) = room.trigger(answer).await {
        eprintln!("{} gets no answer: {error}", message.from);
    }
}

/// What the stream does not have, because its log ended: messages up to `at`, oldest first, without those
/// that the bot answered.
async fn missed(
    room: &Room<general::Room>,
    at: At,
    client: &Client,
) -> Result<Vec<EventMessage<Message>>, HistoryError> {
    let page = room.history::<Message>().limit(MISSED).await?;
    let user_id = client.user_id();
    let own = page.events.iter().filter(|message| *message.from == *user_id);
    let answered: Vec<_> = own.filter_map(|message| message.data.reply_to.clone()).collect();
    let mut missed = page.events;
    missed.retain(|message| {
        let is_before = message.position.is_some_and(|it| it.epoch == at.epoch && it.seq <= at.seq);
        is_before && message.id().is_none_or(|id| !answered.contains(&id))
    });
    missed.reverse();
    Ok(missed)
}
