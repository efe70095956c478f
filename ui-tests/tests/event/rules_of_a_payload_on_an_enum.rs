use dialogue::Payload;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Payload)]
struct Price(#[validate(range(min = 1))] u32);

#[derive(Serialize, Deserialize, JsonSchema, Payload)]
enum Shape {
    Circle {
        #[validate(range(min = 1))]
        radius: u32,
    },
}

fn main() {}
