//! What travels around a payload.

use std::{
    borrow::Cow,
    fmt,
    io::{self, Write},
    str::FromStr,
    sync::Arc,
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de,
    ser::{self, SerializeStruct},
};
use serde_json::value::RawValue;

use crate::Meta;

/// An event as subscribers and `#[on]` handlers receive it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventMessage<E> {
    /// The event's name.
    pub event: Cow<'static, str>,
    /// The room that it was triggered in.
    pub room_id: Arc<str>,
    /// The payload.
    pub data: E,
    /// The proven user id of whoever triggered it, `"system"`, or what the server's code named.
    pub from: String,
    /// When the server accepted it, in milliseconds since the Unix epoch. Informs; orders nothing.
    pub timestamp: u64,
    /// Context that its sender attached.
    pub meta: Option<Meta>,
    /// Its place in the room's log, where the event has history. On the wire, that is `epoch`, `seq`
    /// and `prev`, and the [`id`](EventMessage::id) that they make.
    pub position: Option<Position>,
}

/// An event whose payload nobody declared: what passes through a room with `events(any)`, and what
/// stores keep.
pub type RawMessage = EventMessage<Box<RawValue>>;

impl<E> EventMessage<E> {
    /// A message that went through no room: for what an app keeps by itself, and loads again.
    pub fn new(event: impl Into<Cow<'static, str>>, room_id: impl Into<Arc<str>>, data: E) -> Self {
        Self {
            event: event.into(),
            room_id: room_id.into(),
            data,
            from: crate::SYSTEM.to_owned(),
            timestamp: 0,
            meta: None,
            position: None,
        }
    }

    /// The same around other data.
    #[cfg(feature = "server")]
    pub(crate) fn with<T>(&self, data: T) -> EventMessage<T> {
        EventMessage {
            event: self.event.clone(),
            room_id: self.room_id.clone(),
            data,
            from: self.from.clone(),
            timestamp: self.timestamp,
            meta: self.meta.clone(),
            position: self.position,
        }
    }

    /// An id that no other event has, in any room, of an event that has history.
    pub fn id(&self) -> Option<String> {
        self.position.map(|position| Id(position).to_string())
    }
}

/// A place in a room's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which log.
    pub epoch: Epoch,
    /// How manieth event of the log it is, from 1.
    pub seq: u64,
    /// The `seq` of the event of the same name before it; 0 if it is the first. Whoever has seen
    /// everything of this name up to `prev` has missed nothing.
    pub prev: u64,
}

/// The lifetime of a room's log: another one whenever it cannot be proven that nothing is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// Hexadecimal ones.
    const DIGITS: usize = 16;

    /// Its text, which is written with every event: without what formatting takes.
    fn text(self, digits: &mut [u8; Self::DIGITS]) -> &str {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0.to_be_bytes()) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 0xF)];
        }
        // Digits are ASCII.
        str::from_utf8(digits).unwrap_or_default()
    }

    /// One that no log ever had.
    #[allow(clippy::missing_panics_doc, reason = "never, where anything else works")]
    #[cfg(feature = "server")]
    pub fn random() -> Self {
        // Without the system's randomness, nothing else works either: it has made the session ids.
        Self(getrandom::u64().expect("the system has randomness"))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; Self::DIGITS]))
    }
}

impl FromStr for Epoch {
    type Err = NotAnEpoch;

    fn from_str(text: &str) -> Result<Self, NotAnEpoch> {
        let digits =
            text.len() == Self::DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let epoch = u64::from_str_radix(text, 16).ok().filter(|_| digits);
        epoch.map(Self).ok_or(NotAnEpoch)
    }
}

