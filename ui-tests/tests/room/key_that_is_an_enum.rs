use dialogue::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[dialogue::room("doc:{id}", events(Ping))]
mod document {
    #[derive(Clone)]
    pub enum Room {
        Draft,
        Final,
    }
}

fn main() {}
