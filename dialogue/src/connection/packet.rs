//! Socket.IO packets for clients, encoded once for all receivers.

use std::sync::{Arc, Weak};

use axum::body::Bytes;
use serde::Serialize;

use super::budget::Budget;
use crate::{model::message::AnyMessage, protocol::event};

/// Initial capacity for a body of unknown length, in bytes.
const INITIAL_CAPACITY: usize = 128;
/// Estimated overhead of one queue entry, in bytes.
pub(crate) const ENTRY_OVERHEAD: usize = 128;

/// A packet as text, without the frame of a transport. Cheap to clone: all receivers share the
/// text.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    head: Bytes,
    body: Bytes,
}

/// JSON that several packets may carry.
#[derive(Clone, Debug)]
pub(crate) struct Body(Arc<Counted>);

/// A weak reference to a [`Body`], valid while a packet holds it.
#[derive(Debug)]
pub(crate) struct SharedBody(Weak<Counted>);

/// A text that is counted against the process's budget.
#[derive(Debug)]
pub(crate) struct Counted {
    text: Vec<u8>,
    process: Arc<Budget>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.process.give_back(self.text.len());
    }
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.0.text
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl Packet {
    /// An event whose payload is a type of the protocol.
    pub(crate) fn event(name: &'static str, body: &impl Serialize) -> Self {
        // Bodies are the protocol's own types: string keys, no custom serialisation that fails.
        Self::direct(name, body).expect("the protocol's types are JSON")
    }

    /// An event with a payload of the app. Fails if the payload cannot be written as JSON.
    pub(crate) fn direct(name: &str, body: &(impl Serialize + ?Sized)) -> serde_json::Result<Self> {
        let mut text = Vec::with_capacity(INITIAL_CAPACITY);
        text.extend_from_slice(b"42[");
        serde_json::to_writer(&mut text, name)?;
        text.push(b',');
        serde_json::to_writer(&mut text, body)?;
        text.push(b']');
        Ok(Self { head: Bytes::new(), body: text.into() })
    }

    /// An event of a room. `capacity` is the number of bytes that its JSON takes, about.
    pub(crate) fn of_room(message: &dyn AnyMessage, capacity: usize) -> serde_json::Result<Self> {
        let mut text = Vec::with_capacity(capacity + 32);
        text.extend_from_slice(b"42[\"");
        text.extend_from_slice(event::EVENT.as_bytes());
        text.extend_from_slice(b"\",");
        message.write(&mut text)?;
        text.push(b']');
        Ok(Self { head: Bytes::new(), body: text.into() })
    }

    /// The answer to a request that asked for an acknowledgement.
    pub(crate) fn ack(id: i64, body: &impl Serialize) -> Self {
        let mut text = Vec::with_capacity(INITIAL_CAPACITY);
        text.extend_from_slice(format!("43{id}[").as_bytes());
        // Cannot fail, as in `Packet::event`.
        serde_json::to_writer(&mut text, body).expect("the protocol's types are JSON");
        text.push(b']');
        Self { head: Bytes::new(), body: text.into() }
    }

    /// The answer to a request, whose body other answers share.
    pub(crate) fn ack_of(id: i64, body: Body) -> Self {
        Self { head: format!("43{id}[").into(), body: Bytes::from_owner(body) }
    }

    /// Counts the text against the process's budget until the last clone is dropped.
    pub(crate) fn counted(self, process: &Arc<Budget>) -> Self {
        Self { body: count(self.body, process), ..self }
    }

    /// The parts of the text, in order.
    pub(crate) fn parts(&self) -> [&[u8]; 2] {
        [&self.head, &self.body]
    }

    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// How many bytes it takes in a queue.
    pub(crate) fn weight(&self) -> usize {
        self.len() + ENTRY_OVERHEAD
    }

    /// The payload of an event, for log lines.
    pub(crate) fn payload(&self) -> &str {
        let text = str::from_utf8(&self.body).unwrap_or_default();
        let start = text.find(',').map_or(0, |comma| comma + 1);
        text[start..].strip_suffix(']').unwrap_or_default()
    }
}

impl Body {
    /// Encodes a body that several packets share, with the closing bracket.
    pub(crate) fn new(body: &impl Serialize, process: &Arc<Budget>) -> Self {
        let mut text = Vec::with_capacity(INITIAL_CAPACITY);
        // Cannot fail, as in `Packet::event`.
        serde_json::to_writer(&mut text, body).expect("the protocol's types are JSON");
        text.push(b']');
        Self(Arc::new(Counted::new(text, process)))
    }

    /// The body for others, for as long as a packet carries it.
    pub(crate) fn share(&self) -> SharedBody {
        SharedBody(Arc::downgrade(&self.0))
    }
}

impl SharedBody {
    pub(crate) fn get(&self) -> Option<Body> {
        self.0.upgrade().map(Body)
    }
}

impl Counted {
    pub(crate) fn new(text: Vec<u8>, process: &Arc<Budget>) -> Self {
        process.take_anyway(text.len());
        Self { text, process: process.clone() }
    }
}

/// Counts a text until its last holder drops it.
pub(crate) fn count(text: Bytes, process: &Arc<Budget>) -> Bytes {
    Bytes::from_owner(Counted::new(text.into(), process))
}