/// A text is no [`Epoch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an epoch has 16 hexadecimal digits")]
pub struct NotAnEpoch;

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text(&mut [0; Self::DIGITS]))
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// What makes an event's id.
struct Id(Position);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.epoch, self.0.seq)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// An epoch, a hyphen and a number of at most 20 digits.
        const LONGEST: usize = Epoch::DIGITS + 21;
        // On the stack: this is written with every event.
        let mut text = io::Cursor::new([0; LONGEST]);
        let written = text
            .write_all(self.0.epoch.text(&mut [0; Epoch::DIGITS]).as_bytes())
            .and_then(|()| write!(text, "-{}", self.0.seq));
        written.map_err(ser::Error::custom)?;
        let length = usize::try_from(text.position()).unwrap_or(LONGEST);
        let id = str::from_utf8(&text.get_ref()[..length]).map_err(ser::Error::custom)?;
        serializer.serialize_str(id)
    }
}

// Flat on the wire, where `#[serde(flatten)]` would have everything copied on its way.
impl<E: Serialize> Serialize for EventMessage<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { event, room_id, data, from, timestamp, meta, position } = self;
        let fields = 5 + usize::from(meta.is_some()) + 4 * usize::from(position.is_some());
        let mut message = serializer.serialize_struct("EventMessage", fields)?;
        message.serialize_field("event", event)?;
        message.serialize_field("roomId", room_id)?;
        message.serialize_field("data", data)?;
        message.serialize_field("from", from)?;
        message.serialize_field("timestamp", timestamp)?;
        if let Some(meta) = meta {
            message.serialize_field("meta", meta)?;
        }
        if let Some(position) = *position {
            message.serialize_field("id", &Id(position))?;
            message.serialize_field("epoch", &position.epoch)?;
            message.serialize_field("seq", &position.seq)?;
            message.serialize_field("prev", &position.prev)?;
        }
        message.end()
    }
}

impl<'de, E: Deserialize<'de>> Deserialize<'de> for EventMessage<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire<E> {
            event: String,
            room_id: Arc<str>,
            data: E,
            from: String,
            timestamp: u64,
            #[serde(default)]
            meta: Option<Meta>,
            #[serde(default)]
            epoch: Option<Epoch>,
            #[serde(default)]
            seq: Option<u64>,
            #[serde(default)]
            prev: Option<u64>,
        }
        let Wire { event, room_id, data, from, timestamp, meta, epoch, seq, prev } =
            Wire::deserialize(deserializer)?;
        let position = epoch.zip(seq).zip(prev);
        let position = position.map(|((epoch, seq), prev)| Position { epoch, seq, prev });
        Ok(Self { event: event.into(), room_id, data, from, timestamp, meta, position })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_is_flat_on_the_wire_and_comes_back() {
        let mut message = EventMessage::new("note", "board", 7);
        (message.from, message.timestamp) = ("ann".into(), 1);
        let mut wire = json!({
            "event": "note", "roomId": "board", "data": 7, "from": "ann", "timestamp": 1,
        });
        assert_eq!(serde_json::to_value(&message).unwrap(), wire);
        assert_eq!(message.id(), None);
        assert_eq!(serde_json::from_value::<EventMessage<u8>>(wire.clone()).unwrap(), message);

        message.position = Some(Position { epoch: Epoch(0xAB), seq: 3, prev: 1 });
        for (name, value) in [
            ("id", json!("00000000000000ab-3")),
            ("epoch", json!("00000000000000ab")),
            ("seq", json!(3)),
            ("prev", json!(1)),
        ] {
            wire[name] = value;
        }
        assert_eq!(serde_json::to_value(&message).unwrap(), wire);
        assert_eq!(message.id().unwrap(), wire["id"]);
        assert_eq!(serde_json::from_value::<EventMessage<u8>>(wire).unwrap(), message);
    }

    #[test]
    fn an_epoch_is_exactly_its_text() {
        assert_eq!("00000000000000ab".parse(), Ok(Epoch(0xAB)));
        for text in ["", "ab", "+0000000000000ab", "00000000000000abc", "00000000000000ag"] {
            assert_eq!(text.parse::<Epoch>(), Err(NotAnEpoch), "{text}");
        }
    }
}
