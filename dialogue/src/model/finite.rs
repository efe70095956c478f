//! Finds numbers that JSON cannot hold: `serde_json` writes NaN and infinities as `null`.

use std::fmt;

use serde::{Serialize, Serializer, ser};
use serde_json::value::{RawValue, to_raw_value};

use super::{issues, payload::on_the_wire};
use crate::Issues;

/// Rejects a payload with a float that is NaN or infinite, and says where the first one is.
pub(crate) fn check(payload: &(impl Serialize + ?Sized)) -> Result<(), Issues> {
    match payload.serialize(Finite) {
        Err(Found::At(issues)) => Err(issues),
        // What cannot be serialised is reported when it is written.
        Ok(()) | Err(Found::Unserialisable) => Ok(()),
    }
}

/// Writes a payload as JSON, unless it has a float that is NaN or infinite.
pub(crate) fn write(payload: &impl Serialize) -> Result<serde_json::Result<Box<RawValue>>, Issues> {
    let written = to_raw_value(payload);
    // `serde_json` writes NaN and infinities as `null`: without one, there is nothing to check.
    if written.as_ref().map_or(true, |json| json.get().contains("null")) {
        check(payload)?;
    }
    Ok(written)
}

/// Serialises to nothing, and fails at a number that is not finite.
struct Finite;

/// Why serialisation ended early.
#[derive(Debug)]
enum Found {
    At(Issues),
    Unserialisable,
}

impl Found {
    /// Within a part of the payload, which has this name or place there.
    fn under(self, place: &str) -> Self {
        match self {
            Self::At(issues) => Self::At(issues.under(place)),
            Self::Unserialisable => self,
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(issues) => issues.fmt(f),
            Self::Unserialisable => f.write_str("cannot be serialised"),
        }
    }
}

impl std::error::Error for Found {}

impl ser::Error for Found {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Unserialisable
    }
}

type Outcome = Result<(), Found>;

fn number(is_finite: bool) -> Outcome {
    if is_finite { Ok(()) } else { Err(Found::At(issues::not_finite())) }
}

macro_rules! always_fine {
    ($($method:ident($($type:ty),*);)*) => {$(
        fn $method(self, $(_: $type),*) -> Outcome {
            Ok(())
        }
    )*};
}

impl Serializer for Finite {
    type Ok = ();
    type Error = Found;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = List;
    type SerializeMap = Map;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    always_fine! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_f32(self, value: f32) -> Outcome {
        number(value.is_finite())
    }

