//! What is wrong with a payload, in words.

use std::sync::Arc;

use jsonschema::{
    Keyword, Registry, ValidationError, Validator,
    paths::{Location, LocationSegment},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::compiled::options;
use crate::{Issues, model::issues};

/// How many issues of one payload are told.
const MOST_ISSUES: usize = 100;

/// How many values a payload may have for all its issues to be told. The validator collects an error for
/// each value before the first one can be told, at 300 bytes for a value of two.
const MOST_VALUES: usize = 1_000;

/// The keywords of unions. Their errors hold those of every alternative, which hold those of every
/// alternative within: twice as many with each level of the payload.
const UNIONS: [&str; 2] = ["anyOf", "oneOf"];

/// The address of a schema in the schemas of its unions.
const ADDRESS: &str = "urn:dialogue:schema";

/// What a pointer may have in an address.
const POINTER: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'~').remove(b'-').remove(b'_').remove(b'.');

/// Says why a payload is invalid, without looking into unions.
pub(crate) enum Explainer {
    /// The validator of a schema that has no unions.
    Plain,
    /// A validator whose unions have no errors of alternatives.
    Apart(Box<Validator>),
    /// There is none for this schema.
    None,
}

impl Explainer {
    pub(crate) fn new(schema: &Value) -> Self {
        if !has_unions(schema) {
            return Self::Plain;
        }
        let root = Arc::new(schema.clone());
        let mut options = options();
        for keyword in UNIONS {
            let root = root.clone();
            options =
                options.with_keyword(keyword, move |_: &Map<_, _>, value: &Value, at: Location| {
                    let union = Union::new(&root, keyword, value, &at);
                    let union = union.map(|union| Box::new(union) as Box<dyn for<'i> Keyword<'i>>);
                    union.map_err(|error| ValidationError::custom(error.to_string()))
                });
        }
        options.build(schema).map_or(Self::None, |validator| Self::Apart(Box::new(validator)))
    }

    pub(crate) fn explain(&self, validator: &Validator, payload: &Value) -> Issues {
        let explaining = match self {
            Self::Plain => validator,
            Self::Apart(validator) => validator,
            Self::None => return generic(),
        };
        let errors: Vec<_> = if has_more_values_than(payload, &mut MOST_VALUES.clone()) {
            explaining.validate(payload).err().into_iter().collect()
        } else {
            explaining.iter_errors(payload).take(MOST_ISSUES).collect()
        };
        if errors.is_empty() {
            return generic();
        }
        let issue = |error: &ValidationError<'_>| (path(error), keyword(error), message(error));
        issues::of_schema(errors.iter().map(issue))
    }
}

fn generic() -> Issues {
    let message = "value does not match its schema".to_owned();
    issues::of_schema(std::iter::once((String::new(), "schema".to_owned(), message)))
}

/// A union that is valid or is not.
struct Union {
    validator: Validator,
    message: &'static str,
}

impl Union {
    /// The union at a pointer of a schema, whose references are its own.
    fn new(
        root: &Value,
        keyword: &'static str,
        schemas: &Value,
        at: &Location,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let at = at.as_str();
        let message = match keyword {
            "oneOf" => "must match exactly one of the alternatives",
            _ => "must match one of the alternatives",
        };
        let count = schemas.as_array().map_or(0, Vec::len);
        if root.pointer(at) != Some(schemas) {
            return Err("the union is not where it is said to be".into());
        }
        let registry = Registry::new().add(ADDRESS, root.clone())?.prepare()?;
        let at = utf8_percent_encode(at, POINTER);
        let alternatives = (0..count).map(|n| json!({ "$ref": format!("{ADDRESS}#{at}/{n}") }));
        let mut schema = json!({ keyword: alternatives.collect::<Value>() });
        if let Some(draft) = root.get("$schema") {
            schema["$schema"] = draft.clone();
        }
        let validator = options().with_registry(&registry).build(&schema)?;
        Ok(Self { validator, message })
    }
}

impl<'i> Keyword<'i> for Union {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        if self.validator.is_valid(instance) {
            return Ok(());
        }
        Err(ValidationError::custom(self.message))
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        self.validator.is_valid(instance)
    }
}

/// Whether a union may be anywhere in a schema.
fn has_unions(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| UNIONS.contains(&name.as_str()) || has_unions(value))
        }
        Value::Array(items) => items.iter().any(has_unions),
        _ => false,
    }
}

fn has_more_values_than(payload: &Value, left: &mut usize) -> bool {
    if *left == 0 {
        return true;
    }
    *left -= 1;
    match payload {
        Value::Array(items) => items.iter().any(|item| has_more_values_than(item, left)),
        Value::Object(fields) => fields.values().any(|value| has_more_values_than(value, left)),
        _ => false,
    }
}

/// `/lineItems/0/unitPrice` as everywhere else: `lineItems[0].unitPrice`.
fn path(error: &ValidationError<'_>) -> String {
    let mut path = String::new();
    for segment in error.instance_path() {
        match segment {
            LocationSegment::Property(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&name);
            }
            LocationSegment::Index(index) => path.extend(["[", &index.to_string(), "]"]),
        }
    }
    path
}

fn keyword(error: &ValidationError<'_>) -> String {
    error.kind().keyword().to_owned()
}

/// Says `value` in place of the value that was rejected.
fn message(error: &ValidationError<'_>) -> String {
    error.masked_with("value").to_string()
}
