use dialogue::{Accepts, Event};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Notice;

#[dialogue::room("general", events(Ping), server_events(Notice))]
mod general {}

/// What a client's `trigger` asks for.
fn client_triggers<R: Accepts<E>, E: Event>(_: R, _: E) {}

fn main() {
    client_triggers(general::Room, Ping);
    client_triggers(general::Room, Notice);
}