    fn serialize_f64(self, value: f64) -> Outcome {
        number(value.is_finite())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Outcome {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Outcome {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Outcome {
        value.serialize(self).map_err(|found| found.under(variant))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List, Found> {
        Ok(List { variant: None, next: 0 })
    }

    fn serialize_tuple(self, _: usize) -> Result<List, Found> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List, Found> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List, Found> {
        Ok(List { variant: Some(variant), next: 0 })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Map, Found> {
        Ok(Map { key: String::new() })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields, Found> {
        Ok(Fields { variant: None })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields, Found> {
        Ok(Fields { variant: Some(variant) })
    }

    /// Formats nothing: a text has no numbers.
    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Outcome {
        Ok(())
    }
}

/// What is in a variant has the variant's name before its own.
fn within(variant: Option<&'static str>, found: Found) -> Found {
    match variant {
        Some(variant) => found.under(variant),
        None => found,
    }
}

struct List {
    variant: Option<&'static str>,
    next: usize,
}

impl List {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Outcome {
        let index = self.next;
        self.next += 1;
        let place = |found: Found| within(self.variant, found.under(&format!("[{index}]")));
        value.serialize(Finite).map_err(place)
    }
}

struct Map {
    /// The last key that came by itself.
    key: String,
}

struct Fields {
    variant: Option<&'static str>,
}

impl Fields {
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Outcome {
        value.serialize(Finite).map_err(|found| within(self.variant, found.under(name)))
    }
}

macro_rules! lists {
    ($($trait:ident::$method:ident;)*) => {$(
        impl ser::$trait for List {
            type Ok = ();
            type Error = Found;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Outcome {
                self.element(value)
            }

            fn end(self) -> Outcome {
                Ok(())
            }
        }
    )*};
}

lists! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

impl ser::SerializeMap for Map {
    type Ok = ();
    type Error = Found;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Outcome {
        self.key = on_the_wire(key);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Outcome {
        value.serialize(Finite).map_err(|found| found.under(&self.key))
    }

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Outcome {
        value.serialize(Finite).map_err(|found| found.under(&on_the_wire(key)))
    }

    fn end(self) -> Outcome {
        Ok(())
    }
}

macro_rules! fields {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Fields {
            type Ok = ();
            type Error = Found;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Outcome {
                self.field(name, value)
            }

            fn end(self) -> Outcome {
                Ok(())
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    enum Reading {
        One(f32),
        Two(f32, f32),
        Named { celsius: f64 },
        Plain,
    }

    #[derive(Serialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Reading { celsius: f64 },
    }

    #[derive(Serialize)]
    struct Station {
        #[serde(rename = "airPressure")]
        pressure: Option<f64>,
        readings: Vec<Reading>,
        #[serde(flatten)]
        more: BTreeMap<u8, f64>,
    }

    #[derive(Serialize)]
    struct Keyed<'a> {
        celsius: f64,
        #[serde(serialize_with = "as_map")]
        pairs: &'a [(Option<f64>, u8)],
    }

    fn as_map<S: Serializer>(pairs: &&[(Option<f64>, u8)], to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(pairs.iter().copied())
    }

    fn path(payload: &impl Serialize) -> String {
        let issues = check(payload).unwrap_err();
        assert_eq!((issues.len(), &*issues[0].code), (1, "finite"));
        assert_eq!(issues[0].message, "must be a finite number: JSON has no NaN and no infinity");
        issues[0].path.clone()
    }

    fn station(reading: Reading) -> Station {
        Station { pressure: None, readings: vec![Reading::Plain, reading], more: BTreeMap::new() }
    }

    #[test]
    fn number_that_is_not_finite_is_rejected_with_its_path_on_the_wire() {
        assert_eq!(path(&f64::NAN), "");
        assert_eq!(path(&[1.0, f32::NEG_INFINITY]), "[1]");
        assert_eq!(path(&HashMap::from([("a", (1, f64::INFINITY))])), "a[1]");
        let pressure = Some(f64::INFINITY);
        assert_eq!(path(&Station { pressure, ..station(Reading::Plain) }), "airPressure");
        assert_eq!(path(&station(Reading::One(f32::NAN))), "readings[1].One");
        assert_eq!(path(&station(Reading::Two(0.0, f32::NAN))), "readings[1].Two[1]");
        assert_eq!(
            path(&station(Reading::Named { celsius: f64::NAN })),
            "readings[1].Named.celsius"
        );
        let more = BTreeMap::from([(7, f64::NAN)]);
        assert_eq!(path(&Station { more, ..station(Reading::Plain) }), "7");
        assert_eq!(path(&Tagged::Reading { celsius: f64::NAN }), "celsius");
    }

    #[test]
    fn number_that_is_not_finite_beside_a_key_that_json_cannot_hold_is_rejected_with_its_path() {
        for key in [Some(f64::NAN), None] {
            let pairs = [(key, 1)];
            let keyed = Keyed { celsius: f64::INFINITY, pairs: &pairs };
            assert!(to_raw_value(&keyed).is_err());
            assert_eq!(write(&keyed).unwrap_err()[0].path, "celsius");
            // That key alone is left to `serde_json`.
            assert!(write(&Keyed { celsius: 1.0, pairs: &pairs }).unwrap().is_err());
        }
    }

    #[test]
    fn payload_that_json_holds_passes() {
        let pressure = Some(f64::MAX);
        check(&Station { pressure, ..station(Reading::Named { celsius: -0.0 }) }).unwrap();
        check(&Tagged::Reading { celsius: f64::MIN_POSITIVE }).unwrap();
        check(&json!({ "null": null, "list": [1, 1.5, "NaN"] })).unwrap();
        let raw = serde_json::value::to_raw_value(&json!([null])).unwrap();
        check(&raw).unwrap();
        check(&(u128::MAX, i128::MIN, "text", 'c', (), true)).unwrap();
    }

    #[test]
    fn payload_that_cannot_be_serialised_is_left_to_whoever_writes_it() {
        struct Broken;
        impl Serialize for Broken {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(ser::Error::custom("broken"))
            }
        }
        check(&[Broken]).unwrap();
    }
}
