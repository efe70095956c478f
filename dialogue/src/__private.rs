//! What macro expansions call. Not for people: anything here may change in any release.

pub use std::{
    borrow::Cow,
    boxed::Box,
    fmt::Display,
    option::Option,
    primitive::{bool, str, usize},
    result::Result,
    string::{String, ToString},
};

use std::{marker::PhantomData, num::NonZeroUsize};

pub use schemars::Schema;
use serde_json::{Map, Value};

use crate::model::name::same;

pub use crate::{
    Accepts, Carries, CarriesAny, Element, Event, EventSpec, Field, Flow, Issues, Payload, Rate,
    Room, RoomEvent, RoomSpec, SyncHistory,
    model::{
        pattern::{KeyPart, format as format_id, parse as parse_id},
        room::Lists,
        rules::{Rule, Rules},
    },
};

#[cfg(feature = "server")]
pub use crate::{
    App, Client, Context, Hosts, Registry,
    app::{
        handlers::{
            Argument, Before, BeforeJoin, Handlers, MembershipChange, On, Takes, data, message,
        },
        registry::{
            Attachment, Hooks, ListsDirect, ListsRoom, RoomEntry, Runs, Serve, runs_handlers,
        },
    },
    contract::Package,
};

#[cfg(feature = "server")]
mod probes;
#[cfg(feature = "server")]
pub use self::probes::{ForApp, NoHandlers, Serving, Unwritten, Written};

// ---- events

/// `history = n` or `max_size = n`, which the macro checked not to be zero; zero where there is
/// none.
pub const fn nonzero(n: usize) -> Option<NonZeroUsize> {
    NonZeroUsize::new(n)
}

/// `sync_history = n`, which the macro checked not to be zero.
pub const fn last(n: usize) -> SyncHistory {
    match NonZeroUsize::new(n) {
        Some(n) => SyncHistory::Last(n),
        None => SyncHistory::Nothing,
    }
}

/// A payload whose validator rules run if it has any.
///
/// `(&Check(value)).__dialogue_check()` finds the inherent method, if the type is `Validate`, and
/// [`Unruled`] otherwise.
pub struct Check<'a, T>(pub &'a T);

impl<T: validator::Validate + Payload> Check<'_, T> {
    pub fn __dialogue_check(&self) -> Result<(), Issues> {
        self.0.validate().map_err(|errors| Issues::of_rules(self.0, &errors))
    }
}

pub trait Unruled {
    fn __dialogue_check(&self) -> Result<(), Issues>;
}

impl<T> Unruled for &Check<'_, T> {
    fn __dialogue_check(&self) -> Result<(), Issues> {
        Ok(())
    }
}

/// The type of what a newtype or a variant holds, or of a part of it: a payload, or something
/// without names and rules.
///
/// `(&Held::<T>::HERE).__dialogue_check(value)` finds, in this order: the inherent method, if the
/// type is a payload; [`Nameless`], if it has rules all the same; [`NoPayload`].
pub struct Held<T: ?Sized>(PhantomData<fn(&T)>);

impl<T: ?Sized> Held<T> {
    pub const HERE: Self = Self(PhantomData);
}

impl<T: Payload> Held<T> {
    /// What holds a payload is a payload.
    pub fn __dialogue_within<Holder: Payload>(&self) {}

    pub fn __dialogue_check(&self, value: &T) -> Result<(), Issues> {
        value.check_payload()
    }

    pub fn __dialogue_check_held(&self, value: &T) -> Result<(), Issues> {
        value.check_held()
    }

    pub fn __dialogue_names<'a>(&self, value: &'a T) -> Option<&'a dyn Payload> {
        Some(value)
    }

    pub fn __dialogue_rules(&self, rules: &mut Rules<'_>) {
        T::rules(rules);
    }

    pub fn __dialogue_field_rules(&self, rules: &mut Rules<'_>, names: [&'static str; 2]) {
        if let Some(mut field) = rules.field(names) {
            T::rules(&mut field);
        }
    }

    pub fn __dialogue_item_rules(&self, rules: &mut Rules<'_>, index: usize) {
        if let Some(mut item) = rules.item(index) {
            T::rules(&mut item);
        }
    }
}

/// What is wrong with such a value could not be told.
pub trait Nameless {
    fn __dialogue_within<Holder: Payload>(&self) {}
}

impl<T: validator::Validate + ?Sized> Nameless for Held<T> {}

pub trait NoPayload<T: ?Sized> {
    fn __dialogue_within<Holder: ?Sized>(&self) {}

    fn __dialogue_check(&self, _: &T) -> Result<(), Issues> {
        Ok(())
    }

    fn __dialogue_check_held(&self, _: &T) -> Result<(), Issues> {
        Ok(())
    }

    fn __dialogue_names<'a>(&self, _: &'a T) -> Option<&'a dyn Payload> {
        None
    }

    fn __dialogue_rules(&self, _: &mut Rules<'_>) {}

    fn __dialogue_field_rules(&self, _: &mut Rules<'_>, _: [&'static str; 2]) {}

    fn __dialogue_item_rules(&self, _: &mut Rules<'_>, _: usize) {}
}

