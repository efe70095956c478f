//! What the examples take from clients: they are copied.
#![allow(dead_code, reason = "the examples' own programs use the rest")]

use dialogue::{App, Contract, Event};
use serde_json::{Value, json};

#[path = "../../../examples/chat/src/chat.rs"]
mod chat;
#[path = "../../../examples/authenticated/src/club.rs"]
mod club;
#[path = "../../../examples/rooms/src/lobby.rs"]
mod lobby;
#[path = "../../../examples/persistence/src/chat.rs"]
mod persistence;

/// The paths of the strings in a schema that may have any length.
fn unbounded(schema: &Value, path: &str, found: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            let is_string = match &fields.get("type") {
                Some(Value::Array(types)) => types.contains(&json!("string")),
                other => *other == Some(&json!("string")),
            };
            let bounds = ["maxLength", "enum", "const", "format"];
            if is_string && !bounds.iter().any(|bound| fields.contains_key(*bound)) {
                found.push(path.to_owned());
            }
            for (name, value) in fields {
                unbounded(value, &format!("{path}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for item in items {
                unbounded(item, path, found);
            }
        }
        _ => {}
    }
}

fn unbounded_of<A: App>() -> Vec<String> {
    let contract = serde_json::to_value(Contract::of::<A>()).unwrap();
    let mut found = Vec::new();
    // The rest is what the server itself says.
    unbounded(&contract["rooms"], "rooms", &mut found);
    unbounded(&contract["direct"], "direct", &mut found);
    found
}

#[test]
fn strings_of_the_examples_events_are_bounded() {
    let none: [String; 0] = [];
    assert_eq!(unbounded_of::<chat::Chat>(), none);
    assert_eq!(unbounded_of::<club::Club>(), none);
    assert_eq!(unbounded_of::<lobby::Lobby>(), none);
    assert_eq!(unbounded_of::<persistence::Chat>(), none);
    let mut found = Vec::new();
    unbounded(&json!({ "a": { "type": ["string", "null"] } }), "", &mut found);
    assert_eq!(found, ["/a"]);
}

/// Who wrote a message, `from` says, which the server proves.
#[test]
fn sender_that_a_message_claims_in_the_examples_goes_nowhere() {
    let claims = r#"{ "text": "hi", "senderId": "ann", "username": "ann", "from": "ann" }"#;
    let message = chat_protocol::Message::parse(claims).unwrap();
    assert_eq!(serde_json::to_value(message).unwrap(), json!({ "text": "hi", "replyTo": null }));
    let message = persistence::Message::parse(claims).unwrap();
    assert_eq!(serde_json::to_value(message).unwrap(), json!({ "text": "hi" }));
    let long = json!({ "text": "hi", "replyTo": "x".repeat(65) }).to_string();
    let issues = chat_protocol::Message::parse(&long).map(drop).unwrap_err();
    assert_eq!(issues[0].path, "replyTo");
}
