//! Clients for tests, in the process of the server: no port, no socket, no runtime beside the test's own.
//!
//! ```
//! # use dialogue::{App, Deny, Event, Handshake, auth::{ClaimedUser, TrustClientUserId}};
//! # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, Event)]
//! # struct Message { text: String }
//! # #[dialogue::room("general", app = Chat, events(Message))]
//! # mod general { use super::*; }
//! # struct Chat;
//! # #[dialogue::app(rooms(general))]
//! # impl App for Chat {
//! #     type Credentials = TrustClientUserId;
//! #     type Identity = ClaimedUser;
//! #     async fn authenticate(&self, who: TrustClientUserId, handshake: &Handshake) -> Result<ClaimedUser, Deny> {
//! #         who.or_client_id(handshake)
//! #     }
//! # }
//! use dialogue::{Dialogue, testing::TestClient};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let chat = Dialogue::builder(Chat).build().await?;
//! let mut ann = TestClient::connect(&chat, json!({ "userId": "ann" })).await?;
//!
//! let joined = ann.request("dialogue:join", json!({ "roomId": "general" })).await?;
//! assert_eq!(joined["subscriptions"], json!(["message"]));
//!
//! chat.room(general::Room).trigger(Message { text: "hello".into() }).await?;
//! let (name, event) = ann.next_event().await.ok_or("the client is connected")?;
//! assert_eq!((&*name, &event["data"]), ("dialogue:event", &json!({ "text": "hello" })));
//! # Ok(())
//! # }
//! ```

use std::{collections::VecDeque, fmt};

use serde::Serialize;
use serde_json::Value;

use crate::{
    App, Dialogue,
    protocol::{Connected, Failure},
    transport::memory::MemoryConnection,
};

/// A client in the process of the server. It speaks Dialogue's protocol, and counts towards the limits of connections
/// as every client does. One that does not read what it is
/// sent is a slow consumer. Dropping it disconnects it.
pub struct TestClient {
    connection: MemoryConnection,
    client_id: String,
    user_id: String,
    last_ack: i64,
    /// Events that came while the client waited for an answer.
    events: VecDeque<(String, Value)>,
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TestClient");
        shown.field("client_id", &self.client_id).field("user_id", &self.user_id);
        shown.finish_non_exhaustive()
    }
}

/// Why a client could not connect, or a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// The server rejected it.
    #[error("{:?}: {}", .0.code, .0.message)]
    Rejected(Failure),
    /// The connection has ended.
    #[error("the connection has ended")]
    Closed,
    /// Credentials or a payload cannot be written as JSON.
    #[error("not JSON")]
    NotJson(#[source] serde_json::Error),
}

impl From<Failure> for TestError {
    fn from(failure: Failure) -> Self {
        Self::Rejected(failure)
    }
}

/// What arrived.
enum Received {
    Event(String, Value),
    Answer(i64, Value),
}

impl TestClient {
    /// Connects with credentials: what [`App::Credentials`] decodes. Returns once the client has its greeting.
    pub async fn connect<A: App>(
        dialogue: &Dialogue<A>,
        credentials: impl Serialize,
    ) -> Result<Self, TestError> {
        let auth = serde_json::to_string(&credentials).map_err(TestError::NotJson)?;
        let (connection, greeting) = MemoryConnection::open(dialogue, Some(&auth)).await?;
        let Connected { client_id, user_id, .. } =
            serde_json::from_str(&greeting).map_err(TestError::NotJson)?;
        let (client_id, user_id) = (client_id.into_owned(), user_id.into_owned());
        Ok(Self { connection, client_id, user_id, last_ack: 0, events: VecDeque::new() })
    }

    /// The id of the connection.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The user that authentication proved the client to be.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Sends a request and waits for its answer, without `ok`. Events that arrive meanwhile wait for
    /// [`next_event`](TestClient::next_event).
    ///
    /// Fails with [`TestError::Rejected`] if the server rejects the request, and with [`TestError::Closed`] once the
    /// connection has ended.
    pub async fn request(
        &mut self,
        name: &str,
        payload: impl Serialize,
    ) -> Result<Value, TestError> {
        let text = serde_json::to_string(&(name, payload)).map_err(TestError::NotJson)?;
        self.last_ack += 1;
        let ack = self.last_ack;
        self.connection.send(&text, Some(ack))?;
        loop {
            match self.receive().await {
                Some(Received::Answer(id, mut answer)) if id == ack => {
                    let ok = answer.as_object_mut().and_then(|answer| answer.remove("ok"));
                    if ok == Some(Value::Bool(true)) {
                        return Ok(answer);
                    }
                    return Err(serde_json::from_value(answer)
                        .map_or_else(TestError::NotJson, TestError::Rejected));
                }
                Some(Received::Answer(..)) => {}
                Some(Received::Event(name, data)) => self.events.push_back((name, data)),
                None => return Err(TestError::Closed),
            }
        }
    }

    /// Waits for the next event: its name on the wire, such as `dialogue:event`, and its payload. `None` once the
    /// connection has ended.
    pub async fn next_event(&mut self) -> Option<(String, Value)> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        loop {
            if let Received::Event(name, data) = self.receive().await? {
                return Some((name, data));
            }
        }
    }

    /// Disconnects the client, as if it had said so.
    pub fn disconnect(self) {
        self.connection.close();
    }

    async fn receive(&mut self) -> Option<Received> {
        loop {
            let packet = self.connection.receive().await?.parts().concat();
            // The server writes no other packets here.
            if let Some(received) = str::from_utf8(&packet).ok().and_then(parse) {
                return Some(received);
            }
        }
    }
}

/// Reads a Socket.IO packet without attachments: `42["name",payload]` or `43id[answer]`.
fn parse(packet: &str) -> Option<Received> {
    if let Some(event) = packet.strip_prefix("42") {
        let (name, payload) = serde_json::from_str(event).ok()?;
        return Some(Received::Event(name, payload));
    }
    let answer = packet.strip_prefix("43")?;
    let (id, answer) = answer.split_at(answer.find('[')?);
    let (answer,): (Value,) = serde_json::from_str(answer).ok()?;
    Some(Received::Answer(id.parse().ok()?, answer))
}
