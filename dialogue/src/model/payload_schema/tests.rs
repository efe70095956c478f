use serde_json::{Value, json, value::to_raw_value};

use super::PayloadSchema;

fn schema(json: Value) -> PayloadSchema {
    PayloadSchema::new(json).and_then(|schema| schema.within(32)).unwrap()
}

/// Path, code and message of each issue.
fn issues(schema: &PayloadSchema, payload: &Value) -> Vec<[String; 3]> {
    let payload = to_raw_value(payload).unwrap();
    let Err(issues) = schema.check(&payload) else { return Vec::new() };
    issues.iter().map(|of| [&*of.path, &of.code, &of.message].map(str::to_owned)).collect()
}

fn issue(path: &str, code: &str, message: &str) -> [String; 3] {
    [path, code, message].map(str::to_owned)
}

const ANY: &str = "must match one of the alternatives";
const ONE: &str = "must match exactly one of the alternatives";

#[test]
fn union_that_nothing_matches_is_one_issue_at_its_path() {
    let choice =
        json!({ "anyOf": [{ "type": "string" }, { "type": "object", "required": ["a"] }] });
    let one = json!({ "oneOf": [{ "type": "integer" }, { "minimum": 3 }] });
    let schema = schema(json!({
        "properties": {
            "list": { "items": { "$ref": "#/$defs/choice" } },
            "a/b~c d": choice,
            "one": one,
            "text": { "type": "string" },
        },
        "allOf": [{ "if": { "required": ["text"] }, "then": { "required": ["list"] } }],
        "$defs": { "choice": choice },
    }));
    let payload = json!({ "list": ["x", 1, { "b": 1 }], "a/b~c d": 1, "one": 4, "text": 1 });
    let mut found = issues(&schema, &payload);
    found.sort();
    assert_eq!(
        found,
        [
            issue("a/b~c d", "anyOf", ANY),
            issue("list[1]", "anyOf", ANY),
            issue("list[2]", "anyOf", ANY),
            issue("one", "oneOf", ONE),
            issue("text", "type", "value is not of type \"string\""),
        ]
    );
    let right = json!({ "list": ["x", { "a": 1 }], "a/b~c d": "x", "one": 1, "text": "x" });
    assert_eq!(issues(&schema, &right), Vec::<[String; 3]>::new());
}

#[test]
fn union_with_references_of_each_kind_is_one_issue() {
    for (name, wrong) in [
        (
            "a pointer",
            json!({ "anyOf": [{ "$ref": "#/$defs/t" }, { "type": "null" }], "$defs": { "t": { "type": "string" } } }),
        ),
        (
            "an anchor",
            json!({ "anyOf": [{ "$ref": "#t" }, { "type": "null" }], "$defs": { "t": { "$anchor": "t", "type": "string" } } }),
        ),
        (
            "an address",
            json!({
                "$id": "https://x.org/a",
                "anyOf": [{ "$ref": "https://x.org/a#/$defs/t" }, { "$ref": "#/$defs/t" }],
                "$defs": { "t": { "type": "string" } },
            }),
        ),
        (
            "draft 7",
            json!({
                "$schema": "http://json-schema.org/draft-07/schema#",
                "anyOf": [{ "$ref": "#/definitions/t" }, { "items": [{ "type": "null" }], "type": "array" }],
                "definitions": { "t": { "type": "string" } },
            }),
        ),
        (
            "a dynamic anchor",
            json!({ "$dynamicAnchor": "n", "anyOf": [
                { "type": "array", "items": { "$dynamicRef": "#n" } }, { "type": "string" },
            ] }),
        ),
        (
            "itself",
            json!({ "anyOf": [{ "type": "array", "items": { "$ref": "#" } }, { "type": "string" }] }),
        ),
        (
            "an alternative of another",
            json!({
                "anyOf": [{ "$ref": "#/properties/a/anyOf/0" }, { "type": "null" }],
                "properties": { "a": { "anyOf": [{ "type": "string" }] } },
            }),
        ),
    ] {
        let schema = schema(wrong);
        assert_eq!(issues(&schema, &json!(1)), [issue("", "anyOf", ANY)], "{name}");
        assert_eq!(issues(&schema, &json!("x")), Vec::<[String; 3]>::new(), "{name}");
    }
}

#[test]
fn payload_with_many_values_is_told_its_first_issue() {
    let schema = schema(json!({ "items": { "type": "string" } }));
    assert_eq!(issues(&schema, &json!(vec![1; 999])).len(), 100);
    assert_eq!(issues(&schema, &json!(vec![1; 1_000])).len(), 1);
}

#[test]
fn payload_deeper_than_the_event_says_is_an_issue() {
    let schema = PayloadSchema::new(json!({ "items": { "$ref": "#" } })).unwrap();
    let schema = schema.within(2).unwrap();
    assert_eq!(issues(&schema, &json!([[1]])), Vec::<[String; 3]>::new());
    let wrong = issues(&schema, &json!([[[1]]]));
    assert_eq!(wrong, [issue("", "depth", "nests deeper than 2 levels")]);
}

#[test]
fn schema_that_takes_too_long_is_refused_with_the_depth_that_fits() {
    let child = json!({ "properties": { "child": { "$ref": "#" } } });
    let doubling = json!({ "anyOf": [child, child] });
    let of = |depth| PayloadSchema::new(doubling.clone()).unwrap().within(depth);
    let refused = of(32).unwrap_err();
    assert!(refused.contains("parts of `#`") && refused.contains("to 6 levels"), "{refused}");
    assert!(of(7).is_err());
    assert!(of(6).is_ok());
}

#[test]
fn tagged_union_of_two_is_told_apart_by_its_tag() {
    let variant = |tag: &str| {
        json!({
            "type": "object",
            "properties": { "a": { "$ref": "#" }, "type": { "const": tag } },
            "required": ["type"],
        })
    };
    let schema = schema(json!({ "oneOf": [variant("x"), variant("y")] }));
    assert_eq!(issues(&schema, &json!({ "type": "x", "a": { "type": "y" } })).len(), 0);
    assert_eq!(issues(&schema, &json!({ "type": "z" })), [issue("", "oneOf", ONE)]);
    let unions = schema.json().get("oneOf").and_then(Value::as_array).unwrap();
    assert_eq!(unions.len(), 2, "the schema is shown as it was given");
}
