//! The one way of an event through a room: what may reject it, the log, delivery.

use std::{num::NonZeroUsize, sync::Arc};

use tokio::sync::oneshot;

use super::log_entry::LogEntry;
use crate::{
    AnyRoom, App, Client, ClientId, EventNotListed, JoinError, RawMessage, Receipt, TriggerError,
    app::hooks::{self, Hook},
    connection::packet::Packet,
    engine::{
        append_queue::{Append, Then},
        deliveries::{Delivered, HandlerSlot},
        fan_out::By,
        live::Live,
    },
    model::{
        message::{AnyMessage, Envelope, Unfit},
        name,
        room::RoomEvent,
    },
    store::{self, Key, KeyUse, NewEvent, erased::Unavailable},
};

/// Capacity for the JSON of an ephemeral event, in bytes: most are shorter.
pub(crate) const ENCODED: usize = 480;

/// Passes a message of the server's own code through a room.
pub(crate) async fn by_server<A: App>(
    room: &AnyRoom<A>,
    message: Result<Box<dyn AnyMessage>, TriggerError>,
    except: &[ClientId],
    key: Option<String>,
) -> Result<Receipt, TriggerError> {
    let row = room.spec().event(message.as_ref().map_or("", |message| message.event()));
    let message = match row {
        Some(row) => row.fit(message?).map_err(|unfit| reject(room, row, unfit))?,
        None if room.spec().any => {
            let message = message?;
            message.check().map_err(TriggerError::Invalid)?;
            message
        }
        None => return Err(EventNotListed::new(message?.event()).into()),
    };
    if !name::is_sender((*message).from()) {
        return Err(TriggerError::InvalidSender((*message).from().to_owned()));
    }
    let key = match key {
        Some(key) if !name::is_key(&key) => return Err(TriggerError::InvalidKey(key)),
        Some(key) => {
            let raw = message.to_raw().map_err(|error| not_json(room, "", &error))?;
            Some(Key::new("", &key, message.event(), &raw.data))
        }
        None => None,
    };
    let dialogue = room.dialogue();
    let live = room.live();
    if room.spec().explicit && live.is_none() {
        return Err(TriggerError::RoomNotFound);
    }
    if let Some(receipt) = earlier(room, live.as_deref(), &*message, key.as_ref()).await? {
        return Ok(receipt);
    }
    let mut prepared = prepare(room, live.as_deref(), message, key).await?;
    loop {
        let live = dialogue.hub().open(&room.definition()).ok_or(TriggerError::RoomNotFound)?;
        match prepared.publish(room, &live, &By::Server(except)).await? {
            Ok(receipt) => return Ok(receipt),
            // The room is being closed; it has left the hub in a moment.
            Err(again) => prepared = again,
        }
        tokio::task::yield_now().await;
    }
}

/// Passes a client's valid message through a room that it is in, for as long as it is.
pub(crate) async fn by_client<A: App>(
    client: &Client<A>,
    live: &Arc<Live>,
    message: Box<dyn AnyMessage>,
    key: Option<Key>,
) -> Result<Receipt, TriggerError> {
    let room = client.dialogue().any(live.room());
    if let Some(receipt) = earlier(&room, Some(live), &*message, key.as_ref()).await? {
        return Ok(receipt);
    }
    let prepared = prepare(&room, Some(live), message, key).await?;
    // A room that has members is closed only when it is deleted.
    let sent = prepared.publish(&room, live, &By::Member(client.member())).await?;
    sent.map_err(|_| TriggerError::RoomNotFound)
}

