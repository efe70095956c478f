use dialogue::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "ping")]
struct Pong;

#[dialogue::room("general", events(Ping, Pong))]
mod general {}

fn main() {}
