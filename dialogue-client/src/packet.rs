//! Engine.IO 4 frames and Socket.IO 5 packets, as the text that a Dialogue server and its clients
//! exchange.
//!
//! socketioxide's parser crates are a server's half: they decode neither the frame that opens a
//! connection nor the packet that refuses one.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

/// What a WebSocket message holds.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    Open(Heartbeat),
    Close,
    Ping,
    /// A Socket.IO packet.
    Message(&'a str),
    /// Nothing that means anything over a WebSocket.
    Other,
}

/// How often the server pings, and how late it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Heartbeat {
    ping_interval: u64,
    ping_timeout: u64,
    /// The longest message that the server takes, in bytes.
    #[serde(default)]
    max_payload: Option<usize>,
}

/// What a client may send before the server has said who it is, in bytes: servers take 65,536, with the
/// frames of the transport.
pub(crate) const MAX_BEFORE_SESSION: usize = 65_500;

impl Heartbeat {
    /// How long the packet that connects may be, in bytes.
    pub(crate) fn longest(self) -> usize {
        MAX_BEFORE_SESSION.min(self.max_payload.unwrap_or(usize::MAX))
    }

    /// For how long nothing may be heard.
    pub(crate) fn patience(self) -> Duration {
        Duration::from_millis(self.ping_interval.saturating_add(self.ping_timeout))
    }
}

impl<'a> Frame<'a> {
    pub(crate) const PONG: &'static str = "3";

    pub(crate) fn parse(text: &'a str) -> Self {
        match text.as_bytes().first() {
            Some(b'0') => serde_json::from_str(&text[1..]).map_or(Self::Other, Self::Open),
            Some(b'1') => Self::Close,
            Some(b'2') => Self::Ping,
            Some(b'4') => Self::Message(&text[1..]),
            _ => Self::Other,
        }
    }
}

/// What a server says in the namespace `/`.
#[derive(Debug)]
pub(crate) enum Packet<'a> {
    Connect,
    /// The message of a refusal.
    ConnectError(String),
    Disconnect,
    Event {
        name: String,
        /// The first argument; `null` if there is none.
        data: &'a RawValue,
        /// The server waits for an acknowledgement with this id.
        ack: Option<u64>,
    },
    Ack {
        id: u64,
        /// The first argument; `null` if there is none.
        data: &'a RawValue,
    },
}

impl<'a> Packet<'a> {
    /// `None` for what is no packet, of another namespace, or binary.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (kind, rest) = text.split_at_checked(1)?;
        if rest.starts_with('/') {
            return None;
        }
        let (id, body) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
        let id = if id.is_empty() { None } else { Some(id.parse().ok()?) };
        match kind {
            "0" => Some(Self::Connect),
            "1" => Some(Self::Disconnect),
            "2" => {
                let mut arguments = serde_json::from_str::<Vec<&RawValue>>(body).ok()?.into_iter();
                let name = serde_json::from_str(arguments.next()?.get()).ok()?;
                let data = arguments.next().unwrap_or(RawValue::NULL);
                Some(Self::Event { name, data, ack: id })
            }
            "3" => {
                let arguments = serde_json::from_str::<Vec<&RawValue>>(body).ok()?;
                let data = arguments.first().copied().unwrap_or(RawValue::NULL);
                Some(Self::Ack { id: id?, data })
            }
            "4" => {
                #[derive(Deserialize)]
                struct Refusal {
                    message: String,
                }
                let Refusal { message } = serde_json::from_str(rest).ok()?;
                Some(Self::ConnectError(message))
            }
            _ => None,
        }
    }

    pub(crate) const DISCONNECT: &'static str = "41";

    pub(crate) fn connect(auth: Option<&RawValue>) -> String {
        format!("40{}", auth.map_or("", RawValue::get))
    }

    /// A request that wants an answer. The names of requests need no escapes.
    pub(crate) fn request(id: u64, name: &str, payload: &RawValue) -> String {
        format!("42{id}[\"{name}\",{payload}]")
    }

    /// The answer to an event of the server.
    pub(crate) fn ack(id: u64) -> String {
        format!("43{id}[null]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_that_opens_a_connection_says_how_long_silence_may_last() {
        let open =
            r#"0{"sid":"a","upgrades":[],"pingInterval":300,"pingTimeout":200,"maxPayload":9}"#;
        let Frame::Open(heartbeat) = Frame::parse(open) else { panic!("{open}") };
        assert_eq!(heartbeat.patience(), Duration::from_millis(500));
        assert_eq!(heartbeat.longest(), 9);
        let Frame::Open(heartbeat) = Frame::parse(r#"0{"pingInterval":1,"pingTimeout":1}"#) else {
            panic!()
        };
        assert_eq!(heartbeat.longest(), MAX_BEFORE_SESSION);
        assert!(matches!(Frame::parse("0{"), Frame::Other));
        assert!(matches!(Frame::parse(""), Frame::Other));
    }

    #[test]
    fn an_event_has_a_name_an_argument_and_perhaps_wants_an_answer() {
        let Frame::Message(packet) = Frame::parse(r#"4217["caf\u00e9",{"a":[1]},2]"#) else {
            panic!("a message")
        };
        let Some(Packet::Event { name, data, ack }) = Packet::parse(packet) else { panic!() };
        assert_eq!((&*name, data.get(), ack), ("caf\u{e9}", r#"{"a":[1]}"#, Some(17)));
        let Some(Packet::Event { data, ack: None, .. }) = Packet::parse(r#"2["ping"]"#) else {
            panic!()
        };
        assert_eq!(data.get(), "null");
    }

    #[test]
    fn an_answer_and_a_refusal_are_told_apart() {
        let Some(Packet::Ack { id: 3, data }) = Packet::parse(r#"33[{"ok":true}]"#) else {
            panic!()
        };
        assert_eq!(data.get(), r#"{"ok":true}"#);
        let Some(Packet::ConnectError(message)) = Packet::parse(r#"4{"message":"no"}"#) else {
            panic!()
        };
        assert_eq!(message, "no");
    }

    #[test]
    fn what_is_no_packet_is_none() {
        for text in ["", "2", "2[]", "2[1]", "3[1]", "51-[\"a\"]", "\u{e9}", "4"] {
            assert!(Packet::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_of_another_namespace_is_none() {
        for text in ["0/admin,{\"sid\":\"a\"}", "1/admin,", "2/admin,[\"a\"]", "3/admin,1[null]"] {
            assert!(Packet::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn requests_are_events_with_an_id() {
        assert_eq!(
            Packet::request(4, "dialogue:join", RawValue::TRUE),
            r#"424["dialogue:join",true]"#
        );
        assert_eq!(Packet::connect(None), "40");
        assert_eq!(Packet::ack(9), "439[null]");
    }
}
