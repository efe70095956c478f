//! The log target of events, and a logger for development.

/// The target of one line per event, at level `debug`.
pub(crate) const EVENT_LOG: &str = "dialogue::event";

/// Prints one line per event to standard error, for development: room, event name, sender and number of
/// recipients; `duplicate=true` for a trigger whose key was used before. Returns false and does nothing if the process already has a `tracing` subscriber. That
/// subscriber can show the same lines with the filter `dialogue::event=debug`.
///
/// ```
/// // Without a `tracing` subscriber, the server's logs are not visible.
/// dialogue::log_events();
/// ```
#[cfg(feature = "dev-log")]
pub fn log_events() -> bool {
    use std::io::IsTerminal;

    let colours = std::io::stderr().is_terminal();
    tracing::subscriber::set_global_default(event_lines(std::io::stderr, colours)).is_ok()
}

/// Writes what [`log_events`] prints.
#[cfg(feature = "dev-log")]
fn event_lines<W>(writer: W, colours: bool) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt, registry};

    let lines = fmt::layer().compact().with_target(false).with_ansi(colours).with_writer(writer);
    let events = Targets::new().with_target(EVENT_LOG, tracing::Level::DEBUG);
    registry().with(lines.with_filter(events))
}

#[cfg(all(test, feature = "dev-log"))]
mod tests {
    use std::{
        io::{self, Write},
        sync::Mutex,
    };

    use super::{EVENT_LOG, event_lines};

    static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

    struct Written;

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            WRITTEN.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn event_lines_print_one_line_per_event_and_hide_other_logs() {
        tracing::subscriber::with_default(event_lines(|| Written, false), || {
            let _span = tracing::info_span!("connection", user = "ann").entered();
            tracing::error!("something else");
            tracing::debug!(target: EVENT_LOG, room = "general", recipients = 2);
            tracing::trace!(target: EVENT_LOG, body = "secret");
        });
        let written = String::from_utf8(WRITTEN.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().count(), 1, "{written}");
        assert!(written.contains("room=\"general\" recipients=2"), "{written}");
    }
}
