//! What is wrong with a payload is told in the names on the wire, at every depth.

use std::collections::{BTreeMap, HashMap};

use dialogue::{Event, Issues, Payload};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use validator::{Validate, ValidationError, ValidationErrors};

#[derive(Debug, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(rename_all = "camelCase")]
#[validate(schema(function = "not_both"))]
struct Order {
    #[validate(length(min = 1, max = 5))]
    user_name: String,
    #[serde(rename = "in_reply_to")]
    #[validate(length(min = 1))]
    reply: Option<String>,
    #[validate(length(min = 1), nested)]
    line_items: Vec<Item>,
    #[validate(nested)]
    by_key: HashMap<String, Item>,
    #[validate(nested)]
    by_number: BTreeMap<u32, Item>,
    #[serde(flatten)]
    #[validate(nested)]
    page: Page,
    #[validate(nested)]
    folder_tree: Option<Box<Folder>>,
    #[validate(nested)]
    pair: [Item; 2],
    #[validate(custom(function = "odd"))]
    lucky_number: u32,
    #[validate(must_match(other = "user_name"))]
    again: String,
    #[serde(rename = "type")]
    #[validate(length(max = 3))]
    r#type: String,
    #[validate(nested)]
    shape: Shape,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Validate, Payload)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[validate(range(min = 1, exclusive_max = 100))]
    unit_price: u32,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Validate, Payload)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[validate(range(max = 100))]
    page_size: u32,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Validate, Payload)]
#[serde(rename_all = "camelCase")]
struct Folder {
    #[validate(length(min = 1))]
    folder_name: String,
    #[validate(nested)]
    child_folders: Vec<Folder>,
}

/// validator derives for structs alone; an enum implements it by hand.
#[derive(Debug, Serialize, Deserialize, JsonSchema, Payload)]
enum Shape {
    Circle { radius: f64 },
    Point,
}

