//! The contract as an `AsyncAPI` 3 document.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{
    Schema,
    transform::{RecursiveTransform, Transform as _},
};
use serde_json::{Map, Value, json};

use super::{Contract, EventContract, RoomContract};
use crate::model::schema;

const VERSION: &str = "3.0.0";
const ABOUT: &str = "Rooms and events of a Dialogue server, over Socket.IO. \
    A message to a room is the Socket.IO event `dialogue:trigger`, one from a room `dialogue:event`, \
    after `dialogue:join`.";

/// From the server's point of view, as the specification wants it: what clients send, it receives.
pub(super) fn document(contract: &Contract) -> Value {
    let mut document = Document::default();
    let answers = document.answers(contract);
    for room in &contract.rooms {
        document.room(room, &answers);
    }
    document.direct(&contract.direct);
    let Document { channels, operations, messages, schemas, .. } = document;
    json!({
        "asyncapi": VERSION,
        "info": {
            "title": contract.name,
            "version": contract.version,
            "description": ABOUT,
            "x-dialogue": { "hash": contract.hash, "protocol": contract.protocol },
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "schemas": schemas },
    })
}

#[derive(Default)]
struct Document {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
    schemas: Map<String, Value>,
    keys: BTreeSet<String>,
}

/// Who sends a message.
#[derive(Clone, Copy)]
enum By {
    Client,
    Server,
    /// To one client, outside any room.
    ServerDirectly,
}

impl Document {
    /// What a trigger is answered; returns the reply of the operations that receive triggers.
    fn answers(&mut self, contract: &Contract) -> Value {
        let channel = self.key("acknowledgement");
        let failure = self.key("failure");
        let failure = self.schema(&failure, contract.failure.clone());
        let receipt = json!({
            "type": "object",
            "required": ["ok"],
            "properties": {
                "ok": { "const": true },
                "epoch": { "type": "string" },
                "seq": { "type": "integer" },
                "duplicate": { "const": true },
            },
        });
        let refusal = json!({
            "type": "object",
            "required": ["ok"],
            "properties": { "ok": { "const": false } },
            "allOf": [failure],
        });
        let answers = [("receipt", receipt), ("refusal", refusal)].map(|(name, payload)| {
            let key = self.key(name);
            let message = json!({ "name": name, "title": name, "payload": payload });
            self.messages.insert(key.clone(), message);
            key
        });
        let description = json!({
            // Socket.IO's acknowledgement of a message.
            "address": null,
            "title": "What a trigger is answered",
            "messages": references(&answers),
        });
        self.channels.insert(channel.clone(), description);
        on(&channel, &answers)
    }

    fn room(&mut self, room: &RoomContract, answers: &Value) {
        let channel = self.key(&room.pattern);
        let mut sent: Vec<String> = room
            .events
            .iter()
            .filter_map(|event| Some((event, event.sent.as_ref()?)))
            .map(|(event, payload)| self.message(&channel, event, payload, By::Client))
            .collect();
        let mut received: Vec<String> = room
            .events
            .iter()
            .map(|event| self.message(&channel, event, &event.received, By::Server))
            .collect();
        if room.any_event {
            sent.push(self.any(&channel, By::Client));
            received.push(self.any(&channel, By::Server));
        }
        let parameters: Map<String, Value> = room
            .parameters
            .iter()
            .map(|name| (name.clone(), json!({ "description": "Percent-encoded in the address." })))
            .collect();
        let wire = json!(room);
        let more = ["subscriptions", "syncHistory", "maxSize", "explicit"];
        let mut description = json!({
            "address": room.pattern,
            "title": room.name.unwrap_or(&room.pattern),
            "messages": references(sent.iter().chain(&received)),
            "x-dialogue": only(&wire, &more),
        });
        if let Some(text) = room.description {
            description["description"] = text.into();
        }
        if !parameters.is_empty() {
            description["parameters"] = parameters.into();
        }
        self.channels.insert(channel.clone(), description);
        self.operation("receive", &channel, &sent, Some(answers));
        self.operation("send", &channel, &received, None);
    }

