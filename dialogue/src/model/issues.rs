//! What is wrong with a payload, told in the names that a client knows.

use std::{borrow::Cow, collections::BTreeMap, fmt, ops::Deref};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// One thing that is wrong with a payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Issue {
    /// Where, in names on the wire: `lineItems[0].unitPrice`; empty for the payload itself.
    pub path: String,
    /// Which rule: validator's code (`length`, `email`, or the code of a custom rule), the keyword of
    /// a schema that was given at run time (`minLength`), `depth` for one that nests too deep, `finite` for a
    /// number that is NaN or infinite, or one of
    /// `missing_field`, `unknown_field`, `unknown_variant`, `invalid_type`, `invalid_value`,
    /// `invalid_length` and `invalid` for a payload that does not have its type's shape.
    pub code: Cow<'static, str>,
    /// What to do about it, for people.
    pub message: String,
    /// The rule's parameters, such as `min` and `max`. Never the rejected value.
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
}

/// What is wrong with a payload, ordered by path: at least one issue, and the first 100 that were found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Issues(Vec<Issue>);

impl Issues {
    /// What is wrong with the elements of a collection, each with its key or place there.
    pub(crate) fn of_elements<At, T>(
        elements: impl Iterator<Item = (At, T)>,
        place: impl Fn(At) -> String,
        check: fn(&T) -> Result<(), Self>,
    ) -> Result<(), Self> {
        let mut issues = Vec::new();
        for (at, element) in elements {
            if let Err(wrong) = check(&element) {
                issues.extend(wrong.under(&place(at)).0);
            }
            if issues.len() >= MAX_ISSUES {
                break;
            }
        }
        if issues.is_empty() { Ok(()) } else { Err(Self::ordered(issues)) }
    }

    /// The same of a payload that stands at a place within a larger one.
    pub(crate) fn under(mut self, place: &str) -> Self {
        for issue in &mut self.0 {
            let within = &issue.path;
            let path = match within.as_bytes() {
                [] | [b'[', ..] => format!("{place}{within}"),
                _ => join(place, within),
            };
            issue.path = elide(&path);
        }
        self
    }

    pub(crate) fn ordered(mut issues: Vec<Issue>) -> Self {
        issues.truncate(MAX_ISSUES);
        issues.sort_by(|a, b| (&a.path, &a.code).cmp(&(&b.path, &b.code)));
        Self(issues)
    }
}

impl Deref for Issues {
    type Target = [Issue];

    fn deref(&self) -> &[Issue] {
        &self.0
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.path {
            "" => f.write_str(&self.message),
            path => write!(f, "`{path}` {}", self.message),
        }
    }
}

impl fmt::Display for Issues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, issue) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            issue.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Issues {}

/// How many issues a payload has at most: the others are not told.
pub(crate) const MAX_ISSUES: usize = 100;

pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// What a schema says: path, keyword and message of each, at least one.
#[cfg(feature = "json-schema")]
pub(crate) fn of_schema(issues: impl Iterator<Item = (String, String, String)>) -> Issues {
    let of = |(path, code, message): (String, String, String)| Issue {
        path: elide(&path),
        code: Cow::Owned(code),
        message: elide(&message),
        params: BTreeMap::new(),
    };
    Issues(issues.map(of).collect())
}

/// A number of the payload is NaN or infinite.
pub(crate) fn not_finite() -> Issues {
    Issues(vec![Issue {
        path: String::new(),
        code: Cow::Borrowed("finite"),
        message: "must be a finite number: JSON has no NaN and no infinity".to_owned(),
        params: BTreeMap::new(),
    }])
}

/// The payload nests deeper than it may.
pub(crate) fn of_depth(most: usize) -> Issues {
    Issues(vec![Issue {
        path: String::new(),
        code: Cow::Borrowed("depth"),
        message: format!("nests deeper than {most} levels"),
        params: BTreeMap::from([("max".to_owned(), most.into())]),
    }])
}

/// Why `json` is not a `T`. Decodes once more, this time keeping track of the path.
pub(crate) fn of_decoding<T: DeserializeOwned>(json: &str) -> Issues {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut deserializer) else {
        return Issues(vec![shape(String::new(), "is followed by more than one JSON value")]);
    };
    let path = match error.path().to_string() {
        root if root == "." => String::new(),
        path => path,
    };
    Issues(vec![shape(path, without_position(&error.inner().to_string()))])
}

/// A decoding error in words that may be sent back.
#[cfg(feature = "server")]
pub(crate) fn explain(error: &serde_json::Error) -> String {
    elide(without_position(&error.to_string()))
}

/// `serde_json` ends its messages with a position in a text that the client did not write.
fn without_position(text: &str) -> &str {
    text.rsplit_once(" at line ").map_or(text, |(text, _)| text)
}

fn shape(path: String, text: &str) -> Issue {
    let code = match text {
        _ if text.starts_with("missing field") => "missing_field",
        _ if text.starts_with("unknown field") => "unknown_field",
        _ if text.starts_with("unknown variant") => "unknown_variant",
        _ if text.starts_with("invalid type") => "invalid_type",
        _ if text.starts_with("invalid value") => "invalid_value",
        _ if text.starts_with("invalid length") => "invalid_length",
        _ => "invalid",
    };
    // serde points at the struct that lacks the field; a form wants to point at the field.
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    let (path, message) = match missing {
        Some(name) => (join(&path, name), "is missing".to_owned()),
        None => (path, elide(text)),
    };
    Issue { path: elide(&path), code: Cow::Borrowed(code), message, params: BTreeMap::new() }
}

/// serde quotes what it found, and a path holds the keys of maps: either may be a megabyte. What
/// matters stands at the ends.
pub(crate) fn elide(text: &str) -> String {
    const HEAD: usize = 80;
    const TAIL: usize = 120;
    if text.len() <= HEAD + TAIL {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(HEAD);
    let tail = text.ceil_char_boundary(text.len() - TAIL);
    format!("{}…{}", &text[..head], &text[tail..])
}
