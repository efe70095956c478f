//! JSON Schemas of payloads.

use percent_encoding::percent_decode_str;
use schemars::{JsonSchema, Schema, generate::SchemaSettings};

/// Which way a payload goes, as its client sees it. What a client sends may leave out what has a
/// default; what it receives leaves out what serde skips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Clients send it.
    Sent,
    /// Clients receive it.
    Received,
}

/// Which of a schema's definitions a reference leads to. It is a JSON pointer in a URI, so that a name
/// of a type that is not ASCII is percent-encoded there.
pub(crate) fn definition_name(reference: &str) -> Option<String> {
    let name = reference.strip_prefix("#/definitions/")?;
    let name = percent_decode_str(name).decode_utf8().ok()?;
    Some(name.replace("~1", "/").replace("~0", "~"))
}

/// In draft 7, which most programs that read schemas know best.
pub(crate) fn of<T: JsonSchema>(flow: Flow) -> Schema {
    let settings = SchemaSettings::draft07();
    let settings = match flow {
        Flow::Sent => settings.for_deserialize(),
        Flow::Received => settings.for_serialize(),
    };
    settings.into_generator().into_root_schema_for::<T>()
}
