//! What the server answers, as a client reads it.

use std::sync::Arc;

use dialogue::{
    Epoch, RawMessage,
    protocol::{Failure, RoomInfo},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    error::{Refusal, RequestError},
    place::{At, Range},
};

/// The answer to a join.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Joined {
    pub(crate) room_name: String,
    pub(crate) subscriptions: Vec<String>,
    pub(crate) epoch: Epoch,
    pub(crate) seq: u64,
    #[serde(default)]
    pub(crate) recovered: bool,
    pub(crate) events: Vec<RawMessage>,
}

/// The answer to a change of subscriptions.
#[derive(Debug, Deserialize)]
pub(crate) struct Subscriptions {
    pub(crate) subscriptions: Vec<String>,
}

/// The answer to a trigger: its place, where the event is stored.
#[derive(Debug, Deserialize)]
pub(crate) struct Triggered {
    #[serde(default)]
    pub(crate) epoch: Option<Epoch>,
    #[serde(default)]
    pub(crate) seq: Option<u64>,
}

/// The answer to a request for history.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    pub(crate) events: Vec<RawMessage>,
    pub(crate) complete: bool,
    pub(crate) epoch: Epoch,
    pub(crate) seq: u64,
}

impl From<Page> for Range {
    fn from(page: Page) -> Self {
        let Page { events, complete, epoch, seq } = page;
        let events = events.into_iter().map(Arc::new).collect();
        Self { events, complete, end: At { epoch, seq } }
    }
}

/// `dialogue:position`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Position {
    pub(crate) room_id: String,
    pub(crate) epoch: Epoch,
    pub(crate) seq: u64,
}

/// `dialogue:left` and `dialogue:roomDeleted`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InRoom {
    pub(crate) room_id: String,
}

/// `dialogue:connected`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connected {
    pub(crate) client_id: Arc<str>,
    pub(crate) user_id: Arc<str>,
    /// The hash of the server's contract, where the client named another one.
    #[serde(default)]
    pub(crate) contract: Option<Arc<str>>,
    /// When the credentials end, in milliseconds since the Unix epoch, where the server says so.
    #[serde(default)]
    pub(crate) expires_at: Option<u64>,
}

/// The answer to new credentials.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Authenticated {
    #[serde(default)]
    pub(crate) expires_at: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Rooms {
    pub(crate) rooms: Vec<RoomInfo>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RoomCreated {
    pub(crate) room: RoomInfo,
}

/// What an acknowledgement holds, or why the server refused.
pub(crate) fn accept(data: &RawValue) -> Result<&RawValue, Refusal> {
    #[derive(Deserialize)]
    struct Outcome {
        ok: bool,
    }
    match serde_json::from_str(data.get()) {
        Ok(Outcome { ok: true }) => Ok(data),
        Ok(Outcome { ok: false }) => Err(Refusal::parse(data.get())),
        Err(_) => Err(Failure::new(
            dialogue::protocol::ErrorCode::Internal,
            "the server's answer is none; is it a Dialogue server?",
        )
        .into()),
    }
}

pub(crate) fn read<T: DeserializeOwned>(data: &RawValue) -> Result<T, RequestError> {
    serde_json::from_str(data.get()).map_err(|error| RequestError::Unreadable(error.to_string()))
}
