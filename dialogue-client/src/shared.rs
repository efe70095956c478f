//! What the handles of a client share.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};

use crate::{
    State,
    command::Command,
    config::Config,
    direct::Direct,
    error::{ClientError, Failed},
    feed::Listeners,
    link::RoomId,
    request::{Answer, Request},
    timers,
    who::Who,
};

/// What all handles of a client have in common; the connection ends with it.
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) commands: mpsc::Sender<Command>,
    /// Requests may be under way as long as there are permits.
    pub(crate) turns: Arc<Semaphore>,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) who: watch::Receiver<Who>,
    pub(crate) direct: Arc<Direct>,
    pub(crate) errors: Arc<Listeners<Arc<ClientError>>>,
}

impl Shared {
    pub(crate) async fn command(&self, command: Command) -> Result<(), Failed> {
        self.commands.send(command).await.map_err(|_| Failed::Closed)
    }

    /// Asks, in a room or outside, within the time of a request.
    pub(crate) async fn ask(
        &self,
        room: Option<RoomId>,
        name: &'static str,
        payload: &impl Serialize,
        repeatable: bool,
    ) -> Answer {
        // A struct of texts and numbers, or written already.
        let payload = to_raw_value(payload).expect("a request can be written as JSON");
        let deadline = timers::after(self.config.request_timeout);
        self.ask_until(deadline, room, name, payload, repeatable).await
    }

    /// Asks when it is this request's turn; gives up at the deadline.
    pub(crate) async fn ask_until(
        &self,
        deadline: Instant,
        room: Option<RoomId>,
        name: &'static str,
        payload: Box<RawValue>,
        repeatable: bool,
    ) -> Answer {
        let answered = async {
            let turn = self.turns.clone().acquire_owned().await.map_err(|_| Failed::Closed)?;
            let turn = Arc::new(turn);
            let (reply, answer) = oneshot::channel();
            let request = Request { name, payload, repeatable, turn: Arc::downgrade(&turn), reply };
            self.command(Command::Request { room, request }).await?;
            answer.await.map_err(|_| Failed::Closed)?
        };
        timeout_at(deadline, answered).await.unwrap_or(Err(Failed::Timeout))
    }
}
