//! JSON Schemas that are known at run time alone.

use std::fmt;

use jsonschema::{PatternOptions, ValidationError, Validator, paths::LocationSegment};
use schemars::Schema;
use serde_json::{Value, value::RawValue};

use crate::{Issues, issues};

/// How many things that are wrong with one payload are told.
const MOST_ISSUES: usize = 100;

/// A schema, ready to validate.
pub(crate) struct PayloadSchema {
    json: Schema,
    validator: Validator,
}

impl fmt::Debug for PayloadSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.json.fmt(f)
    }
}

impl PayloadSchema {
    /// What is wrong with a schema is told in words. It may refer to nothing outside itself, and
    /// its patterns run in linear time.
    pub(crate) fn new(json: Value) -> Result<Self, String> {
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::regex())
            .build(&json)
            .map_err(|error| error.to_string())?;
        let json = Schema::try_from(json).map_err(|error| error.to_string())?;
        Ok(Self { json, validator })
    }

    pub(crate) fn json(&self) -> &Schema {
        &self.json
    }

    pub(crate) fn check(&self, payload: &RawValue) -> Result<(), Issues> {
        let payload: Value = serde_json::from_str(payload.get())
            .map_err(|_| issues::of_decoding::<Value>(payload.get()))?;
        if self.validator.is_valid(&payload) {
            return Ok(());
        }
        let errors = self.validator.iter_errors(&payload).take(MOST_ISSUES);
        Err(issues::of_schema(errors.map(|error| (path(&error), keyword(&error), message(&error)))))
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
