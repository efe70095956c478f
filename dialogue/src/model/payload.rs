//! Names on the wire of the fields of a payload.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, LinkedList, VecDeque},
    fmt,
    rc::Rc,
    sync::Arc,
};

use serde::Serialize;

use super::rules::Rules;
use crate::Issues;

/// A payload, or a type nested in one, that knows how its fields are called on the wire.
///
/// validator reports Rust names; clients know the names that serde writes. `#[derive(Event)]`
/// implements this trait for events, `#[derive(Payload)]` for the types nested in them:
///
/// ```
/// use dialogue::{Event, Payload};
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use validator::Validate;
///
/// #[derive(Serialize, Deserialize, JsonSchema, Validate, Payload)]
/// #[serde(rename_all = "camelCase")]
/// struct Item {
///     #[validate(range(min = 1))]
///     unit_price: u32,
/// }
///
/// #[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
/// #[serde(rename_all = "camelCase")]
/// struct Order {
///     #[validate(nested)]
///     line_items: Vec<Item>,
/// }
///
/// let issues = Order { line_items: vec![Item { unit_price: 0 }] }.check().unwrap_err();
/// assert_eq!(issues[0].path, "lineItems[0].unitPrice");
/// ```
#[diagnostic::on_unimplemented(
    message = "the names of `{Self}` on the wire are not known",
    label = "nested in a payload",
    note = "add `#[derive(dialogue::Payload)]` to `{Self}`"
)]
pub trait Payload {
    /// The field that Rust calls `name`.
    fn field(&self, name: &str) -> Option<Field<'_>> {
        let _ = name;
        None
    }

    /// The element at `index`, in iteration order, of a collection.
    fn element(&self, index: usize) -> Option<Element<'_>> {
        let _ = index;
        None
    }

    /// Runs the rules of the type, if it has any, and those of what it holds.
    ///
    /// Without a default: rules that are overlooked would never be checked.
    #[doc(hidden)]
    fn check_payload(&self) -> Result<(), Issues>;

    /// Runs the rules that validator's `nested` does not reach: those of what newtypes, variants and
    /// fields without the attribute hold, however deep.
    #[doc(hidden)]
    fn check_held(&self) -> Result<(), Issues>;

    /// Writes what schemars does not know of the type's rules into a schema of it.
    #[doc(hidden)]
    fn rules(rules: &mut Rules<'_>)
    where
        Self: Sized,
    {
        let _ = rules;
    }
}

/// A field as it is called on the wire.
pub struct Field<'a> {
    /// None where the field's value stands in the place of the whole.
    pub(crate) name: Option<&'static str>,
    pub(crate) nested: Option<&'a dyn Payload>,
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<'a> Field<'a> {
    /// A field that the wire calls `name`.
    pub fn named(name: &'static str) -> Self {
        Self { name: Some(name), nested: None }
    }

    /// A field without a name on the wire: flattened, or the only one of a transparent struct.
    pub fn in_place() -> Self {
        Self { name: None, nested: None }
    }

    /// The field, its value being a payload itself.
    #[must_use]
    pub fn nested(self, value: &'a dyn Payload) -> Self {
        Self { nested: Some(value), ..self }
    }
}

/// An element of a collection.
pub struct Element<'a> {
    /// In a map, its key; in a list, its place is known.
    pub(crate) key: Option<String>,
    pub(crate) payload: &'a dyn Payload,
}

impl fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Element").field("key", &self.key).finish_non_exhaustive()
    }
}

impl<'a> Element<'a> {
    fn of_list(payload: Option<&'a impl Payload>) -> Option<Self> {
        Some(Self { key: None, payload: payload? })
    }

    fn of_map(entry: Option<(&'a impl Serialize, &'a impl Payload)>) -> Option<Self> {
        let (key, payload) = entry?;
        Some(Self { key: Some(on_the_wire(key)), payload })
    }
}

/// A key of a map as the wire has it.
pub(crate) fn on_the_wire(key: &(impl Serialize + ?Sized)) -> String {
    match serde_json::to_value(key) {
        Ok(serde_json::Value::String(key)) => key,
        Ok(other) => other.to_string(),
        // A map with such a key is never sent.
        Err(_) => String::new(),
    }
}

macro_rules! through {
    ($rules:expr; $($type:ty => |$value:ident| $inner:expr;)*) => {$(
        impl<T: Payload> Payload for $type {
            fn field(&self, name: &str) -> Option<Field<'_>> {
                let $value = self;
                $inner?.field(name)
            }

            fn element(&self, index: usize) -> Option<Element<'_>> {
                let $value = self;
                $inner?.element(index)
            }

            fn check_payload(&self) -> Result<(), Issues> {
                let $value = self;
                $inner.map_or(Ok(()), T::check_payload)
            }

            fn check_held(&self) -> Result<(), Issues> {
                let $value = self;
                $inner.map_or(Ok(()), T::check_held)
            }

            fn rules(rules: &mut Rules<'_>) {
                $rules(rules, T::rules);
            }
        }
    )*};
}

through! {
    Rules::here;
    &T => |value| Some(*value);
    Box<T> => |value| Some(value.as_ref());
    Rc<T> => |value| Some(value.as_ref());
    Arc<T> => |value| Some(value.as_ref());
}

through! {
    Rules::present;
    Option<T> => |value| value.as_ref();
}

macro_rules! collections {
    ($of:ident, $rules:expr, $place:expr, |$value:ident| $elements:expr; $([$($generics:tt)*] $type:ty)*) => {$(
        impl<$($generics)*> Payload for $type {
            fn element(&self, index: usize) -> Option<Element<'_>> {
                Element::$of(self.iter().nth(index))
            }

            fn check_payload(&self) -> Result<(), Issues> {
                let $value = self;
                Issues::of_elements($elements, $place, Payload::check_payload)
            }

            fn check_held(&self) -> Result<(), Issues> {
                let $value = self;
                Issues::of_elements($elements, $place, Payload::check_held)
            }

            fn rules(rules: &mut Rules<'_>) {
                $rules(rules, T::rules);
            }
        }
    )*};
}

collections! {
    of_list, Rules::items, |index| format!("[{index}]"), |list| list.iter().enumerate();
    [T: Payload] Vec<T>
    [T: Payload] Box<[T]>
    [T: Payload] Rc<[T]>
    [T: Payload] Arc<[T]>
    [T: Payload, const N: usize] [T; N]
    [T: Payload] VecDeque<T>
    [T: Payload] LinkedList<T>
    [T: Payload] BTreeSet<T>
    [T: Payload, S] HashSet<T, S>
}

collections! {
    of_map, Rules::values, on_the_wire, |map| map.iter();
    [K: Serialize, T: Payload] BTreeMap<K, T>
    [K: Serialize, T: Payload, S] HashMap<K, T, S>
}
