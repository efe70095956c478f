use dialogue::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[dialogue::room("doc:{id}", events(Ping))]
mod document {}

fn key() -> document::Room {
    document::Room { id: "1".into() }
}

fn main() {
    key();
}
