use dialogue::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[event(history = 0)]
struct Message {
    text: String,
}

fn main() {}
