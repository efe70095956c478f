use dialogue::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
#[event(nmae = "item")]
struct Item {
    #[validate(range(min = 1))]
    price: u32,
}

#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
struct Order {
    #[validate(nested)]
    items: Vec<Item>,
}

fn main() {}
