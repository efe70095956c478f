//! What can go wrong.

use std::{fmt, time::Duration};

use dialogue::{
    Issues,
    protocol::{ErrorCode, Failure},
};
use tokio_tungstenite::tungstenite;

/// What the server says when it refuses something.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Refusal {
    /// Why, for programs.
    pub code: ErrorCode,
    /// Why, for people.
    pub message: String,
    /// The room that was named.
    pub room_id: Option<String>,
    /// The event that was named.
    pub event: Option<String>,
    /// What is wrong with the payload.
    pub issues: Option<Issues>,
    /// How long to wait before the next attempt.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// What a failure says; one that this version does not know counts as the server's own.
    pub(crate) fn parse(json: &str) -> Self {
        serde_json::from_str::<Failure>(json)
            .unwrap_or_else(|_| Failure::new(ErrorCode::Internal, json))
            .into()
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self {
            code: failure.code,
            message: failure.message,
            room_id: failure.room_id,
            event: failure.event,
            issues: failure.issues,
            retry_after: failure.retry_after_ms.map(Duration::from_millis),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.issues {
            Some(issues) => write!(f, ": {issues}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

/// Why a connection was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address of the server is none.
    #[error("`{url}` is no server's address: {reason}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it, and what to do.
        reason: &'static str,
    },
    /// There are no credentials.
    #[error("the credentials could not be obtained: {0}")]
    Credentials(Box<dyn std::error::Error + Send + Sync>),
    /// The server cannot be reached, or is none.
    #[error("no connection: {0}")]
    Transport(Box<tungstenite::Error>),
    /// What answers does not speak Socket.IO, or stopped in the middle.
    #[error("the server did not finish the handshake")]
    Handshake,
    /// The server did not answer in time; see `connect_timeout`.
    #[error("the server did not answer in time")]
    Timeout,
    /// The credentials are longer than the server takes: it would close the connection. They were not sent.
    #[error("the credentials make a message of {size} bytes, and the server takes up to {limit}")]
    TooLarge {
        /// How long the message is, in bytes.
        size: usize,
        /// How long it may be, in bytes.
        limit: usize,
    },
    /// The server refused: the credentials, or that often.
    #[error("the server refused the connection: {0}")]
    Refused(#[source] Refusal),
}

impl ConnectError {
    /// What the server said, if it was the server.
    pub fn refusal(&self) -> Option<&Refusal> {
        if let Self::Refused(refusal) = self { Some(refusal) } else { None }
    }

    /// Whether another attempt makes no sense.
    pub(crate) fn is_final(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.code == ErrorCode::Unauthenticated)
            || matches!(self, Self::Url { .. } | Self::TooLarge { .. })
    }
}

impl From<tungstenite::Error> for ConnectError {
    fn from(error: tungstenite::Error) -> Self {
        Self::Transport(Box::new(error))
    }
}

/// Why what was asked has no good answer, whoever asked.
#[derive(Clone, Debug)]
pub(crate) enum Failed {
    Refused(Refusal),
    Timeout,
    Disconnected,
    Left,
    Closed,
    Unreadable(String),
    TooLarge(TooLarge),
}

/// A message is longer than the server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge {
    pub(crate) size: usize,
    pub(crate) limit: usize,
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Failed> for Refusal {
    /// What is no refusal counts as the server's own failure.
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(refusal) => refusal,
            failed => {
                let message = RequestError::from(failed).to_string();
                Failure::new(ErrorCode::Internal, message).into()
            }
        }
    }
}

