//! What an app offers its clients, for programs to read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU32, Ordering},
};

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
    assert_eq!([&contract["name"], &contract["version"]], ["dialogue", env!("CARGO_PKG_VERSION")]);
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

/// The same parcels, by other words, under other limits.
mod reworded {
    use super::{Deserialize, Event, Item, JsonSchema, Serialize, Validate};
    use std::collections::BTreeMap;

    #[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
    #[serde(rename_all = "camelCase")]
    #[event(name = "parcel", history = 7)]
    pub struct Package {
        #[validate(length(min = 1, max = 80))]
        to: String,
        /// At once.
        #[serde(default)]
        urgent: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        items: BTreeMap<String, Item>,
    }
}

/// The same, but a rule.
mod roomier {
    use super::{Deserialize, Event, Item, JsonSchema, Serialize, Validate};
    use std::collections::BTreeMap;

    #[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
    #[serde(rename_all = "camelCase")]
    #[event(name = "parcel", history = 20)]
    pub struct Parcel {
        #[validate(length(min = 1, max = 81))]
        to: String,
        #[serde(default)]
        urgent: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        items: BTreeMap<String, Item>,
    }
}

/// Parcels with a rule that JSON Schema cannot say, with one in other words, and without.
mod ruled {
    use super::{Deserialize, Event, JsonSchema, Serialize, Validate};

    #[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
    pub struct Parcel {
        #[validate(non_control_character)]
        to: String,
    }

    #[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
    #[event(name = "parcel")]
    pub struct Reworded {
        #[validate(non_control_character(message = "only what can be printed"))]
        to: String,
    }

    #[derive(Serialize, Deserialize, JsonSchema, Event)]
    #[event(name = "parcel")]
    pub struct Unruled {
        to: String,
    }
}

/// An app with a room of parcels.
macro_rules! post {
    ($module:ident, $event:ty) => {
        mod $module {
            use super::*;

            #[dialogue::room("street", events($event), server_events(Arrived))]
            pub mod street {}
            #[dialogue::room("attic", events(Arrived))]
            pub mod attic {}

            pub struct Post;

            #[dialogue::app(rooms(street, attic))]
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
        }
    };
}

post!(first, Parcel);
post!(second, reworded::Package);
post!(third, roomier::Parcel);
post!(ruled_post, ruled::Parcel);
post!(reworded_post, ruled::Reworded);
post!(unruled_post, ruled::Unruled);

#[test]
fn its_hash_changes_with_the_shape_alone() {
    let hashes = [
        Contract::of::<first::Post>().hash,
        Contract::of::<second::Post>().hash,
        Contract::of::<third::Post>().hash,
    ];
    assert!(hashes.iter().all(|hash| hash.len() == 32), "{hashes:?}");
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], hashes[2]);
    // The same wherever it is built: a change here makes all clients look out of date.
    assert_eq!(hashes[0], "1d7f5ffe8d2cd431cda1eaf5e7ae2f9e");
}

#[test]
fn its_hash_changes_with_rules_and_not_with_their_words() {
    let ruled = Contract::of::<ruled_post::Post>().hash;
    assert_eq!(ruled, Contract::of::<reworded_post::Post>().hash);
    assert_ne!(ruled, Contract::of::<unruled_post::Post>().hash);
}

/// An app with a room of one event, whose module and declaration are given.
macro_rules! town {
    ($town:ident, [$($room:tt)*], [$($direct:tt)*], $($event:item)*) => {
        mod $town {
            use super::*;

            $($event)*

            #[dialogue::room("square", $($room)*)]
            mod square {}

            pub struct Town;

            #[dialogue::app(rooms(square), direct($($direct)*))]
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
        }
    };
}

static CALLS: AtomicU32 = AtomicU32::new(0);

fn differs() -> u32 {
    CALLS.fetch_add(1, Ordering::Relaxed)
}

town! { plain, [events(Said)], [],
    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Mood { Calm, Merry }

    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Tone { Loud, Pitch(u8) }

    #[derive(Serialize, Deserialize, JsonSchema, Event)]
    #[event(history = 9)]
    struct Said {
        #[serde(default = "differs")]
        n: u32,
        mood: Mood,
        tone: Tone,
        other: Option<Tone>,
    }
}

