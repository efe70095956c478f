use dialogue::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Message {
    #[validate(length(min = 1))]
    text: String,
}

fn main() {}
