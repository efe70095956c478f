//! A JSON Schema that validates.

use std::sync::Arc;

use jsonschema::{PatternOptions, ValidationOptions, Validator};
use schemars::Schema;
use serde_json::Value;

use super::{PayloadSchema, explain::Explainer};
use crate::{
    Issues,
    model::recursion::{Reader, Recursion, TooMany},
};

pub(super) struct Compiled {
    recursion: Recursion,
    validator: Validator,
    explainer: Explainer,
}

impl PayloadSchema {
    /// What is wrong with a schema is told in words. It may refer to nothing outside itself, and
    /// its patterns run in linear time.
    pub(crate) fn new(json: Value) -> Result<Self, String> {
        let validator = options().build(&json).map_err(|error| error.to_string())?;
        let recursion = Recursion::of(&json, Reader::Validator)?;
        let validator = match look_at_tags_first(&json, &recursion) {
            Some(json) => options().build(&json).map_err(|error| error.to_string())?,
            None => validator,
        };
        let explainer = Explainer::new(&json);
        let json = Schema::try_from(json).map_err(|error| error.to_string())?;
        let compiled = Some(Arc::new(Compiled { recursion, validator, explainer }));
        Ok(Self { json: Arc::new(json), compiled, depth: None })
    }
}

impl Compiled {
    /// Rejects a schema that takes too long to check payloads that nest so deep, in words.
    pub(super) fn check_depth(&self, depth: usize) -> Result<(), String> {
        self.recursion.check(depth).map_err(|too_many| refusal(&too_many))
    }

    pub(super) fn check(&self, payload: &Value) -> Result<(), Issues> {
        if self.validator.is_valid(payload) {
            return Ok(());
        }
        Err(self.explainer.explain(&self.validator, payload))
    }
}

pub(super) fn options<'a>() -> ValidationOptions<'a> {
    jsonschema::options().offline().with_pattern_options(PatternOptions::regex())
}

/// The validator looks at the tag of a union before its alternatives where it has three of them or
/// more: one that nothing matches makes two of them three.
fn look_at_tags_first(json: &Value, recursion: &Recursion) -> Option<Value> {
    let mut changed = None;
    for union in recursion.tagged() {
        let schemas = changed.get_or_insert_with(|| json.clone()).pointer_mut(union);
        if let Some(Value::Array(schemas)) = schemas
            && schemas.len() == 2
        {
            schemas.push(Value::Bool(false));
        }
    }
    changed
}

fn refusal(TooMany { at, fits }: &TooMany) -> String {
    format!(
        "parts of `{at}` that lead back to it overlap, so that each level of a payload multiplies the \
         time that it takes to check; give each alternative a required property with a `const` of its \
         own, or bound the payload with `EventConfig::depth`, to {fits} levels at most"
    )
}
