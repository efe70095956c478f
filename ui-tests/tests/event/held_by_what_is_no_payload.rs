use std::sync::Mutex;

use dialogue::{Event, Payload};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

#[derive(Serialize, Deserialize, JsonSchema, Validate, Payload)]
struct Item {
    #[validate(range(min = 1))]
    price: u32,
}

#[derive(Serialize, Deserialize, JsonSchema, Validate)]
struct Unnamed {
    #[validate(range(min = 1))]
    price: u32,
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Order(Mutex<Item>);

#[derive(Serialize, Deserialize, JsonSchema, Event)]
enum Several {
    Far(Option<Vec<Box<Unnamed>>>),
}

#[derive(Serialize, Deserialize, JsonSchema, Payload)]
struct Around<T>(T);

fn main() {}
