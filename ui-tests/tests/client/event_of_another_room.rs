use dialogue::Event;
use dialogue_client::Room;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Edited {
    text: String,
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Moved;

#[dialogue::room("doc:{document_id}", events(Edited))]
mod document {
    #[derive(Clone)]
    pub struct Room {
        pub document_id: u64,
    }
}

async fn play(document: Room<document::Room>) {
    document.trigger(Moved).await.ok();
    document.on::<Moved>();
    document.history::<Moved>().await.ok();
}

fn main() {}
