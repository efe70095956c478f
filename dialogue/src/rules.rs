//! Rules of payloads that schemars does not write into their schemas.
//!
//! Bounds that are exclusive have keywords of their own. What JSON Schema cannot say stands in
//! [`KEYWORD`], at the schema that it is about.

use std::{collections::BTreeSet, slice};

use schemars::Schema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{Flow, Payload};

/// `[{ rule, name?, code?, message?, params? }]`: validator's name of the rule; which function it is, of
/// `custom` and `schema`; the code and the message of its issue, where they are its own.
pub(crate) const KEYWORD: &str = "x-dialogue-rules";

const DEFINITIONS: &str = "definitions";

/// A schema, or one within it, that rules are written into.
pub struct Rules<'a> {
    schema: &'a mut Map<String, Value>,
    document: &'a mut Document,
}

struct Document {
    flow: Flow,
    definitions: Map<String, Value>,
    /// Those that were written into: they are referred to more than once, or by themselves.
    done: BTreeSet<String>,
}

/// A rule that JSON Schema has no keyword for.
#[derive(Default, Serialize)]
pub struct Rule {
    /// What validator calls it.
    pub rule: &'static str,
    /// Which function it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'static str>,
    /// The code of its issue, where that is not validator's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The message of its issue, where the app has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'static str>,
    /// As in its issue.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
}

/// Writes the rules of `T`, and of what is nested in it, into its schema.
pub(crate) fn write<T: Payload>(schema: &mut Schema, flow: Flow) {
    let root = schema.ensure_object();
    let definitions = match root.remove(DEFINITIONS) {
        Some(Value::Object(definitions)) => definitions,
        _ => Map::new(),
    };
    let mut document = Document { flow, definitions, done: BTreeSet::new() };
    T::rules(&mut Rules { schema: root, document: &mut document });
    if !document.definitions.is_empty() {
        root.insert(DEFINITIONS.to_owned(), document.definitions.into());
    }
}

impl Rules<'_> {
    /// What a field that is named so in what is sent, and in what is received, is called.
    pub fn name(&self, [sent, received]: [&'static str; 2]) -> &'static str {
        match self.document.flow {
            Flow::Sent => sent,
            Flow::Received => received,
        }
    }

    /// The schema of a field, if it goes this way.
    pub fn field(&mut self, names: [&'static str; 2]) -> Option<Rules<'_>> {
        let name = self.name(names);
        let field = self.schema.get_mut("properties")?.get_mut(name)?;
        if let Value::Bool(true) = field {
            *field = json!({});
        }
        Rules::at(field, self.document)
    }

    /// What a variant of an enum holds, whose name is around it.
    pub fn variant(&mut self, names: [&'static str; 2]) -> Option<Rules<'_>> {
        let name = self.name(names);
        let mut variants = self.schema.get_mut("oneOf")?.as_array_mut()?.iter_mut();
        let held = variants.find_map(|variant| variant.get_mut("properties")?.get_mut(name))?;
        Rules::at(held, self.document)
    }

    /// What a variant of an enum holds, whose name is beside it, or among its fields if it is no
    /// `content`.
    pub fn tagged_variant(
        &mut self,
        tag: &str,
        content: Option<&str>,
        names: [&'static str; 2],
    ) -> Option<Rules<'_>> {
        let name = self.name(names);
        let mut variants = self.schema.get_mut("oneOf")?.as_array_mut()?.iter_mut();
        let variant = variants.find(|variant| variant["properties"][tag]["const"] == name)?;
        let held = match content {
            Some(content) => variant.get_mut("properties")?.get_mut(content)?,
            None => variant.get_mut("allOf")?.get_mut(0)?,
        };
        Rules::at(held, self.document)
    }

    /// What a variant of an enum holds, whose name is nowhere: by its place among all of them.
    pub fn untagged_variant(&mut self, place: usize, of: usize) -> Option<Rules<'_>> {
        let variants = self.schema.get_mut("anyOf")?.as_array_mut()?;
        // With another number of them, the places mean nothing.
        let held = if variants.len() == of { variants.get_mut(place) } else { None }?;
        Rules::at(held, self.document)
    }

    /// A rule that has a keyword.
    pub fn keyword(&mut self, keyword: &str, value: impl Serialize) {
        if let Ok(value) = serde_json::to_value(value) {
            self.own().insert(keyword.to_owned(), value);
        }
    }

    /// A rule that has none.
    pub fn rule(&mut self, rule: &Rule) {
        let rules = self.own().entry(KEYWORD).or_insert_with(|| json!([]));
        if let Value::Array(rules) = rules {
            rules.push(json!(rule));
        }
    }

    /// What may stand here: in draft 7, nothing counts beside a reference.
    fn own(&mut self) -> &mut Map<String, Value> {
        if let Some(reference) = self.schema.remove("$ref") {
            self.schema.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
        }
        self.schema
    }

    /// The rules of the one type that this schema is of, optional, in lists or in maps.
    pub fn nested(&mut self, rules: fn(&mut Rules<'_>)) {
        if self.schema.contains_key("properties") {
            return rules(self);
        }
        let Rules { schema, document } = self;
        let reference = schema.get("$ref").and_then(Value::as_str);
        if let Some(name) = reference.and_then(|to| to.strip_prefix("#/definitions/")) {
            let name = name.replace("~1", "/").replace("~0", "~");
            if !document.done.insert(name.clone()) {
                return;
            }
            if let Some(mut definition) = document.definitions.remove(&name) {
                if let Some(mut definition) = Rules::at(&mut definition, document) {
                    definition.nested(rules);
                }
                document.definitions.insert(name, definition);
            }
            return;
        }
        for keyword in ["items", "additionalProperties", "anyOf", "allOf"] {
            let inner = match schema.get_mut(keyword) {
                Some(Value::Array(schemas)) => &mut schemas[..],
                Some(schema) => slice::from_mut(schema),
                None => continue,
            };
            for schema in inner {
                if let Some(mut schema) = Rules::at(schema, document) {
                    schema.nested(rules);
                }
            }
        }
    }
}

impl<'a> Rules<'a> {
    fn at(schema: &'a mut Value, document: &'a mut Document) -> Option<Self> {
        Some(Self { schema: schema.as_object_mut()?, document })
    }
}

/// Takes the words out of the rules at a schema.
#[cfg(feature = "server")]
pub(crate) fn without_words(schema: &mut Schema) {
    let rules = schema.get_mut(KEYWORD).and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten().filter_map(Value::as_object_mut) {
        rule.remove("message");
    }
}
