use dialogue::{Event};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[dialogue::room("general", events("ping"), server_events("pong"))]
mod general {
}

fn main() {}
