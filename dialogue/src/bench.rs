//! What the benchmarks of Dialogue itself call. Not for people: anything here may change in any release.

use tracing::Span;

use crate::{
    App, Client, Event, EventMessage, Limits,
    connection::{decode::Request, packet::Packet, raw_request::RawRequest},
    protocol,
    service::publish::ENCODED,
    transport::session,
};

/// A message of a client, as the transport hands it over.
pub struct Message(RawRequest);

impl Message {
    /// Of a text such as `["name", payload]`, and the acknowledgement it asks for.
    pub fn new(text: String, ack: Option<i64>) -> Self {
        Self(RawRequest::new(Some(text.into()), ack))
    }
}

/// Handles a message and answers it, as its transport does.
pub async fn handle<A: App>(client: &Client<A>, Message(frame): Message) {
    session::begin(client.clone(), frame, Span::current()).await;
}

/// The payload of a trigger, decoded but not validated.
pub fn decode<E: Event>(Message(frame): &Message, limits: &Limits) -> Option<E> {
    let request = Request::parse(frame, limits).ok()?;
    let trigger: protocol::Trigger<'_> = request.decode().ok()?;
    serde_json::from_str(trigger.data?.get()).ok()
}

/// Encodes a message and hands it to a client's connection.
///
/// # Panics
///
/// If the message is not JSON.
pub fn deliver<A: App, E: Event>(client: &Client<A>, message: &EventMessage<E>) {
    let packet = Packet::of_room(message, ENCODED).expect("a message is JSON");
    let _ = client.connection().deliver(packet);
}
