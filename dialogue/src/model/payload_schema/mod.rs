//! JSON Schemas that are known at run time alone.

mod explain;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use jsonschema::{PatternOptions, ValidationOptions, Validator};
use schemars::Schema;
use serde_json::{Value, value::RawValue};

use super::{
    depth::nests_deeper_than,
    issues,
    recursion::{Reader, Recursion, TooMany},
};
use crate::Issues;
use explain::Explainer;

/// A schema, ready to validate payloads up to a depth.
#[derive(Clone)]
pub(crate) struct PayloadSchema {
    compiled: Arc<Compiled>,
    depth: Option<usize>,
}

struct Compiled {
    json: Schema,
    recursion: Recursion,
    validator: Validator,
    explainer: Explainer,
}

impl fmt::Debug for PayloadSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.compiled.json.fmt(f)
    }
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
        let compiled = Arc::new(Compiled { json, recursion, validator, explainer });
        Ok(Self { compiled, depth: None })
    }

    /// The same for payloads that nest at most so deep. A schema that takes too long to check these is
    /// refused, in words.
    pub(crate) fn within(&self, depth: usize) -> Result<Self, String> {
        let compiled = self.compiled.clone();
        compiled.recursion.check(depth).map_err(|too_many| refusal(&too_many))?;
        Ok(Self { compiled, depth: Some(depth) })
    }

    pub(crate) fn json(&self) -> &Schema {
        &self.compiled.json
    }

    pub(crate) fn check(&self, payload: &RawValue) -> Result<(), Issues> {
        if let Some(depth) = self.depth
            && nests_deeper_than(payload.get(), depth)
        {
            return Err(issues::of_depth(depth));
        }
        let payload: Value = serde_json::from_str(payload.get())
            .map_err(|_| issues::of_decoding::<Value>(payload.get()))?;
        let Compiled { validator, explainer, .. } = &*self.compiled;
        if validator.is_valid(&payload) {
            return Ok(());
        }
        Err(explainer.explain(validator, &payload))
    }
}

fn options<'a>() -> ValidationOptions<'a> {
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
