//! Requests as they arrive, before they are decoded.

use std::sync::Arc;

use socketioxide::handler::Value;

/// A message as it came: `["name", payload]` in JSON, and the acknowledgement it asks for. Cheap to clone.
#[derive(Clone)]
pub(crate) struct RawRequest {
    text: Option<Arc<str>>,
    pub(crate) ack: Option<i64>,
}

impl RawRequest {
    /// A message that came over no transport.
    #[cfg(any(test, feature = "bench"))]
    pub(crate) fn new(text: String, ack: Option<i64>) -> Self {
        Self { text: Some(text.into()), ack }
    }

    /// A message that arrived, copied: it is a slice of a buffer that was read at once, which stays for as
    /// long as any of its slices.
    pub(super) fn arrived(value: &Value, ack: Option<i64>) -> Self {
        let text = match value {
            Value::Str(text, None) => Some(text.as_str().into()),
            // Whatever it says, it is refused.
            Value::Str(..) | Value::Bytes(_) => None,
        };
        Self { text, ack }
    }

    /// What it holds, in bytes.
    pub(crate) fn weight(&self) -> usize {
        /// What a request takes besides its text.
        const PLACE: usize = 128;
        self.len() + PLACE
    }

    /// The JSON text; none if the message has binary attachments.
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    pub(super) fn len(&self) -> usize {
        self.text().map_or(0, str::len)
    }
}
