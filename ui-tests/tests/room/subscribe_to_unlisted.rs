use dialogue::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Pong;

#[dialogue::room("general", events(Ping), subscribe(Pong))]
mod general {}

fn main() {}
