//! Rooms that code creates at run time.

use std::{borrow::Cow, num::NonZeroUsize, sync::Arc};

use super::hosted::ErasedRoom;
use crate::{
    CreateError, EVERY_EVENT, Event, Limits, Rate, Room, RoomSpec, SyncHistory,
    model::{
        name,
        payload_schema::PayloadSchema,
        room::{EventPayload, RoomEvent},
    },
    protocol::CreateRoom,
    store::Owner,
    untagged_enums,
};

/// What a room that is created at run time declares; see
/// [`Dialogue::create_room`](crate::Dialogue::create_room).
///
/// ```
/// use dialogue::{Event, EventConfig, RoomConfig};
/// use serde_json::json;
///
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, Event)]
/// # struct Move { x: i32, y: i32 }
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, Event)]
/// # struct Score { points: u32 }
/// let session = RoomConfig::new("Game session")
///     .description("A quick round of four")
///     .event::<Move>()                          // clients and the server may trigger these
///     .server_event::<Score>()                  // only the server may trigger these
///     .event_with_schema("chat", json!({ "type": "string", "maxLength": 200 }))
///     .event_with(EventConfig::new("cheer").history(10))
///     .subscribe(["move", "score", "chat"])     // default: every event listed
///     .max_size(4)
///     .sync_history(50)
///     .created_by("ann");
/// ```
///
/// Mistakes are told when the room is created.
#[derive(Clone, Debug)]
#[must_use = "a configuration does nothing until a room is created with it"]
pub struct RoomConfig {
    name: String,
    description: Option<String>,
    events: Vec<RoomEvent>,
    any: bool,
    subscribe: Subscribe,
    max_size: Option<NonZeroUsize>,
    sync_history: SyncHistory,
    created_by: Option<String>,
    mistakes: Vec<String>,
}

#[derive(Clone, Debug)]
enum Subscribe {
    All,
    Listed(Vec<String>),
}

