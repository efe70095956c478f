//! Rooms: what a module under `#[dialogue::room]` declares.

use std::{borrow::Cow, num::NonZeroUsize};

use schemars::Schema;

use crate::{Event, EventSpec};

/// The key of a room: a unit struct for a static room, a struct with one field per placeholder
/// for a family. Implemented by `#[dialogue::room]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a room",
    label = "not a room",
    note = "a room is the `Room` of a module under `#[dialogue::room(..)]`"
)]
pub trait Room: Clone + Send + Sync + 'static {
    /// What the room declares.
    const SPEC: RoomSpec;

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

/// A client may trigger the event in the room.
#[diagnostic::on_unimplemented(
    message = "a client may not trigger `{E}` in room `{Self}`",
    label = "not an event of clients",
    note = "only what the room lists in `events(..)` may be triggered by clients"
)]
pub trait Accepts<E>: Carries<E> {}

/// What a room declares, known at compile time. Written by `#[dialogue::room]`.
#[derive(Clone, Copy, Debug)]
pub struct RoomSpec {
    /// The id, or the pattern of a family's ids: `doc:{document_id}`.
    pub pattern: &'static str,
    /// The name for people. A room without one is called by its id.
    pub name: Option<&'static str>,
    /// The module's doc comment.
    pub description: Option<&'static str>,
    /// The events that the room lists.
    pub events: &'static [RoomEvent],
    /// Whether events that are not listed pass too, unvalidated.
    pub any: bool,
    /// Whether a joiner is subscribed to everything, unlisted events included.
    pub subscribe_all: bool,
    /// How many connections may be in the room at once.
    pub max_size: Option<NonZeroUsize>,
    /// What of its history a joiner receives.
    pub sync_history: SyncHistory,
}

impl RoomSpec {
    /// The event that the room lists under this name.
    pub fn event(&self, name: &str) -> Option<&'static RoomEvent> {
        self.events.iter().find(|event| event.spec.name == name)
    }

    /// Whether a client may trigger an event of this name.
    pub fn allows(&self, name: &str) -> bool {
        self.event(name).map_or(self.any, RoomEvent::from_clients)
    }

    /// Whether the room is one of a family: its pattern has placeholders.
    pub fn is_family(&self) -> bool {
        self.pattern.contains('{')
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
#[derive(Clone, Copy, Debug)]
pub struct RoomEvent {
    spec: EventSpec,
    from_clients: bool,
    subscribed: bool,
    schema: fn() -> Schema,
    #[cfg(feature = "server")]
    pub(crate) decode: crate::server::message::Decode,
    #[cfg(feature = "server")]
    pub(crate) payload_type: fn() -> std::any::TypeId,
}

impl RoomEvent {
    /// The row of `E`: may clients trigger it, and is a joiner subscribed to it?
    #[doc(hidden)]
    pub const fn of<E: Event>(from_clients: bool, subscribed: bool) -> Self {
        Self {
            spec: E::SPEC,
            from_clients,
            subscribed,
            schema: E::schema,
            #[cfg(feature = "server")]
            decode: crate::server::message::decode::<E>,
            #[cfg(feature = "server")]
            payload_type: std::any::TypeId::of::<E>,
        }
    }

    /// Name, description and history.
    pub const fn spec(&self) -> &EventSpec {
        &self.spec
    }

    /// Whether clients may trigger it.
    pub const fn from_clients(&self) -> bool {
        self.from_clients
    }

    /// Whether a joiner is subscribed to it unless the join says otherwise.
    pub const fn subscribed(&self) -> bool {
        self.subscribed
    }

    /// The JSON Schema of its payload.
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }
}