/// The receipt of an event that was triggered before with the same key. Hooks that may refuse or have
/// effects of their own do not see it again; where there are none, the store alone finds out.
async fn earlier<A: App>(
    room: &AnyRoom<A>,
    live: Option<&Live>,
    message: &dyn AnyMessage,
    key: Option<&Key>,
) -> Result<Option<Receipt>, TriggerError> {
    let event = message.event();
    let (Some(key), Some(_)) = (key, history(room, event)) else { return Ok(None) };
    let added = live.is_some_and(|live| !live.handlers.before(event).is_empty());
    if !(added || A::HOOKS.before_each || room.hosted().erased().has_before(event)) {
        return Ok(None);
    }
    let store = room.dialogue().store();
    let log = room.hosted().log_id();
    match store.find(&log, key).await.map_err(|Unavailable| TriggerError::StoreUnavailable)? {
        None => Ok(None),
        Some(KeyUse::Same(position)) => {
            let receipt = Receipt::of_duplicate(position);
            if let Some(entry) = LogEntry::of(message, || None) {
                entry.write(room.id(), &receipt);
            }
            Ok(Some(receipt))
        }
        Some(KeyUse::Other) => Err(TriggerError::KeyConflict),
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
    live: Option<&Live>,
    mut message: Box<dyn AnyMessage>,
    key: Option<Key>,
) -> Result<Prepared, TriggerError> {
    let (dialogue, erased) = (room.dialogue(), room.hosted().erased());
    let (app, hooks) = (dialogue.app(), dialogue.hooks());
    let row = erased.spec().event(message.event());
    let failed = |hooks::Failed| TriggerError::Internal;

    let mut rewritten = false;
    if erased.has_before(message.event()) {
        let before = erased.before(room, &mut *message);
        let verdict = hooks.run(Hook::Before, room.id(), before).await.map_err(failed)?;
        verdict.map_err(TriggerError::Denied)?;
        rewritten = true;
    }
    let added = live.map(|live| live.handlers.before(message.event()));
    for before in added.into_iter().flatten() {
        let verdict = hooks.run(Hook::Before, room.id(), before(message)).await.map_err(failed)?;
        message = verdict.map_err(TriggerError::Denied)?;
        rewritten = true;
    }
    if rewritten {
        match row {
            Some(row) => row.check(&*message).map_err(|unfit| reject(room, row, unfit))?,
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
        hooks::run_now(Hook::BeforeEach, room.id(), || app.before_each(raw))
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
        let packet = packet.counted(dialogue.hub().process());
        let raw = raw.filter(|_| A::HOOKS.follow()).map(Arc::new);
        return Ok(Prepared::Ephemeral { message: message.into(), raw, packet });
    };
    let raw = match raw {
        Some(raw) => raw,
        None => message.to_raw().map_err(|error| unwritable(&error))?,
    };
    Ok(Prepared::Stored { message, event: NewEvent { message: raw, keep, key } })
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
    async fn publish<A: App>(
        self,
        room: &AnyRoom<A>,
        live: &Arc<Live>,
        by: &By<'_>,
    ) -> Result<Result<Receipt, Self>, TriggerError> {
        let hub = room.dialogue().hub();
        let event = self.message().event();
        let handled = A::HOOKS.follow()
            || room.hosted().erased().has_on(event)
            || live.handlers.follow(event);
        let place = match by {
            _ if !handled => None,
            By::Server(_) => Some(place(live).await?),
            By::Member(member) => {
                let (connection, time) = (&member.connection, hub.limits().join_time);
                let held = match connection.hold(self.weight(), time).await {
                    Ok(held) => held,
                    Err(JoinError::Closed) => return Ok(Err(self)),
                    Err(_) => return Err(TriggerError::Overloaded),
                };
                // Handlers may take their time; a connection that the server ends does not wait for it.
                let mut place = tokio::select! {
                    place = place(live) => place?,
                    () = connection.inbox.ended_by_server() => return Ok(Err(self)),
                };
                place.held = Some(held);
                Some(place)
            }
        };
        let entry = LogEntry::of(self.message(), || self.body());
        let sent = match self {
            Self::Ephemeral { message, raw, packet } => {
                let delivered = place.map(|place| {
                    let (message, raw) = (message.clone(), raw.clone());
                    Delivered { message, raw, recipients: 0, place }
                });
                let sent = live.send(hub, by, message.event(), &packet, delivered);
                let Some(recipients) = sent else {
                    return Ok(Err(Self::Ephemeral { message, raw, packet }));
                };
                Receipt { recipients, position: None, duplicate: false }
            }
            Self::Stored { message, event } => {
                let (reply, stored) = oneshot::channel();
                let (except, message) = (by.except().to_vec(), Some(message));
                let append = Append {
                    event,
                    then: Then { except, message, raw: A::HOOKS.follow(), place, reply },
                };
                if let Err(append) = live.append(hub, append, by) {
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

fn reject<A: App>(room: &AnyRoom<A>, row: &RoomEvent, unfit: Unfit) -> TriggerError {
    match unfit {
        Unfit::AnotherType => TriggerError::AnotherType,
        Unfit::Invalid(issues) => TriggerError::Invalid(issues),
        Unfit::NotJson(error) => not_json(room, &row.name, &error),
    }
}

pub(crate) fn not_json<A: App>(
    room: &AnyRoom<A>,
    event: &str,
    error: &serde_json::Error,
) -> TriggerError {
    tracing::error!(room = ?room.id(), ?event, %error, "an event is not JSON");
    TriggerError::Internal
}

/// A place among the events that handlers have yet to see. A handler does not wait for one: it might wait for itself.
async fn place(live: &Live) -> Result<HandlerSlot, TriggerError> {
    if hooks::is_handling() { live.deliveries.inner_place() } else { live.deliveries.place().await }
}
