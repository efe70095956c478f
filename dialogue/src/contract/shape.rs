//! What clients are built for, and nothing else of a contract.

use std::{collections::BTreeMap, fmt::Write as _};

use schemars::{
    Schema,
    transform::{RecursiveTransform, Transform as _},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Contract, EventContract};
use crate::rules;

/// Half of a SHA-256: no accident makes two shapes alike.
const BYTES: usize = 16;

/// The same for two contracts of one shape, in whatever words and order.
pub(super) fn hash(contract: &Contract) -> String {
    let rooms = contract.rooms.iter().map(|room| {
        let events = events(&room.events);
        (
            &*room.pattern,
            json!({ "any": room.any_event, "explicit": room.explicit, "events": events }),
        )
    });
    let mut shape = json!({
        "protocol": contract.protocol,
        "rooms": rooms.collect::<BTreeMap<_, _>>(),
        "direct": events(&contract.direct),
    });
    // Whether maps are sorted anyway is a feature of a crate, which anybody may turn off.
    shape.sort_all_objects();
    let digest = Sha256::digest(shape.to_string());
    digest.iter().take(BYTES).fold(String::new(), |mut hash, byte| {
        // Writing to a string does not fail.
        let _ = write!(hash, "{byte:02x}");
        hash
    })
}

fn events(events: &[EventContract]) -> BTreeMap<&str, Value> {
    let shape = |event: &EventContract| {
        json!({
            "direction": event.direction,
            "stored": event.history.is_some(),
            "sent": event.sent.clone().map(without_words),
            "received": without_words(event.received.clone()),
        })
    };
    events.iter().map(|event| (&*event.name, shape(event))).collect()
}

fn without_words(mut schema: Schema) -> Schema {
    RecursiveTransform(|schema: &mut Schema| {
        for words in ["title", "description", "examples"] {
            schema.remove(words);
        }
        rules::without_words(schema);
    })
    .transform(&mut schema);
    schema
}
