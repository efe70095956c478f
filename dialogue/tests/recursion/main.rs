//! Small payloads that are meant to cost much, of recursive schemas and types. In a process of its own,
//! whose allocations are counted: what is allocated to check a payload, whether or not it is freed, bounds
//! both the memory and the time.
#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../it/peer.rs"]
mod peer;
#[path = "../it/server.rs"]
mod server;

use std::alloc::System;

use dialogue::{
    App, Deny, Event, EventConfig, Handshake, RoomConfig,
    auth::{ClaimedUser, TrustClientUserId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::sync::Mutex;

use crate::{peer::Peer, server::Server};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations are the process's: one test at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Twice {
    Left { children: Vec<Twice>, left: bool },
    Right { children: Vec<Twice>, right: bool },
    Leaf(String),
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[event(depth = 12)]
struct Untagged {
    held: Twice,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
enum Node {
    Left { children: Vec<Node> },
    Right { children: Vec<Node> },
    Leaf { text: String },
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Tagged {
    held: Node,
}

#[dialogue::room("hall", app = Town, events(Tagged))]
mod hall {}

struct Town;

#[dialogue::app(rooms(hall))]
impl App for Town {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(
        &self,
        who: TrustClientUserId,
        handshake: &Handshake,
    ) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }
}

/// A room of this configuration, and somebody in it.
async fn room(config: RoomConfig) -> (Server<Town>, Peer) {
    let server = Server::start(Town).await;
    server.dialogue.create_room("room", config).await.unwrap();
    let ann = server.join("ann", "room").await;
    (server, ann)
}

/// What is allocated, in bytes, until a payload is refused.
async fn cost(peer: &mut Peer, event: &str, data: &Value) -> usize {
    let before = ALLOCATOR.stats().bytes_allocated;
    let answer = peer.trigger("room", event, data.clone()).await;
    let allocated = ALLOCATOR.stats().bytes_allocated - before;
    assert_eq!(answer["code"], "VALIDATION_FAILED", "{answer}");
    println!("{event}: {allocated} bytes for {}", data.to_string().len());
    allocated
}

fn nested(rounds: usize, around: impl Fn(Value) -> Value, leaf: Value) -> Value {
    (0..rounds).fold(leaf, |held, _| around(held))
}

fn children(held: Value) -> Value {
    json!({ "children": vec![held] })
}

/// A schema of nodes whose children are nodes.
fn of_children(more: Value) -> Value {
    let mut schema = json!({
        "type": "object",
        "properties": { "children": { "type": "array", "items": { "$ref": "#" } } },
    });
    let (Value::Object(fields), Value::Object(more)) = (&mut schema, more) else { panic!() };
    for (name, value) in more {
        match fields.get_mut(&name) {
            Some(Value::Object(properties)) => {
                properties.extend(value.as_object().unwrap().clone());
            }
            _ => drop(fields.insert(name, value)),
        }
    }
    schema
}

fn tagged(tag: &str) -> Value {
    of_children(json!({ "properties": { "type": { "const": tag } }, "required": ["type"] }))
}

#[tokio::test]
async fn small_payload_of_a_recursive_schema_costs_little_memory() {
    let _alone = ALONE.lock().await;
    let (a, b) =
        (of_children(json!({ "required": ["a"] })), of_children(json!({ "required": ["b"] })));
    let next = json!({ "type": "object", "properties": { "next": { "$ref": "#" } } });
    for (event, schema, depth, data) in [
        (
            "list",
            json!({ "anyOf": [{ "type": "null" }, next] }),
            30,
            nested(30, |held| json!({ "next": held }), json!(1)),
        ),
        (
            "tags",
            json!({ "oneOf": [tagged("a"), tagged("b")] }),
            30,
            nested(15, children, json!(1)),
        ),
        ("any", json!({ "anyOf": [a, b] }), 12, nested(6, children, json!(1))),
        ("one", json!({ "oneOf": [a, b] }), 12, nested(6, children, json!(1))),
        (
            "all",
            json!({ "allOf": [of_children(json!({})), of_children(json!({}))] }),
            12,
            nested(6, children, json!(1)),
        ),
        (
            "if",
            json!({ "if": of_children(json!({})), "then": of_children(json!({})), "else": false }),
            12,
            nested(6, children, json!(1)),
        ),
        (
            "unevaluated",
            json!({ "anyOf": [of_children(json!({})), of_children(json!({}))], "unevaluatedProperties": false }),
            6,
            nested(3, children, json!(1)),
        ),
    ] {
        let event_config = EventConfig::new(event).schema(schema).depth(depth);
        let (_server, mut ann) = room(RoomConfig::new("Room").event_with(event_config)).await;
        cost(&mut ann, event, &data).await;
        let allocated = cost(&mut ann, event, &data).await;
        assert!(allocated <= 512 * 1_024, "{event}: {allocated} bytes");
    }
}

#[tokio::test]
async fn long_invalid_payload_costs_memory_by_its_length() {
    let _alone = ALONE.lock().await;
    let schema = json!({ "type": "array", "items": { "type": "string" } });
    let (_server, mut ann) = room(RoomConfig::new("Room").event_with_schema("list", schema)).await;
    let data = json!(vec![1; 300_000]);
    let allocated = cost(&mut ann, "list", &data).await;
    // Each value of two bytes is 32 in memory, in vectors that double.
    assert!(allocated <= 100 * data.to_string().len(), "{allocated} bytes");
}

#[tokio::test]
async fn payload_of_an_untagged_enum_costs_no_more_than_its_depth_allows() {
    let _alone = ALONE.lock().await;
    let (_server, mut ann) = room(RoomConfig::new("Room").event::<Untagged>()).await;
    let data = json!({ "held": nested(5, children, json!("x".repeat(10_000))) });
    let allocated = cost(&mut ann, "untagged", &data).await;
    assert!(allocated <= 512 * data.to_string().len(), "{allocated} bytes");
}

#[tokio::test]
async fn payload_of_a_tagged_enum_costs_by_its_length_and_depth() {
    let _alone = ALONE.lock().await;
    let (_server, mut ann) = room(RoomConfig::new("Room").event::<Tagged>()).await;
    let left = |held| json!({ "type": "Left", "children": [held] });
    let mut costs = Vec::new();
    for rounds in [7, 14] {
        let data = json!({ "held": nested(rounds, left, json!({ "type": "Leaf" })) });
        cost(&mut ann, "tagged", &data).await;
        costs.push(cost(&mut ann, "tagged", &data).await);
    }
    // Four times as much where each level copies the rest, and 128 times where each doubles it.
    assert!(costs[1] <= 8 * costs[0], "{costs:?}");
}
