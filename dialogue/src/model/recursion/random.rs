//! Random schemas, and random paths through payloads.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::{MOST_VISITS, Reader, Recursion};

const DEPTH: usize = 30;

#[derive(Clone, Copy, Debug)]
enum Down {
    Child,
    Other,
    First,
    Second,
}

impl Down {
    const fn property(self) -> Option<&'static str> {
        match self {
            Self::Child => Some("child"),
            Self::Other => Some("other"),
            Self::First | Self::Second => None,
        }
    }

    /// A value with another at this place.
    fn around(self, held: &Value) -> Value {
        match self {
            Self::Child => json!({ "child": held }),
            Self::Other => json!({ "other": held }),
            Self::First => json!([held]),
            Self::Second => json!(["x", held]),
        }
    }
}

fn paths() -> impl Strategy<Value = Vec<Down>> {
    let down = prop_oneof![
        4 => Just(Down::Child),
        2 => Just(Down::First),
        1 => Just(Down::Other),
        1 => Just(Down::Second),
    ];
    // The same again and again is what attackers send.
    prop_oneof![
        vec(down.clone(), DEPTH),
        vec(down, 1..4).prop_map(|round| round.into_iter().cycle().take(DEPTH).collect()),
    ]
}

fn text() -> Value {
    json!({ "type": "string", "format": "visit" })
}

fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![2 => Just(json!({ "$ref": "#" })), 1 => Just(text())];
    leaf.prop_recursive(6, 24, 2, |held| {
        let two = (held.clone(), held.clone());
        let one = prop_oneof![
            held.clone().prop_map(|a| json!({ "properties": { "child": a } })),
            held.clone().prop_map(|a| json!({ "type": "array", "items": a })),
            held.clone().prop_map(|a| json!({ "additionalProperties": a })),
            held.prop_map(|a| json!({ "not": a })),
        ];
        let both = two.prop_flat_map(|(a, b)| {
            prop::sample::select(vec![
                json!({ "properties": { "child": a, "other": b } }),
                json!({ "properties": { "child": a }, "additionalProperties": b }),
                json!({ "prefixItems": [a], "items": b }),
                json!({ "items": a, "contains": b }),
                json!({ "anyOf": [a, b] }),
                json!({ "oneOf": [a, b] }),
                json!({ "allOf": [a, b] }),
                json!({ "if": a, "then": b }),
            ])
        });
        prop_oneof![2 => one, 3 => both]
    })
}

/// Schemas that read each path in one way.
fn trees() -> impl Strategy<Value = Value> {
    let held = Just(json!({ "$ref": "#" })).prop_union(Just(text()));
    let below = held.prop_recursive(5, 24, 2, |held| level(held).boxed());
    level(below)
}

fn level(held: impl Strategy<Value = Value> + Clone) -> impl Strategy<Value = Value> {
    (held.clone(), held.clone(), held).prop_flat_map(|(a, b, c)| {
        let object = json!({ "type": "object", "properties": { "child": a, "other": b } });
        let list = json!({ "type": "array", "items": c });
        prop::sample::select(vec![
            json!({ "anyOf": [{ "type": "null" }, object] }),
            json!({ "oneOf": [text(), list, object] }),
            json!({ "allOf": [object, { "required": ["child"] }], "maxProperties": 2 }),
            json!({ "properties": { "child": a }, "additionalProperties": b }),
            json!({ "prefixItems": [a, b], "items": c }),
            object,
            list,
        ])
    })
}

/// How often a check that remembers nothing and looks into everything comes to the value at the end of a
/// path from the one that holds it, or at the root.
fn visits(root: &Value, schema: &Value, path: &[Down], left: &mut u64) -> u64 {
    let Some(less) = left.checked_sub(1) else { return 0 };
    *left = less;
    let Some((down, rest)) = path.split_first() else { return 1 };
    let Value::Object(fields) = schema else { return 0 };
    let mut sum = 0;
    let mut properties = fields.get("properties").and_then(Value::as_object).into_iter().flatten();
    for (keyword, value) in fields {
        match (keyword.as_str(), value) {
            ("$ref", _) => sum += visits(root, root, path, left),
            ("anyOf" | "oneOf" | "allOf", Value::Array(all)) => {
                sum += all.iter().map(|schema| visits(root, schema, path, left)).sum::<u64>();
            }
            ("not" | "if" | "then", _) => sum += visits(root, value, path, left),
            _ => {}
        }
    }
    let mut into = |schema| sum += visits(root, schema, rest, left);
    if let Some(name) = down.property() {
        let named = properties.find(|(property, _)| *property == name).map(|(_, schema)| schema);
        named.or_else(|| fields.get("additionalProperties")).into_iter().for_each(into);
    } else {
        let prefix = fields.get("prefixItems").and_then(|prefix| prefix.get(0));
        let first = prefix.filter(|_| matches!(down, Down::First));
        first.or_else(|| fields.get("items")).into_iter().for_each(&mut into);
        fields.get("contains").into_iter().for_each(into);
    }
    sum
}

/// How many schemas there are in one.
fn size(schema: &Value) -> u64 {
    schema.to_string().matches('{').count() as u64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn tree_schema_fits_any_depth(schema in trees()) {
        let recursion = Recursion::of(&schema, Reader::Validator).unwrap();
        prop_assert_eq!(recursion.check(DEPTH), Ok(()), "{}", schema);
    }

    #[test]
    fn schema_that_fits_visits_no_value_too_often(schema in schemas(), path in paths()) {
        let Ok(recursion) = Recursion::of(&schema, Reader::Validator) else { return Ok(()) };
        let levels = match recursion.check(DEPTH) {
            Ok(()) => DEPTH,
            Err(too_many) => too_many.fits,
        };
        let path = &path[..levels];
        // Parts that lead to no recursion are as large as they are.
        let most = MOST_VISITS * size(&schema);
        let mut left = 200_000;
        let naive = visits(&schema, &schema, path, &mut left);
        prop_assert!(left > 0 && naive <= most, "{naive} of {most}: {schema}");

        let counted = Arc::new(AtomicU64::new(0));
        let counting = counted.clone();
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .with_format("visit", move |text: &str| {
                counting.fetch_add(u64::from(text == "leaf"), Ordering::Relaxed);
                false
            })
            .build(&schema)
            .unwrap();
        let _ = validator.is_valid(&path.iter().rev().fold(json!("leaf"), |held, down| down.around(&held)));
        let counted = counted.load(Ordering::Relaxed);
        // Each time, all that is checked of one and the same value.
        let most = most * size(&schema);
        prop_assert!(counted <= most, "{counted} of {most}: {schema}");
    }
}
