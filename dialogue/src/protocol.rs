//! The messages that clients and servers exchange, as they are on the wire.
//!
//! Names and payloads are documented in the protocol page of the project. Requests borrow from the
//! text they are decoded from.

use std::{borrow::Cow, collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Epoch, Issues, RawMessage, model::name};

/// The version of the protocol. A client of another one cannot talk to this server.
pub const VERSION: u32 = 1;

/// Names of the Socket.IO events that carry the protocol.
#[allow(missing_docs, reason = "each constant is the name it holds")]
pub mod event {
    pub const JOIN: &str = "dialogue:join";
    pub const LEAVE: &str = "dialogue:leave";
    pub const SUBSCRIBE: &str = "dialogue:subscribe";
    pub const SUBSCRIBE_ALL: &str = "dialogue:subscribeAll";
    pub const UNSUBSCRIBE: &str = "dialogue:unsubscribe";
    pub const TRIGGER: &str = "dialogue:trigger";
    pub const GET_HISTORY: &str = "dialogue:getHistory";
    pub const LIST_ROOMS: &str = "dialogue:listRooms";
    pub const CREATE_ROOM: &str = "dialogue:createRoom";
    pub const DELETE_ROOM: &str = "dialogue:deleteRoom";
    pub const AUTHENTICATE: &str = "dialogue:authenticate";

    pub const CONNECTED: &str = "dialogue:connected";
    pub const JOINED: &str = "dialogue:joined";
    pub const LEFT: &str = "dialogue:left";
    pub const EVENT: &str = "dialogue:event";
    pub const HISTORY: &str = "dialogue:history";
    pub const HISTORY_RESPONSE: &str = "dialogue:historyResponse";
    pub const ROOMS: &str = "dialogue:rooms";
    pub const ROOM_CREATED: &str = "dialogue:roomCreated";
    pub const ROOM_DELETED: &str = "dialogue:roomDeleted";
    pub const ERROR: &str = "dialogue:error";
    pub const POSITION: &str = "dialogue:position";
    pub const DRAINING: &str = "dialogue:draining";
}

/// Why a request failed, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The request is unknown or does not have its shape.
    InvalidRequest,
    /// There is no such room.
    RoomNotFound,
    /// The room has as many members as it takes.
    RoomFull,
    /// A room has the id already, or a declared room or family answers to it.
    RoomExists,
    /// The app refused the join.
    JoinDenied,
    /// The connection has not joined the room.
    NotInRoom,
    /// The room does not list the event, or clients may not trigger it.
    EventNotAllowed,
    /// The payload does not have its type's shape, or breaks its rules.
    ValidationFailed,
    /// The app refused the event.
    EventDenied,
    /// More often than a limit allows; the failure says when to try again.
    RateLimited,
    /// More than a limit allows: rooms per connection, subscriptions, queued requests.
    LimitExceeded,
    /// The client may not do this.
    PermissionDenied,
    /// The credentials were refused.
    Unauthenticated,
    /// What authentication proved has ended.
    TokenExpired,
    /// The key was used for another event, less than two minutes ago.
    KeyConflict,
    /// Events cannot be stored or read at the moment; what was sent may or may not be stored.
    StoreUnavailable,
    /// The server is going down: connect anew, to another one.
    Draining,
    /// Something failed in the server; the cause is in its log.
    Internal,
}

/// `dialogue:join`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Join<'a> {
    /// The room to join.
    #[serde(borrow)]
    pub room_id: Cow<'a, str>,
    /// Event names to subscribe to, in place of the room's defaults, up to 1,000. `"*"` means every event.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "names")]
    pub subscribe: Option<Vec<String>>,
    /// Whether to subscribe to the room's defaults as well as to the names in `subscribe`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub defaults: bool,
    /// What the client has seen already, if it was in the room before.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since<'a>>,
    /// Maximum number of events in the answer. By default, as many as the server sends at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// How many names a join may subscribe to.
pub(crate) const MAX_NAMES: usize = 1_000;

/// How many unknown names the answer to a join lists.
#[cfg(feature = "server")]
pub(crate) const MAX_UNKNOWN: usize = 100;

fn is_empty(names: &[String]) -> bool {
    names.is_empty()
}

