#![deny(unused_must_use)]

use dialogue::Event;
use dialogue_client::{Client, JoinError, Room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Edited {
    text: String,
}

#[dialogue::room("document", events(Edited))]
mod document {}

async fn join(client: &Client) -> Result<(), JoinError> {
    client.join(document::Room).await?;
    Ok(())
}

fn listen(room: &Room<document::Room>) {
    room.on::<Edited>();
    Client::builder("wss://chat.example.com").path("/live");
}

fn main() {}
