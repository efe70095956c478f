//! What can go wrong for the server's own code.

use std::{fmt, io, net::SocketAddr, time::Duration};

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::{
    Deny, Issues,
    protocol::{ErrorCode, Failure},
};

/// A room does not list an event. It is known at run time alone, so that the compiler could not tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the room does not list event `{event}`")]
#[non_exhaustive]
pub struct EventNotListed {
    /// The name of the event.
    pub event: String,
}

impl EventNotListed {
    pub(crate) fn new(event: impl Into<String>) -> Self {
        Self { event: event.into() }
    }
}

impl From<EventNotListed> for Failure {
    fn from(error: EventNotListed) -> Self {
        Self::new(ErrorCode::EventNotAllowed, error.to_string()).of_event(&error.event)
    }
}

/// Why a trigger was not broadcast.
///
/// As an axum response, it is the JSON of a [`Failure`] with a fitting status.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TriggerError {
    /// No room answers: it was deleted or not created yet, or the key does not make an id that it
    /// would answer to, because it is empty, longer than [`MAX_ROOM_ID`](crate::MAX_ROOM_ID), or
    /// another room's.
    #[error("there is no such room")]
    RoomNotFound,
    /// The room does not list the event.
    #[error(transparent)]
    EventNotListed(#[from] EventNotListed),
    /// The room, which takes `events(any)`, lists another type under this event's name.
    #[error("the room lists another type under this event's name")]
    AnotherType,
    /// What the event was to be [from](crate::Trigger::from) is neither [`SYSTEM`](crate::SYSTEM) nor a
    /// user's id: it has characters that are not seen, or looks like `system`.
    #[error("an event cannot be from {0:?}: {rule}", rule = crate::model::name::user_id_rule())]
    InvalidSender(String),
    /// An entry of the event's [`Meta`](crate::Meta) is rejected, such as the 65th key.
    #[error("{0}")]
    InvalidMeta(String),
    /// The [key](crate::Trigger::key) is empty, longer than 128 bytes, or has control characters.
    #[error("a key cannot be {0:?}: {rule}", rule = crate::model::name::key_rule())]
    InvalidKey(String),
    /// The payload breaks the rules of its type, or has a number that is NaN or infinite.
    #[error("the payload is invalid: {0}")]
    Invalid(Issues),
    /// A `#[before]` handler refused.
    #[error("{0}")]
    Denied(Deny),
    /// The trigger comes from an `#[on]` handler, and as many events of such wait in the room as
    /// may. Waiting for a place would be waiting for oneself.
    #[error("the room's handlers do not keep up with what handlers trigger")]
    Overloaded,
    /// As many events wait to be stored in the room as may.
    #[error("too many events wait to be stored in this room")]
    TooManyWaiting,
    /// The key was used for another event, less than [`KEY_WINDOW`](crate::store::KEY_WINDOW) ago.
    #[error("the key was used for another event")]
    KeyConflict,
    /// The store failed; its log has the cause. The event may or may not be stored: triggered again
    /// with the same key, it is stored once.
    #[error("events cannot be stored at the moment")]
    StoreUnavailable,
    /// A hook panicked or took too long, or the payload could not be written as JSON. The log
    /// has the cause.
    #[error("something failed in the server")]
    Internal,
}

