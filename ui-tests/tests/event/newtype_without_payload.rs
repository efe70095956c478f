use dialogue::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

#[derive(Serialize, Deserialize, JsonSchema, Validate)]
struct Item {
    #[validate(range(min = 1))]
    price: u32,
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Order(Vec<Item>);

fn main() {}
