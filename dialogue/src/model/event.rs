//! Events: typed payloads with a name.

use std::num::NonZeroUsize;

use schemars::Schema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{depth::nests_deeper_than, finite, issues};
use crate::{Flow, Issues, Payload, Rate};

/// A typed payload that travels through rooms under one name.
///
/// Implemented by `#[derive(Event)]` on a struct, unit struct, newtype or enum without generic
/// parameters:
///
/// ```
/// use dialogue::Event;
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use validator::Validate;
///
/// /// Chat message sent by a user.
/// #[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
/// #[event(name = "message", history = 100)]
/// struct Message {
///     #[validate(length(min = 1, max = 2000))]
///     text: String,
/// }
///
/// assert_eq!(Message::SPEC.name, "message");
/// assert_eq!(Message::SPEC.description, Some("Chat message sent by a user."));
/// assert!(Message { text: String::new() }.check().is_err());
/// ```
///
/// `name` defaults to the type's name in kebab case (`UserJoined` becomes `user-joined`). `history`
/// is how many events of this type a room keeps; without it, the event is ephemeral.
/// `rate = "10/s"` (or `/min`, `/h`) is how often one connection may trigger it, besides what
/// [`Limits::triggers`](crate::Limits::triggers) says of all events together. `depth = 8` is how many
/// levels of arrays and objects a payload may nest, if fewer than
/// [`Limits::depth`](crate::Limits::depth); a payload that holds a recursive `#[serde(untagged)]` enum
/// must say so.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "add `#[derive(dialogue::Event)]` to the type, and pass its value: `message`, not \
            `&message` or `\"message\"`"
)]
pub trait Event: Payload + Serialize + DeserializeOwned + Send + Sync + Sized + 'static {
    /// Name, description and history of this event.
    const SPEC: EventSpec;

    /// Runs the validator rules of the type and of what it holds, if there are any. Rejects a number that is
    /// NaN or infinite, which JSON cannot hold.
    fn check(&self) -> Result<(), Issues> {
        self.check_payload()?;
        finite::check(self)
    }

    /// Decodes a payload from JSON and runs the rules of the type. One that nests deeper than
    /// [`EventSpec::depth`] is not decoded.
    ///
    /// A path in the returned [`Issues`] uses the names on the wire, that is after serde renames.
    ///
    /// ```
    /// # use dialogue::Event;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, Event)]
    /// # #[serde(rename_all = "camelCase")]
    /// # struct Typing { is_typing: bool }
    /// assert!(Typing::parse(r#"{ "isTyping": true }"#).is_ok());
    ///
    /// let issues = Typing::parse(r#"{ "isTyping": 1 }"#).map(|_| ()).unwrap_err();
    /// assert_eq!(issues[0].path, "isTyping");
    /// ```
    fn parse(json: &str) -> Result<Self, Issues> {
        if let Some(depth) = Self::SPEC.depth
            && nests_deeper_than(json, depth)
        {
            return Err(issues::of_depth(depth));
        }
        let event: Self =
            serde_json::from_str(json).map_err(|_| issues::of_decoding::<Self>(json))?;
        event.check()?;
        Ok(event)
    }

    /// Decodes a payload that was already found to be well-formed JSON; see [`Event::parse`].
    fn parse_raw(json: &RawValue) -> Result<Self, Issues> {
        Self::parse(json.get())
    }

    /// The JSON Schema, draft 7, of a payload that goes this way.
    fn schema(flow: Flow) -> Schema;
}

/// What is known of an event at compile time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSpec {
    /// The name on the wire: up to 128 bytes without control characters.
    pub name: &'static str,
    /// The type's doc comment.
    pub description: Option<&'static str>,
    /// How many events of this type a room keeps. `None` means none: the event is ephemeral.
    pub history: Option<NonZeroUsize>,
    /// How often one connection may trigger it. `None` means as often as it may trigger anything.
    pub rate: Option<Rate>,
    /// How many levels of arrays and objects a payload may nest. `None` means as many as a message may.
    pub depth: Option<usize>,
}