    fn direct(&mut self, events: &[EventContract]) {
        if events.is_empty() {
            return;
        }
        let channel = self.key("direct");
        let sent: Vec<String> = events
            .iter()
            .map(|event| self.message(&channel, event, &event.received, By::ServerDirectly))
            .collect();
        let description = json!({
            // Each is a Socket.IO event of its own, to one connection.
            "address": null,
            "title": "To a single client",
            "messages": references(&sent),
        });
        self.channels.insert(channel.clone(), description);
        self.operation("send", &channel, &sent, None);
    }

    /// An operation of the server's, if there is anything to do.
    fn operation(
        &mut self,
        action: &str,
        channel: &str,
        messages: &[String],
        reply: Option<&Value>,
    ) {
        if messages.is_empty() {
            return;
        }
        let mut operation = on(channel, messages);
        operation["action"] = action.into();
        if let Some(reply) = reply {
            operation["reply"] = reply.clone();
        }
        self.operations.insert(format!("{channel}-{action}"), operation);
    }

    /// Adds a message and returns its key.
    fn message(
        &mut self,
        channel: &str,
        event: &EventContract,
        payload: &Schema,
        by: By,
    ) -> String {
        let key = self.key(&format!("{channel}-{}-{}", event.name, way(by)));
        let name = json!({ "const": event.name });
        let data = self.schema(&key, payload.clone());
        let mut message = json!({
            "name": event.name,
            "title": event.name,
            "payload": match by {
                By::Client => triggered(&name, &data, may_be_null(payload)),
                By::Server => broadcast(&name, &data),
                By::ServerDirectly => data,
            },
        });
        let more = only(&json!(event), &["history", "rate"]);
        if more != json!({}) {
            message["x-dialogue"] = more;
        }
        if let Some(text) = &event.description {
            message["description"] = text.as_str().into();
        }
        self.messages.insert(key.clone(), message);
        key
    }

    /// Adds a message of any event, which nobody validates, and returns its key.
    fn any(&mut self, channel: &str, by: By) -> String {
        let key = self.key(&format!("{channel}-any-{}", way(by)));
        let (name, data) = (json!({ "type": "string" }), json!(true));
        let payload = match by {
            By::Client => triggered(&name, &data, true),
            By::Server | By::ServerDirectly => broadcast(&name, &data),
        };
        let message = json!({ "title": "Any event, not validated", "payload": payload });
        self.messages.insert(key.clone(), message);
        key
    }

    /// Adds a schema, and those that it refers to; returns a reference to it.
    fn schema(&mut self, key: &str, mut schema: Schema) -> Value {
        let definitions = match schema.remove("definitions") {
            Some(Value::Object(definitions)) => definitions,
            _ => Map::new(),
        };
        let key_of = |name: &String| (name.clone(), self.key(&format!("{key}-{name}")));
        let keys: BTreeMap<String, String> = definitions.keys().map(key_of).collect();
        let mut place = RecursiveTransform(|schema: &mut Schema| {
            if let Some(Value::String(to)) = schema.get_mut("$ref") {
                let name = schema::definition_name(to);
                if let Some(key) = name.and_then(|name| keys.get(&name)) {
                    *to = format!("#/components/schemas/{key}");
                } else if to == "#" {
                    *to = format!("#/components/schemas/{key}");
                }
            }
        });
        place.transform(&mut schema);
        self.schemas.insert(key.to_owned(), schema.to_value());
        for (name, mut definition) in definitions {
            if let Ok(definition) = <&mut Schema>::try_from(&mut definition) {
                place.transform(definition);
            }
            if let Some(key) = keys.get(&name) {
                self.schemas.insert(key.clone(), definition);
            }
        }
        json!({ "$ref": format!("#/components/schemas/{key}") })
    }

