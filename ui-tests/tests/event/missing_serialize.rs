use dialogue::Event;
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema, Event)]
struct Message {
    text: String,
}

fn main() {}
