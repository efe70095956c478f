//! What can go wrong for the server's own code.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::{
    Deny, Issues,
    protocol::{ErrorCode, Failure},
};

/// Why a trigger was not broadcast.
///
/// As an axum response, it is the JSON of a [`Failure`] with a fitting status.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TriggerError {
    /// The key does not make an id that the room would answer to: empty, longer than
    /// [`MAX_ROOM_ID`](crate::MAX_ROOM_ID), or another room's.
    #[error("no room has the id that this key makes")]
    RoomNotFound,
    /// The room, which takes `events(any)`, lists another type under this event's name.
    #[error("the room lists another type under this event's name")]
    AnotherType,
    /// The payload breaks the rules of its type.
    #[error("the payload is invalid: {0}")]
    Invalid(Issues),
    /// A `#[before]` handler refused.
    #[error("{0}")]
    Denied(Deny),
    /// The trigger comes from an `#[on]` handler, and as many events of such wait in the room as
    /// may. Waiting for a place would be waiting for oneself.
    #[error("the room's handlers do not keep up with what handlers trigger")]
    Overloaded,
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
            TriggerError::AnotherType => Self::new(ErrorCode::EventNotAllowed, message),
            TriggerError::Invalid(issues) => {
                let failure = Self::new(ErrorCode::ValidationFailed, message);
                Self { issues: Some(issues), ..failure }
            }
            TriggerError::Denied(_) => Self::new(ErrorCode::EventDenied, message),
            TriggerError::Overloaded => Self::new(ErrorCode::LimitExceeded, message),
            TriggerError::Internal => Self::new(ErrorCode::Internal, message),
        }
    }
}

impl IntoResponse for TriggerError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::RoomNotFound => StatusCode::NOT_FOUND,
            Self::AnotherType | Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(Failure::from(self))).into_response()
    }
}

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
    /// A subscription names an event that the room does not list.
    #[error("the room does not list the event `{0}`")]
    EventNotAllowed(String),
    /// More rooms for one connection, or subscriptions for one member, than the limits allow.
    #[error("a connection may have at most {most} {what}")]
    LimitExceeded {
        /// What there are too many of.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// The connection is gone.
    #[error("the connection is closed")]
    Closed,
    /// A hook panicked or took too long. The log has the cause.
    #[error("something failed in the server")]
    Internal,
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        let code = match error {
            JoinError::RoomNotFound => ErrorCode::RoomNotFound,
            JoinError::Full => ErrorCode::RoomFull,
            JoinError::Denied(_) => ErrorCode::JoinDenied,
            JoinError::EventNotAllowed(_) => ErrorCode::EventNotAllowed,
            JoinError::LimitExceeded { .. } => ErrorCode::LimitExceeded,
            JoinError::Closed | JoinError::Internal => ErrorCode::Internal,
        };
        let failure = Self::new(code, error.to_string());
        match error {
            JoinError::EventNotAllowed(event) => failure.of_event(&event),
            _ => failure,
        }
    }
}

/// Why a server could not be built or served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address could not be listened on, or the listener failed.
    #[error("the server cannot listen: {0}")]
    Listen(#[from] std::io::Error),
}