impl<T: ?Sized> NoPayload<T> for &Held<T> {}

/// A type in the type of a field without `#[validate(nested)]`.
///
/// `(&InField::<T>::HERE).__dialogue_in_field::<Field>()` finds, in this order: the inherent method,
/// if the type has rules, which does not compile; [`PayloadInField`], which requires that the field's
/// type is a payload, too; [`PlainInField`].
pub struct InField<T: ?Sized>(PhantomData<fn(&T)>);

impl<T: ?Sized> InField<T> {
    pub const HERE: Self = Self(PhantomData);
}

impl<T: validator::Validate + ?Sized> InField<T> {
    pub fn __dialogue_in_field<Field: ?Sized>(&self)
    where
        T: NestedByItself,
    {
    }
}

pub trait PayloadInField {
    fn __dialogue_in_field<Field: Payload>(&self) {}
}

impl<T: Payload> PayloadInField for InField<T> {}

pub trait PlainInField {
    fn __dialogue_in_field<Field: ?Sized>(&self) {}
}

impl<T: ?Sized> PlainInField for &InField<T> {}

/// A type whose rules run without `#[validate(nested)]` on the field: none.
#[diagnostic::on_unimplemented(
    message = "the rules of `{Self}` would never be checked",
    label = "a field without `nested`",
    note = "add `#[validate(nested)]` to the field, and `validator::Validate` to its struct's derives"
)]
pub trait NestedByItself {}

/// Runs the rules of what stands at a place within a payload; at none if it is empty.
pub fn at(place: &str, check: impl FnOnce() -> Result<(), Issues>) -> Result<(), Issues> {
    check().map_err(|issues| issues.under(place))
}

/// A type with a schema, named so that a missing derive is told with its fix.
#[diagnostic::on_unimplemented(
    message = "event `{Self}` has no schema",
    label = "not described",
    note = "add `#[derive(schemars::JsonSchema)]` to `{Self}`"
)]
pub trait Described: schemars::JsonSchema {}

#[diagnostic::do_not_recommend]
impl<T: schemars::JsonSchema> Described for T {}

pub fn schema<T: Described + Payload>(flow: Flow) -> Schema {
    crate::model::rules::of_payload::<T>(flow)
}

/// A rule's parameters.
pub fn params<const N: usize>(params: [(&str, Value); N]) -> Map<String, Value> {
    params.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// A parameter of a rule: a text, a number or a flag.
pub fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// A type whose `#[validate]` rules are checked by someone: schemars, too, claims the attribute,
/// so rules without `derive(Validate)` would compile and never run.
#[diagnostic::on_unimplemented(
    message = "the `#[validate]` rules of `{Self}` would never be checked",
    label = "rules without `Validate`",
    note = "add `#[derive(validator::Validate)]` to `{Self}`"
)]
pub trait Ruled {}

#[diagnostic::do_not_recommend]
impl<T: validator::Validate> Ruled for T {}

pub const fn ruled<T: Ruled>() {}

/// As [`Ruled`], of a type one of whose rules is unknown: `derive(Validate)` implements nothing.
#[diagnostic::on_unimplemented(
    message = "one of the `#[validate]` rules of `{Self}` is unknown",
    label = "not one of validator's rules",
    note = "correct the rule; with `#[derive(validator::Validate)]`, validator says which it could be"
)]
pub trait ReadRules {}

#[diagnostic::do_not_recommend]
impl<T: validator::Validate> ReadRules for T {}

pub const fn read_rules<T: ReadRules>() {}

pub const fn seconds(n: u64) -> std::time::Duration {
    std::time::Duration::from_secs(n)
}

// ---- rooms

/// What every room carries and every app hosts besides what it lists, twice: with exactly one
/// impl, rustc infers the type and reports a bare mismatch in place of the trait's own message.
#[derive(Clone)]
pub struct Other<const N: u8>;

impl<const N: u8> Room for Other<N> {
    const SPEC: RoomSpec<'static> = blank("");

    fn id(&self) -> Cow<'static, str> {
        Cow::Borrowed("")
    }

    fn parse(_: &str) -> Option<Self> {
        None
    }
}

/// What a room declares that declares nothing: [`Other`], or one in whose attribute is a mistake.
pub const fn blank(pattern: &'static str) -> RoomSpec<'static> {
    RoomSpec {
        pattern,
        name: None,
        description: None,
        events: &[],
        any: false,
        subscribe_all: false,
        max_size: None,
        sync_history: SyncHistory::Nothing,
        explicit: false,
        listed: false,
        created_by: None,
    }
}

/// `room`, if its id is exactly `id`: `01` and `+1` must not open second rooms.
pub fn canonical<R: Room>(room: R, id: &str) -> Option<R> {
    (room.id() == id).then_some(room)
}

/// A message put together at compile time.
struct Text {
    bytes: [u8; 512],
    len: usize,
}

impl Text {
    const fn new() -> Self {
        Self { bytes: [0; 512], len: 0 }
    }

    const fn add(mut self, text: &str) -> Self {
        let text = text.as_bytes();
        let mut i = 0;
        while i < text.len() && self.len < self.bytes.len() {
            self.bytes[self.len] = text[i];
            self.len += 1;
            i += 1;
        }
        self
    }

    const fn as_str(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => text,
            Err(_) => "this message is too long",
        }
    }
}

