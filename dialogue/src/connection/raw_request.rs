//! Requests as they arrive, before they are decoded.

use std::sync::Arc;

/// A request before decoding: `["name", payload]` in JSON, and the id of the acknowledgement that it asks for. Cheap to
/// clone.
#[derive(Clone)]
pub(crate) struct RawRequest {
    text: Option<Arc<str>>,
    pub(crate) ack: Option<i64>,
}

impl RawRequest {
    /// `text` is none if the message has binary attachments.
    pub(crate) fn new(text: Option<Arc<str>>, ack: Option<i64>) -> Self {
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

    pub(crate) fn len(&self) -> usize {
        self.text().map_or(0, str::len)
    }
}
