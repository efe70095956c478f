use dialogue::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[event(nam = "message")]
struct Message {
    text: String,
}

fn main() {}