impl From<TriggerError> for Failure {
    fn from(error: TriggerError) -> Self {
        let message = error.to_string();
        match error {
            TriggerError::RoomNotFound => Self::new(ErrorCode::RoomNotFound, message),
            TriggerError::InvalidSender(_)
            | TriggerError::InvalidMeta(_)
            | TriggerError::InvalidKey(_) => Self::new(ErrorCode::InvalidRequest, message),
            TriggerError::EventNotListed(error) => error.into(),
            TriggerError::AnotherType => Self::new(ErrorCode::EventNotAllowed, message),
            TriggerError::Invalid(issues) => {
                let failure = Self::new(ErrorCode::ValidationFailed, message);
                Self { issues: Some(issues), ..failure }
            }
            TriggerError::Denied(_) => Self::new(ErrorCode::EventDenied, message),
            TriggerError::Overloaded | TriggerError::TooManyWaiting => {
                Self::new(ErrorCode::LimitExceeded, message)
            }
            TriggerError::KeyConflict => Self::new(ErrorCode::KeyConflict, message),
            TriggerError::StoreUnavailable => Self::new(ErrorCode::StoreUnavailable, message),
            TriggerError::Internal => Self::new(ErrorCode::Internal, message),
        }
    }
}

/// The status that fits a code.
fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Unauthenticated | ErrorCode::TokenExpired => StatusCode::UNAUTHORIZED,
        ErrorCode::JoinDenied | ErrorCode::EventDenied | ErrorCode::PermissionDenied => {
            StatusCode::FORBIDDEN
        }
        ErrorCode::RoomNotFound => StatusCode::NOT_FOUND,
        ErrorCode::RoomFull
        | ErrorCode::RoomExists
        | ErrorCode::NotInRoom
        | ErrorCode::KeyConflict => StatusCode::CONFLICT,
        ErrorCode::InvalidRequest | ErrorCode::EventNotAllowed | ErrorCode::ValidationFailed => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::LimitExceeded | ErrorCode::StoreUnavailable | ErrorCode::Draining => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The JSON of the failure, with the status that fits its code.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (status(self.code), Json(self)).into_response()
    }
}

/// Each error as an axum response: the JSON of a [`Failure`], with the status that fits its code.
macro_rules! responses {
    ($($error:ty),*) => {$(
        impl IntoResponse for $error {
            fn into_response(self) -> Response {
                Failure::from(self).into_response()
            }
        }
    )*};
}

responses!(
    EventNotListed,
    TriggerError,
    JoinError,
    CreateError,
    DeleteError,
    HistoryError,
    SendError,
    SubscribeError
);

/// Why a client is not in a room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// No room has this id.
    #[error("there is no such room")]
    RoomNotFound,
    /// The room has as many members as it takes.
    #[error("the room is full")]
    Full,
    /// A `before_join` hook refused.
    #[error("{0}")]
    Denied(Deny),
    /// The connection is in as many rooms as it may be.
    #[error("a connection may be in at most {most} rooms")]
    LimitExceeded {
        /// How many there may be.
        most: usize,
    },
    /// The client's address holds as much memory as [`address_bytes`](crate::Limits::address_bytes) allows.
    #[error(
        "the clients of this address use as much memory as they may (`address_bytes`); try again"
    )]
    AddressLimit,
    /// The client did not read for [`join_time`](crate::Limits::join_time), so that the answer to the
    /// join could not be sent.
    #[error("the join waited too long; read the answers that wait, then join again")]
    TimedOut,
    /// The connection is gone.
    #[error("the connection is closed")]
    Closed,
    /// The store failed; its log has the cause.
    #[error("events cannot be read at the moment")]
    StoreUnavailable,
    /// The server is going down.
    #[error("the server is going down; connect anew")]
    Draining,
    /// A hook panicked or took too long. The log has the cause.
    #[error("something failed in the server")]
    Internal,
}

/// What passes when other clients of the address need less.
fn address_limit(message: String) -> Failure {
    let failure = Failure::new(ErrorCode::RateLimited, message);
    Failure { retry_after_ms: Some(2_000), ..failure }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        let code = match error {
            JoinError::RoomNotFound => ErrorCode::RoomNotFound,
            JoinError::Full => ErrorCode::RoomFull,
            JoinError::Denied(_) => ErrorCode::JoinDenied,
            JoinError::LimitExceeded { .. } | JoinError::TimedOut => ErrorCode::LimitExceeded,
            JoinError::AddressLimit => return address_limit(error.to_string()),
            JoinError::StoreUnavailable => ErrorCode::StoreUnavailable,
            JoinError::Draining => ErrorCode::Draining,
            JoinError::Closed | JoinError::Internal => ErrorCode::Internal,
        };
        Self::new(code, error.to_string())
    }
}

