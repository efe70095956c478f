use dialogue::Event;
use dialogue_client::Room;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Edited {
    text: String,
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Closed;

#[dialogue::room("doc:{document_id}", events(Edited), server_events(Closed))]
mod document {
    #[derive(Clone)]
    pub struct Room {
        pub document_id: u64,
    }
}

async fn close(document: Room<document::Room>) {
    document.on::<Closed>();
    document.trigger(Closed).await.ok();
}

fn main() {}
