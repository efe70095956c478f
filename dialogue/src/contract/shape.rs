//! What clients are built for, and nothing else of a contract.

use std::{collections::BTreeMap, fmt::Write as _};

use schemars::{
    Schema,
    transform::{Transform, transform_subschemas},
};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Contract, EventContract};
use crate::model::rules;

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
    Shape.transform(&mut schema);
    schema
}

/// Leaves of a schema what it admits, said in one way of the many that there are.
struct Shape;

impl Transform for Shape {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(schema) = schema.as_object_mut() else { return };
        for words in ["title", "description", "examples", "default", "deprecated"] {
            schema.remove(words);
        }
        rules::without_words(schema);
        // A reference that once had words beside it.
        if schema.len() == 1
            && let Some(Value::Array(all)) = schema.get_mut("allOf")
            && let [Value::Object(one)] = &mut all[..]
        {
            *schema = std::mem::take(one);
        }
        if let Some(value) = schema.remove("const") {
            schema.insert("enum".to_owned(), json!([value]));
        }
        for variants in ["oneOf", "anyOf"] {
            fold_texts(schema, variants);
        }
        // Of `anyOf`, the first that fits counts.
        for unordered in ["required", "enum", "oneOf", rules::KEYWORD] {
            if let Some(Value::Array(values)) = schema.get_mut(unordered) {
                values.sort_by_cached_key(Value::to_string);
            }
        }
        schema.sort_keys();
    }
}

/// Variants of an enum that are texts are one or several schemas, depending on which have words.
fn fold_texts(schema: &mut Map<String, Value>, keyword: &str) {
    let Some(Value::Array(variants)) = schema.get_mut(keyword) else { return };
    let is_text = |variant: &Value| match variant.as_object() {
        Some(fields) => {
            fields.len() == 2 && variant["type"] == "string" && variant["enum"].is_array()
        }
        None => false,
    };
    let Some(first) = variants.iter().position(is_text) else { return };
    let mut texts = Vec::new();
    variants.retain_mut(|variant| {
        let text = is_text(variant);
        if let Some(Value::Array(values)) = variant.get_mut("enum").filter(|_| text) {
            texts.append(values);
        }
        !text
    });
    texts.sort_by_cached_key(Value::to_string);
    let texts = json!({ "enum": texts, "type": "string" });
    variants.insert(first, texts);
    if schema.len() == 1
        && let Some(Value::Array(variants)) = schema.get_mut(keyword)
        && let [Value::Object(one)] = &mut variants[..]
    {
        *schema = std::mem::take(one);
    }
}
