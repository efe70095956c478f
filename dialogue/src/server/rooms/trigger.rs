//! The one way of an event through a room.

use std::{
    num::NonZeroUsize,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::sync::oneshot;

use super::{
    super::{Client, hook, log::EVENT_LOG, packet::Packet},
    any::AnyRoom,
    append::{Append, Then},
    live::{Live, State},
    on::Job,
};
use crate::{
    App, Dialogue, Event, JoinError, Meta, RawMessage, Receipt, TriggerError, finite,
    message::{AnyMessage, Envelope, Unfit},
    name,
    room::RoomEvent,
    store::{self, Before, Key, LogId, NewEvent, erased::Unavailable},
};

/// Capacity for the JSON of an ephemeral event, in bytes: most are shorter.
pub(crate) const ENCODED: usize = 480;

/// An event about to be triggered by the server's own code: set what goes with it, then await it.
///
/// It resolves after the event was handed to every subscriber's connection and before `#[on]`
/// handlers run.
#[must_use = "a trigger does nothing until it is awaited"]
pub struct Trigger<A: App>(Stage<A>);

enum Stage<A: App> {
    Prepared(Parts<A>),
    Running(BoxFuture<'static, Result<Receipt, TriggerError>>),
    /// While it starts.
    Started,
}

struct Parts<A: App> {
    room: AnyRoom<A>,
    message: Result<Box<dyn AnyMessage>, TriggerError>,
    except: Vec<Client<A>>,
    key: Option<String>,
}

impl<A: App> Trigger<A> {
    pub(crate) fn new<E: Event>(room: AnyRoom<A>, data: E) -> Self {
        let message = envelope(&room).around(E::SPEC.name, data);
        Self::of(room, Ok(Box::new(message)))
    }

    pub(crate) fn raw(room: AnyRoom<A>, event: String, data: impl Serialize) -> Self {
        let message = match finite::write(&data) {
            _ if !name::is_event_name(&event) => Err(TriggerError::NotCarried),
            Err(issues) => Err(TriggerError::Invalid(issues)),
            Ok(Ok(data)) => {
                Ok(Box::new(envelope(&room).around(event, data)) as Box<dyn AnyMessage>)
            }
            Ok(Err(error)) => Err(not_json(&room, &event, &error)),
        };
        Self::of(room, message)
    }

    fn of(room: AnyRoom<A>, message: Result<Box<dyn AnyMessage>, TriggerError>) -> Self {
        Self(Stage::Prepared(Parts { room, message, except: Vec::new(), key: None }))
    }

    /// What is set before the trigger is polled for the first time; afterwards it is too late.
    fn set(mut self, set: impl FnOnce(&mut Parts<A>)) -> Self {
        if let Stage::Prepared(parts) = &mut self.0 {
            set(parts);
        }
        self
    }

    /// Who the event is from: a user's id, as clients have them. Default: [`SYSTEM`](crate::SYSTEM). What
    /// no user may have for an id, such as a name that looks like `system`, is a
    /// [`TriggerError::InvalidSender`].
    pub fn from(self, from: impl Into<String>) -> Self {
        self.set(|parts| {
            if let Ok(message) = &mut parts.message {
                *message.sender_mut() = from.into();
            }
        })
    }

    /// Attaches context: one entry of [`EventMessage::meta`](crate::EventMessage::meta).
    /// The trigger fails with [`TriggerError::InvalidMeta`] if [`Meta::insert`] rejects the entry: at most 64
    /// keys and 8 levels.
    pub fn meta(self, key: impl Into<String>, value: impl Serialize) -> Self {
        self.set(|parts| {
            if let Ok(message) = &mut parts.message {
                let (meta, key) = (message.meta_mut().get_or_insert_with(Meta::new), key.into());
                if let Err(error) = meta.insert(&*key, value) {
                    parts.message = Err(TriggerError::InvalidMeta(error.to_string()));
                }
            }
        })
    }

    /// Leaves a client out: it does not receive the event now, but finds it in the history. May be
    /// given several times.
    pub fn except(self, client: &Client<A>) -> Self {
        self.set(|parts| {
            if parts.except.iter().all(|other| other.id() != client.id()) {
                parts.except.push(client.clone());
            }
        })
    }

    /// What tells this event from others: triggered again with the same key, within
    /// [`KEY_WINDOW`](crate::store::KEY_WINDOW), it is stored and broadcast once, no handler
    /// sees it again, and the receipt has the first one's position and says [`duplicate`](Receipt::duplicate).
    /// Another event with the same key is a
    /// [`TriggerError::KeyConflict`]. A key has 1 to 128 bytes and no control characters, or it is a
    /// [`TriggerError::InvalidKey`]. Only for events with history; the keys of the server's own code are
    /// apart from those of clients.
    pub fn key(self, key: impl Into<String>) -> Self {
        self.set(|parts| parts.key = Some(key.into()))
    }
}

fn envelope<A: App>(room: &AnyRoom<A>) -> Envelope {
    Envelope::new(room.erased().id(), name::SYSTEM, None)
}

impl<A: App> Future for Trigger<A> {
    type Output = Result<Receipt, TriggerError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            self.0 = match std::mem::replace(&mut self.0, Stage::Started) {
                Stage::Prepared(parts) => Stage::Running(parts.run()),
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

impl<A: App> Parts<A> {
    fn run(self) -> BoxFuture<'static, Result<Receipt, TriggerError>> {
        let Self { room, message, except, key } = self;
        Box::pin(async move {
            let row = room.spec().event(message.as_ref().map_or("", |message| message.event()));
            let message = match row {
                Some(row) => row.fit(message?).map_err(|unfit| refuse(&room, row, unfit))?,
                None if room.spec().any => {
                    let message = message?;
                    message.check().map_err(TriggerError::Invalid)?;
                    message
                }
                None => return message.and(Err(TriggerError::NotCarried)),
            };
            if !name::is_sender((*message).from()) {
                return Err(TriggerError::InvalidSender((*message).from().to_owned()));
            }
            let key = match key {
                Some(key) if !name::is_key(&key) => return Err(TriggerError::InvalidKey(key)),
                Some(key) => {
                    let raw = message.to_raw().map_err(|error| not_json(&room, "", &error))?;
                    Some(Key::new("", &key, message.event(), &raw.data))
                }
                None => None,
            };
            let dialogue = room.dialogue();
            let live = dialogue.hub().find_same(&**room.erased());
            if room.spec().explicit && live.is_none() {
                return Err(TriggerError::RoomNotFound);
            }
            if let Some(receipt) = earlier(&room, live.as_deref(), &*message, key.as_ref()).await? {
                return Ok(receipt);
            }
            let mut prepared = prepare(&room, live.as_deref(), message, key).await?;
            loop {
                let live = dialogue.hub().open(room.erased()).ok_or(TriggerError::RoomNotFound)?;
                match prepared.broadcast(dialogue, &live, &By::Server(&except)).await? {
                    Ok(receipt) => return Ok(receipt),
                    // The room is being closed; it has left the hub in a moment.
                    Err(again) => prepared = again,
                }
                tokio::task::yield_now().await;
            }
        })
    }
}

/// Who triggers an event.
enum By<'a, A: App> {
    /// A member.
    Client(&'a Client<A>),
    /// The server's own code, which leaves out these.
    Server(&'a [Client<A>]),
}

/// Passes a client's valid message through a room that it is in, for as long as it is.
pub(crate) async fn publish<A: App>(
    client: &Client<A>,
    live: &Arc<Live<A>>,
    message: Box<dyn AnyMessage>,
    key: Option<Key>,
) -> Result<Receipt, TriggerError> {
    let room = AnyRoom::new(client.dialogue().clone(), live.room().clone());
    if let Some(receipt) = earlier(&room, Some(live), &*message, key.as_ref()).await? {
        return Ok(receipt);
    }
    let prepared = prepare(&room, Some(live), message, key).await?;
    // A room that has members is closed only when it is deleted.
    let sent = prepared.broadcast(room.dialogue(), live, &By::Client(client)).await?;
    sent.map_err(|_| TriggerError::RoomNotFound)
}

/// The receipt of an event that was triggered before with the same key. Hooks that may refuse or have
/// effects of their own do not see it again; where there are none, the store alone finds out.
async fn earlier<A: App>(
    room: &AnyRoom<A>,
    live: Option<&Live<A>>,
    message: &dyn AnyMessage,
    key: Option<&Key>,
) -> Result<Option<Receipt>, TriggerError> {
    let event = message.event();
    let (Some(key), Some(_)) = (key, history(room, event)) else { return Ok(None) };
    let added = live.is_some_and(|live| !live.handlers.before(event).is_empty());
    if !(added || A::HOOKS.before_each || room.erased().has_before(event)) {
        return Ok(None);
    }
    let store = room.dialogue().store();
    let log = LogId::new(room.erased().id().clone(), room.erased().owner());
    match store.find(&log, key).await.map_err(|Unavailable| TriggerError::StoreUnavailable)? {
        None => Ok(None),
        Some(Before::Same(position)) => {
            let receipt = Receipt::of_duplicate(position);
            if let Some(entry) = LogEntry::of(message, || None) {
                entry.write(room.id(), &receipt);
            }
            Ok(Some(receipt))
        }
        Some(Before::Other) => Err(TriggerError::KeyConflict),
    }
}

/// How many events of a name the room keeps.
fn history<A: App>(room: &AnyRoom<A>, event: &str) -> Option<NonZeroUsize> {
    room.spec().event(event).and_then(|row| row.history)
}

/// A message that passed all that may refuse it, ready to go out.
enum Prepared {
    Ephemeral {
        message: Arc<dyn AnyMessage>,
        /// For hooks that follow every broadcast.
        raw: Option<Arc<RawMessage>>,
        packet: Packet,
    },
    /// Its wire form is made when it has its place in the log.
    Stored { message: Box<dyn AnyMessage>, event: NewEvent },
}

/// What comes before the broadcast: the room's `#[before]`, handlers added at run time, and the
/// app's `before_each`.
async fn prepare<A: App>(
    room: &AnyRoom<A>,
    live: Option<&Live<A>>,
    mut message: Box<dyn AnyMessage>,
    key: Option<Key>,
) -> Result<Prepared, TriggerError> {
    let (dialogue, erased) = (room.dialogue(), room.erased());
    let (app, time) = (dialogue.app(), dialogue.limits().hook_time);
    let row = erased.spec().event(message.event());
    let failed = |hook::Failed| TriggerError::Internal;

    let mut rewritten = false;
    if erased.has_before(message.event()) {
        let before = erased.clone().before(dialogue, &mut *message);
        let verdict = hook::run(time, "before", room.id(), before).await.map_err(failed)?;
        verdict.map_err(TriggerError::Denied)?;
        rewritten = true;
    }
    let added = live.map(|live| live.handlers.before(message.event()));
    for before in added.into_iter().flatten() {
        let verdict =
            hook::run(time, "before", room.id(), before(message)).await.map_err(failed)?;
        message = verdict.map_err(TriggerError::Denied)?;
        rewritten = true;
    }
    if rewritten {
        match row {
            Some(row) => row.check(&*message).map_err(|unfit| refuse(room, row, unfit))?,
            None => message.check().map_err(TriggerError::Invalid)?,
        }
    }

    let unwritable = |error: &_| not_json(room, "", error);
    let mut raw = None;
    if A::HOOKS.before_each || A::HOOKS.follow() {
        raw = Some(message.to_raw().map_err(|error| unwritable(&error))?);
    }
    if let Some(raw) = &mut raw
        && A::HOOKS.before_each
    {
        let data = raw.data.clone();
        hook::run_now("before_each", room.id(), || app.before_each(raw))
            .map_err(failed)?
            .map_err(TriggerError::Denied)?;
        // Which event it is and in which room is not the hook's to say.
        raw.event = message.event().to_owned().into();
        raw.room_id = erased.id().clone();
        if raw.data.get() == data.get() {
            message.sender_mut().clone_from(&raw.from);
            message.meta_mut().clone_from(&raw.meta);
        } else {
            let (envelope, event, data) = Envelope::of(raw.clone());
            message = match row {
                Some(row) => row.decode(envelope, &data).map_err(TriggerError::Invalid)?,
                None => Box::new(envelope.around(event, data)),
            };
            // What is broadcast is the parsed value.
            *raw = message.to_raw().map_err(|error| unwritable(&error))?;
        }
    }
    // Who it is from is the handlers' and the hook's to say, but not to make up.
    if (rewritten || A::HOOKS.before_each) && !name::is_sender((*message).from()) {
        let error = TriggerError::InvalidSender((*message).from().to_owned());
        tracing::error!(room = ?room.id(), %error, "a hook names a sender that cannot be");
        return Err(TriggerError::Internal);
    }
    let Some(keep) = history(room, message.event()) else {
        let written: &dyn AnyMessage = raw.as_ref().map_or(&*message, |raw| raw);
        let packet = Packet::of_room(written, ENCODED).map_err(|error| unwritable(&error))?;
        let packet = packet.counted(dialogue.transports().process());
        let raw = raw.filter(|_| A::HOOKS.follow()).map(Arc::new);
        return Ok(Prepared::Ephemeral { message: message.into(), raw, packet });
    };
    let raw = match raw {
        Some(raw) => raw,
        None => message.to_raw().map_err(|error| unwritable(&error))?,
    };
    Ok(Prepared::Stored { message, event: NewEvent { message: raw, keep, key } })
}

impl<'a, A: App> By<'a, A> {
    fn except(&self) -> &'a [Client<A>] {
        match *self {
            By::Client(_) => &[],
            By::Server(except) => except,
        }
    }

    /// Whether the event may go out now.
    fn may(&self, state: &State<A>) -> bool {
        match self {
            By::Server(_) => true,
            By::Client(client) => {
                let gone = client.connection().inbox.is_closed_by_server();
                !gone && state.members.contains_key(&client.id())
            }
        }
    }
}

impl Prepared {
    fn message(&self) -> &dyn AnyMessage {
        match self {
            Self::Ephemeral { message, .. } => &**message,
            Self::Stored { message, .. } => &**message,
        }
    }

    /// The event as JSON.
    fn body(&self) -> Option<String> {
        match self {
            Self::Ephemeral { packet, .. } => Some(packet.payload().to_owned()),
            Self::Stored { event, .. } => serde_json::to_string(&event.message).ok(),
        }
    }

    /// How much memory the event takes while it waits for handlers, in bytes.
    fn weight(&self) -> usize {
        match self {
            Self::Ephemeral { packet, .. } => packet.weight(),
            Self::Stored { event, .. } => store::weight(&event.message),
        }
    }

    /// Takes a place among what handlers have yet to see, if any will, and goes out: an event with
    /// history once it is stored. Comes back if the room was closed in between, or if who triggers it
    /// is a member no more.
    async fn broadcast<A: App>(
        self,
        dialogue: &Dialogue<A>,
        live: &Arc<Live<A>>,
        by: &By<'_, A>,
    ) -> Result<Result<Receipt, Self>, TriggerError> {
        let handled = live.handlers.handles(live.room(), self.message().event());
        let place = match by {
            By::Server(_) => live.handlers.place(handled).await?,
            By::Client(client) => {
                let connection = client.connection();
                let held = if handled {
                    let time = dialogue.limits().join_time;
                    match connection.hold(self.weight(), time).await {
                        Ok(held) => Some(held),
                        Err(JoinError::Closed) => return Ok(Err(self)),
                        Err(_) => return Err(TriggerError::Overloaded),
                    }
                } else {
                    None
                };
                // Handlers may take their time; a connection that the server ends does not wait for it.
                let mut place = tokio::select! {
                    place = live.handlers.place(handled) => place?,
                    () = connection.inbox.ended_by_server() => return Ok(Err(self)),
                };
                if let Some(place) = &mut place {
                    place.held = held;
                }
                place
            }
        };
        let entry = LogEntry::of(self.message(), || self.body());
        let sent = match self {
            Self::Ephemeral { message, raw, packet } => {
                let then = |recipients| {
                    if let Some(place) = place {
                        let (message, raw) = (message.clone(), raw.clone());
                        live.handle(dialogue, Job { message, raw, recipients, place });
                    }
                };
                let may = |state: &State<A>| by.may(state);
                let sent = live.send(by.except(), message.event(), &packet, may, then);
                let Some(recipients) = sent else {
                    return Ok(Err(Self::Ephemeral { message, raw, packet }));
                };
                Receipt { recipients, position: None, duplicate: false }
            }
            Self::Stored { message, event } => {
                let (reply, stored) = oneshot::channel();
                let (except, message) = (by.except().to_vec(), Some(message));
                let append = Append { event, then: Then { except, message, place, reply } };
                let queued = live.append(dialogue, append, |state| by.may(state));
                if let Err(append) = queued {
                    let Append { event, then } = *append;
                    let message = then.message.ok_or(TriggerError::Internal)?;
                    return Ok(Err(Self::Stored { message, event }));
                }
                stored.await.unwrap_or(Err(TriggerError::Internal))?
            }
        };
        if let Some(entry) = entry {
            entry.write(live.id(), &sent);
        }
        Ok(Ok(sent))
    }
}

/// What is logged of an event.
struct LogEntry {
    event: String,
    from: String,
    body: Option<String>,
}

impl LogEntry {
    /// If anybody listens; `body` is what was sent.
    fn of(message: &dyn AnyMessage, body: impl FnOnce() -> Option<String>) -> Option<Self> {
        if !tracing::enabled!(target: EVENT_LOG, tracing::Level::DEBUG) {
            return None;
        }
        let all = tracing::enabled!(target: EVENT_LOG, tracing::Level::TRACE);
        let body = if all { body() } else { None };
        Some(Self { event: message.event().to_owned(), from: message.from().to_owned(), body })
    }

    fn write(self, room: &str, receipt: &Receipt) {
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

fn refuse<A: App>(room: &AnyRoom<A>, row: &RoomEvent, unfit: Unfit) -> TriggerError {
    match unfit {
        Unfit::AnotherType => TriggerError::AnotherType,
        Unfit::Invalid(issues) => TriggerError::Invalid(issues),
        Unfit::NotJson(error) => not_json(room, &row.name, &error),
    }
}

fn not_json<A: App>(room: &AnyRoom<A>, event: &str, error: &serde_json::Error) -> TriggerError {
    tracing::error!(room = ?room.id(), ?event, %error, "an event is not JSON");
    TriggerError::Internal
}
