//! Rules of payloads in the contract, where schemars writes none.

use std::collections::BTreeMap;

use dialogue::{Event, Flow, Payload};
use jsonschema::draft7;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use validator::{Validate, ValidationError};

const LEAST: i64 = -3;

/// A rule of every kind.
#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(rename_all = "camelCase")]
#[validate(schema(function = whole, code = "sum"))]
struct Every {
    #[validate(range(exclusive_min = LEAST, exclusive_max = 5))]
    signed_number: Option<i64>,
    #[validate(range(min = 0.5, exclusive_max = 2.5))]
    real: f64,
    #[validate(range(exclusive_max = 9))]
    port: Port,
    #[validate(must_match(other = "second_word", code = "differs"))]
    first_word: String,
    /// The same again.
    second_word: String,
    #[validate(does_not_contain(pattern = "\"<"))]
    text: String,
    #[validate(non_control_character, length(max = 80))]
    line: String,
    #[validate(custom(function = "manners::polite", message = "be polite"), custom(function = calm))]
    words: Vec<String>,
    #[validate(nested)]
    items: Vec<Item>,
    #[validate(nested)]
    best: Option<Box<Item>>,
    #[validate(nested)]
    named: BTreeMap<String, Item>,
    #[validate(nested)]
    #[serde(flatten)]
    rest: Rest,
    #[serde(skip_serializing)]
    #[validate(does_not_contain(pattern = "x"))]
    secret: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Port(u16);

impl validator::ValidateRange<u16> for Port {
    fn greater_than(&self, max: u16) -> Option<bool> {
        Some(self.0 > max)
    }

    fn less_than(&self, min: u16) -> Option<bool> {
        Some(self.0 < min)
    }
}

/// It holds its own kind.
#[derive(Serialize, Deserialize, JsonSchema, Validate, Payload)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[validate(range(exclusive_min = 0))]
    unit_price: u32,
    #[validate(non_control_character)]
    label: String,
    #[validate(nested)]
    parts: Vec<Item>,
}

#[derive(Serialize, Deserialize, JsonSchema, Validate, Payload)]
struct Rest {
    #[validate(non_control_character)]
    #[serde(rename(serialize = "out", deserialize = "in"))]
    way: String,
}

/// What it holds has rules.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Around(Item);

