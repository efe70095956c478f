//! Payloads that are known at run time alone: any JSON, or what a JSON Schema describes.

#[cfg(feature = "json-schema")]
mod compiled;
#[cfg(feature = "json-schema")]
mod explain;
#[cfg(all(test, feature = "json-schema"))]
mod tests;

use std::{fmt, sync::Arc};

use schemars::Schema;
use serde_json::value::RawValue;

use super::{depth::nests_deeper_than, issues};
use crate::Issues;

/// A schema, ready to validate payloads up to a depth.
#[derive(Clone)]
pub(crate) struct PayloadSchema {
    json: Arc<Schema>,
    /// None for any JSON.
    #[cfg(feature = "json-schema")]
    compiled: Option<Arc<compiled::Compiled>>,
    depth: Option<usize>,
}

impl fmt::Debug for PayloadSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.json.fmt(f)
    }
}

impl PayloadSchema {
    /// The schema of any JSON.
    pub(crate) fn any() -> Self {
        Self {
            json: Arc::new(true.into()),
            #[cfg(feature = "json-schema")]
            compiled: None,
            depth: None,
        }
    }

    /// The same for payloads that nest at most so deep. A schema that takes too long to check these is
    /// rejected, in words.
    #[cfg_attr(
        not(feature = "json-schema"),
        expect(clippy::unnecessary_wraps, reason = "only schemas are rejected")
    )]
    pub(crate) fn within(&self, depth: usize) -> Result<Self, String> {
        #[cfg(feature = "json-schema")]
        if let Some(compiled) = &self.compiled {
            compiled.check_depth(depth)?;
        }
        Ok(Self { depth: Some(depth), ..self.clone() })
    }

    pub(crate) fn json(&self) -> &Schema {
        &self.json
    }

    pub(crate) fn check(&self, payload: &RawValue) -> Result<(), Issues> {
        if let Some(depth) = self.depth
            && nests_deeper_than(payload.get(), depth)
        {
            return Err(issues::of_depth(depth));
        }
        #[cfg(feature = "json-schema")]
        if let Some(compiled) = &self.compiled {
            let payload = serde_json::from_str(payload.get())
                .map_err(|_| issues::of_decoding::<serde_json::Value>(payload.get()))?;
            return compiled.check(&payload);
        }
        Ok(())
    }
}
