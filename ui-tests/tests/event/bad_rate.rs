use dialogue::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[event(rate = "10 per second")]
struct Ping;

#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[event(rate = "0/s")]
struct Pong;

fn main() {}
