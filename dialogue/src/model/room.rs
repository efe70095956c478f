//! Rooms: what a module under `#[dialogue::room]` declares.

use std::{borrow::Cow, num::NonZeroUsize};

use schemars::Schema;

use crate::{Event, Flow, Rate};

/// The key of a room: a unit struct for a static room, a struct with one field per placeholder
/// for a family. Implemented by `#[dialogue::room]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a room",
    label = "not a room",
    note = "a room is the `Room` of a module under `#[dialogue::room(..)]`"
)]
pub trait Room: Clone + Send + Sync + 'static {
    /// What the room declares.
    const SPEC: RoomSpec<'static>;

    /// The room's id.
    fn id(&self) -> Cow<'static, str>;

    /// The room with this id, if `id` is exactly what [`Room::id`] would return for it.
    fn parse(id: &str) -> Option<Self>;
}

/// The room lists the event: the server may trigger it there.
#[diagnostic::on_unimplemented(
    message = "room `{Self}` does not carry event `{E}`",
    label = "not one of this room's events",
    note = "list `{E}` in the room's `events(..)` or `server_events(..)`"
)]
pub trait Carries<E>: Room {}

/// The room lets unlisted events pass: `events(any)`.
#[diagnostic::on_unimplemented(
    message = "room `{Self}` takes no events that it does not list",
    label = "takes listed events alone",
    note = "trigger a listed event by its type, or declare the room with `events(any)`"
)]
pub trait CarriesAny: Room {}

/// A client may trigger the event in the room.
#[diagnostic::on_unimplemented(
    message = "a client may not trigger `{E}` in room `{Self}`",
    label = "not an event of clients",
    note = "only what the room lists in `events(..)` may be triggered by clients"
)]
pub trait Accepts<E>: Carries<E> {}

/// What a room declares: a module at compile time, or code that creates it at run time.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a key of its own in the attribute")]
pub struct RoomSpec<'a> {
    /// The id, or the pattern of a family's ids: `doc:{document_id}`.
    pub pattern: &'a str,
    /// The name for people. A room without one is called by its id.
    pub name: Option<&'a str>,
    /// What the room is for: the module's doc comment.
    pub description: Option<&'a str>,
    /// The events that the room lists.
    pub events: &'a [RoomEvent],
    /// Whether events that are not listed pass too, unvalidated.
    pub any: bool,
    /// Whether a joiner is subscribed to everything, unlisted events included.
    pub subscribe_all: bool,
    /// How many connections may be in the room at once.
    pub max_size: Option<NonZeroUsize>,
    /// What of its history a joiner receives.
    pub sync_history: SyncHistory,
    /// Whether a room of this family must be created before it is used.
    pub explicit: bool,
    /// Whether clients find the open rooms of this family in the list of rooms.
    pub listed: bool,
    /// The user who created the room.
    pub created_by: Option<&'a str>,
}

impl<'a> RoomSpec<'a> {
    /// The event that the room lists under this name.
    pub fn event(&self, name: &str) -> Option<&'a RoomEvent> {
        self.events.iter().find(|event| event.name == name)
    }

    /// Whether a client may trigger an event of this name.
    pub fn allows(&self, name: &str) -> bool {
        self.event(name).map_or(self.any, RoomEvent::from_clients)
    }

    /// Whether the room is one of a family: its pattern has placeholders.
    pub fn is_family(&self) -> bool {
        self.pattern.contains('{')
    }

    /// The names of what a joiner is subscribed to unless the join says otherwise.
    pub fn default_subscriptions(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let every = (self.any && self.subscribe_all).then_some(crate::EVERY_EVENT);
        let listed = self.events.iter().filter(move |event| every.is_none() && event.subscribed);
        listed.map(RoomEvent::name).chain(every)
    }
}

/// What of its history a room sends to a joiner, per event name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncHistory {
    /// Nothing.
    #[default]
    Nothing,
    /// At most so many, the newest first.
    Last(NonZeroUsize),
    /// All that is kept.
    All,
}

/// An event in a room's list.
#[derive(Clone, Debug)]
pub struct RoomEvent {
    pub(crate) name: Cow<'static, str>,
    pub(crate) description: Option<Cow<'static, str>>,
    pub(crate) history: Option<NonZeroUsize>,
    pub(crate) rate: Option<Rate>,
    pub(crate) depth: Option<usize>,
    pub(crate) from_clients: bool,
    pub(crate) subscribed: bool,
    pub(crate) payload: EventPayload,
}

/// What is known of a payload.
#[derive(Clone, Debug)]
pub(crate) enum EventPayload {
    /// Its type.
    Typed {
        schema: fn(Flow) -> Schema,
        #[cfg(feature = "server")]
        decode: crate::model::message::Decode,
        #[cfg(feature = "server")]
        payload_type: fn() -> std::any::TypeId,
    },
    /// A schema that was given at run time.
    #[cfg(feature = "server")]
    Described(std::sync::Arc<crate::model::payload_schema::PayloadSchema>),
}

impl RoomEvent {
    /// The row of `E`: may clients trigger it, and is a joiner subscribed to it?
    #[doc(hidden)]
    pub const fn of<E: Event>(from_clients: bool, subscribed: bool) -> Self {
        Self {
            name: Cow::Borrowed(E::SPEC.name),
            description: match E::SPEC.description {
                Some(description) => Some(Cow::Borrowed(description)),
                None => None,
            },
            history: E::SPEC.history,
            rate: E::SPEC.rate,
            depth: E::SPEC.depth,
            from_clients,
            subscribed,
            payload: EventPayload::Typed {
                schema: E::schema,
                #[cfg(feature = "server")]
                decode: crate::model::message::decode::<E>,
                #[cfg(feature = "server")]
                payload_type: std::any::TypeId::of::<E>,
            },
        }
    }

    /// The name of an event that a module lists.
    pub(crate) const fn declared_name(&self) -> &str {
        match self.name {
            Cow::Borrowed(name) => name,
            Cow::Owned(_) => "",
        }
    }

    /// The event's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is about.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// How many of its kind a room keeps. `None` means none: the event is ephemeral.
    pub const fn history(&self) -> Option<NonZeroUsize> {
        self.history
    }

    /// How often one connection may trigger it, if the event says so.
    pub const fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// How many levels of arrays and objects its payload may nest, if the event says so.
    pub const fn depth(&self) -> Option<usize> {
        self.depth
    }

    /// Whether clients may trigger it.
    pub const fn from_clients(&self) -> bool {
        self.from_clients
    }

    /// Whether a joiner is subscribed to it unless the join says otherwise.
    pub const fn subscribed(&self) -> bool {
        self.subscribed
    }

    /// The JSON Schema of a payload that goes this way. Of a type, it is draft 7.
    pub fn schema(&self, flow: Flow) -> Schema {
        match &self.payload {
            EventPayload::Typed { schema, .. } => schema(flow),
            #[cfg(feature = "server")]
            EventPayload::Described(schema) => schema.json().clone(),
        }
    }
}

/// The room decodes the event, so that handlers may have it: every event that it lists.
#[diagnostic::on_unimplemented(
    message = "room `{Self}` does not list event `{E}`, which has a handler",
    label = "not one of the events that this room decodes",
    note = "list `{E}` in the room's `events(..)` or `server_events(..)`; what only `events(any)` \
            lets pass is not decoded"
)]
pub trait Lists<E>: Room {}