impl Validate for Shape {
    fn validate(&self) -> Result<(), ValidationErrors> {
        let mut errors = ValidationErrors::new();
        if let Self::Circle { radius } = self
            && *radius <= 0.0
        {
            errors.add("radius", ValidationError::new("positive"));
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

fn odd(n: u32) -> Result<(), ValidationError> {
    let even = || ValidationError::new("odd").with_message("must be odd".into());
    if n % 2 == 1 { Ok(()) } else { Err(even()) }
}

fn not_both(order: &Order) -> Result<(), ValidationError> {
    if order.lucky_number == 7 { Err(ValidationError::new("not_seven")) } else { Ok(()) }
}

fn valid() -> Value {
    json!({
        "userName": "ann", "again": "ann", "lineItems": [{ "unitPrice": 1 }],
        "byKey": {}, "byNumber": {}, "pageSize": 1, "pair": [{ "unitPrice": 1 }, { "unitPrice": 1 }],
        "luckyNumber": 1, "type": "abc", "shape": "Point",
    })
}

fn with(changes: &Value) -> Value {
    let mut order = valid();
    order.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    order
}

fn issues_of<E: Event>(payload: &Value) -> Issues {
    E::parse(&payload.to_string()).map(drop).expect_err("an invalid payload")
}

fn paths(issues: &Issues) -> Vec<(&str, &str)> {
    issues.iter().map(|issue| (&*issue.path, &*issue.code)).collect()
}

#[test]
fn a_valid_payload_has_no_issues() {
    let order = Order::parse(&valid().to_string()).unwrap();
    assert!(order.check().is_ok());
}

#[test]
fn rules_are_told_with_paths_in_wire_names() {
    let issues = issues_of::<Order>(&with(&json!({
        "userName": "", "again": "", "in_reply_to": "",
        "lineItems": [{ "unitPrice": 1 }, { "unitPrice": 0 }],
        "byKey": { "fine": { "unitPrice": 1 }, "bad one": { "unitPrice": 100 } },
        "byNumber": { "1": { "unitPrice": 1 }, "20": { "unitPrice": 0 } },
        "pageSize": 101,
        "folderTree": {
            "folderName": "x",
            "childFolders": [{ "folderName": "", "childFolders": [] }],
        },
        "pair": [{ "unitPrice": 1 }, { "unitPrice": 0 }],
        "luckyNumber": 2,
        "type": "abcd",
        "shape": { "Circle": { "radius": -1.0 } },
    })));
    assert_eq!(
        paths(&issues),
        [
            ("byKey.bad one.unitPrice", "range"),
            ("byNumber.20.unitPrice", "range"),
            ("folderTree.childFolders[0].folderName", "length"),
            ("in_reply_to", "length"),
            ("lineItems[1].unitPrice", "range"),
            ("luckyNumber", "odd"),
            ("pageSize", "range"),
            ("pair[1].unitPrice", "range"),
            ("shape.radius", "positive"),
            ("type", "length"),
            ("userName", "length"),
        ]
    );
    let of = |path: &str| issues.iter().find(|issue| issue.path == path).unwrap();
    assert_eq!(of("lineItems[1].unitPrice").message, "must be at least 1 and less than 100");
    assert_eq!(of("luckyNumber").message, "must be odd");
    assert_eq!(of("shape.radius").message, "breaks the rule `positive`");
    assert_eq!(of("type").message, "must have a length of at most 3");
}

#[test]
fn rules_over_the_whole_payload_have_an_empty_path() {
    let issues = issues_of::<Order>(&with(&json!({ "luckyNumber": 7 })));
    assert_eq!(paths(&issues), [("", "not_seven")]);
}

/// Declares an event whose check runs the rules of what it holds.
macro_rules! holders {
    ($($(#[$attribute:meta])* $name:ident($held:ty))*) => {$(
        $(#[$attribute])*
        #[derive(Debug, Serialize, Deserialize, JsonSchema, Event)]
        struct $name($held);
    )*};
}

holders! {
    Held(Item)
    HeldList(Vec<Item>)
    HeldLists(Vec<Vec<Item>>)
    HeldMap(HashMap<String, Item>)
    HeldOrNot(Option<Item>)
    HeldFar(Box<Item>)
    HeldFarOrNot(Option<Box<Item>>)
    HeldFarList(Vec<Box<Item>>)
    HeldFixed(Box<[Item]>)
    HeldMaybes(Vec<Option<Item>>)
    HeldMapOrNot(Option<HashMap<u32, Item>>)
    HeldLetters(BTreeMap<char, [Item; 1]>)
    HeldWrapper(Wrapper)
    HeldGeneric(Around<Item>)
    Plain(u32)
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Payload)]
struct Wrapper(Item);

#[derive(Debug, Serialize, Deserialize, JsonSchema, Payload)]
struct Around<T: Payload>(T);

#[test]
fn a_newtype_has_the_rules_of_what_it_holds() {
    let bad = Item { unit_price: 0 };
    let good = Item { unit_price: 1 };
    let path = |issues: Result<(), Issues>| issues.expect_err("rules")[0].path.clone();
    assert_eq!(path(Held(bad.clone()).check()), "unitPrice");
    assert_eq!(path(HeldList(vec![good.clone(), bad.clone()]).check()), "[1].unitPrice");
    let lists = HeldLists(vec![vec![], vec![good.clone(), bad.clone()]]);
    assert_eq!(path(lists.check()), "[1][1].unitPrice");
    assert_eq!(path(HeldMap([("a".into(), bad.clone())].into()).check()), "a.unitPrice");
    assert_eq!(path(HeldOrNot(Some(bad.clone())).check()), "unitPrice");
    assert_eq!(path(HeldFar(Box::new(bad.clone())).check()), "unitPrice");
    let far = || Box::new(bad.clone());
    assert_eq!(path(HeldFarOrNot(Some(far())).check()), "unitPrice");
    assert_eq!(path(HeldFarList(vec![far()]).check()), "[0].unitPrice");
    assert_eq!(path(HeldFixed([bad.clone()].into()).check()), "[0].unitPrice");
    let maybes = HeldMaybes(vec![None, Some(bad.clone())]);
    assert_eq!(path(maybes.check()), "[1].unitPrice");
    let map = HeldMapOrNot(Some([(7, bad.clone())].into()));
    assert_eq!(path(map.check()), "7.unitPrice");
    let letters = HeldLetters([('a', [bad.clone()])].into());
    assert_eq!(path(letters.check()), "a[0].unitPrice");
    assert_eq!(path(HeldWrapper(Wrapper(bad.clone())).check()), "unitPrice");
    assert_eq!(path(HeldGeneric(Around(bad.clone())).check()), "unitPrice");
    assert!(HeldMaybes(vec![None]).check().is_ok() && HeldMapOrNot(None).check().is_ok());
    assert!(HeldOrNot(None).check().is_ok() && Held(good).check().is_ok());
    assert!(Plain(0).check().is_ok());
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
enum External {
    OfItem(Item),
    OfItems(Vec<Item>),
    OfFarItems(Option<Vec<Option<Box<Item>>>>),
    OfWrappers(BTreeMap<String, Wrapper>),
    OfEnum(Untagged),
    Plain(u32),
    Point,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Event)]
#[serde(tag = "kind", content = "body")]
enum Adjacent {
    OfItem(Item),
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Event)]
#[serde(tag = "kind")]
enum Internal {
    OfItem(Item),
    Point,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Event)]
#[serde(untagged)]
enum Untagged {
    OfItem(Item),
}

#[test]
fn a_variant_has_the_rules_of_what_it_holds() {
    let bad = || Item { unit_price: 0 };
    let path = |issues: Result<(), Issues>| issues.expect_err("rules")[0].path.clone();
    assert_eq!(path(External::OfItem(bad()).check()), "ofItem.unitPrice");
    assert_eq!(path(External::OfItems(vec![bad()]).check()), "ofItems[0].unitPrice");
    let far = External::OfFarItems(Some(vec![Some(Box::new(bad()))]));
    assert_eq!(path(far.check()), "ofFarItems[0].unitPrice");
    let wrappers = External::OfWrappers([("a".into(), Wrapper(bad()))].into());
    assert_eq!(path(wrappers.check()), "ofWrappers.a.unitPrice");
    assert_eq!(path(External::OfEnum(Untagged::OfItem(bad())).check()), "ofEnum.unitPrice");
    assert_eq!(path(Adjacent::OfItem(bad()).check()), "body.unitPrice");
    assert_eq!(path(Internal::OfItem(bad()).check()), "unitPrice");
    assert_eq!(path(Untagged::OfItem(bad()).check()), "unitPrice");
    assert!(External::Plain(0).check().is_ok() && External::Point.check().is_ok());
    assert!(Internal::Point.check().is_ok());
}

/// An enum without `Validate`: validator's `nested` does not take it.
#[derive(Debug, Serialize, Deserialize, JsonSchema, Payload)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Drawn {
    OfItem(Item),
    Named { first_item: Item, all_items: Option<Vec<Item>> },
    Two(u32, Item),
    Point,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Payload)]