town! { documented, [events(Said)], [],
    /// How it sounds.
    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Mood {
        /// Not at all merry.
        Calm,
        Merry,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Tone {
        /// Not at all soft.
        Loud,
        /// In hertz.
        Pitch(u8),
    }

    #[derive(Serialize, Deserialize, JsonSchema, Event)]
    #[event(history = 9)]
    struct Said {
        /// How many.
        #[serde(default = "differs")]
        n: u32,
        /// How it is meant.
        mood: Mood,
        /// How it sounds.
        #[deprecated]
        tone: Tone,
        /// Or so.
        other: Option<Tone>,
    }
}

town! { reordered, [events(Said)], [],
    #[derive(Serialize, Deserialize, JsonSchema, Event)]
    #[event(history = 7)]
    struct Said {
        other: Option<Tone>,
        tone: Tone,
        mood: Mood,
        #[serde(default = "differs")]
        n: u32,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Tone { Pitch(u8), Loud }

    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Mood { Merry, Calm }
}

town! { renamed, [events(Said)], [],
    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Temper { Calm, Merry }

    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Tone { Loud, Pitch(u8) }

    #[derive(Serialize, Deserialize, JsonSchema, Event)]
    #[event(history = 9)]
    struct Said {
        #[serde(default = "differs")]
        n: u32,
        mood: Temper,
        tone: Tone,
        other: Option<Tone>,
    }
}

#[test]
fn its_hash_is_the_same_at_every_start_and_in_whatever_words_and_order() {
    let plain = Contract::of::<plain::Town>().hash;
    assert_eq!(plain, Contract::of::<plain::Town>().hash);
    assert_eq!(plain, Contract::of::<documented::Town>().hash);
    assert_eq!(plain, Contract::of::<reordered::Town>().hash);
    // Generated types have the names of types.
    assert_ne!(plain, Contract::of::<renamed::Town>().hash);
}

macro_rules! said {
    ($town:ident, [$($room:tt)*], [$($direct:tt)*], $history:meta) => {
        town! { $town, [$($room)*], [$($direct)*],
            #[derive(Serialize, Deserialize, JsonSchema, Event)]
            #[$history]
            struct Said;
        }
    };
}

said!(ephemeral, [events(Said)], [], event());
said!(stored, [events(Said)], [], event(history = 1));
said!(one_way, [server_events(Said)], [], event());
said!(open, [events(Said, any)], [], event());
said!(with_direct, [events(Said)], [Welcome], event());

#[dialogue::room("square:{id}", events(Welcome))]
mod family {
    #[derive(Clone)]
    pub struct Room {
        pub id: u32,
    }
}

#[dialogue::room("square:{id}", events(Welcome), create = "explicit")]
mod explicit_family {
    #[derive(Clone)]
    pub struct Room {
        pub id: u32,
    }
}

macro_rules! families {
    ($town:ident, $room:ident) => {
        struct $town;

        #[dialogue::app(rooms($room))]
        impl App for $town {
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
    };
}

families!(Implicit, family);
families!(Explicit, explicit_family);

#[test]
fn its_hash_changes_with_what_clients_may_do() {
    let hashes = [
        Contract::of::<ephemeral::Town>().hash,
        Contract::of::<stored::Town>().hash,
        Contract::of::<one_way::Town>().hash,
        Contract::of::<open::Town>().hash,
        Contract::of::<with_direct::Town>().hash,
        Contract::of::<Implicit>().hash,
        Contract::of::<Explicit>().hash,
    ];
    let distinct: BTreeSet<&String> = hashes.iter().collect();
    assert_eq!(distinct.len(), hashes.len(), "{hashes:?}");
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

/// Types whose names a key of the document cannot have.
#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
struct Sizes {
    #[validate(nested)]
    size: Größe,
    #[validate(nested)]
    distance: Расстояние,
    #[validate(nested)]
    colour: Цвет,
}

macro_rules! nested {
    ($($name:ident)*) => {$(
        #[derive(Serialize, Deserialize, JsonSchema, Validate, dialogue::Payload)]
        struct $name {
            #[validate(range(exclusive_min = 0))]
            n: i32,
        }
    )*};
}

nested!(Größe Расстояние Цвет);

/// What may be nothing at all, and what may not.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Perhaps(Option<Größe>);

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Anything(Value);

#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[serde(untagged)]
enum Either {
    Several(Box<Either>),
    One(Größe),
    None,
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
enum Choice {
    Left,
    Right(Größe),
}

#[dialogue::room("площадь", events(Sizes, Perhaps, Anything, Either, Choice))]
mod plaza {}

struct World;

#[dialogue::app(rooms(plaza))]
impl App for World {
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

#[test]
fn types_may_have_names_in_any_script() {
    let contract = Contract::of::<World>();
    let sizes = contract.rooms[0].events[0].received.as_value();
    for name in ["Größe", "Расстояние", "Цвет"] {
        let n = &sizes["definitions"][name]["properties"]["n"];
        assert_eq!(n["exclusiveMinimum"], 0, "{sizes:#}");
    }
    let document = contract.asyncapi();
    assert!(references(&document, &document) > 10, "{document:#}");
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let with_n = schemas.values().filter(|schema| schema["properties"].get("n").is_some());
    assert!(with_n.count() >= 6, "{document:#}");
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    assert!(schemas.keys().all(|key| !key.is_empty() && key.chars().all(allowed)), "{schemas:?}");
}

/// How many references there are. Every one leads somewhere.
fn references(root: &Value, value: &Value) -> usize {
    match value {
        Value::Object(fields) => {
            let mut found = 0;
            if let Some(Value::String(to)) = fields.get("$ref") {
                let pointer = to.strip_prefix('#').unwrap();
                assert!(root.pointer(pointer).is_some(), "{to}");
                found += 1;
            }
            found + fields.values().map(|value| references(root, value)).sum::<usize>()
        }
        Value::Array(values) => values.iter().map(|value| references(root, value)).sum(),
        _ => 0,
    }
}

#[test]
fn as_asyncapi_all_references_hold() {
    let document = Contract::of::<Post>().asyncapi();
    assert!(references(&document, &document) > 10, "{document:#}");
    let channel = &document["channels"]["depot-depotId-shelf"];
    assert_eq!(channel["address"], "depot:{depotId}:{shelf}", "{document:#}");
}

#[test]
fn as_asyncapi_a_room_for_any_event_says_so_both_ways() {
    let document = Contract::of::<Post>().asyncapi();
    for (action, way) in [("receive", "trigger"), ("send", "event")] {
        let messages = &document["operations"][format!("street-{action}")]["messages"];
        assert_eq!(messages[0]["$ref"], format!("#/channels/street/messages/street-any-{way}"));
        let message = &document["components"]["messages"][format!("street-any-{way}")];
        let payload = &message["payload"]["properties"];
        assert_eq!(payload["event"], json!({ "type": "string" }), "{document:#}");
        assert_eq!(payload["data"], true);
    }
}

#[test]
fn as_asyncapi_triggers_are_answered() {
    let document = Contract::of::<Post>().asyncapi();
    let reply = &document["operations"]["depot-depotId-shelf-receive"]["reply"];
    assert_eq!(reply["channel"]["$ref"], "#/channels/acknowledgement", "{document:#}");
    let answers: Vec<&Value> = reply["messages"].as_array().unwrap().iter().collect();
    assert_eq!(answers.len(), 2);
    let refusal = &document["components"]["messages"]["refusal"]["payload"];
    assert_eq!(refusal["allOf"][0]["$ref"], "#/components/schemas/failure");
    let failure = &document["components"]["schemas"]["failure"];
    assert_eq!(failure["required"], json!(["code", "message"]));
    assert_eq!(document["operations"]["depot-depotId-shelf-send"]["reply"], Value::Null);
}

#[test]
fn as_asyncapi_it_says_what_else_the_contract_says() {
    let contract = Contract::of::<Post>();
    let document = contract.asyncapi();
    assert_eq!(
        document["info"]["x-dialogue"],
        json!({ "hash": contract.hash, "protocol": contract.protocol })
    );
    assert_eq!(
        document["channels"]["depot-depotId-shelf"]["x-dialogue"],
        json!({ "subscriptions": ["arrived"], "syncHistory": 5, "maxSize": 9, "explicit": true })
    );
    let messages = &document["components"]["messages"];
    assert_eq!(
        messages["depot-depotId-shelf-parcel-trigger"]["x-dialogue"],
        json!({ "history": 20, "rate": { "everyMs": 100.0, "burst": 10 } })
    );
}

#[test]
fn as_asyncapi_a_payload_that_may_be_null_may_be_left_out() {
    let required = |document: &Value, message: &str| {
        document["components"]["messages"][message]["payload"]["required"].clone()
    };
    let post = Contract::of::<Post>().asyncapi();
    let parcel = required(&post, "depot-depotId-shelf-parcel-trigger");
    assert_eq!(parcel, json!(["roomId", "event", "data"]));
    let first = Contract::of::<first::Post>().asyncapi();
    assert_eq!(required(&first, "attic-arrived-trigger"), json!(["roomId", "event"]));
    let world = Contract::of::<World>().asyncapi();
    for (event, optional) in
        [("perhaps", true), ("anything", true), ("either", true), ("choice", false)]
    {
        let required = required(&world, &format!("unnamed-{event}-trigger"));
        assert_eq!(required.as_array().unwrap().len() == 2, optional, "{event}: {required}");
    }
}
