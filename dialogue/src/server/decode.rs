//! Messages as requests.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::gateway::Frame;
use crate::{
    issues,
    protocol::{ErrorCode, Failure},
};

pub(crate) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, message)
}

/// `serde_json` limits the depth of what it decodes, not of what it passes on undecoded.
fn nests_deeper_than(json: &str, limit: usize) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// What a client asks for: `["name"]` or `["name", payload]`.
pub(crate) struct Request<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) payload: &'a RawValue,
}

impl<'a> Request<'a> {
    /// Reads a message, which nests at most so deep.
    pub(crate) fn parse(frame: &'a Frame, depth: usize) -> Result<Self, Failure> {
        let text = frame.text().ok_or_else(|| invalid("binary attachments are not supported"))?;
        if nests_deeper_than(text, depth) {
            return Err(invalid(format!("the message nests deeper than {depth} levels")));
        }
        serde_json::from_str(text).map_err(|error| invalid(issues::explain(&error)))
    }

    /// Reads the payload.
    pub(crate) fn decode<T: Deserialize<'a>>(&self) -> Result<T, Failure> {
        serde_json::from_str(self.payload.get()).map_err(|error| invalid(issues::explain(&error)))
    }
}

impl<'de> Deserialize<'de> for Request<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// A name that borrows where it has no escapes.
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        struct Arguments;

        impl<'de> Visitor<'de> for Arguments {
            type Value = Request<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a request and at most one payload")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
                let Name(name) =
                    seq.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                let payload = seq.next_element()?.unwrap_or(RawValue::NULL);
                match seq.next_element::<de::IgnoredAny>()? {
                    None => Ok(Request { name, payload }),
                    Some(_) => Err(de::Error::invalid_length(3, &self)),
                }
            }
        }

        deserializer.deserialize_seq(Arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::nests_deeper_than;

    #[test]
    fn depth_is_of_brackets_outside_strings() {
        assert!(!nests_deeper_than(r#"[{"a":[]}]"#, 3));
        assert!(nests_deeper_than(r#"[{"a":[]}]"#, 2));
        assert!(!nests_deeper_than(r#"["[[[\"[[["]"#, 1));
        assert!(!nests_deeper_than("[[],[],[]]", 2));
    }
}
