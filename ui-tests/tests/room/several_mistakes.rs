use dialogue::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

// Several mistakes are reported together, and the module stays usable.
#[dialogue::room("general", events(Ping, Ping), max_size = 0, nam = "General")]
mod general {}

fn main() {
    let _room = general::Room;
}
