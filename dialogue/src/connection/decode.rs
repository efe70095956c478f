//! Messages as requests.

use std::borrow::Cow;

use serde::Deserialize;

use super::raw_request::RawRequest;
use crate::{
    Limits,
    model::{
        depth::{Excess, check_containers},
        issues,
    },
    protocol::{ErrorCode, Failure, InRoom, event},
};

pub(crate) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, message)
}

/// What a client asks for: `["name"]` or `["name", payload]`.
pub(crate) struct Request<'a> {
    pub(crate) name: Cow<'a, str>,
    /// Its text, of which nothing is known before it is decoded.
    payload: &'a str,
}

impl<'a> Request<'a> {
    /// Reads a message within the limits of its JSON.
    pub(crate) fn parse(frame: &'a RawRequest, limits: &Limits) -> Result<Self, Failure> {
        let text = frame.text().ok_or_else(|| invalid("binary attachments are not supported"))?;
        let Limits { depth, containers, .. } = *limits;
        check_containers(text, depth, containers).map_err(|excess| match excess {
            Excess::Depth => invalid(format!("the message nests deeper than {depth} levels")),
            Excess::Count => {
                let message = format!("the message has more than {containers} objects and lists");
                Failure::new(ErrorCode::LimitExceeded, message)
            }
        })?;
        Self::split(text).ok_or_else(|| invalid("expected the name of a request and its payload"))
    }

    fn split(text: &'a str) -> Option<Self> {
        /// A name that borrows where it has no escapes.
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        let parts = text.trim().strip_prefix('[')?.strip_suffix(']')?;
        let mut names = serde_json::Deserializer::from_str(parts).into_iter();
        let Name(name) = names.next()?.ok()?;
        let rest = parts[names.byte_offset()..].trim_start();
        let payload = if rest.is_empty() { "null" } else { rest.strip_prefix(',')? };
        Some(Self { name, payload })
    }

    /// The id of the room that a message is about, if it is about one.
    pub(crate) fn room_of(frame: &'a RawRequest) -> Option<Cow<'a, str>> {
        /// A request to create a room.
        #[derive(Deserialize)]
        struct Creation<'a> {
            #[serde(borrow)]
            id: Cow<'a, str>,
        }

        let request = Self::split(frame.text()?)?;
        match &*request.name {
            event::CREATE_ROOM => Some(request.decode::<Creation<'_>>().ok()?.id),
            event::TRIGGER
            | event::JOIN
            | event::LEAVE
            | event::SUBSCRIBE
            | event::SUBSCRIBE_ALL
            | event::UNSUBSCRIBE
            | event::GET_HISTORY
            | event::DELETE_ROOM => Some(request.decode::<InRoom<'_>>().ok()?.room_id),
            _ => None,
        }
    }

    /// Whether the payload is an object.
    pub(crate) fn has_object(&self) -> bool {
        self.payload.starts_with('{')
    }

    /// Reads the payload.
    pub(crate) fn decode<T: Deserialize<'a>>(&self) -> Result<T, Failure> {
        serde_json::from_str(self.payload).map_err(|error| invalid(issues::explain(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::{RawRequest, Request};

    #[test]
    fn a_message_is_a_name_and_a_payload() {
        let split = |text| Request::split(text).map(|request| (request.name, request.payload));
        for text in [r#"["a",{"b":[1]}]"#, r#" [ "a" ,{"b":[1]}] "#, r#"["\u0061",{"b":[1]}]"#] {
            assert_eq!(split(text), Some(("a".into(), r#"{"b":[1]}"#)), "{text}");
        }
        assert_eq!(split(r#"["a"]"#), Some(("a".into(), "null")));
        for text in ["", "[", "]", "[]", "{}", "[1,2]", r#"["a" "b"]"#, r#"["a"#, r#""a","b""#] {
            assert!(split(text).is_none(), "{text}");
        }
        // What is no JSON, or more than one payload, is found out with the payload.
        for text in [r#"["a",]"#, r#"["a",1,2]"#, r#"["a",{]"#] {
            assert!(Request::split(text).is_some_and(|request| request.decode::<u8>().is_err()));
        }
    }

    #[test]
    fn room_of_a_message_is_found_wherever_its_id_is_and_however_it_is_escaped() {
        let room_of = |text: &str| {
            let frame = RawRequest::new(Some(text.to_owned().into()), None);
            Request::room_of(&frame).map(std::borrow::Cow::into_owned)
        };
        for text in [
            r#"["dialogue:trigger",{"event":"a","data":{"roomId":"x"},"roomId":"r"}]"#,
            r#"["dialogue:join",{"roomId":"\u0072"}]"#,
            r#"["dialogue:createRoom",{"name":"x","id":"r"}]"#,
            r#"["dialogue:deleteRoom",{"roomId":"r"}]"#,
            r#"["dialogue:getHistory",{"roomId":"r","after":1}]"#,
        ] {
            assert_eq!(room_of(text).as_deref(), Some("r"), "{text}");
        }
        for text in [
            r#"["dialogue:listRooms",{"roomId":"r"}]"#,
            r#"["dialogue:authenticate",{"roomId":"r"}]"#,
            r#"["unknown",{"roomId":"r"}]"#,
            r#"["dialogue:join",{"roomId":1}]"#,
            r#"["dialogue:join",{"roomId":"r"]"#,
            "nonsense",
        ] {
            assert_eq!(room_of(text), None, "{text}");
        }
    }
}
