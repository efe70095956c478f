//! The events, and values of each.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use dialogue::{Event, Payload};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use validator::{Validate, ValidateLength, ValidationError};

use crate::check;

/// Structs in structs, lists of them, and one that holds its own kind.
#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Nested {
    /// Where it begins.
    start_point: Point,
    #[validate(length(min = 1, max = 30))]
    other_points: Vec<Point>,
    tree: Tree,
    pair: (u8, String),
    corners: [i32; 3],
    tags: BTreeSet<String>,
}

/// A place.
#[derive(Serialize, Deserialize, JsonSchema, Payload)]
pub(crate) struct Point {
    x: f64,
    y: f64,
}

/// Branches.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Tree {
    label: String,
    branches: Vec<Tree>,
}

/// One of some words.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Colour {
    /// Like roses.
    DeepRed,
    SkyBlue,
}

/// An enum as serde writes it unless told otherwise.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Drawing {
    /// Around a place.
    Circle {
        centre: Point,
        radius: f64,
    },
    Line(Point, Point),
    Dot(Point),
    Blank,
}

/// An enum with its name inside.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Tagged {
    KeyDown { key_code: u32 },
    Moved(Point),
    Closed,
}

/// An enum with its name beside its content.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[serde(tag = "t", content = "c")]
pub(crate) enum Adjacent {
    Text(String),
    Number { value: i64 },
    Nothing,
}

/// An enum whose name is nowhere.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[serde(untagged)]
pub(crate) enum Either {
    Point(Point),
    Words(Vec<String>),
    Text(String),
}

/// What may be missing.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Optional {
    note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left_out: Option<Point>,
    #[serde(default)]
    count: u32,
    #[serde(default = "colour")]
    colour: Colour,
}

fn colour() -> Colour {
    Colour::SkyBlue
}

/// Maps.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
pub(crate) struct Maps {
    scores: BTreeMap<String, i32>,
    places: BTreeMap<String, Option<Point>>,
    anything: Value,
}

/// Names that differ from Rust's, some of them keywords of schemas.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "re:named")]
pub(crate) struct Renamed {
    #[serde(rename = "content-type")]
    kind: String,
    #[serde(rename = "$ref")]
    reference: String,
    #[serde(rename = "minItems")]
    least: u8,
    default: Point,
    properties: Vec<Point>,
}

/// Fields of another struct as its own, and all others.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
pub(crate) struct Flat {
    id: u64,
    #[serde(flatten)]
    at: Point,
    #[serde(flatten)]
    kind: Tagged,
}

/// Fields of its own, and any others.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
pub(crate) struct Extended {
    id: u64,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

/// Times.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
pub(crate) struct Meeting {
    at: DateTime<Utc>,
    day: NaiveDate,
}

/// No payload.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
pub(crate) struct Nothing;

/// A number.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
pub(crate) struct Count(u32);

/// A list.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
pub(crate) struct Path(Vec<Point>);

/// Rules that schemas cannot say.
#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(rename_all = "camelCase")]
#[validate(schema(function = consistent, message = "`low` is not above `high`"))]
pub(crate) struct Ruled {
    /// What to call it.
    #[validate(non_control_character, does_not_contain(pattern = "*/"))]
    name: String,
    #[validate(must_match(other = name, code = "repeat"))]
    name_again: String,
    #[validate(range(exclusive_min = 0.0))]
    low: f64,
    #[validate(custom(function = finite))]
    high: f64,
    /// Its type is not one whose length JSON Schema knows.
    #[validate(length(min = 1, max = 9))]
    word: Word,
    /// Where it is.
    #[validate(nested)]
    room: Option<Room>,
}

/// Several letters.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Word(String);

impl ValidateLength<u64> for Word {
    fn length(&self) -> Option<u64> {
        self.0.length()
    }
}

/// By its number.
#[derive(Serialize, Deserialize, JsonSchema, Validate, Payload)]
pub(crate) struct Room {
    #[validate(ip)]
    address: String,
}

fn consistent(ruled: &Ruled) -> Result<(), ValidationError> {
    if ruled.low <= ruled.high { Ok(()) } else { Err(ValidationError::new("consistent")) }
}

fn finite(number: f64) -> Result<(), ValidationError> {
    if number.is_finite() { Ok(()) } else { Err(ValidationError::new("finite")) }
}

/// What is called like another room's.
pub(crate) mod other {
    use super::*;

    /// Another kind of place.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct Point {
        pub(super) column: char,
        pub(super) row: u8,
    }

    /// Has no others.
    #[derive(Serialize, Deserialize, JsonSchema, Event)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct Nested {
        pub(super) point: Point,
    }
}

/// For one client.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
pub(crate) struct Letter {
    to: String,
    #[serde(default)]
    postscript: Vec<String>,
}

/// Every shape.
#[dialogue::room(
    "all",
    events(
        Nested, Drawing, Tagged, Adjacent, Either, Optional, Maps, Renamed, Flat, Extended,
        Meeting, Nothing, Count, Path, Ruled,
    )
)]
pub(crate) mod all {}

