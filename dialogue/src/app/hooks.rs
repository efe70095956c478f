//! Running the user's code: under a time limit, and without letting a panic through.

use std::{future::Future, panic::AssertUnwindSafe, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use tracing::Instrument;

/// How often hooks may cause one another: a `#[before]` that triggers the event it guards would
/// otherwise nest until the stack ends.
const MAX_DEPTH: u32 = 16;

tokio::task_local! {
    static DEPTH: u32;
    /// Set while a room's handlers run, after a broadcast.
    static HANDLING: ();
}

/// Runs a room's handlers, which wait for nothing that they are in the way of.
pub(crate) async fn handle<T>(handlers: impl Future<Output = T>) -> T {
    HANDLING.scope((), handlers).await
}

/// Whether a room's handler is what runs.
pub(crate) fn is_handling() -> bool {
    HANDLING.try_with(|()| ()).is_ok()
}

/// Does what must be done to its end, even if whoever waits for it goes away: what cannot be undone,
/// and the hooks that follow it. `None` if it panicked, which was told by whoever did.
pub(crate) async fn finish<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let depth = DEPTH.try_with(|depth| *depth).unwrap_or(0);
    let work = DEPTH.scope(depth, work).in_current_span();
    let done = if is_handling() { tokio::spawn(handle(work)) } else { tokio::spawn(work) };
    done.await.ok()
}

/// A hook panicked, took too long or nested too deep. It has been logged.
#[derive(Debug)]
pub(crate) struct Failed;

/// Runs a hook's future. `name` and `room` are for the log.
pub(crate) async fn run<T>(
    time: Duration,
    name: &'static str,
    room: &str,
    hook: BoxFuture<'_, T>,
) -> Result<T, Failed> {
    let depth = DEPTH.try_with(|depth| *depth).unwrap_or(0) + 1;
    if depth > MAX_DEPTH {
        tracing::error!(hook = name, ?room, "hooks cause one another without end");
        return Err(Failed);
    }
    let span = tracing::debug_span!("hook", name, ?room);
    let guarded = DEPTH.scope(depth, AssertUnwindSafe(hook).catch_unwind()).instrument(span);
    match tokio::time::timeout(time, guarded).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(_)) => {
            tracing::error!(hook = name, ?room, "hook panicked");
            Err(Failed)
        }
        Err(_) => {
            tracing::error!(hook = name, ?room, limit = ?time, "hook took too long");
            Err(Failed)
        }
    }
}

/// Runs a hook that does not wait.
pub(crate) fn run_now<T>(
    name: &'static str,
    room: &str,
    hook: impl FnOnce() -> T,
) -> Result<T, Failed> {
    std::panic::catch_unwind(AssertUnwindSafe(hook)).map_err(|_| {
        tracing::error!(hook = name, ?room, "hook panicked");
        Failed
    })
}
