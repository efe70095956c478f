//! Triggering an event, until the server says that it has it.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use dialogue::{
    Event, Meta,
    protocol::{self, Triggered, event},
};
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{At, answer, error::TriggerError, link::RoomId, shared::Shared, timers};

/// How long a trigger is tried, unless it says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// An event on its way; made by [`Room::trigger`](crate::Room::trigger).
///
/// Triggers wait, in order, while the connection or the room is being restored. One of an event with
/// history is sent again, with the same key, after a lost connection, after no answer, and after
/// `STORE_UNAVAILABLE`, `DRAINING` and `RATE_LIMITED`: it is stored once. What was sent behind one that
/// the server refuses for a moment overtakes it. An event without history is sent at most once. Dropping
/// the future gives up what was not sent yet.
#[must_use = "nothing is triggered before this is awaited"]
pub struct Trigger(Stage);

enum Stage {
    Prepared(Box<Parts>),
    Running(BoxFuture<'static, Result<Receipt, TriggerError>>),
    /// While it starts.
    Started,
}

struct Parts {
    event: &'static str,
    /// Whether the event has history.
    stored: bool,
    data: Result<Box<RawValue>, TriggerError>,
    key: Option<String>,
    meta: Meta,
    timeout: Duration,
    room: RoomId,
    client: Arc<Shared>,
}

/// What became of a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The event's place in the room's log, if it has history.
    pub at: Option<At>,
    /// Whether the server had the event already, by its [key](Trigger::key): from another trigger, or from
    /// this one, if it was sent again because its first answer was lost.
    pub duplicate: bool,
}

impl Trigger {
    pub(crate) fn new<E: Event>(event: &E, room: RoomId, client: Arc<Shared>) -> Self {
        let data = event
            .check()
            .map_err(TriggerError::Invalid)
            .and_then(|()| to_raw_value(event).map_err(TriggerError::NotJson));
        Self(Stage::Prepared(Box::new(Parts {
            event: E::SPEC.name,
            stored: E::SPEC.history.is_some(),
            data,
            key: None,
            meta: Meta::new(),
            timeout: DEFAULT_TIMEOUT,
            room,
            client,
        })))
    }

    /// What is set before the trigger is polled for the first time; afterwards it is too late.
    fn set(mut self, set: impl FnOnce(&mut Parts)) -> Self {
        if let Stage::Prepared(parts) = &mut self.0 {
            set(parts);
        }
        self
    }

    /// What tells this event from others: within two minutes, the same key of the same user stores
    /// nothing more and is answered as the first time. Default: a random one. Only for events with history.
    pub fn key(self, key: impl Into<String>) -> Self {
        self.set(|parts| parts.key = Some(key.into()))
    }

    /// Attaches context: one entry of [`EventMessage::meta`](dialogue::EventMessage::meta). The trigger fails
    /// with [`TriggerError::NotJson`] if [`Meta::insert`] rejects the entry: at most 64 keys and 8 levels.
    pub fn meta(self, key: impl Into<String>, value: impl Serialize) -> Self {
        self.set(|parts| {
            if let Err(error) = parts.meta.insert(key, value) {
                parts.data = Err(TriggerError::NotJson(error));
            }
        })
    }

    /// For how long to try, waiting included. Default: 30 seconds. Longer than 100 seconds helps what waits
    /// to be sent: what was sent without an answer is not sent again after so long, as the server forgets
    /// keys, and fails with [`TriggerError::Timeout`].
    pub fn timeout(self, time: Duration) -> Self {
        self.set(|parts| parts.timeout = time)
    }
}

impl Parts {
    async fn send(self) -> Result<Receipt, TriggerError> {
        let Self { event, stored, data, key, meta, timeout, room, client } = self;
        let deadline = timers::after(timeout);
        let data = data?;
        let meta = if meta.is_empty() { None } else { to_raw_value(&meta).ok() };
        let key = stored.then(|| key.unwrap_or_else(random));
        let payload = to_raw_value(&protocol::Trigger {
            room_id: (&*room).into(),
            event: event.into(),
            data: Some(&data),
            meta: meta.as_deref(),
            key: key.map(Into::into),
        });
        let payload = payload.map_err(TriggerError::NotJson)?;
        let answer =
            client.ask_until(deadline, Some(room), event::TRIGGER, payload, stored).await?;
        let Triggered { epoch, seq, duplicate } = answer::read(&answer)?;
        let at = epoch.zip(seq).map(|(epoch, seq)| At { epoch, seq });
        Ok(Receipt { at, duplicate })
    }
}

/// A key that nobody else uses.
fn random() -> String {
    format!("{:032x}", fastrand::u128(..))
}

impl Future for Trigger {
    type Output = Result<Receipt, TriggerError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            self.0 = match std::mem::replace(&mut self.0, Stage::Started) {
                Stage::Prepared(parts) => Stage::Running(Box::pin(parts.send())),
                Stage::Running(mut running) => {
                    let polled = running.as_mut().poll(cx);
                    self.0 = Stage::Running(running);
                    return polled;
                }
                // Nothing panics between the two.
                Stage::Started => unreachable!("a trigger that was started is running"),
            };
        }
    }
}

impl fmt::Debug for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut trigger = f.debug_struct("Trigger");
        if let Stage::Prepared(parts) = &self.0 {
            trigger.field("event", &parts.event).field("room", &parts.room);
        }
        trigger.finish_non_exhaustive()
    }
}
