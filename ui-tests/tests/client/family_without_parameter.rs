use dialogue::Event;
use dialogue_client::Client;
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

async fn open(client: Client) {
    client.join(document::Room {}).await.ok();
}

fn main() {}
