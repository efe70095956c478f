//! What an app offers its clients, for programs to read.

mod asyncapi;
mod hash;

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::get,
};
use dialogue::{
    App, Contract, Deny, Dialogue, Direction, Event, Handshake,
    auth::{ClaimedUser, TrustClientUserId},
};
use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use validator::Validate;

use crate::{
    peer::Peer,
    polling::fetch,
    server::{Server, unpaced},
};

/// What is in a parcel.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Item {
    item_name: String,
    parts: Vec<Item>,
}

/// A parcel on its way.
#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(rename_all = "camelCase")]
#[event(name = "parcel", history = 20, rate = "10/s")]
struct Parcel {
    /// Where it goes.
    #[validate(length(min = 1, max = 80))]
    to: String,
    #[serde(default)]
    urgent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    items: BTreeMap<String, Item>,
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Arrived;

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Welcome {
    to: String,
}

/// Where parcels are.
#[dialogue::room(
    "depot:{depot_id}:{shelf}",
    name = "Depot",
    events(Parcel),
    server_events(Arrived),
    subscribe(Arrived),
    sync_history = 5,
    max_size = 9,
    create = "explicit"
)]
mod depot {
    #[derive(Clone)]
    pub struct Room {
        pub depot_id: u32,
        pub shelf: String,
    }
}

#[dialogue::room("street", events(any), subscribe(all), sync_history = all)]
mod street {}

struct Post;

#[dialogue::app(rooms(depot, street), direct(Welcome))]
impl App for Post {
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

fn json(contract: &Contract) -> Value {
    serde_json::from_str(&contract.to_string()).unwrap()
}

#[test]
fn it_holds_rooms_with_their_parameters_and_limits() {
    let contract = json(&Contract::of::<Post>());
    assert_eq!(contract["protocol"], 1);
    assert_eq!(contract["schemaDialect"], "http://json-schema.org/draft-07/schema#");
    assert_eq!(
        [&contract["name"], &contract["version"]],
        ["dialogue-rt", env!("CARGO_PKG_VERSION")]
    );
    let mut depot = contract["rooms"][0].clone();
    depot.as_object_mut().unwrap().remove("events");
    assert_eq!(
        depot,
        json!({
            "pattern": "depot:{depotId}:{shelf}",
            "parameters": ["depotId", "shelf"],
            "name": "Depot",
            "description": "Where parcels are.",
            "anyEvent": false,
            "subscriptions": ["arrived"],
            "syncHistory": 5,
            "maxSize": 9,
            "explicit": true,
        })
    );
    assert_eq!(
        contract["rooms"][1],
        json!({
            "pattern": "street",
            "parameters": [],
            "events": [],
            "anyEvent": true,
            "subscriptions": ["*"],
            "syncHistory": "all",
            "explicit": false,
        })
    );
}

#[test]
fn it_tells_what_is_sent_from_what_is_received() {
    let contract = Contract::of::<Post>();
    let [parcel, arrived] = &*contract.rooms[0].events else { panic!("{contract}") };
    assert_eq!((&*parcel.name, parcel.direction), ("parcel", Direction::Both));
    assert_eq!(parcel.description.as_deref(), Some("A parcel on its way."));
    let wire = serde_json::to_value(parcel).unwrap();
    assert_eq!(
        [&wire["history"], &wire["rate"]],
        [&json!(20), &json!({ "everyMs": 100.0, "burst": 10 })]
    );

    let sent = parcel.sent.as_ref().unwrap().as_value();
    let received = parcel.received.as_value();
    assert_eq!(sent["required"], json!(["to", "items"]));
    assert_eq!(received["required"], json!(["to", "urgent", "items"]));
    assert_eq!(sent["properties"]["to"]["maxLength"], 80);
    assert_eq!(sent["properties"]["to"]["description"], "Where it goes.");
    assert_eq!(sent["definitions"]["Item"]["required"], json!(["itemName", "parts"]));
    assert!(sent.get("$schema").is_none());

    assert_eq!((&*arrived.name, arrived.direction), ("arrived", Direction::FromServer));
    assert!(arrived.sent.is_none() && arrived.history.is_none());
    let [welcome] = &*contract.direct else { panic!("{contract}") };
    assert_eq!((&*welcome.name, welcome.direction), ("welcome", Direction::FromServer));
}

#[test]
fn it_says_what_failures_look_like() {
    let contract = json(&Contract::of::<Post>());
    let failure = &contract["failure"];
    assert_eq!(failure["required"], json!(["code", "message"]));
    let codes = failure["definitions"]["ErrorCode"]["oneOf"].as_array().unwrap();
    let full = codes.iter().find(|code| code["const"] == "ROOM_FULL").unwrap();
    assert_eq!(full["description"], "The room has as many members as it takes.");
}

#[tokio::test]
async fn it_is_served_to_anybody() {
    let server = Server::start(Post).await;
    let (head, body) = fetch(server.address, "/dialogue/contract.json", "").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/json"), "{head}");
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), json(server.dialogue.contract()));
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let known = format!("if-none-match: {tag}\r\n");
    let (head, _) = fetch(server.address, "/dialogue/contract.json", &known).await;
    assert!(head.starts_with("HTTP/1.1 304"), "{head}");

    let (head, body) = fetch(server.address, "/dialogue/asyncapi.json", "").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let document = serde_json::from_str::<Value>(&body).unwrap();
    assert_eq!(document, server.dialogue.contract().asyncapi());
}