/// Reads a list of names, up to one more than it may have.
fn names<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    struct Names;

    impl<'de> serde::de::Visitor<'de> for Names {
        type Value = Option<Vec<String>>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "a list of up to {MAX_NAMES} names")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<S: serde::de::SeqAccess<'de>>(
            self,
            mut list: S,
        ) -> Result<Self::Value, S::Error> {
            let mut names = Vec::new();
            while names.len() <= MAX_NAMES
                && let Some(name) = list.next_element()?
            {
                names.push(name);
            }
            while list.next_element::<serde::de::IgnoredAny>()?.is_some() {}
            Ok(Some(names))
        }
    }

    from.deserialize_any(Names)
}

/// A place in a room's log that a client has seen everything up to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Since<'a> {
    /// The log's epoch, as the server said it.
    #[serde(borrow)]
    pub epoch: Cow<'a, str>,
    /// The last event's `seq`; 0 if the log had none.
    pub seq: u64,
}

/// `dialogue:leave`, `dialogue:subscribeAll` and `dialogue:deleteRoom`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InRoom<'a> {
    /// The room.
    #[serde(borrow)]
    pub room_id: Cow<'a, str>,
}

/// `dialogue:subscribe` and `dialogue:unsubscribe`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscribe<'a> {
    /// The room.
    #[serde(borrow)]
    pub room_id: Cow<'a, str>,
    /// The event's name, or `"*"` for every event.
    #[serde(borrow)]
    pub event_name: Cow<'a, str>,
}

/// `dialogue:trigger`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger<'a> {
    /// The room.
    #[serde(borrow)]
    pub room_id: Cow<'a, str>,
    /// The event's name.
    #[serde(borrow)]
    pub event: Cow<'a, str>,
    /// The payload; `null` if missing.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
    /// Context to attach: an object.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<&'a RawValue>,
    /// What tells the event from others, so that it may be sent again: within two minutes, the same
    /// key stores nothing and is answered as the first time.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Cow<'a, str>>,
}

/// The answer to a trigger.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Triggered {
    /// The epoch of the room's log, where the event is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The event's place there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Whether the event was triggered before, with the same key: this trigger stored nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// `dialogue:getHistory`: by index, which counts from the newest event of one name, or by cursor, which
/// is the `seq` of an event.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetHistory<'a> {
    /// The room.
    #[serde(borrow)]
    pub room_id: Cow<'a, str>,
    /// The event's name. By cursor, it may be missing: that means all subscriptions.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub event_name: Option<Cow<'a, str>>,
    /// By index: the first event, 0 being the newest. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<usize>,
    /// By index: one past the last event. Default: 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<usize>,
    /// By cursor: only events after this `seq`, oldest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// By cursor: only events before this `seq`, newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// By cursor: how many events. Default: 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// `dialogue:createRoom`: what a client says of the room that it asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CreateRoom {
    /// The room's id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How many connections it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<NonZeroUsize>,
}

impl CreateRoom {
    /// A room with an id and a name, without a description, for any number of connections.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), description: None, max_size: None }
    }
}

/// The answer to `dialogue:createRoom`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoomCreated<'a> {
    /// The room.
    pub room: Cow<'a, RoomInfo>,
}

/// The answer to `dialogue:authenticate`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Authenticated {
    /// When the credentials expire, in milliseconds since the Unix epoch, by the server's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// How long the credentials last, in milliseconds, from when this was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
}

/// `dialogue:connected`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connected<'a> {
    /// The connection's id.
    pub client_id: Cow<'a, str>,
    /// Who authentication proved it to be.
    pub user_id: Cow<'a, str>,
    /// When the credentials expire, in milliseconds since the Unix epoch, by the server's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// How long the credentials last, in milliseconds, from when this was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
    /// The hash of the server's contract, if the client was built with another one: it said so with
    /// `?contract=` when it connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<Cow<'a, str>>,
    /// The longest message that the server takes, in bytes. A longer one closes the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_message_bytes: Option<u64>,
}