    /// A key for something, as the specification lets keys be; another one each time.
    fn key(&mut self, name: &str) -> String {
        let word = match word(name) {
            nothing if nothing.is_empty() => "unnamed".to_owned(),
            word => word,
        };
        let others = (2..).map(|n| format!("{word}-{n}"));
        let free = std::iter::once(word.clone()).chain(others).find(|key| !self.keys.contains(key));
        let key = free.unwrap_or(word);
        self.keys.insert(key.clone());
        key
    }
}

/// A name as part of a key.
fn word(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

fn references<'a>(messages: impl IntoIterator<Item = &'a String>) -> Map<String, Value> {
    let reference = |key: &String| json!({ "$ref": format!("#/components/messages/{key}") });
    messages.into_iter().map(|key| (key.clone(), reference(key))).collect()
}

/// A channel and some of its messages.
fn on(channel: &str, messages: &[String]) -> Value {
    let reference =
        |message: &String| json!({ "$ref": format!("#/channels/{channel}/messages/{message}") });
    json!({
        "channel": { "$ref": format!("#/channels/{channel}") },
        "messages": messages.iter().map(reference).collect::<Vec<_>>(),
    })
}

/// What messages that are sent so are called.
fn way(by: By) -> &'static str {
    match by {
        By::Client => "trigger",
        By::Server | By::ServerDirectly => "event",
    }
}

/// Some fields of what the contract says, as far as it does.
fn only(wire: &Value, fields: &[&str]) -> Value {
    let given = |name: &&str| Some(((*name).to_owned(), wire.get(*name)?.clone()));
    fields.iter().filter_map(given).collect()
}

/// Whether a payload may be left out, which stands for `null`. For this alone, a validator would keep
/// every draft of JSON Schema in memory.
fn may_be_null(payload: &Schema) -> bool {
    admits_null(payload.as_value(), payload, &mut BTreeSet::new())
}

fn admits_null(schema: &Value, root: &Schema, seen: &mut BTreeSet<String>) -> bool {
    let Value::Object(schema) = schema else { return schema == true };
    schema.iter().all(|(keyword, value)| match (&**keyword, value) {
        ("type", Value::Array(kinds)) => kinds.iter().any(|kind| kind == "null"),
        ("type", kind) => kind == "null",
        ("const", only) => only.is_null(),
        ("enum", Value::Array(values)) => values.contains(&Value::Null),
        ("anyOf" | "oneOf", Value::Array(any)) => {
            any.iter().any(|schema| admits_null(schema, root, seen))
        }
        ("allOf", Value::Array(all)) => all.iter().all(|schema| admits_null(schema, root, seen)),
        ("$ref", Value::String(to)) => {
            let name = schema::definition_name(to).filter(|name| seen.insert(name.clone()));
            let definition = name.and_then(|name| root.get("definitions")?.get(name));
            definition.is_some_and(|definition| admits_null(definition, root, seen))
        }
        _ => true,
    })
}

/// `dialogue:trigger`.
fn triggered(event: &Value, payload: &Value, optional: bool) -> Value {
    let required: &[&str] =
        if optional { &["roomId", "event"] } else { &["roomId", "event", "data"] };
    json!({
        "type": "object",
        "required": required,
        "properties": {
            "roomId": { "type": "string" },
            "event": event,
            "data": payload,
            "meta": { "type": "object" },
            "key": { "type": "string", "minLength": 1, "maxLength": 128 },
        },
    })
}

/// `dialogue:event`.
fn broadcast(event: &Value, payload: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["event", "roomId", "data", "from", "timestamp"],
        "properties": {
            "event": event,
            "roomId": { "type": "string" },
            "data": payload,
            "from": { "type": "string" },
            "timestamp": { "type": "integer", "description": "Milliseconds since the Unix epoch." },
            "meta": { "type": "object" },
            "id": { "type": "string" },
            "epoch": { "type": "string" },
            "seq": { "type": "integer" },
            "prev": { "type": "integer" },
        },
    })
}
