use dialogue::Event;
use dialogue_client::Room;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Edited {
    text: String,
}

#[dialogue::room("doc:{document_id}", events(Edited))]
mod document {
    #[derive(Clone)]
    pub struct Room {
        pub document_id: u64,
    }
}

async fn edit(document: Room<document::Room>) {
    document.trigger(Edited { text: 7 }).await.ok();
}

fn main() {}
