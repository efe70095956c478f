//! Ids of rooms in a family: a pattern such as `doc:{document_id}` and the values in it.
//!
//! A placeholder is one whole segment between `:`; its value is percent-encoded as
//! `encodeURIComponent` does, so that a value may hold any character; the server opens a room if all of them
//! are visible.

use std::{borrow::Cow, fmt::Display, str::FromStr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What `encodeURIComponent` leaves as it is: letters, digits and `- _ . ! ~ * ' ( )`.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// The id that `pattern` and the values of its placeholders, in order, make.
pub fn format(pattern: &str, values: &[&dyn Display]) -> String {
    let mut values = values.iter();
    let mut id = String::with_capacity(pattern.len());
    for (n, segment) in pattern.split(':').enumerate() {
        if n > 0 {
            id.push(':');
        }
        match values.as_slice() {
            [value, ..] if segment.starts_with('{') => {
                id.extend(utf8_percent_encode(&value.to_string(), COMPONENT));
                values.next();
            }
            _ => id.push_str(segment),
        }
    }
    id
}

/// The decoded values of the placeholders of `pattern` in `id`, if `id` has its form.
pub fn parse<'a, const N: usize>(pattern: &str, id: &'a str) -> Option<[Cow<'a, str>; N]> {
    let mut values = Vec::with_capacity(N);
    let mut segments = id.split(':');
    for expected in pattern.split(':') {
        let found = segments.next()?;
        if expected.starts_with('{') {
            if found.is_empty() {
                return None;
            }
            values.push(percent_decode_str(found).decode_utf8().ok()?);
        } else if found != expected {
            return None;
        }
    }
    match segments.next() {
        Some(_) => None,
        None => values.try_into().ok(),
    }
}

/// Whether `id` has the form of `pattern`, whatever its values stand for. A static id has its own.
#[cfg(feature = "server")]
pub(crate) fn matches(pattern: &str, id: &str) -> bool {
    let mut segments = id.split(':');
    let same = pattern.split(':').all(|expected| {
        segments.next().is_some_and(|found| expected.starts_with('{') || found == expected)
    });
    same && segments.next().is_none()
}

/// The placeholders of a pattern, in order.
#[cfg(feature = "server")]
pub(crate) fn placeholders(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.split(':').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// A pattern as clients know it: placeholders are named as all things on the wire.
#[cfg(feature = "server")]
pub(crate) fn on_the_wire(pattern: &str) -> String {
    let segments = pattern.split(':').map(|segment| {
        let placeholder = placeholders(segment).next();
        placeholder.map_or_else(|| segment.to_owned(), |name| format!("{{{}}}", camel_case(name)))
    });
    segments.collect::<Vec<_>>().join(":")
}

/// `document_id` as `documentId`.
#[cfg(feature = "server")]
pub(crate) fn camel_case(name: &str) -> String {
    let mut words = name.split('_').filter(|word| !word.is_empty());
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        camel.push_str(letters.as_str());
    }
    camel
}

/// The value of a placeholder: a field of a family's key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a room's id",
    label = "not both `FromStr` and `Display`",
    note = "implement `std::str::FromStr` and `std::fmt::Display` for `{Self}`"
)]
pub trait KeyPart: Sized {
    /// The value, to be encoded into an id.
    fn part(&self) -> &dyn Display;
    /// The value that the decoded part of an id stands for.
    fn of_part(text: &str) -> Option<Self>;
}

#[diagnostic::do_not_recommend]
impl<T: FromStr + Display> KeyPart for T {
    /// The value, to be encoded into an id.
    fn part(&self) -> &dyn Display {
        self
    }

    /// The value that the decoded part of an id stands for.
    fn of_part(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{format, parse};

    #[cfg(feature = "server")]
    #[test]
    fn clients_know_placeholders_in_camel_case() {
        for (pattern, on_the_wire) in [
            ("general", "general"),
            ("doc:{document_id}", "doc:{documentId}"),
            ("a_b:{n}:{é_r}:{_rev_no}", "a_b:{n}:{éR}:{revNo}"),
        ] {
            assert_eq!(super::on_the_wire(pattern), on_the_wire);
        }
    }

    #[test]
    fn values_of_any_kind_come_back() {
        for value in ["42", "a:b", "100%", "é b/c?#", "{x}", "a\nb", "-_.!~*'()"] {
            let id = format("doc:{id}:rev:{n}", &[&value, &7]);
            let [found, n] = parse("doc:{id}:rev:{n}", &id).expect("an id that was formatted");
            assert_eq!((&*found, &*n), (value, "7"), "{id}");
        }
    }

    #[test]
    fn encodes_as_encode_uri_component_does() {
        assert_eq!(format("doc:{id}", &[&"a b:é/-_.!~*'()"]), "doc:a%20b%3A%C3%A9%2F-_.!~*'()");
    }

    #[test]
    fn ids_of_another_form_are_refused() {
        for id in ["doc", "doc:", "doc:1:2", "docs:1", ":1", "doc:%ff"] {
            assert_eq!(parse::<1>("doc:{id}", id), None, "{id}");
        }
    }
}
