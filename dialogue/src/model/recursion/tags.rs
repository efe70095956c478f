//! Which alternatives of a union a tag tells apart.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// How many references lead from an alternative to what it is.
const MOST_REFERENCES: usize = 16;

/// Whether serde reads the union as an `Option`: without trying.
pub(crate) fn is_option(schemas: &[Value]) -> bool {
    matches!(schemas, [some, none] if none["type"] == "null" && some["type"] != "null")
}

/// Which of the alternatives a tag tells apart: a property that they require, each with values of its
/// own. With two such properties, the validator looks at one of them, whichever it is.
pub(crate) fn tagged(root: &Value, schemas: &[Value]) -> Vec<bool> {
    let schemas: Vec<&Value> = schemas.iter().map(|schema| follow(root, schema)).collect();
    let properties = schemas.iter().filter_map(|schema| schema["properties"].as_object());
    let names: BTreeSet<&String> = properties.flat_map(Map::keys).collect();
    let pinned =
        |name: &&String| schemas.iter().filter(|of| values(of, name).is_some()).count() > 1;
    let mut tags = names.into_iter().filter(pinned);
    let none = || vec![false; schemas.len()];
    let (Some(tag), None) = (tags.next(), tags.next()) else { return none() };
    let values: Vec<_> = schemas.iter().map(|schema| values(schema, tag)).collect();
    let all: Vec<_> = values.iter().flatten().flatten().collect();
    let apart = all.iter().collect::<BTreeSet<_>>().len() == all.len();
    let required = |schema: &Value| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|name| name == tag))
    };
    if !apart {
        return none();
    }
    schemas.iter().zip(values).map(|(of, values)| values.is_some() && required(of)).collect()
}

/// The texts that a property may be.
fn values<'s>(schema: &'s Value, name: &str) -> Option<Vec<&'s str>> {
    let property = &schema["properties"][name];
    match &property["enum"] {
        Value::Array(values) => values.iter().map(Value::as_str).collect(),
        _ => property["const"].as_str().map(|value| vec![value]),
    }
}

/// What an alternative refers to, if it is nothing but a reference.
fn follow<'s>(root: &'s Value, mut schema: &'s Value) -> &'s Value {
    for _ in 0..MOST_REFERENCES {
        let Some(to) = schema["$ref"].as_str().and_then(|to| to.strip_prefix('#')) else { break };
        let Some(to) = root.pointer(to) else { break };
        schema = to;
    }
    schema
}
