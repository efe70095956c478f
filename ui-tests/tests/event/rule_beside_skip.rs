use dialogue::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
struct Message {
    #[validate(skip, length(min = 1))]
    text: String,
}

fn main() {}
