//! Events that hold enums without a tag that hold themselves.

use std::{
    any::TypeId,
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use serde_json::Value;

use crate::{
    Error, Flow, Limits,
    model::{
        recursion::{Reader, Recursion},
        room::{EventPayload, RoomEvent},
        schema,
    },
};

/// The depth that an enum with one recursive variant is offered: serde copies the rest of the payload at
/// each level.
const OFFERED: usize = 8;

/// Types that were found to decode fast, and how deep messages may nest. A room may list them as often as
/// it is created.
static CHECKED: Mutex<Option<HashSet<(TypeId, usize)>>> = Mutex::new(None);

/// Whether the payloads that clients send decode in a time that does not multiply with each level.
pub(crate) fn check(event: &RoomEvent, limits: &Limits) -> Result<(), Error> {
    let EventPayload::Typed { payload_type, .. } = &event.payload else { return Ok(()) };
    if !event.from_clients {
        return Ok(());
    }
    let key = (payload_type(), limits.depth);
    let checked = || CHECKED.lock().unwrap_or_else(PoisonError::into_inner);
    if checked().as_ref().is_some_and(|checked| checked.contains(&key)) {
        return Ok(());
    }
    check_schema(event, event.schema(Flow::Sent).as_value(), limits)?;
    checked().get_or_insert_default().insert(key);
    Ok(())
}

fn check_schema(event: &RoomEvent, schema: &Value, limits: &Limits) -> Result<(), Error> {
    // A schema that cannot be looked through says nothing of what serde does.
    let Ok(recursion) = Recursion::of(schema, Reader::Serde) else { return Ok(()) };
    let Some(at) = recursion.retries() else { return Ok(()) };
    let checked = match event.depth {
        Some(depth) => recursion.check(depth.min(limits.depth)).map_err(|too_many| too_many.fits),
        None => {
            Err(recursion.check(limits.depth).map_or_else(|too_many| too_many.fits, |()| OFFERED))
        }
    };
    checked.map_err(|fits| Error::UntaggedRecursion {
        event: event.name().to_owned(),
        holds: type_name(schema, at),
        fits,
    })
}

/// The type whose schema, or a part of it, is at a pointer.
fn type_name(schema: &Value, at: &str) -> String {
    let within = at.strip_prefix("#/definitions/").and_then(|at| at.split('/').next());
    let definition =
        within.and_then(|name| schema::definition_name(&format!("#/definitions/{name}")));
    definition.or_else(|| schema["title"].as_str().map(str::to_owned)).unwrap_or_default()
}