/// Declares why requests of a kind fail: what all of them have in common, and what is theirs.
macro_rules! failures {
    ($(#[$doc:meta])* $name:ident { $($own:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, thiserror::Error)]
        #[non_exhaustive]
        pub enum $name {
            /// The server refused.
            #[error(transparent)]
            Refused(#[from] Refusal),
            /// There was no answer in time: it may have happened or not.
            #[error("no answer in time; it may have happened or not")]
            Timeout,
            /// The connection was lost before the answer, and it is not asked for twice: it may have
            /// happened or not.
            #[error("the connection was lost before the answer; it may have happened or not")]
            Disconnected,
            /// The client is not in the room any more; see [`Room::state`](crate::Room::state).
            #[error("the room was left; join it again")]
            Left,
            /// The client is closed; see [`Client::state`](crate::Client::state).
            #[error("the client is closed")]
            Closed,
            /// The server's answer does not have the expected shape.
            #[error("the answer cannot be read: {0}")]
            Unreadable(String),
            /// The message is longer than the server takes: it would close the connection. It was not sent.
            #[error("the message has {size} bytes, and the server takes up to {limit}")]
            TooLarge {
                /// How long the message is, in bytes.
                size: usize,
                /// How long it may be, in bytes.
                limit: usize,
            },
            $($own)*
        }

        impl $name {
            /// What the server said, if it was the server.
            pub fn refusal(&self) -> Option<&Refusal> {
                if let Self::Refused(refusal) = self { Some(refusal) } else { None }
            }

            /// Why the server refused, for programs, if it was the server.
            pub fn code(&self) -> Option<ErrorCode> {
                self.refusal().map(|refusal| refusal.code)
            }
        }

        impl From<Failed> for $name {
            fn from(failed: Failed) -> Self {
                match failed {
                    Failed::Refused(refusal) => Self::Refused(refusal),
                    Failed::Timeout => Self::Timeout,
                    Failed::Disconnected => Self::Disconnected,
                    Failed::Left => Self::Left,
                    Failed::Closed => Self::Closed,
                    Failed::Unreadable(why) => Self::Unreadable(why),
                    Failed::TooLarge(TooLarge { size, limit }) => Self::TooLarge { size, limit },
                }
            }
        }
    };
}

failures! {
    /// Why a request failed.
    RequestError {
        /// There are no credentials to send.
        #[error("the credentials could not be obtained: {0}")]
        Credentials(Box<dyn std::error::Error + Send + Sync>),
    }
}

failures! {
    /// Why a room was not joined.
    JoinError {}
}

failures! {
    /// Why an event was not triggered.
    TriggerError {
        /// The payload breaks the rules of its type, or has a number that is NaN or infinite. It was not
        /// sent.
        #[error("the payload is invalid: {0}")]
        Invalid(Issues),
        /// The payload could not be written as JSON. It was not sent.
        #[error("the payload could not be written as JSON: {0}")]
        NotJson(serde_json::Error),
    }
}

failures! {
    /// Why history was not read.
    HistoryError {}
}

/// What nobody asked for and went wrong; see [`Client::errors`](crate::Client::errors).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server said so by itself, such as that credentials have expired.
    #[error(transparent)]
    Refused(Refusal),
    /// An attempt to connect again failed. Others follow, unless the client is closed then.
    #[error(transparent)]
    Reconnect(ConnectError),
    /// New credentials could not be sent in time; the connection will end with the old ones.
    #[error("the credentials were not refreshed: {0}")]
    Refresh(RequestError),
    /// The server sent a longer message than the client takes, which ends the connection; see
    /// [`Builder::max_message_bytes`](crate::Builder::max_message_bytes). The client connects again.
    #[error(
        "the server sent a message of {size} bytes, and this client takes up to {limit}; raise \
         `Builder::max_message_bytes`"
    )]
    TooLong {
        /// How long the message is, in bytes.
        size: usize,
        /// How long it may be, in bytes.
        limit: usize,
    },
    /// The server ended the connection for good; the client is closed.
    #[error("the server ended the connection")]
    Disconnected,
    /// A room that was joined does not take this client any more, or does not have the event of a stream,
    /// which the next connection asks for again;
    /// or it refuses for now what is asked for again until it is given, and says something new.
    #[error("room `{room_id}`: {refusal}")]
    Room {
        /// The room.
        room_id: String,
        /// What the server said.
        refusal: Refusal,
    },
    /// An event does not have the shape of its type, and no stream has it.
    #[error("an event `{event}` cannot be read: {issues}")]
    Unreadable {
        /// The event's name.
        event: String,
        /// What is wrong with it.
        issues: Issues,
    },
}
