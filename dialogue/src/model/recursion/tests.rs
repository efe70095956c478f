use serde_json::{Value, json};

use super::{MOST_VISITS, Reader, Recursion, TooMany};

/// How deep payloads of each schema may be, of 30 levels; what is wrong with it otherwise.
fn fits(schema: &Value) -> Result<usize, String> {
    let recursion = Recursion::of(schema, Reader::Validator)?;
    match recursion.check(30) {
        Ok(()) => Ok(30),
        Err(TooMany { fits, .. }) => Ok(fits),
    }
}

fn node(child: Value) -> Value {
    let mut node = json!({ "type": "object", "properties": {} });
    node["properties"]["child"] = child;
    node
}

fn me() -> Value {
    json!({ "$ref": "#" })
}

#[test]
fn schema_that_visits_values_once_per_level_fits_any_depth() {
    for (name, schema) in [
        ("a boolean", json!(true)),
        ("no recursion", json!({ "anyOf": [{ "type": "string" }, { "type": "object" }] })),
        ("a list", json!({ "anyOf": [{ "type": "null" }, node(me())] })),
        ("a list of its own type", node(me())),
        ("a tree of lists", json!({ "type": "array", "items": me() })),
        ("a tree by prefix", json!({ "prefixItems": [me()], "items": me() })),
        ("a tree by place", json!({ "items": [me()], "additionalItems": me() })),
        ("a tree of maps", json!({ "additionalProperties": me() })),
        (
            "a tree of named and other properties",
            json!({ "properties": { "a": me() }, "additionalProperties": me() }),
        ),
        (
            "any JSON",
            json!({ "anyOf": [
                { "type": "string" },
                { "type": "array", "items": me() },
                { "type": "object", "additionalProperties": me() },
            ] }),
        ),
        (
            "alternatives that go on in different properties",
            json!({ "anyOf": [
                { "properties": { "left": me() } },
                { "properties": { "right": me() } },
            ] }),
        ),
        (
            "a union beside the recursion",
            json!({ "allOf": [node(me()), { "anyOf": [{ "required": ["a"] }, { "maxProperties": 3 }] }] }),
        ),
        ("a negated list", json!({ "not": node(me()) })),
        (
            "a condition beside the recursion",
            json!({ "if": { "required": ["a"] }, "then": node(me()), "else": { "type": "string" } }),
        ),
        (
            "a definition",
            json!({ "$ref": "#/$defs/a%20b", "$defs": { "a b": node(json!({ "$ref": "#/$defs/a%20b" })) } }),
        ),
        ("an anchor", json!({ "$anchor": "n", "properties": { "child": { "$ref": "#n" } } })),
        (
            "an address",
            json!({ "$id": "https://x.org/n", "properties": { "child": { "$ref": "https://x.org/n" } } }),
        ),
        (
            "an address within",
            json!({ "$ref": "n", "$defs": { "n": { "$id": "n", "properties": { "child": me() } } } }),
        ),
        (
            "a dynamic anchor",
            json!({ "$dynamicAnchor": "n", "properties": { "child": { "$dynamicRef": "#n" } } }),
        ),
        (
            "a recursive anchor",
            json!({ "$recursiveAnchor": true, "properties": { "child": { "$recursiveRef": "#" } } }),
        ),
        ("recursion in data", json!({ "const": { "anyOf": [{ "$ref": "#" }, { "$ref": "#" }] } })),
    ] {
        assert_eq!(fits(&schema), Ok(30), "{name}: {schema}");
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn schema_whose_ways_part_and_meet_fits_few_levels() {
    let both = |keyword: &str| json!({ keyword: [node(me()), node(me())] });
    // One way becomes two in each level.
    let doubles = MOST_VISITS.ilog2() as usize;
    for (name, schema, levels) in [
        ("anyOf", both("anyOf"), doubles),
        ("oneOf", both("oneOf"), doubles),
        ("allOf", both("allOf"), doubles),
        ("if and then", json!({ "if": node(me()), "then": node(me()) }), doubles),
        ("if and else", json!({ "if": node(me()), "else": node(me()) }), doubles),
        (
            "then and a property",
            json!({ "then": node(me()), "properties": { "child": me() } }),
            doubles,
        ),
        (
            "not and a property",
            json!({ "not": node(me()), "properties": { "child": me() } }),
            doubles,
        ),
        (
            "dependentSchemas",
            json!({ "dependentSchemas": { "a": node(me()) }, "properties": { "child": me() } }),
            doubles,
        ),
        (
            "dependencies",
            json!({ "dependencies": { "a": node(me()), "b": ["c"] }, "properties": { "child": me() } }),
            doubles,
        ),
        (
            "patternProperties",
            json!({ "patternProperties": { "c": me() }, "properties": { "child": me() } }),
            doubles,
        ),
        (
            "additionalProperties",
            json!({ "anyOf": [{ "additionalProperties": me() }, { "properties": { "child": me() } }] }),
            doubles,
        ),
        ("contains", json!({ "items": me(), "contains": me() }), doubles),
        (
            "prefixItems",
            json!({ "anyOf": [{ "prefixItems": [true, me()] }, { "items": me() }] }),
            doubles,
        ),
        (
            "additionalItems",
            json!({ "anyOf": [{ "items": [true], "additionalItems": me() }, { "contains": me() }] }),
            doubles,
        ),
        (
            "unevaluatedProperties",
            json!({ "allOf": [node(me())], "unevaluatedProperties": false }),
            doubles,
        ),
        (
            "unevaluatedItems",
            json!({ "anyOf": [{ "prefixItems": [me()] }], "unevaluatedItems": { "type": "string" } }),
            doubles,
        ),
        (
            "$dynamicRef",
            json!({ "$dynamicAnchor": "n", "anyOf": [
                { "items": { "$dynamicRef": "#n" } },
                { "contains": { "$dynamicRef": "#n" } },
            ] }),
            doubles,
        ),
        (
            "$recursiveRef",
            json!({ "$recursiveAnchor": true, "anyOf": [
                { "items": { "$recursiveRef": "#" } },
                { "contains": { "$recursiveRef": "#" } },
            ] }),
            doubles,
        ),
        (
            "two levels a round",
            json!({ "anyOf": [
                node(json!({ "type": "array", "items": me() })),
                node(json!({ "type": "array", "items": me() })),
            ] }),
            2 * doubles,
        ),
        (
            "through a definition",
            json!({ "$ref": "#/$defs/n", "$defs": {
                "n": { "anyOf": [{ "$ref": "#/$defs/a" }, { "$ref": "#/$defs/b" }, { "type": "null" }] },
                "a": node(json!({ "$ref": "#/$defs/n" })),
                "b": node(json!({ "$ref": "#/$defs/n" })),
            } }),
            doubles,
        ),
        (
            "a tag that two alternatives share",
            json!({ "oneOf": [tagged("a"), tagged("a")] }),
            doubles,
        ),
        (
            "a tag that is not required",
            json!({ "oneOf": [
                { "properties": { "type": { "const": "a" }, "child": me() } },
                { "properties": { "type": { "const": "b" }, "child": me() } },
            ] }),
            doubles,
        ),
        (
            "four ways",
            json!({ "anyOf": [node(me()), node(me()), node(me()), node(me())] }),
            doubles / 2,
        ),
    ] {
        assert_eq!(fits(&schema), Ok(levels), "{name}: {schema}");
    }
}

fn tagged(tag: &str) -> Value {
    json!({
        "type": "object",
        "properties": { "type": { "const": tag }, "child": me() },
        "required": ["type"],
    })
}

#[test]
fn union_with_a_tag_fits_any_depth() {
    for keyword in ["anyOf", "oneOf"] {
        let schema = json!({ keyword: [tagged("a"), tagged("b"), { "type": "string" }] });
        let recursion = Recursion::of(&schema, Reader::Validator).unwrap();
        assert_eq!(recursion.check(30), Ok(()));
        assert_eq!(recursion.tagged(), [format!("/{keyword}")]);
    }
    let by_reference = json!({
        "oneOf": [{ "$ref": "#/$defs/a" }, { "$ref": "#/$defs/b" }],
        "$defs": { "a": tagged("a"), "b": tagged("b") },
    });
    assert_eq!(fits(&by_reference), Ok(30));
}

#[test]
fn schema_of_the_same_value_within_itself_is_refused() {
    for schema in [
        json!({ "anyOf": [{ "type": "string" }, { "$ref": "#" }] }),
        json!({ "$ref": "#" }),
        json!({ "$ref": "#/$defs/a", "$defs": { "a": { "allOf": [{ "$ref": "#" }] } } }),
    ] {
        let refused = fits(&schema).unwrap_err();
        assert!(refused.contains("refers to itself for one and the same value"), "{refused}");
    }
}

#[test]
fn reference_that_leads_nowhere_is_refused() {
    for to in
        ["#/$defs/none", "#none", "https://x.org/y", "http://json-schema.org/draft-07/schema#"]
    {
        let refused = fits(&json!({ "$ref": to })).unwrap_err();
        assert!(refused.contains(&format!("`{to}` leads nowhere")), "{refused}");
    }
}

#[test]
fn too_many_visits_are_told_with_the_schema_where_ways_part() {
    let schema = json!({
        "type": "object",
        "properties": { "page": { "$ref": "#/$defs/block" } },
        "$defs": {
            "block": { "anyOf": [node(json!({ "$ref": "#/$defs/list" })), node(json!({ "$ref": "#/$defs/list" }))] },
            "list": { "type": "array", "items": { "$ref": "#/$defs/block" } },
        },
    });
    let refused = Recursion::of(&schema, Reader::Validator).unwrap().check(30).unwrap_err();
    assert_eq!(refused.at, "#/$defs/block");
}