/// Why a room was not created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The id is empty, longer than [`MAX_ROOM_ID`](crate::MAX_ROOM_ID), is not in Unicode's form NFC,
    /// has characters that are not seen, as they are or percent-encoded, or has one of the braces that
    /// stand for the placeholders of families.
    #[error("{}, without braces", crate::model::name::room_id_rule())]
    InvalidId,
    /// A room that a module declares answers to the id.
    #[error("the id is one of a declared room")]
    Declared,
    /// A room has the id, on this server or on another one that shares the store, or the store keeps a log of it
    /// that belongs to somebody else; see [`Dialogue::create_room`](crate::Dialogue::create_room).
    #[error("there is a room with this id")]
    Exists,
    /// The configuration has a mistake.
    #[error("{0}")]
    InvalidConfig(String),
    /// The user, or all users together, have created as many rooms as they may.
    #[error("there may be at most {most} such rooms")]
    LimitExceeded {
        /// How many there may be.
        most: usize,
    },
    /// [`App::create_room`](crate::App::create_room) refused.
    #[error("{0}")]
    Denied(Deny),
    /// The store failed; the log has the cause.
    #[error("the room cannot be stored at the moment")]
    StoreUnavailable,
    /// A hook panicked or took too long. The log has the cause.
    #[error("something failed in the server")]
    Internal,
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        let code = match error {
            CreateError::InvalidId => ErrorCode::InvalidRequest,
            CreateError::Declared | CreateError::Exists => ErrorCode::RoomExists,
            CreateError::LimitExceeded { .. } => ErrorCode::LimitExceeded,
            CreateError::Denied(_) => ErrorCode::PermissionDenied,
            CreateError::StoreUnavailable => ErrorCode::StoreUnavailable,
            // The configuration is the app's.
            CreateError::InvalidConfig(_) | CreateError::Internal => ErrorCode::Internal,
        };
        let message = match error {
            CreateError::InvalidConfig(_) => CreateError::Internal.to_string(),
            error => error.to_string(),
        };
        Self::new(code, message)
    }
}

/// Why a room was not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteError {
    /// There is no such room, or nobody has used it yet.
    #[error("there is no such room")]
    RoomNotFound,
    /// A module declares it: it is always there.
    #[error("a declared room is never deleted")]
    Declared,
    /// The store failed, and the room is still there; the log has the cause.
    #[error("the room's events cannot be deleted at the moment")]
    StoreUnavailable,
}

impl From<DeleteError> for Failure {
    fn from(error: DeleteError) -> Self {
        let code = match error {
            DeleteError::RoomNotFound => ErrorCode::RoomNotFound,
            DeleteError::Declared => ErrorCode::PermissionDenied,
            DeleteError::StoreUnavailable => ErrorCode::StoreUnavailable,
        };
        Self::new(code, error.to_string())
    }
}

/// Why history could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The room does not list the event.
    #[error(transparent)]
    EventNotListed(#[from] EventNotListed),
    /// The store failed; the log has the cause.
    #[error("events cannot be read at the moment")]
    StoreUnavailable,
}

impl From<HistoryError> for Failure {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::EventNotListed(error) => error.into(),
            HistoryError::StoreUnavailable => {
                Self::new(ErrorCode::StoreUnavailable, error.to_string())
            }
        }
    }
}

