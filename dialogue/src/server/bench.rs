//! What the benchmarks of Dialogue itself call. Not for people: anything here may change in any release.

use tracing::Span;

use super::{Client, decode::Request, gateway::Frame, session};
use crate::{App, Event, protocol};

/// A message of a client, as the transport hands it over.
pub struct Message(Frame);

impl Message {
    /// Of a text such as `["name", payload]`, and the acknowledgement it asks for.
    pub fn new(text: String, ack: Option<i64>) -> Self {
        Self(Frame::new(text, ack))
    }
}

/// Handles a message and answers it, as its transport does.
pub async fn handle<A: App>(client: &Client<A>, Message(frame): Message) {
    session::begin(client.clone(), frame, Span::current()).await;
}

/// The payload of a trigger, decoded but not validated.
pub fn decode<E: Event>(Message(frame): &Message, depth: usize) -> Option<E> {
    let request = Request::parse(frame, depth).ok()?;
    let trigger: protocol::Trigger<'_> = request.decode().ok()?;
    serde_json::from_str(trigger.data?.get()).ok()
}