/// The answer to a join.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Joined<'a> {
    /// The room.
    #[serde(borrow)]
    pub room_id: Cow<'a, str>,
    /// Its name for people.
    #[serde(borrow)]
    pub room_name: Cow<'a, str>,
    /// What the member is subscribed to now.
    pub subscriptions: Cow<'a, [Cow<'static, str>]>,
    /// Names in the join's `subscribe` that the member does not receive, up to 100: the room does not list them,
    /// or they are more than a member may have.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub unknown_events: Cow<'a, [String]>,
    /// Which of the room's events are stored: a trigger of theirs may be sent again with its key.
    pub stored: Cow<'a, [Cow<'static, str>]>,
    /// The epoch of the room's log.
    pub epoch: Epoch,
    /// The last event that the answer accounts for: what comes next is after it.
    pub seq: u64,
    /// Only for a join with `since`: whether `events` are the missed events; if `more`, only the oldest of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
    /// Only for a join with `since`: the last event of each name that the member is subscribed to, where there
    /// is one. It tells events that were lost before that position, and events that the log no longer keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<BTreeMap<Cow<'static, str>, u64>>,
    /// What was missed, oldest first, if `recovered`; otherwise the room's recent events, newest first.
    pub events: Cow<'a, [Arc<RawMessage>]>,
    /// Whether `dialogue:getHistory` has older ones; if `recovered`, whether it has later ones, up to `seq`.
    pub more: bool,
}

/// `dialogue:position`: where a room's log ends, as far as the client's subscriptions go.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct At<'a> {
    /// The room.
    #[serde(borrow)]
    pub room_id: Cow<'a, str>,
    /// The log's epoch.
    pub epoch: Epoch,
    /// The last event that the client is subscribed to.
    pub seq: u64,
    /// The last event of each name that the client is subscribed to, where there is one.
    pub last: BTreeMap<Cow<'static, str>, u64>,
}

/// `dialogue:draining`: the server is going down.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Draining {
    /// How long to wait before connecting anew, in milliseconds.
    pub reconnect_after_ms: u64,
}

/// The answer to a change of subscriptions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscriptions<'a> {
    /// What the member is subscribed to now.
    pub subscriptions: Cow<'a, [Cow<'static, str>]>,
    /// The epoch of the room's log.
    pub epoch: Epoch,
    /// Where the log ends: what was subscribed to is heard after it.
    pub seq: u64,
}

/// The answer to `dialogue:getHistory`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Page<'a> {
    /// Newest first; with `after`, oldest first.
    pub events: Cow<'a, [Arc<RawMessage>]>,
    /// Whether the page holds all of the range that exists, rather than what a page may hold.
    pub complete: bool,
    /// The epoch of the room's log: with another one, cursors mean nothing.
    pub epoch: Epoch,
    /// Where the log ended when it was read.
    pub seq: u64,
}

/// `dialogue:historyResponse`, for a request without acknowledgement.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryResponse<'a> {
    /// The room.
    #[serde(borrow)]
    pub room_id: Cow<'a, str>,
    /// The event's name.
    #[serde(borrow)]
    pub event_name: Cow<'a, str>,
    /// Newest first.
    pub events: Cow<'a, [Arc<RawMessage>]>,
    /// The first event asked for.
    pub start: usize,
    /// One past the last event asked for.
    pub end: usize,
}

/// `dialogue:history`, after a join without acknowledgement.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History<'a> {
    /// The room.
    #[serde(borrow)]
    pub room_id: Cow<'a, str>,
    /// As in the answer to a join.
    pub events: Cow<'a, [Arc<RawMessage>]>,
}

/// `dialogue:joined` and `dialogue:left`, without acknowledgement, and `dialogue:roomDeleted`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Membership<'a> {
    /// The room.
    #[serde(borrow)]
    pub room_id: Cow<'a, str>,
    /// Its name for people; only on `dialogue:joined`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub room_name: Option<Cow<'a, str>>,
    /// Names in the join's `subscribe` that the room does not list, up to 100; only on `dialogue:joined`.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub unknown_events: Cow<'a, [String]>,
}

#[cfg(feature = "server")]
impl<'a> Membership<'a> {
    /// A room by its id alone.
    pub(crate) fn of(room_id: Cow<'a, str>) -> Self {
        Self { room_id, room_name: None, unknown_events: Cow::Borrowed(&[]) }
    }
}

/// `dialogue:listRooms`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListRooms {
    /// The `next` of another list, to go on where that one ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many rooms. Default: as many as an answer may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// The answer to `dialogue:listRooms`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rooms<'a> {
    /// Rooms that the client may see; perhaps none, although there are more.
    pub rooms: Cow<'a, [RoomInfo]>,
    /// Where the list goes on, if it does: `after` of the next request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A room as clients see it in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RoomInfo {
    /// The room's id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How many connections are in it.
    pub size: usize,
    /// How many it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<usize>,
    /// The user who created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by_id: Option<String>,
}

