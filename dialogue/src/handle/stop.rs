//! Going down without losing anything.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use tokio::time::Instant;

use crate::{
    App, Dialogue, DisconnectReason,
    connection::packet::Packet,
    protocol::{Draining, event},
};

/// What clocks can count with.
const LONGEST: Duration = Duration::from_hours(24);
/// Over how long clients are told to come back, so that not all of them do at once.
const RETURN: Duration = Duration::from_secs(5);
/// How often it is looked what is left to do.
const LOOK: Duration = Duration::from_millis(10);
/// How long answers have to leave before transports are closed.
const FLUSH: Duration = Duration::from_millis(100);
/// How long transports may take to close. One whose reader stalls takes as long as it likes.
const CLOSE: Duration = Duration::from_millis(500);

/// Stops a server, or waits until it has: half of the time is for what was accepted, some for giving up
/// what cannot be done, and the rest for the store.
pub(crate) async fn stop<A: App>(dialogue: &Dialogue<A>, deadline: Duration) -> bool {
    let stop = dialogue.stopping();
    let deadline = deadline.min(LONGEST);
    if stop.begin() {
        return tokio::time::timeout(deadline, stop.stopped()).await.unwrap_or(false);
    }
    // The caller may go away.
    let this = dialogue.clone();
    tokio::spawn(async move {
        let drained = AssertUnwindSafe(drain(&this, Instant::now(), deadline)).catch_unwind();
        let done = drained.await.unwrap_or(false);
        this.stopping().finish(done);
    });
    stop.stopped().await
}

async fn drain<A: App>(dialogue: &Dialogue<A>, begun: Instant, deadline: Duration) -> bool {
    tracing::info!(?deadline, "stopping");
    let until = |part: u32| begun + deadline * part / 10;
    invite_back(dialogue);
    // Requests are handled and acknowledged before clients leave.
    let mut done = finished(dialogue, until(4)).await;
    done &= ended(dialogue, DisconnectReason::ServerStopped, until(5)).await;
    if !done {
        // The server does not wait for clients that read no answers.
        ended(dialogue, DisconnectReason::ServerClosed, until(7)).await;
    }
    tokio::time::sleep(FLUSH.min(deadline / 10)).await;
    let _ = tokio::time::timeout(CLOSE.min(deadline / 10), dialogue.transport().close()).await;
    done &= tokio::time::timeout_at(until(10), dialogue.store().close()).await.is_ok();
    let stats = dialogue.stats();
    tracing::info!(done, ?stats, "stopped");
    done
}

/// Tells all clients when to come back, one after the other.
fn invite_back<A: App>(dialogue: &Dialogue<A>) {
    let clients = dialogue.clients();
    let most = clients.len().max(1);
    for (n, client) in (0_u32..).zip(&clients) {
        let wait = RETURN * n / u32::try_from(most).unwrap_or(u32::MAX);
        let reconnect_after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        client.member().tell(&Packet::event(event::DRAINING, &Draining { reconnect_after_ms }));
    }
}

/// Takes on nothing more, and waits until nothing is left to do; returns whether it was in time.
async fn finished<A: App>(dialogue: &Dialogue<A>, until: Instant) -> bool {
    let idle = || {
        let mut idle = true;
        for client in dialogue.clients() {
            idle &= client.connection().inbox.seal();
        }
        idle && dialogue.hub().is_idle()
    };
    soon(until, idle).await
}

/// Ends all sessions and waits until they have, and until handlers have seen everything; returns
/// whether it was in time.
async fn ended<A: App>(dialogue: &Dialogue<A>, reason: DisconnectReason, until: Instant) -> bool {
    let gone = || {
        // Some may have been about to come in.
        for client in dialogue.clients() {
            client.end(reason);
        }
        dialogue.stats().connections == 0 && dialogue.hub().is_idle()
    };
    soon(until, gone).await
}

/// Looks again and again whether something is done; returns whether it was in time.
async fn soon(until: Instant, is_done: impl Fn() -> bool) -> bool {
    loop {
        if is_done() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
}
