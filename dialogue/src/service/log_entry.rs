//! One line per event in the log.

use crate::{Receipt, logging::EVENT_LOG, model::message::AnyMessage};

/// What is logged of an event.
pub(super) struct LogEntry {
    event: String,
    from: String,
    body: Option<String>,
}

impl LogEntry {
    /// The entry of an event, if a subscriber takes it. `body` is its JSON.
    pub(super) fn of(
        message: &dyn AnyMessage,
        body: impl FnOnce() -> Option<String>,
    ) -> Option<Self> {
        if !tracing::enabled!(target: EVENT_LOG, tracing::Level::DEBUG) {
            return None;
        }
        let all = tracing::enabled!(target: EVENT_LOG, tracing::Level::TRACE);
        let body = if all { body() } else { None };
        Some(Self { event: message.event().to_owned(), from: message.from().to_owned(), body })
    }

    pub(super) fn write(self, room: &str, receipt: &Receipt) {
        // `?` escapes what would break a line. What was sent is not above `trace`.
        let Self { event, from, body } = self;
        let Receipt { recipients, duplicate, .. } = *receipt;
        if duplicate {
            tracing::debug!(target: EVENT_LOG, ?room, ?event, ?from, duplicate);
            return;
        }
        tracing::debug!(target: EVENT_LOG, ?room, ?event, ?from, recipients);
        if let Some(body) = body {
            tracing::trace!(target: EVENT_LOG, body);
        }
    }
}