impl RoomConfig {
    /// A room with a name for people, and no events.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: None,
            events: Vec::new(),
            any: false,
            subscribe: Subscribe::All,
            max_size: None,
            sync_history: SyncHistory::Nothing,
            created_by: None,
            mistakes: Vec::new(),
        }
    }

    /// What the room is for.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Lists an event that clients and the server may trigger.
    pub fn event<E: Event>(mut self) -> Self {
        self.events.push(RoomEvent::of::<E>(true, true));
        self
    }

    /// Lists an event that only the server may trigger.
    pub fn server_event<E: Event>(mut self) -> Self {
        self.events.push(RoomEvent::of::<E>(false, true));
        self
    }

    /// Lists the events of a room that a module declares: clients that know the module join the created
    /// room with its types. Who may trigger them, what a joiner receives, and whether others pass is as
    /// there; its handlers, its limits and what it sends of the past are its own. The app need not list
    /// that room.
    ///
    /// ```
    /// use dialogue::{Event, RoomConfig};
    ///
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, Event)]
    /// # struct Message { text: String }
    /// #[dialogue::room("lobby", events(Message))]
    /// mod lobby {}
    ///
    /// let another = RoomConfig::new("Around the corner").events_of::<lobby::Room>();
    /// ```
    pub fn events_of<R: Room>(mut self) -> Self {
        self.events.extend_from_slice(R::SPEC.events);
        self.any |= R::SPEC.any;
        if R::SPEC.subscribe_all { self.subscribe_all() } else { self }
    }

    /// Lists an event that clients and the server may trigger, whose payload a JSON Schema
    /// describes. Needs the feature `json-schema`.
    #[cfg(feature = "json-schema")]
    pub fn event_with_schema(self, name: impl Into<String>, schema: serde_json::Value) -> Self {
        self.event_with(EventConfig::new(name).schema(schema))
    }

    /// Lists an event that is known at run time alone.
    pub fn event_with(mut self, event: EventConfig) -> Self {
        match event.build() {
            Ok(event) => self.events.push(event),
            Err(mistake) => self.mistakes.push(mistake),
        }
        self
    }

    /// Lets events that are not listed pass too, unvalidated.
    pub fn events_any(mut self) -> Self {
        self.any = true;
        self
    }

    /// What a joiner receives without asking: names of listed events. Default: all of them.
    pub fn subscribe(mut self, events: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.subscribe = Subscribe::Listed(events.into_iter().map(Into::into).collect());
        self
    }

    /// Subscribes a joiner to every event, unlisted ones included.
    pub fn subscribe_all(mut self) -> Self {
        self.subscribe = Subscribe::Listed(vec![EVERY_EVENT.to_owned()]);
        self
    }

    /// How many connections the room takes; none means any number, and is what zero means.
    pub fn max_size(mut self, most: impl Into<Option<usize>>) -> Self {
        self.max_size = most.into().and_then(NonZeroUsize::new);
        self
    }

    /// What of the past a joiner is sent, per event, newest first: at most so many.
    pub fn sync_history(mut self, events: usize) -> Self {
        self.sync_history =
            NonZeroUsize::new(events).map_or(SyncHistory::Nothing, SyncHistory::Last);
        self
    }

    /// Sends a joiner all that is kept.
    pub fn sync_all_history(mut self) -> Self {
        self.sync_history = SyncHistory::All;
        self
    }

    /// The user who creates the room, and may delete it. The room's log belongs to that user: code that creates
    /// the room for another user gets [`CreateError::Exists`] for as long as the log is kept.
    pub fn created_by(mut self, user_id: impl Into<String>) -> Self {
        self.created_by = Some(user_id.into());
        self
    }

    pub(crate) fn created_by_default(mut self, user_id: &str) -> Self {
        self.created_by.get_or_insert_with(|| user_id.to_owned());
        self
    }

    /// The room, if there is no mistake in it.
    pub(crate) fn build(
        mut self,
        id: &str,
        creation: u64,
        by_client: bool,
        limits: &Limits,
    ) -> Result<Created, CreateError> {
        if !name::is_created_room_id(id) {
            return Err(CreateError::InvalidId);
        }
        if let Err(mistake) = self.check(limits) {
            return Err(CreateError::InvalidConfig(mistake));
        }
        if let Subscribe::Listed(names) = &self.subscribe
            && !names.iter().any(|name| name == EVERY_EVENT)
        {
            for event in &mut self.events {
                event.subscribed = names.iter().any(|name| *name == event.name);
            }
        }
        let owner = match &self.created_by {
            _ if by_client => Owner::creation(),
            Some(user) => Owner::user(user),
            None => Owner::app(),
        };
        Ok(Created { id: id.into(), creation, owner, config: self })
    }

    fn check(&mut self, limits: &Limits) -> Result<(), String> {
        if let Some(mistake) = self.mistakes.pop() {
            return Err(mistake);
        }
        if !name::is_room_name(&self.name) {
            return Err(name::room_name_rule());
        }
        if !self.description.as_deref().is_none_or(name::is_room_description) {
            return Err(name::room_description_rule());
        }
        if !self.created_by.as_deref().is_none_or(name::is_user_id) {
            return Err(format!("the creator's id: {}", name::user_id_rule()));
        }
        for (n, event) in self.events.iter().enumerate() {
            event.check_name()?;
            if self.events[..n].iter().any(|other| other.name == event.name) {
                return Err(format!("two events are named `{}`", event.name));
            }
        }
        for event in &mut self.events {
            untagged_enums::check(event, limits).map_err(|error| error.to_string())?;
            if let EventPayload::Described(schema) = &mut event.payload {
                let depth = event.depth.unwrap_or(limits.depth).min(limits.depth);
                let bounded = schema.within(depth);
                let bounded = bounded.map_err(|error| schema_of(&event.name, &error))?;
                *schema = Arc::new(bounded);
            }
        }
        if let Subscribe::Listed(names) = &self.subscribe {
            let listed = |name: &String| {
                name == EVERY_EVENT || self.events.iter().any(|event| event.name == *name)
            };
            if let Some(name) = names.iter().find(|name| !listed(name)) {
                return Err(format!("a joiner cannot be subscribed to `{name}`: it is not listed"));
            }
        }
        Ok(())
    }
}

impl CreateRoom {
    /// A room as the client wants it, but without events.
    pub fn config(&self) -> RoomConfig {
        let config = RoomConfig::new(&*self.name);
        let config = config.max_size(self.max_size.map(NonZeroUsize::get));
        match &self.description {
            Some(description) => config.description(&**description),
            None => config,
        }
    }
}

