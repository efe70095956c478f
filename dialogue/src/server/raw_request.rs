//! Requests as they arrive, before they are decoded.

use std::sync::Arc;

use socketioxide::handler::Value;

/// A request before decoding: `["name", payload]` in JSON, and the id of the acknowledgement that it asks for. Cheap to
/// clone.
#[derive(Clone)]
pub(crate) struct RawRequest {
    text: Option<Arc<str>>,
    pub(crate) ack: Option<i64>,
}

impl RawRequest {
    /// A request that came over no transport.
    #[cfg(any(test, feature = "bench"))]
    pub(crate) fn new(text: String, ack: Option<i64>) -> Self {
        Self { text: Some(text.into()), ack }
    }

    /// A request that arrived, copied: a slice would keep the whole buffer that was read at once.
    pub(super) fn arrived(value: &Value, ack: Option<i64>) -> Self {
        let text = match value {
            Value::Str(text, None) => Some(text.as_str().into()),
            // Whatever it says, it is refused.
            Value::Str(..) | Value::Bytes(_) => None,
        };
        Self { text, ack }
    }

    /// Memory that it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        /// What a request takes besides its text.
        const OVERHEAD: usize = 128;
        self.len() + OVERHEAD
    }

    /// The JSON text; none if the message has binary attachments.
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    pub(super) fn len(&self) -> usize {
        self.text().map_or(0, str::len)
    }
}