/// A failed request: in its acknowledgement, or as `dialogue:error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Failure {
    /// Why, for programs.
    pub code: ErrorCode,
    /// Why, for people.
    pub message: String,
    /// The room that the request named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_id: Option<String>,
    /// The event that the request named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// What is wrong with the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issues: Option<Issues>,
    /// How long to wait before the next attempt, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure of a request as a whole.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message, room_id: None, event: None, issues: None, retry_after_ms: None }
    }

    /// Names the room that the request was about.
    pub fn in_room(mut self, room_id: &str) -> Self {
        // An id that no room can have is the client's own text, of any length: not sent back.
        self.room_id = name::is_room_id(room_id).then(|| room_id.to_owned());
        self
    }

    /// Names the event that the request was about.
    pub fn of_event(mut self, event: &str) -> Self {
        self.event = name::is_event_name(event).then(|| event.to_owned());
        self
    }
}

/// An acknowledgement: `{ "ok": true, .. }` or `{ "ok": false, "code": .., .. }`.
#[derive(Clone, Debug, Serialize)]
pub struct Ack<T> {
    /// Whether the request succeeded.
    pub ok: bool,
    /// The answer, or the [`Failure`].
    #[serde(flatten)]
    pub body: T,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server's message, read and written again.
    fn through<'a, T: Serialize + Deserialize<'a>>(wire: &'a str) -> String {
        serde_json::to_string(&serde_json::from_str::<T>(wire).unwrap()).unwrap()
    }

    #[test]
    fn what_a_server_sends_comes_back_as_it_was() {
        let event =
            r#"{"event":"note","roomId":"a\"b","data":{"n":1.0},"from":"ann","timestamp":1}"#;
        let events = format!("[{event}]");
        let log = r#""epoch":"00000000000000ab","seq":3"#;

        let joined = format!(
            r#"{{"roomId":"a\"b","roomName":"A","subscriptions":["note","*"],"unknownEvents":["old"],"stored":["note"],{log},"recovered":true,"last":{{"note":3}},"events":{events},"more":false}}"#
        );
        assert_eq!(through::<Joined<'_>>(&joined), joined);
        let page = format!(r#"{{"events":{events},"complete":true,{log}}}"#);
        assert_eq!(through::<Page<'_>>(&page), page);
        let position = format!(r#"{{"roomId":"a\"b",{log},"last":{{"note":3}}}}"#);
        assert_eq!(through::<At<'_>>(&position), position);
        let history = format!(r#"{{"roomId":"a\"b","events":{events}}}"#);
        assert_eq!(through::<History<'_>>(&history), history);
        let response = format!(
            r#"{{"roomId":"a\"b","eventName":"note","events":{events},"start":0,"end":50}}"#
        );
        assert_eq!(through::<HistoryResponse<'_>>(&response), response);

        for triggered in
            ["{}".to_owned(), format!("{{{log}}}"), format!(r#"{{{log},"duplicate":true}}"#)]
        {
            assert_eq!(through::<Triggered>(&triggered), triggered);
        }
        for membership in [
            r#"{"roomId":"a"}"#,
            r#"{"roomId":"a","roomName":"A"}"#,
            r#"{"roomId":"a","roomName":"A","unknownEvents":["old"]}"#,
        ] {
            assert_eq!(through::<Membership<'_>>(membership), membership);
        }
        for authenticated in ["{}", r#"{"expiresAt":7}"#, r#"{"expiresAt":7,"expiresInMs":3}"#] {
            assert_eq!(through::<Authenticated>(authenticated), authenticated);
        }
        let subscriptions = format!(r#"{{"subscriptions":["note"],{log}}}"#);
        assert_eq!(through::<Subscriptions<'_>>(&subscriptions), subscriptions);
        let room = r#"{"id":"a","name":"A","size":0}"#;
        let rooms = format!(r#"{{"rooms":[{room}]}}"#);
        assert_eq!(through::<Rooms<'_>>(&rooms), rooms);
        let created = format!(r#"{{"room":{room}}}"#);
        assert_eq!(through::<RoomCreated<'_>>(&created), created);
    }
}
