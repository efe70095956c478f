//! The contract as an `AsyncAPI` document.

use super::{hash::first, *};

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
