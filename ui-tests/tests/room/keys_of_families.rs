use dialogue::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[dialogue::room("general", events(Ping), create = "explicit", listed)]
mod general {}

#[dialogue::room("doc:{id}", events(Ping), create = "lazily")]
mod document {
    #[derive(Clone)]
    pub struct Room {
        pub id: u64,
    }
}

fn main() {}