#[tokio::test]
async fn unpublished_its_paths_are_the_apps() {
    let builder = || Dialogue::builder(Post).limits(unpaced()).publish_contract(false);
    let server = Server::built(builder(), Router::new()).await;
    for path in ["/dialogue/contract.json", "/dialogue/asyncapi.json"] {
        let (head, _) = fetch(server.address, path, "").await;
        assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    }

    let dialogue = builder().build().await.unwrap();
    let routes = Router::new()
        .route("/dialogue/contract.json", get(own_contract))
        .route("/dialogue/asyncapi.json", get(own_asyncapi))
        .with_state(dialogue.clone());
    let server = Server::serving(dialogue, routes).await;
    let contract = server.dialogue.contract();
    for (path, document) in [
        ("/dialogue/contract.json", json(contract)),
        ("/dialogue/asyncapi.json", contract.asyncapi()),
    ] {
        let (head, _) = fetch(server.address, path, "").await;
        assert!(head.starts_with("HTTP/1.1 403"), "{head}");
        let (_, body) = fetch(server.address, path, "x-secret: 1\r\n").await;
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), document);
    }
}

fn may_read(headers: &HeaderMap) -> Result<(), StatusCode> {
    headers.get("x-secret").map(drop).ok_or(StatusCode::FORBIDDEN)
}

async fn own_contract(
    State(post): State<Dialogue<Post>>,
    headers: HeaderMap,
) -> Result<Json<Contract>, StatusCode> {
    may_read(&headers)?;
    Ok(Json(post.contract().clone()))
}

async fn own_asyncapi(
    State(post): State<Dialogue<Post>>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    may_read(&headers)?;
    Ok(Json(post.contract().asyncapi()))
}

#[tokio::test]
async fn a_client_learns_that_it_was_built_with_another_one() {
    let server = Server::start(Post).await;
    let hash = server.dialogue.contract().hash.clone();
    let told = async |query: &str| {
        let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket{query}", server.address);
        let (mut socket, _) = connect_async(url).await.unwrap();
        socket.next().await.unwrap().unwrap();
        let mut peer = Peer::connect_on(socket, "").await.unwrap();
        peer.event().await.1["contract"].clone()
    };
    assert_eq!(told("&contract=0123").await, hash);
    assert_eq!(told(&format!("&contract={hash}")).await, Value::Null);
    assert_eq!(told("").await, Value::Null);
}
