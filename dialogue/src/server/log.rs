//! What is logged of events, and a logger for development.

/// The target of one line per event, at level `debug`.
pub(crate) const EVENT_LOG: &str = "dialogue::event";

/// Prints one line per event to standard error, for development: the room, the event's name, who it
/// is from and how many subscribers it went to. Returns whether it does: not if the process has a
/// `tracing` subscriber already, which can show the same with the filter `dialogue::event=debug`.
///
/// ```
/// // What the server does is logged with `tracing`, and shown nowhere unless somebody listens.
/// dialogue::log_events();
/// ```
#[cfg(feature = "dev-log")]
pub fn log_events() -> bool {
    use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt, registry};

    let lines = fmt::layer().compact().with_target(false).with_writer(std::io::stderr);
    let events = Targets::new().with_target(EVENT_LOG, tracing::Level::DEBUG);
    let subscriber = registry().with(lines.with_filter(events));
    tracing::subscriber::set_global_default(subscriber).is_ok()
}
