use dialogue::Event;
use dialogue_client::{Client, JoinError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Moved;

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Scored;

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Edited;

#[dialogue::room("game", events(Moved), server_events(Scored))]
mod game {}

async fn play(client: Client, room_id: &str) -> Result<(), JoinError> {
    let game = client.join_id::<game::Room>(room_id).await?;
    game.on::<Edited>();
    game.trigger(Scored).await.ok();
    game.key();
    client.join_id::<Moved>(room_id).await?;
    Ok(())
}

fn main() {}
