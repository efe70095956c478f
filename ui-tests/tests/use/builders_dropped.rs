#![deny(unused_must_use)]

use dialogue::{App, Cors, Dialogue, EventConfig, RoomConfig, store::Memory};

pub fn set_up<A: App>(app: A) {
    Dialogue::builder(app).publish_contract(false);
    Cors::any().credentials(true);
    Memory::new().bytes(1 << 20);
    RoomConfig::new("Game").max_size(4);
    EventConfig::new("roll").history(10);
}

fn main() {}
