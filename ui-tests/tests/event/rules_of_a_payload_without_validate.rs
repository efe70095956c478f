use dialogue::Payload;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Payload)]
struct Item {
    #[validate(range(min = 1))]
    price: u32,
}

#[derive(Serialize, Deserialize, JsonSchema, Payload)]
struct Page<T> {
    items: Vec<T>,
    #[validate(range(min = 1))]
    number: u32,
}

fn main() {}