struct Pair(Item, Box<Item>);

#[derive(Debug, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
struct Canvas {
    one_drawn: Drawn,
    all_drawn: Vec<Drawn>,
    by_key: HashMap<String, Option<Box<Drawn>>>,
    a_pair: Pair,
    #[serde(flatten)]
    in_place: Layer,
}

/// Its own rules run, and what validator knows nothing of.
#[derive(Debug, Serialize, Deserialize, JsonSchema, Payload)]
struct Layer {
    deep: Around<Drawn>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Validate, Event)]
struct Gallery {
    #[validate(nested)]
    rooms: Vec<Hall>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Validate, Payload)]
struct Hall {
    #[validate(range(min = 1))]
    number: u32,
    drawn: Drawn,
}

fn point() -> Value {
    json!("point")
}

fn canvas(changes: &Value) -> Value {
    let good = json!({ "unitPrice": 1 });
    let mut canvas = json!({
        "oneDrawn": point(), "allDrawn": [], "byKey": {}, "aPair": [good, good], "deep": point(),
    });
    canvas.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    canvas
}

#[test]
fn field_without_nested_has_the_rules_of_the_enum_or_newtype_it_holds() {
    let (bad, good) = (json!({ "unitPrice": 0 }), json!({ "unitPrice": 1 }));
    assert!(Canvas::parse(&canvas(&json!({})).to_string()).is_ok());
    for (changes, path) in [
        (json!({ "oneDrawn": { "ofItem": bad } }), "oneDrawn.ofItem.unitPrice"),
        (json!({ "allDrawn": [point(), { "two": [0, bad] }] }), "allDrawn[1].two[1].unitPrice"),
        (json!({ "byKey": { "a": { "ofItem": bad } } }), "byKey.a.ofItem.unitPrice"),
        (json!({ "aPair": [good, bad] }), "aPair[1].unitPrice"),
        (json!({ "deep": { "ofItem": bad } }), "deep.ofItem.unitPrice"),
    ] {
        let issues = issues_of::<Canvas>(&canvas(&changes));
        assert_eq!(paths(&issues), [(path, "range")], "{changes}");
    }
}