#[dialogue::room("strict:{of}:{the_kind}", events(other::Nested, any), server_events(Letter))]
pub(crate) mod strict {
    #[derive(Clone)]
    pub(crate) struct Room {
        pub(crate) of: String,
        pub(crate) the_kind: u8,
    }
}

/// Parses a value of a room's event, by its name.
pub(crate) fn parse(event: &str, json: &str) -> Result<(), String> {
    let check = match event {
        "nested" => check::<Nested>,
        "drawing" => check::<Drawing>,
        "tagged" => check::<Tagged>,
        "adjacent" => check::<Adjacent>,
        "either" => check::<Either>,
        "optional" => check::<Optional>,
        "maps" => check::<Maps>,
        "re:named" => check::<Renamed>,
        "flat" => check::<Flat>,
        "extended" => check::<Extended>,
        "meeting" => check::<Meeting>,
        "nothing" => check::<Nothing>,
        "count" => check::<Count>,
        "path" => check::<Path>,
        "ruled" => check::<Ruled>,
        "strict" => check::<other::Nested>,
        _ => return Err("no event is called so".to_owned()),
    };
    check(json)
}

/// Values as the server sends them.
pub(crate) fn values() -> serde_json::Result<BTreeMap<&'static str, Vec<Value>>> {
    let point = || Point { x: 0.5, y: -1.0 };
    let tree = Tree {
        label: "root".into(),
        branches: vec![Tree { label: "leaf".into(), branches: Vec::new() }],
    };
    let nested = Nested {
        start_point: point(),
        other_points: vec![point(), point()],
        tree,
        pair: (1, "two".into()),
        corners: [1, -2, 3],
        tags: BTreeSet::from(["a".to_owned()]),
    };
    let whole = Optional {
        note: Some("n".into()),
        left_out: Some(point()),
        count: 1,
        colour: Colour::DeepRed,
    };
    let bare = Optional { note: None, left_out: None, count: 0, colour: Colour::SkyBlue };
    let maps = Maps {
        scores: BTreeMap::from([("ann".to_owned(), 3)]),
        places: BTreeMap::from([("here".to_owned(), Some(point())), ("gone".to_owned(), None)]),
        anything: json!({ "a": [1, null, "x"] }),
    };
    let renamed = Renamed {
        kind: "text".into(),
        reference: "#/x".into(),
        least: 1,
        default: point(),
        properties: vec![point()],
    };
    let flat = |kind| Flat { id: 1, at: point(), kind };
    let extended = Extended { id: 1, others: BTreeMap::from([("more".to_owned(), json!([true]))]) };
    let meeting = Meeting { at: DateTime::UNIX_EPOCH, day: DateTime::UNIX_EPOCH.date_naive() };
    let ruled = Ruled {
        name: "n".into(),
        name_again: "n".into(),
        low: 0.5,
        high: 1.0,
        room: Some(Room { address: "10.0.0.1".into() }),
        word: Word("word".into()),
    };
    let values = [
        ("nested", vec![value(&nested)]),
        (
            "drawing",
            vec![
                value(&Drawing::Circle { centre: point(), radius: 2.0 }),
                value(&Drawing::Line(point(), point())),
                value(&Drawing::Dot(point())),
                value(&Drawing::Blank),
            ],
        ),
        (
            "tagged",
            vec![
                value(&Tagged::KeyDown { key_code: 13 }),
                value(&Tagged::Moved(point())),
                value(&Tagged::Closed),
            ],
        ),
        (
            "adjacent",
            vec![
                value(&Adjacent::Text("t".into())),
                value(&Adjacent::Number { value: -5 }),
                value(&Adjacent::Nothing),
            ],
        ),
        (
            "either",
            vec![
                value(&Either::Point(point())),
                value(&Either::Words(vec!["w".into()])),
                value(&Either::Text("t".into())),
            ],
        ),
        ("optional", vec![value(&whole), value(&bare)]),
        ("maps", vec![value(&maps)]),
        ("re:named", vec![value(&renamed)]),
        ("flat", vec![value(&flat(Tagged::KeyDown { key_code: 1 })), value(&flat(Tagged::Closed))]),
        ("extended", vec![value(&extended)]),
        ("meeting", vec![value(&meeting)]),
        ("nothing", vec![value(&Nothing)]),
        ("count", vec![value(&Count(7))]),
        ("path", vec![value(&Path(vec![point()]))]),
        ("ruled", vec![value(&ruled)]),
        ("strict", vec![value(&other::Nested { point: other::Point { column: 'c', row: 4 } })]),
        ("letter", vec![value(&Letter { to: "ann".into(), postscript: Vec::new() })]),
    ];
    let by_event = values
        .into_iter()
        .map(|(event, values)| Ok((event, values.into_iter().collect::<Result<_, _>>()?)));
    by_event.collect()
}

fn value(event: &impl Event) -> serde_json::Result<Value> {
    serde_json::to_value(event)
}
