use dialogue::{Event, EventMessage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[dialogue::room("general", events(Ping))]
mod general {
    use super::*;

    #[on]
    fn count(_: &(), _: &EventMessage<Ping>) {}
}

fn main() {}
