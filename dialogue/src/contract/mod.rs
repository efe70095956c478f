//! The contract: what an app offers its clients, for programs to read.

mod asyncapi;
mod shape;

use std::{fmt, num::NonZeroUsize};

use schemars::Schema;
use serde::Serialize;
use serde_json::Value;

use crate::{Flow, Rate, RoomEvent, RoomSpec, SyncHistory, model::pattern, protocol};

const DIALECT: &str = "http://json-schema.org/draft-07/schema#";

/// What an app offers its clients: rooms, events, and what their payloads look like.
///
/// Generators of types read it, from `/dialogue/contract.json` or from a program that prints it:
///
/// ```
/// # use dialogue::{App, Contract, Deny, Event, Handshake, auth::{ClaimedUser, TrustClientUserId}};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, Event)]
/// # #[event(name = "message", history = 100)]
/// # struct Message { text: String }
/// # #[dialogue::room("doc:{document_id}", events(Message))]
/// # mod document { #[derive(Clone)] pub struct Room { pub document_id: u32 } }
/// # struct Chat;
/// # #[dialogue::app(rooms(document))]
/// # impl App for Chat {
/// #     type Credentials = TrustClientUserId;
/// #     type Identity = ClaimedUser;
/// #     async fn authenticate(&self, who: TrustClientUserId, handshake: &Handshake) -> Result<ClaimedUser, Deny> {
/// #         who.or_client_id(handshake)
/// #     }
/// # }
/// let contract = Contract::of::<Chat>();
/// assert_eq!(contract.rooms[0].pattern, "doc:{documentId}");
/// assert_eq!(contract.rooms[0].parameters, ["documentId"]);
///
/// if std::env::args().any(|argument| argument == "--contract") {
///     println!("{contract}");
/// }
/// ```
///
/// Rooms that are made at run time are not in it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Contract {
    /// The version of the protocol between client and server.
    pub protocol: u32,
    /// The name of the app's package.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Another one whenever clients may have to be built anew: 32 hexadecimal digits. The rules of
    /// payloads change it, and so do the names of types, which generated types have; words for people,
    /// defaults, the limits of rooms, and the order of things do not.
    pub hash: String,
    /// Rooms and families of rooms, as the app lists them.
    pub rooms: Vec<RoomContract>,
    /// Events that the server sends to single clients.
    pub direct: Vec<EventContract>,
    /// The dialect of all schemas here: draft 7 of JSON Schema.
    pub schema_dialect: &'static str,
    /// What a failure looks like: JSON Schema of `dialogue:error` and of what a refused request
    /// is answered besides `ok`.
    pub failure: Schema,
}

/// A room in a [`Contract`], or a family of rooms.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RoomContract {
    /// The id, or the pattern of a family's ids: `doc:{documentId}`.
    pub pattern: String,
    /// What stands in braces there. A value is percent-encoded in an id, as `encodeURIComponent` does.
    pub parameters: Vec<String>,
    /// The name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'static str>,
    /// What the room is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'static str>,
    /// The events that the room lists.
    pub events: Vec<EventContract>,
    /// Whether events that are not listed pass too, unvalidated.
    pub any_event: bool,
    /// What a joiner receives unless the join says otherwise. `"*"` is every event.
    pub subscriptions: Vec<&'static str>,
    /// How much of its history a joiner is sent, per event name.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "sync_history")]
    pub sync_history: Option<SyncHistory>,
    /// How many connections may be in the room at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<NonZeroUsize>,
    /// Whether a room of this family must be created before it is used.
    pub explicit: bool,
}

/// An event in a [`Contract`].
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EventContract {
    /// The name.
    pub name: String,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who triggers it.
    pub direction: Direction,
    /// How many of its kind a room keeps. Without it, none: the event is ephemeral.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<NonZeroUsize>,
    /// How often one connection may trigger it, if that is less than it may trigger anything.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "rate")]
    pub rate: Option<Rate>,
    /// JSON Schema of the payload that a client sends, if it may: what has a default may be left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<Schema>,
    /// JSON Schema of the payload that a client receives.
    pub received: Schema,
}