/// Why a client was not sent an event.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The payload breaks the rules of its type, or has a number that is NaN or infinite.
    #[error("the payload is invalid: {0}")]
    Invalid(Issues),
    /// The payload could not be written as JSON.
    #[error("the payload could not be written as JSON")]
    NotJson,
    /// The connection is gone.
    #[error("the connection is closed")]
    Closed,
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        let message = error.to_string();
        match error {
            SendError::Invalid(issues) => {
                let failure = Self::new(ErrorCode::ValidationFailed, message);
                Self { issues: Some(issues), ..failure }
            }
            SendError::NotJson | SendError::Closed => Self::new(ErrorCode::Internal, message),
        }
    }
}

/// Why a client's subscriptions were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The client is not in the room.
    #[error("the client is not in the room")]
    NotInRoom,
    /// The room does not list the event.
    #[error(transparent)]
    EventNotListed(#[from] EventNotListed),
    /// More subscriptions than a member may have.
    #[error("a member may have at most {most} subscriptions in a room")]
    LimitExceeded {
        /// How many there may be.
        most: usize,
    },
    /// The client's address holds as much memory as [`address_bytes`](crate::Limits::address_bytes) allows.
    #[error(
        "the clients of this address use as much memory as they may (`address_bytes`); try again"
    )]
    AddressLimit,
}

impl From<SubscribeError> for Failure {
    fn from(error: SubscribeError) -> Self {
        let code = match error {
            SubscribeError::NotInRoom => ErrorCode::NotInRoom,
            SubscribeError::EventNotListed(error) => return error.into(),
            SubscribeError::LimitExceeded { .. } => ErrorCode::LimitExceeded,
            SubscribeError::AddressLimit => return address_limit(error.to_string()),
        };
        Self::new(code, error.to_string())
    }
}

/// Why a server could not be built or served.
///
/// `Debug` is the same sentence as `Display`, since that is what a `main` that returns the error prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address could not be listened on.
    #[error("the server cannot listen{}: {error}", on(addresses))]
    Listen {
        /// What the address resolved to; nothing where it resolved to nothing.
        addresses: Vec<SocketAddr>,
        /// Why not.
        error: io::Error,
    },
    /// The configuration of origins has a mistake.
    #[error("the origins that may connect: {0}")]
    Cors(String),
    /// An id or a name that the app declares is not one that people can tell apart: it has characters
    /// that are not seen, or is not in Unicode's form NFC.
    #[error("{0}")]
    Name(String),
    /// The path of Socket.IO is not valid.
    #[error(
        "{0:?} is not a path for Socket.IO: write one like `/api/ws`, of letters, digits, `-`, `.`, `_` and \
         `~`, without a slash at its end and outside `/dialogue`"
    )]
    Path(String),
    /// A limit has a value that the server cannot work with.
    #[error("`Limits::{limit}` is {value:?}: {rule}")]
    Limit {
        /// The field of `Limits`.
        limit: &'static str,
        /// Its value.
        value: Duration,
        /// What it may be.
        rule: &'static str,
    },
    /// What should be a proxy's address, or a network of such, is none.
    #[error("invalid proxy {0:?}: expected an address or a network, such as `10.0.0.0/8`")]
    Proxy(String),
    /// Clients may trigger an event whose payload takes too long to decode: it holds an enum without a
    /// tag that holds itself. serde copies the rest of the payload and decodes it once for each variant,
    /// at each level.
    #[error(
        "event `{event}` holds `{holds}`, an untagged enum that holds itself: each level of a payload \
         multiplies the time that it takes to decode; give `{holds}` a tag with `#[serde(tag = \"..\")]`{}",
        or_bound(*fits)
    )]
    UntaggedRecursion {
        /// The event's name.
        event: String,
        /// The enum, as its schema names it.
        holds: String,
        /// How many levels a payload may nest; with zero, no payload can be decoded.
        fits: usize,
    },
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn on(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
    if addresses.is_empty() { String::new() } else { format!(" on {}", addresses.join(" or ")) }
}

fn or_bound(fits: usize) -> String {
    match fits {
        0 => String::new(),
        fits => format!(", or bound the payload: `#[event(depth = {fits})]`"),
    }
}
