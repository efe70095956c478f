//! Context beside a payload, as JSON text.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor},
    ser,
};
use serde_json::value::{RawValue, to_raw_value};

use super::finite;

/// How deep values may nest; the object itself is the first level.
const MAX_DEPTH: usize = 8;
/// How many keys there may be, those of nested objects included.
const MAX_KEYS: usize = 64;

/// Free-form context of one event, beside its payload: trace ids, variants, flags. A JSON object, kept as
/// text: many events with context are kept for long, and few are read. What clients send, and what
/// [`insert`](Meta::insert) makes, has up to 64 keys and 8 levels, those of nested objects included.
///
/// ```
/// use dialogue::Meta;
///
/// let mut meta = Meta::new();
/// meta.insert("trace", "7c1")?;
/// meta.insert("attempt", 2)?;
/// assert_eq!(meta.get::<u32>("attempt"), Some(2));
/// assert_eq!(meta.get::<u32>("trace"), None);
/// assert_eq!(meta.as_json(), r#"{"attempt":2,"trace":"7c1"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone)]
pub struct Meta(Box<RawValue>);

impl Meta {
    /// Context without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a key; `None` if there is none, or if it is no `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_str(self.values().get(key)?.get()).ok()
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    ///
    /// If the value is not JSON, such as a map with keys that are no strings or a number that is NaN, or if
    /// there would be too many keys or levels; nothing has changed then.
    pub fn insert(
        &mut self,
        key: impl Into<String>,
        value: impl Serialize,
    ) -> serde_json::Result<()> {
        let mut values = self.values();
        let value = finite::write(&value).map_err(ser::Error::custom)??;
        values.insert(key.into(), value);
        let changed = to_raw_value(&values)?;
        check(changed.get())?;
        self.0 = changed;
        Ok(())
    }

    /// Removes a key; returns whether it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        let mut values = self.values();
        let removed = values.remove(key).is_some();
        if let Ok(left) = to_raw_value(&values) {
            self.0 = left;
        }
        removed
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        self.values().into_keys()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.values().is_empty()
    }

    /// What a client sends.
    #[cfg(feature = "server")]
    pub(crate) fn from_client(text: &RawValue) -> serde_json::Result<Self> {
        check(text.get())?;
        Ok(Self(text.to_owned()))
    }

    /// The JSON text.
    pub fn as_json(&self) -> &str {
        self.0.get()
    }

    fn values(&self) -> BTreeMap<String, Box<RawValue>> {
        // It was checked to be an object.
        serde_json::from_str(self.0.get()).unwrap_or_default()
    }
}

impl Default for Meta {
    fn default() -> Self {
        let empty: BTreeMap<String, ()> = BTreeMap::new();
        // An object without keys is JSON.
        Self(to_raw_value(&empty).expect("an empty object is JSON"))
    }
}

impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_json())
    }
}

/// Two contexts are equal if they hold the same keys and values, in whatever order.
impl PartialEq for Meta {
    fn eq(&self, other: &Self) -> bool {
        let value = |meta: &Self| serde_json::from_str::<serde_json::Value>(meta.as_json()).ok();
        self.as_json() == other.as_json() || value(self) == value(other)
    }
}

impl Eq for Meta {}

impl Serialize for Meta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Meta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What was sent or stored once is not judged again.
        let text = Box::<RawValue>::deserialize(deserializer)?;
        if text.get().starts_with('{') {
            return Ok(Self(text));
        }
        Err(de::Error::custom("`meta` is not an object"))
    }
}

/// Checks that a text is an object of few keys and levels.
fn check(text: &str) -> serde_json::Result<()> {
    let mut keys = 0;
    let mut json = serde_json::Deserializer::from_str(text);
    let checked = (Level { depth: 0, keys: &mut keys }).deserialize(&mut json);
    // The error does not say where in the text it is: the caller rejects all of `meta`.
    checked.map_err(
        |error| {
            if error.is_data() { error } else { de::Error::custom("`meta` is not JSON") }
        },
    )
}

/// One level of a value.
struct Level<'a> {
    depth: usize,
    keys: &'a mut usize,
}

impl Level<'_> {
    fn deeper(&mut self) -> Level<'_> {
        Level { depth: self.depth + 1, keys: self.keys }
    }

    fn enter<E: de::Error>(&self) -> Result<(), E> {
        if self.depth < MAX_DEPTH {
            return Ok(());
        }
        Err(E::custom(format_args!("`meta` nests deeper than {MAX_DEPTH} levels")))
    }

    /// The value as a whole is an object.
    fn scalar<E: de::Error>(&self) -> Result<(), E> {
        if self.depth > 0 { Ok(()) } else { Err(E::custom("`meta` is not an object")) }
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.scalar()?;
        self.enter()?;
        while items.next_element_seed(self.deeper())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        self.enter()?;
        while entries.next_key::<IgnoredKey>()?.is_some() {
            *self.keys += 1;
            if *self.keys > MAX_KEYS {
                let error = format_args!("`meta` has more than {MAX_KEYS} keys");
                return Err(de::Error::custom(error));
            }
            entries.next_value_seed(self.deeper())?;
        }
        Ok(())
    }
}

/// A key, which is a valid string.
struct IgnoredKey;

impl<'de> Deserialize<'de> for IgnoredKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Key;
        impl Visitor<'_> for Key {
            type Value = IgnoredKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<IgnoredKey, E> {
                Ok(IgnoredKey)
            }
        }
        deserializer.deserialize_str(Key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Meta, String> {
        check(text).map_err(|error| error.to_string())?;
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn meta_is_an_object_of_few_keys_and_levels() {
        let nested =
            |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let keys = |n: usize| {
            let keys: Vec<_> = (0..n).map(|n| format!(r#""{n}":[{{}}]"#)).collect();
            format!("{{{}}}", keys.join(","))
        };
        for text in ["{}", r#"{"a":null,"b":[1,"x",{"c":2.5}]}"#, &nested(8), &keys(64)] {
            assert_eq!(parse(text).unwrap().as_json(), text);
        }
        for (text, error) in [
            ("[]", "not an object"),
            ("1", "not an object"),
            (&*nested(9), "deeper than 8"),
            (&keys(65), "more than 64 keys"),
            (r#"{"a":"\ud800"}"#, "not JSON"),
            (r#"{"\ud800":1}"#, "not JSON"),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains(error), "{text}: {refused}");
        }
    }

    #[test]
    fn meta_with_the_same_values_is_equal_in_any_order() {
        let [one, same, other] =
            [r#"{"a":1,"b":2}"#, r#"{ "b":2, "a":1 }"#, r#"{"a":1}"#].map(|t| parse(t).unwrap());
        assert_eq!(one, same);
        assert_ne!(one, other);
    }

    #[test]
    fn keys_are_set_and_removed() {
        let mut meta = parse(r#"{"a":1,"a":2}"#).unwrap();
        assert_eq!(meta.get::<u8>("a"), Some(2), "the last one counts");
        meta.insert("b", "x").unwrap();
        assert!(meta.insert("c", BTreeMap::from([((1, 2), 3)])).is_err());
        assert!(
            meta.insert("c", (0..64).map(|n| (n.to_string(), n)).collect::<BTreeMap<_, _>>())
                .is_err()
        );
        assert_eq!(meta.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert!(meta.remove("a"));
        assert!(!meta.remove("a"));
        assert_eq!(meta.as_json(), r#"{"b":"x"}"#);
    }
}