#[test]
fn variant_with_several_fields_has_the_rules_of_what_it_holds() {
    let (bad, good) = (json!({ "unitPrice": 0 }), json!({ "unitPrice": 1 }));
    let drawn = |drawn: Value| issues_of::<Canvas>(&canvas(&json!({ "oneDrawn": drawn })));
    let issues = drawn(json!({ "named": { "firstItem": bad, "allItems": null } }));
    assert_eq!(paths(&issues), [("oneDrawn.named.firstItem.unitPrice", "range")]);
    let issues = drawn(json!({ "named": { "firstItem": good, "allItems": [bad] } }));
    assert_eq!(paths(&issues), [("oneDrawn.named.allItems[0].unitPrice", "range")]);
    let issues = drawn(json!({ "two": [0, bad] }));
    assert_eq!(paths(&issues), [("oneDrawn.two[1].unitPrice", "range")]);
}

#[test]
fn enum_within_a_nested_struct_has_the_rules_of_what_it_holds() {
    let hall = |number: u32, price: u32| json!({ "rooms": [{ "number": number, "drawn": { "ofItem": { "unitPrice": price } } }] });
    assert!(Gallery::parse(&hall(1, 1).to_string()).is_ok());
    let path = |payload| issues_of::<Gallery>(&payload)[0].path.clone();
    assert_eq!(path(hall(1, 0)), "rooms[0].drawn.ofItem.unitPrice");
    assert_eq!(path(hall(0, 1)), "rooms[0].number");
}

#[test]
fn issues_of_what_is_held_are_in_order_and_short() {
    let list = |bad: usize| HeldList((0..bad).map(|_| Item { unit_price: 0 }).collect());
    let issues = list(11).check().unwrap_err();
    assert_eq!(issues.len(), 11);
    assert!(issues.is_sorted_by_key(|issue| &issue.path), "{issues}");
    let key = "k".repeat(100_000);
    let issues = HeldMap([(key, Item { unit_price: 0 })].into()).check().unwrap_err();
    assert!(issues[0].path.len() < 300 && issues[0].path.ends_with("k.unitPrice"), "{issues}");
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(transparent)]
struct Transparent {
    #[validate(nested)]
    item: Item,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Validate, Event)]
struct InPlace {
    #[serde(flatten)]
    #[validate(custom(function = "never"))]
    more: HashMap<String, u32>,
    #[validate(nested)]
    wrapped: Wrapped,
    #[validate(nested)]
    lists: Vec<Vec<Item>>,
}

/// A newtype with rules of its own by hand; the names are those of what it holds.
#[derive(Debug, Serialize, Deserialize, JsonSchema, Payload)]
struct Wrapped(Vec<Item>);

impl Validate for Wrapped {
    fn validate(&self) -> Result<(), ValidationErrors> {
        self.0.validate()
    }
}

