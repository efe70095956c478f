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

/// Marks this task as running a room's handlers. Their own triggers do not wait for a place among the events that
/// handlers have yet to see, which could wait for ever.
pub(crate) async fn handle<T>(handlers: impl Future<Output = T>) -> T {
    HANDLING.scope((), handlers).await
}

/// Whether this task runs a room's handlers.
pub(crate) fn is_handling() -> bool {
    HANDLING.try_with(|()| ()).is_ok()
}

/// Runs work in a task of its own, so that it ends even if the caller goes away: what cannot be undone, and the hooks
/// that follow it. `None` if it panicked, which is logged.
pub(crate) async fn finish<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let depth = DEPTH.try_with(|depth| *depth).unwrap_or(0);
    let work = DEPTH.scope(depth, work).in_current_span();
    let done = if is_handling() { tokio::spawn(handle(work)) } else { tokio::spawn(work) };
    done.await.ok()
}

/// A hook of the app, or a handler of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    Authenticate,
    SocketConnected,
    SocketDisconnected,
    Connected,
    Disconnected,
    Sees,
    BeforeJoin,
    Joined,
    Left,
    Before,
    BeforeEach,
    AfterEach,
    Triggered,
    On,
    CreateRoom,
    RoomCreated,
    RoomDeleted,
    Evicted,
    Load,
}

impl Hook {
    /// The name of the method or attribute.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::SocketConnected => "socket_connected",
            Self::SocketDisconnected => "socket_disconnected",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Sees => "sees",
            Self::BeforeJoin => "before_join",
            Self::Joined => "joined",
            Self::Left => "left",
            Self::Before => "before",
            Self::BeforeEach => "before_each",
            Self::AfterEach => "after_each",
            Self::Triggered => "triggered",
            Self::On => "on",
            Self::CreateRoom => "create_room",
            Self::RoomCreated => "room_created",
            Self::RoomDeleted => "room_deleted",
            Self::Evicted => "evicted",
            Self::Load => "load",
        }
    }
}

/// A hook panicked, took too long or nested too deep. It has been logged.
#[derive(Debug)]
pub(crate) struct Failed;

/// Runs hooks under their time limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hooks {
    time: Duration,
}

impl Hooks {
    pub(crate) fn new(time: Duration) -> Self {
        Self { time }
    }

    /// Runs a hook. `room` is the id of its room, for the log; empty if it has none.
    pub(crate) async fn run<T>(
        self,
        hook: Hook,
        room: &str,
        future: BoxFuture<'_, T>,
    ) -> Result<T, Failed> {
        let (name, time) = (hook.name(), self.time);
        let depth = DEPTH.try_with(|depth| *depth).unwrap_or(0) + 1;
        if depth > MAX_DEPTH {
            tracing::error!(hook = name, ?room, "hooks cause one another without end");
            return Err(Failed);
        }
        let span = tracing::debug_span!("hook", name, ?room);
        let guarded = DEPTH.scope(depth, AssertUnwindSafe(future).catch_unwind()).instrument(span);
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
}

/// Runs a hook that does not wait.
pub(crate) fn run_now<T>(hook: Hook, room: &str, call: impl FnOnce() -> T) -> Result<T, Failed> {
    std::panic::catch_unwind(AssertUnwindSafe(call)).map_err(|_| {
        tracing::error!(hook = hook.name(), ?room, "hook panicked");
        Failed
    })
}
