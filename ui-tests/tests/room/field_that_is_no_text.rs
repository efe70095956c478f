use dialogue::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

struct Id;

#[dialogue::room("doc:{id}", events(Ping))]
mod document {
    #[derive(Clone)]
    pub struct Room {
        pub id: super::Id,
    }
}

impl Clone for Id {
    fn clone(&self) -> Self {
        Self
    }
}

fn main() {}