/// Who triggers an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// Clients and the server.
    Both,
    /// The server alone.
    FromServer,
}

/// What the app's package is called, and its version.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Package {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

impl Package {
    /// As cargo says it to the compiler; what else calls the compiler may not.
    pub fn new(name: Option<&'static str>, version: Option<&'static str>) -> Self {
        Self { name: name.unwrap_or("app"), version: version.unwrap_or("0.0.0") }
    }
}

impl Contract {
    /// The contract of a package with these rooms, and these events to single clients.
    pub(crate) fn new(
        package: Package,
        rooms: impl Iterator<Item = RoomSpec<'static>>,
        direct: &'static [RoomEvent],
    ) -> Self {
        let mut contract = Self {
            protocol: protocol::VERSION,
            name: package.name,
            version: package.version,
            hash: String::new(),
            rooms: rooms.map(|room| RoomContract::of(&room)).collect(),
            direct: direct.iter().map(EventContract::of).collect(),
            schema_dialect: DIALECT,
            failure: nested(crate::model::schema::of::<protocol::Failure>(Flow::Received)),
        };
        contract.hash = shape::hash(&contract);
        contract
    }

    /// The same as an `AsyncAPI` 3 document.
    pub fn asyncapi(&self) -> Value {
        let mut document = asyncapi::document(self);
        document.sort_all_objects();
        document
    }
}

/// As JSON.
impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its own types and schemas: string keys, nothing that fails.
        f.write_str(&serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?)
    }
}

impl RoomContract {
    fn of(spec: &RoomSpec<'static>) -> Self {
        Self {
            pattern: pattern::on_the_wire(spec.pattern),
            parameters: pattern::placeholders(spec.pattern).map(pattern::camel_case).collect(),
            name: spec.name,
            description: spec.description,
            events: spec.events.iter().map(EventContract::of).collect(),
            any_event: spec.any,
            subscriptions: spec.default_subscriptions().collect(),
            sync_history: Some(spec.sync_history).filter(|sync| *sync != SyncHistory::Nothing),
            max_size: spec.max_size,
            explicit: spec.explicit,
        }
    }
}

impl EventContract {
    fn of(event: &RoomEvent) -> Self {
        let from_clients = event.from_clients();
        Self {
            name: event.name().to_owned(),
            description: event.description().map(str::to_owned),
            direction: if from_clients { Direction::Both } else { Direction::FromServer },
            history: event.history(),
            rate: event.rate(),
            sent: from_clients.then(|| nested(event.schema(Flow::Sent))),
            received: nested(event.schema(Flow::Received)),
        }
    }
}

/// A schema within a document that says which dialect it is in. Whether its text is sorted anyway is
/// a feature of `serde_json`, which any crate may turn off.
fn nested(mut schema: Schema) -> Schema {
    let fields = schema.ensure_object();
    fields.remove("$schema");
    fields.sort_keys();
    fields.values_mut().for_each(Value::sort_all_objects);
    schema
}

#[allow(clippy::ref_option, reason = "serde calls it")]
fn sync_history<S: serde::Serializer>(
    sync: &Option<SyncHistory>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match sync {
        None | Some(SyncHistory::Nothing) => serializer.serialize_none(),
        Some(SyncHistory::Last(last)) => last.serialize(serializer),
        Some(SyncHistory::All) => serializer.serialize_str("all"),
    }
}

/// `{ "everyMs": 100, "burst": 10 }`.
#[allow(clippy::ref_option, reason = "serde calls it")]
fn rate<S: serde::Serializer>(rate: &Option<Rate>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        every_ms: f64,
        burst: u32,
    }
    let wire = rate.map(|rate| Wire {
        every_ms: rate.interval().as_secs_f64() * 1_000.0,
        burst: rate.at_once().get(),
    });
    wire.serialize(serializer)
}