/// An event whose name and payload are known at run time alone; see [`RoomConfig::event_with`].
#[derive(Clone, Debug)]
#[must_use = "an event does nothing until a room lists it"]
pub struct EventConfig {
    name: String,
    description: Option<String>,
    #[cfg(feature = "json-schema")]
    schema: Option<serde_json::Value>,
    depth: Option<usize>,
    history: Option<NonZeroUsize>,
    rate: Option<Rate>,
    server_only: bool,
}

impl EventConfig {
    /// An ephemeral event with any payload, which clients may trigger.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: None,
            #[cfg(feature = "json-schema")]
            schema: None,
            depth: None,
            history: None,
            rate: None,
            server_only: false,
        }
    }

    /// What the event is about.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// The JSON Schema of the payload. It refers to nothing outside itself; its patterns have
    /// neither look-around nor back-references.
    ///
    /// A recursive schema must not check a value of the payload more than 64 times, however deep the
    /// value is. The alternatives of a recursive `anyOf` or `oneOf` do, unless they go on in different
    /// properties, or each requires one property with a `const` of its own. The room is then not created,
    /// except where [`depth`](EventConfig::depth) makes the payloads flat enough.
    #[cfg(feature = "json-schema")]
    pub fn schema(mut self, schema: serde_json::Value) -> Self {
        self.schema = Some(schema);
        self
    }

    /// How many levels of arrays and objects the payload may nest. A deeper payload is invalid, with the
    /// issue `depth`. Default, and the most there may be: [`Limits::depth`](crate::Limits::depth).
    ///
    /// ```
    /// use dialogue::EventConfig;
    /// use serde_json::json;
    ///
    /// // Either alternative may have children, and no tag says which it is.
    /// let node = json!({
    ///     "anyOf": [
    ///         { "required": ["text"], "properties": { "children": { "items": { "$ref": "#" } } } },
    ///         { "required": ["image"], "properties": { "children": { "items": { "$ref": "#" } } } },
    ///     ],
    /// });
    /// let event = EventConfig::new("node").schema(node).depth(8);
    /// ```
    pub fn depth(mut self, levels: usize) -> Self {
        self.depth = Some(levels);
        self
    }

    /// How many events of this kind the room keeps.
    pub fn history(mut self, events: usize) -> Self {
        self.history = NonZeroUsize::new(events);
        self
    }

    /// How often one connection may trigger it.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Only the server may trigger it.
    pub fn server_only(mut self) -> Self {
        self.server_only = true;
        self
    }

    fn build(self) -> Result<RoomEvent, String> {
        if !name::is_event_name(&self.name) {
            return Err(format!("invalid event name {:?}: {}", self.name, name::event_name_rule()));
        }
        #[cfg(feature = "json-schema")]
        let schema = match self.schema {
            Some(schema) => {
                PayloadSchema::new(schema).map_err(|error| schema_of(&self.name, &error))?
            }
            None => PayloadSchema::any(),
        };
        #[cfg(not(feature = "json-schema"))]
        let schema = PayloadSchema::any();
        let Self { name, description, depth, history, rate, server_only, .. } = self;
        Ok(RoomEvent {
            name: Cow::Owned(name),
            description: description.map(Cow::Owned),
            history,
            rate,
            depth,
            from_clients: !server_only,
            subscribed: true,
            payload: EventPayload::Described(Arc::new(schema)),
        })
    }
}

fn schema_of(event: &str, error: &str) -> String {
    format!("the schema of event `{event}`: {error}")
}

/// A room that was created at run time.
pub(crate) struct Created {
    id: Arc<str>,
    creation: u64,
    owner: Owner,
    config: RoomConfig,
}

impl<A> ErasedRoom<A> for Created {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn creation(&self) -> Option<u64> {
        Some(self.creation)
    }

    fn owner(&self) -> Owner {
        self.owner.clone()
    }

    fn spec(&self) -> RoomSpec<'_> {
        let RoomConfig { name, description, events, any, subscribe, .. } = &self.config;
        let every = |names: &Vec<String>| names.iter().any(|name| name == EVERY_EVENT);
        RoomSpec {
            pattern: &self.id,
            name: Some(name),
            description: description.as_deref(),
            events,
            any: *any,
            subscribe_all: match subscribe {
                Subscribe::All => true,
                Subscribe::Listed(names) => every(names),
            },
            max_size: self.config.max_size,
            sync_history: self.config.sync_history,
            explicit: true,
            listed: true,
            created_by: self.config.created_by.as_deref(),
        }
    }
}
