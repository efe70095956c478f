//! How far a server is on its way to stop.

use std::future::Future;

use tokio::sync::watch;

/// How far a server is on its way down.
#[derive(Debug)]
pub(crate) struct Stop(watch::Sender<Phase>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Draining,
    /// Whether everything was done in time.
    Stopped(bool),
}

impl Stop {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Phase::Running))
    }

    /// Whether the server drains or has stopped: no client is let in.
    pub(crate) fn is_draining(&self) -> bool {
        *self.0.borrow() != Phase::Running
    }

    /// Begins to drain. Returns whether another caller has begun before.
    pub(crate) fn begin(&self) -> bool {
        !self.0.send_if_modified(|phase| {
            let running = *phase == Phase::Running;
            if running {
                *phase = Phase::Draining;
            }
            running
        })
    }

    /// Waits until the server drains.
    pub(crate) fn draining(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut phase = self.0.subscribe();
        async move {
            // Without a server, no client is let in either.
            let _ = phase.wait_for(|phase| *phase != Phase::Running).await;
        }
    }

    /// Notes that the server has stopped, and whether everything was done in time.
    pub(crate) fn finish(&self, done: bool) {
        self.0.send_replace(Phase::Stopped(done));
    }

    /// Waits until the server has stopped; returns whether everything was done in time.
    pub(crate) async fn stopped(&self) -> bool {
        let mut phase = self.0.subscribe();
        let stopped = phase.wait_for(|phase| matches!(phase, Phase::Stopped(_))).await;
        // The sender is ours.
        matches!(stopped.as_deref(), Ok(Phase::Stopped(true)))
    }
}