/// Refuses two events of one name in a room. `types` are the events as the user wrote them.
#[track_caller]
pub const fn distinct_events(room: &str, types: &[&str], events: &[RoomEvent]) {
    let mut i = 0;
    while i < events.len() {
        let name = events[i].declared_name();
        let mut j = i + 1;
        while j < events.len() {
            if same(name.as_bytes(), events[j].declared_name().as_bytes()) {
                let text = Text::new()
                    .add("room `")
                    .add(room)
                    .add("`: events `")
                    .add(types[i])
                    .add("` and `")
                    .add(types[j])
                    .add("` are both named `")
                    .add(name)
                    .add("`; rename one with `#[event(name = \"..\")]`");
                panic!("{}", text.as_str());
            }
            j += 1;
        }
        i += 1;
    }
}

/// Refuses two rooms, each with its pattern, that would both answer to one id. A static id beside a family that would
/// match it is fine: the static room answers.
#[track_caller]
pub const fn distinct_rooms(rooms: &[(&str, &str)]) {
    let mut i = 0;
    while i < rooms.len() {
        let mut j = i + 1;
        while j < rooms.len() {
            if overlap(rooms[i].1.as_bytes(), rooms[j].1.as_bytes()) {
                let text = Text::new()
                    .add("rooms `")
                    .add(rooms[i].0)
                    .add("` (`")
                    .add(rooms[i].1)
                    .add("`) and `")
                    .add(rooms[j].0)
                    .add("` (`")
                    .add(rooms[j].1)
                    .add("`) would both answer to one id; change one of the patterns");
                panic!("{}", text.as_str());
            }
            j += 1;
        }
        i += 1;
    }
}

/// Is there an id that both patterns match, other than by one being static and the other not?
const fn overlap(a: &[u8], b: &[u8]) -> bool {
    if has_placeholder(a) != has_placeholder(b) {
        return false;
    }
    let (mut i, mut j) = (0, 0);
    loop {
        let (a_end, b_end) = (segment_end(a, i), segment_end(b, j));
        let literal = a[i] != b'{' && b[j] != b'{';
        if literal && !same(a.split_at(a_end).0.split_at(i).1, b.split_at(b_end).0.split_at(j).1) {
            return false;
        }
        let (a_done, b_done) = (a_end == a.len(), b_end == b.len());
        if a_done || b_done {
            return a_done && b_done;
        }
        i = a_end + 1;
        j = b_end + 1;
    }
}

const fn has_placeholder(pattern: &[u8]) -> bool {
    let mut i = 0;
    while i < pattern.len() {
        if pattern[i] == b'{' {
            return true;
        }
        i += 1;
    }
    false
}

const fn segment_end(pattern: &[u8], mut i: usize) -> usize {
    while i < pattern.len() && pattern[i] != b':' {
        i += 1;
    }
    i
}

/// Refuses a name that Socket.IO's clients take for themselves: as an event of its own, outside
/// rooms, it would reach no listener.
#[cfg(feature = "server")]
#[track_caller]
pub const fn direct_event(name: &str) {
    const TAKEN: [&str; 6] = [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ];
    let mut i = 0;
    while i < TAKEN.len() {
        if same(name.as_bytes(), TAKEN[i].as_bytes()) {
            let text = Text::new().add("an event named `").add(name).add(
                "` cannot be sent directly: Socket.IO uses the name; choose another with \
                      `#[event(name = \"..\")]`",
            );
            panic!("{}", text.as_str());
        }
        i += 1;
    }
}

/// Refuses a room with handlers for another app: hosted here, its `before_join` would not run.
#[cfg(feature = "server")]
#[track_caller]
pub const fn own_handlers(app: &str, room: &str, written_for_app: bool, found: bool) {
    if written_for_app && !found {
        let text = Text::new()
            .add("room `")
            .add(room)
            .add("` has handlers for another app, which would not run for `")
            .add(app)
            .add("`; attach some with `#[dialogue::handlers(")
            .add(room)
            .add(", app = ")
            .add(app)
            .add(")]`");
        panic!("{}", text.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn patterns_overlap_where_one_id_could_match_both() {
        let overlaps = |a: &str, b: &str| overlap(a.as_bytes(), b.as_bytes());
        assert!(overlaps("general", "general"));
        assert!(overlaps("doc:{id}", "doc:{name}"));
        assert!(overlaps("doc:{id}:{page}", "{kind}:7:{n}"));
        assert!(!overlaps("general", "generals"));
        assert!(!overlaps("doc:{id}", "doc:{id}:{page}"));
        assert!(!overlaps("doc:{id}", "game:{id}"));
        assert!(!overlaps("doc:archive", "doc:{id}"));
    }
}
