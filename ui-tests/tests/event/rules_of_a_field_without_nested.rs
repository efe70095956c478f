use std::collections::HashMap;

use dialogue::{Event, Payload};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

#[derive(Serialize, Deserialize, JsonSchema, Validate, Payload)]
struct Item {
    #[validate(range(min = 1))]
    price: u32,
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Order {
    item: Item,
    items: Option<Vec<Box<Item>>>,
    by_key: HashMap<String, Item>,
}

#[derive(Serialize, Deserialize, JsonSchema, Validate, Payload)]
struct Page<T> {
    #[validate(range(min = 1))]
    number: u32,
    value: T,
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[serde(transparent)]
struct Around {
    page: Page<u32>,
}

fn main() {}