fn never(_: &HashMap<String, u32>) -> Result<(), ValidationError> {
    Err(ValidationError::new("never"))
}

#[test]
fn what_has_no_name_on_the_wire_has_none_in_paths() {
    let bad = || Item { unit_price: 0 };
    assert_eq!(Transparent { item: bad() }.check().unwrap_err()[0].path, "unitPrice");
    let all = InPlace {
        more: HashMap::new(),
        wrapped: Wrapped(vec![bad()]),
        lists: vec![vec![], vec![bad()]],
    };
    assert_eq!(
        paths(&all.check().unwrap_err()),
        [("", "never"), ("lists[1][0].unitPrice", "range"), ("wrapped[0].unitPrice", "range")]
    );
}

#[test]
fn the_rejected_value_is_never_sent_back() {
    let payload =
        with(&json!({ "userName": "a secret", "again": "another secret", "type": "secret" }));
    let issues = issues_of::<Order>(&payload);
    assert_eq!(
        paths(&issues),
        [("again", "must_match"), ("type", "length"), ("userName", "length")]
    );
    assert!(!serde_json::to_string(&issues).unwrap().contains("secret"));
}

#[test]
fn what_does_not_decode_is_told_with_its_path() {
    for (changes, path, code) in [
        (json!({ "lineItems": [{ "unitPrice": "1" }] }), "lineItems[0].unitPrice", "invalid_type"),
        (json!({ "lineItems": [{}] }), "lineItems[0].unitPrice", "missing_field"),
        (json!({ "byKey": { "a": { "unitPrice": -1 } } }), "byKey.a.unitPrice", "invalid_value"),
        (json!({ "pair": [{ "unitPrice": 1 }] }), "pair", "invalid_length"),
        (json!({ "shape": "Square" }), "shape", "unknown_variant"),
        (
            json!({ "folderTree": { "folderName": "x" } }),
            "folderTree.childFolders",
            "missing_field",
        ),
        (json!({ "userName": null }), "userName", "invalid_type"),
    ] {
        let issues = issues_of::<Order>(&with(&changes));
        assert_eq!(paths(&issues), [(path, code)], "{changes}: {issues}");
        assert!(!issues[0].message.contains(" at line "), "{issues}");
    }
    for json in ["", "{", "[1", "{} {}", "nul"] {
        assert!(Order::parse(json).is_err(), "{json}");
    }
}

#[test]
fn a_long_value_does_not_come_back_in_the_message() {
    let issues = issues_of::<Order>(&with(&json!({ "luckyNumber": "x".repeat(100_000) })));
    assert!(issues[0].message.len() < 300, "{} bytes", issues[0].message.len());
    assert!(issues[0].message.ends_with("expected u32"), "{}", issues[0].message);
    let issues = issues_of::<Order>(&with(&json!({ "luckyNumber": "\u{1F980}".repeat(1_000) })));
    assert!(issues[0].message.ends_with("expected u32"), "{}", issues[0].message);
    let key = "k".repeat(100_000);
    for price in [json!(0), json!("0")] {
        let issues =
            issues_of::<Order>(&with(&json!({ "byKey": { key.clone(): { "unitPrice": price } } })));
        assert!(issues[0].path.len() < 300, "{} bytes", issues[0].path.len());
        assert!(issues[0].path.ends_with("unitPrice"), "{}", issues[0].path);
    }
}

#[derive(Serialize, Deserialize, JsonSchema, Validate, Payload)]
struct Part {
    #[validate(length(min = 1))]
    text: String,
}

#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
struct Many {
    #[validate(nested)]
    parts: Vec<Part>,
}

#[test]
fn rejection_tells_up_to_100_issues() {
    for (wrong, told) in [(99, 99), (100, 100), (5_000, 100)] {
        let payload = json!({ "parts": vec![json!({ "text": "" }); wrong] });
        let issues = issues_of::<Many>(&payload);
        assert_eq!(issues.len(), told);
        assert!(issues.iter().all(|issue| issue.code == "length"), "{issues}");
    }
}