/// Enums whose variants hold what has rules, as serde writes each.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
enum External {
    Nothing,
    TheItem(Item),
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum Internal {
    Nothing,
    TheItem(Item),
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Text(String),
    TheItem(Box<Item>),
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[serde(untagged)]
enum Untagged {
    Text(String),
    Several(BTreeMap<String, Item>),
}

/// A variant without a tag makes the whole another kind of schema.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
enum Mixed {
    Nothing,
    Tagged(Item),
    #[serde(untagged)]
    Untagged(Tool),
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[serde(tag = "kind")]
enum Strict {
    Tool(StrictTool),
}

#[derive(Serialize, Deserialize, JsonSchema, Validate, Payload)]
#[serde(deny_unknown_fields)]
struct StrictTool {
    #[validate(non_control_character)]
    label: String,
}

#[derive(Serialize, Deserialize, JsonSchema, Validate, Payload)]
struct Tool {
    #[validate(non_control_character)]
    label: String,
}

/// An enum that is nested beside what is nested elsewhere, too.
#[derive(Serialize, Deserialize, JsonSchema, Payload)]
#[serde(untagged)]
enum Either {
    Tool(Tool),
    Item(Box<Item>),
}

impl Validate for Either {
    fn validate(&self) -> Result<(), validator::ValidationErrors> {
        Ok(())
    }
}

#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
struct Beside {
    #[validate(nested)]
    first: Either,
    #[validate(nested)]
    tool: Tool,
    #[validate(nested)]
    last: Item,
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct AroundAnEnum(Either);

#[derive(Serialize, Deserialize, JsonSchema, Hash, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Left,
    Right,
}

macro_rules! maps {
    ($($name:ident($held:ty))*) => {$(
        #[derive(Serialize, Deserialize, JsonSchema, Event)]
        struct $name($held);
    )*};
}

maps! {
    ByNumber(BTreeMap<u32, Tool>)
    BySide(BTreeMap<Side, Tool>)
    ByText(Option<Vec<BTreeMap<String, Tool>>>)
}

/// Rules that schemars writes where it knows the type, and here it does not.
#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
struct Unknown {
    #[validate(range(min = 1, max = 9))]
    port: Port,
    #[validate(length(min = 1, max = 3))]
    map: BTreeMap<String, u8>,
    #[validate(length(equal = 2))]
    few: Option<BTreeMap<String, u8>>,
    #[validate(length(max = 4), contains(pattern = "a"), regex(path = *WORD))]
    word: Word,
    #[validate(length(min = 2, code = "few"), nested)]
    #[serde(flatten)]
    more: BTreeMap<String, Tool>,
}

/// In the place of the whole, and of a type of its own elsewhere.
#[derive(Serialize, Deserialize, JsonSchema, Validate, Payload)]
#[serde(transparent)]
struct Small {
    #[validate(range(max = 3))]
    port: Port,
}

#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
struct Ports {
    #[validate(nested)]
    small: Small,
    any: Port,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Word(String);

impl validator::ValidateLength<u64> for Word {
    fn length(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
}

impl validator::ValidateContains for Word {
    fn validate_contains(&self, needle: &str) -> bool {
        self.0.contains(needle)
    }
}

impl validator::ValidateRegex for Word {
    fn validate_regex(&self, regex: impl validator::AsRegex) -> bool {
        self.0.validate_regex(regex)
    }
}

#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
struct Hosts {
    #[validate(ip)]
    any: String,
    #[validate(ip(v4 = true))]
    four: String,
    #[validate(ip(v6 = true, message = "no IPv6"))]
    six: String,
}

/// What schemars writes by itself.
#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
struct Known {
    #[validate(length(min = 1, max = 9), contains(pattern = "a.b"))]
    text: String,
    #[validate(range(min = 1, max = 2))]
    number: u8,
    #[validate(email)]
    email: String,
    #[validate(url)]
    url: String,
    #[validate(regex(path = *WORD))]
    word: String,
    #[validate(required)]
    given: Option<bool>,
}

static WORD: std::sync::LazyLock<regex::Regex> =
    std::sync::LazyLock::new(|| regex::Regex::new("^[a-z]+$").unwrap());

mod manners {
    use super::ValidationError;

    #[allow(clippy::ptr_arg, reason = "validator calls it")]
    pub fn polite(words: &Vec<String>) -> Result<(), ValidationError> {
        if words.is_empty() { Err(ValidationError::new("curt")) } else { Ok(()) }
    }
}

#[allow(clippy::ptr_arg, reason = "validator calls it")]
fn calm(words: &Vec<String>) -> Result<(), ValidationError> {
    if words.len() > 9 { Err(ValidationError::new("long")) } else { Ok(()) }
}

fn whole(every: &Every) -> Result<(), ValidationError> {
    if every.words.is_empty() { Err(ValidationError::new("empty")) } else { Ok(()) }
}

fn schema<E: Event>(flow: Flow) -> Value {
    E::schema(flow).to_value()
}

#[test]
fn exclusive_bounds_are_keywords() {
    let schema = schema::<Every>(Flow::Sent);
    let number = &schema["properties"]["signedNumber"];
    assert_eq!([&number["exclusiveMinimum"], &number["exclusiveMaximum"]], [-3, 5]);
    let real = &schema["properties"]["real"];
    assert_eq!([&real["minimum"], &real["exclusiveMaximum"]], [0.5, 2.5]);
    let validator = |field: &str| {
        let schema = json!({
            "definitions": schema["definitions"],
            "allOf": [schema["properties"][field]],
        });
        draft7::new(&schema).unwrap()
    };
    let number = validator("signedNumber");
    assert!(number.is_valid(&json!(-2)) && number.is_valid(&json!(null)));
    assert!(!number.is_valid(&json!(-3)) && !number.is_valid(&json!(5)));
    // Beside a reference, nothing would count.
    let port = validator("port");
    assert!(port.is_valid(&json!(8)) && !port.is_valid(&json!(9)) && !port.is_valid(&json!("8")));
}

#[test]
fn what_json_schema_cannot_say_is_beside_it() {
    let schema = schema::<Every>(Flow::Sent);
    let rules = |field: &str| schema["properties"][field]["x-dialogue-rules"].clone();
    assert_eq!(
        rules("firstWord"),
        json!([{ "rule": "must_match", "code": "differs", "params": { "other": "secondWord" } }])
    );
    assert_eq!(rules("secondWord"), Value::Null);
    assert_eq!(
        rules("text"),
        json!([{ "rule": "does_not_contain", "params": { "needle": "\"<" } }])
    );
    assert_eq!(rules("line"), json!([{ "rule": "non_control_character" }]));
    assert_eq!(schema["properties"]["line"]["maxLength"], 80);
    assert_eq!(
        rules("words"),
        json!([
            { "rule": "custom", "name": "polite", "message": "be polite" },
            { "rule": "custom", "name": "calm" },
        ])
    );
    assert_eq!(
        schema["x-dialogue-rules"],
        json!([{ "rule": "schema", "name": "whole", "code": "sum" }])
    );
}

#[test]
fn rules_of_what_is_nested_are_written_once() {
    let schema = schema::<Every>(Flow::Sent);
    let item = &schema["definitions"]["Item"]["properties"];
    assert_eq!(item["unitPrice"]["exclusiveMinimum"], 0);
    assert_eq!(item["label"]["x-dialogue-rules"], json!([{ "rule": "non_control_character" }]));
    assert_eq!(
        schema["properties"]["in"]["x-dialogue-rules"],
        json!([{ "rule": "non_control_character" }])
    );
    let around = self::schema::<Around>(Flow::Sent);
    let price = around.pointer("/properties/unitPrice");
    let price = price.or(around.pointer("/definitions/Item/properties/unitPrice")).unwrap();
    assert_eq!(price["exclusiveMinimum"], 0, "{around:#}");
}

#[test]
fn rules_of_what_variants_hold_are_written() {
    let schemas = [External::schema, Internal::schema, Adjacent::schema, Untagged::schema];
    for schema in schemas {
        let schema = schema(Flow::Sent).to_value();
        let item = &schema["definitions"]["Item"]["properties"];
        assert_eq!(item["unitPrice"]["exclusiveMinimum"], 0, "{schema:#}");
    }
}

#[test]
fn rules_of_variants_are_found_in_every_kind_of_enum() {
    let label = |schema: &Value, at: &str| {
        let rules = format!("{at}/properties/label/x-dialogue-rules/0/rule");
        assert_eq!(schema.pointer(&rules).unwrap(), "non_control_character", "{schema:#}");
    };
    let mixed = schema::<Mixed>(Flow::Sent);
    label(&mixed, "/definitions/Item");
    label(&mixed, "/definitions/Tool");
    label(&schema::<Strict>(Flow::Sent), "/oneOf/0");
    let beside = schema::<Beside>(Flow::Received);
    label(&beside, "/definitions/Item");
    label(&beside, "/definitions/Tool");
    let around = schema::<AroundAnEnum>(Flow::Sent);
    label(&around, "/definitions/Item");
    label(&around, "/definitions/Tool");
}

#[test]
fn rules_of_what_is_in_maps_are_written_whatever_the_keys() {
    for schema in [ByNumber::schema, BySide::schema, ByText::schema] {
        let schema = schema(Flow::Sent).to_value();
        let label = &schema["definitions"]["Tool"]["properties"]["label"];
        assert_eq!(label["x-dialogue-rules"][0]["rule"], "non_control_character", "{schema:#}");
    }
}

#[test]
fn what_schemars_does_not_write_is_written() {
    let schema = schema::<Unknown>(Flow::Sent);
    let field = |name: &str| &schema["properties"][name];
    assert_eq!([&field("port")["minimum"], &field("port")["maximum"]], [1, 9], "{schema:#}");
    assert_eq!([&field("map")["minProperties"], &field("map")["maxProperties"]], [1, 3]);
    assert_eq!([&field("few")["minProperties"], &field("few")["maxProperties"]], [2, 2]);
    assert_eq!(
        field("word")["x-dialogue-rules"],
        json!([
            { "rule": "length", "params": { "max": 4 } },
            { "rule": "contains", "params": { "needle": "a" } },
            { "rule": "regex", "name": "WORD" },
        ])
    );
    // It is not about the other fields.
    assert_eq!(
        schema["x-dialogue-rules"],
        json!([{ "rule": "length", "code": "few", "params": { "min": 2 } }])
    );
    assert_eq!(schema["minProperties"], Value::Null);

    let ports = self::schema::<Ports>(Flow::Sent);
    assert_eq!(ports["properties"]["small"]["maximum"], 3, "{ports:#}");
    assert!(ports["definitions"]["Port"]["maximum"] != 3, "{ports:#}");
}

#[test]
fn addresses_have_the_formats_that_json_schema_knows() {
    let schema = schema::<Hosts>(Flow::Sent);
    let field = |name: &str| &schema["properties"][name];
    let formats = ["any", "four", "six"].map(|name| &field(name)["format"]);
    assert_eq!(formats, [&Value::Null, &json!("ipv4"), &json!("ipv6")]);
    assert_eq!(field("any")["x-dialogue-rules"], json!([{ "rule": "ip" }]));
    assert_eq!(field("six")["x-dialogue-rules"], Value::Null);
}

#[test]
fn fields_have_their_rules_whichever_way_they_go_and_whatever_they_are_called_there() {
    let (sent, received) = (schema::<Every>(Flow::Sent), schema::<Every>(Flow::Received));
    let rules = "x-dialogue-rules";
    assert_eq!(received["properties"]["out"][rules], sent["properties"]["in"][rules]);
    assert_eq!(received["properties"]["text"][rules], sent["properties"]["text"][rules]);
    assert_eq!(sent["properties"]["secret"][rules][0]["params"]["needle"], "x");
    assert_eq!(received["properties"]["secret"], Value::Null);
}

#[test]
fn what_schemars_writes_is_not_said_twice() {
    let schema = schema::<Known>(Flow::Sent);
    assert!(!schema.to_string().contains("x-dialogue-rules"), "{schema:#}");
    let field = |name: &str| &schema["properties"][name];
    assert_eq!(
        [&field("text")["minLength"], &field("text")["maxLength"], &field("number")["minimum"]],
        [1, 9, 1]
    );
    assert_eq!([&field("email")["format"], &field("url")["format"]], ["email", "uri"]);
    assert_eq!([&field("text")["pattern"], &field("word")["pattern"]], ["a\\.b", "^[a-z]+$"]);
    assert!(schema["required"].as_array().unwrap().contains(&json!("given")));
}
