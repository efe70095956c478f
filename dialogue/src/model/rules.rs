//! Rules of payloads that schemars does not write into their schemas.
//!
//! schemars knows a few rules, of fields whose type stands in their place. Others have keywords,
//! such as exclusive bounds. What JSON Schema cannot say stands in [`KEYWORD`], at the schema that
//! it is about.

use std::{collections::BTreeSet, fmt};

use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::schema;
use crate::{Flow, Payload};

/// `[{ rule, name?, code?, message?, params? }]`: validator's name of the rule; which function it is, of
/// `custom` and `schema`, or which regular expression; the code and the message of its issue, where they are its own.
pub(crate) const KEYWORD: &str = "x-dialogue-rules";

/// What validator calls the bounds of a number, and their keywords.
const RANGE: [(&str, &str); 4] = [
    ("min", "minimum"),
    ("max", "maximum"),
    ("exclusive_min", "exclusiveMinimum"),
    ("exclusive_max", "exclusiveMaximum"),
];

const DEFINITIONS: &str = "definitions";

/// A schema, or one within it, that rules are written into.
pub struct Rules<'a> {
    schema: &'a mut Map<String, Value>,
    document: &'a mut Document,
}

impl fmt::Debug for Rules<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("schema", &self.schema).finish_non_exhaustive()
    }
}

struct Document {
    flow: Flow,
    definitions: Map<String, Value>,
    /// Those that were written into: they are referred to more than once, or by themselves.
    done: BTreeSet<String>,
}

/// A rule of a payload's, or of a field's.
#[derive(Debug, Default, Serialize)]
pub struct Rule {
    /// What validator calls it.
    pub rule: &'static str,
    /// Which function it is, or which regular expression.
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

/// The schema of a payload, with the rules that schemars does not know.
pub(crate) fn of_payload<T: JsonSchema + Payload>(flow: Flow) -> Schema {
    let mut schema = schema::of::<T>(flow);
    write::<T>(&mut schema, flow);
    schema
}

/// Writes the rules of `T`, and of what is nested in it, into its schema.
fn write<T: Payload>(schema: &mut Schema, flow: Flow) {
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

    /// The schema of an element of a tuple.
    pub fn item(&mut self, index: usize) -> Option<Rules<'_>> {
        let item = self.schema.get_mut("items")?.get_mut(index)?;
        Rules::at(item, self.document)
    }

    /// What a variant of an enum holds, whose name is around it.
    pub fn variant(&mut self, names: [&'static str; 2]) -> Option<Rules<'_>> {
        let name = self.name(names);
        let mut variants = variants(self.schema)?.iter_mut();
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
        let mut variants = variants(self.schema)?.iter_mut();
        let variant = variants.find(|variant| variant["properties"][tag]["const"] == name)?;
        let held = match content {
            Some(content) => variant.get_mut("properties")?.get_mut(content)?,
            // What denies unknown fields stands in the variant itself, which has one more.
            None if variant["allOf"][0]["$ref"].is_null() => variant,
            None => &mut variant["allOf"][0],
        };
        Rules::at(held, self.document)
    }

    /// What a variant of an enum holds, whose name is nowhere: by its place, counted from the end.
    pub fn untagged_variant(&mut self, place: usize) -> Option<Rules<'_>> {
        let held = variants(self.schema)?.iter_mut().nth_back(place)?;
        Rules::at(held, self.document)
    }

    /// A rule of what stands here: keywords, where there are some for it.
    pub fn rule(&mut self, rule: &Rule) {
        let written = match rule.rule {
            "range" => Some(RANGE.map(|(param, keyword)| (param, keyword.to_owned())).to_vec()),
            "length" => self.lengths(),
            // schemars writes these, of what it knows to be a text.
            "contains" | "regex" if self.schema.contains_key("pattern") => return,
            "email" | "url" if self.schema.contains_key("format") => return,
            "ip" if self.ip(rule) => return,
            _ => None,
        };
        let Some(keywords) = written else { return self.beside(rule) };
        for (param, keyword) in keywords {
            if let Some(value) = rule.params.get(param) {
                self.own().insert(keyword, value.clone());
            }
        }
    }

    /// What bounds the length of a text, a list or a map.
    fn lengths(&self) -> Option<Vec<(&'static str, String)>> {
        let of = [("string", "Length"), ("array", "Items"), ("object", "Properties")];
        let (_, of) = of.into_iter().find(|(kind, _)| self.is(kind))?;
        let keywords = [("min", "min"), ("max", "max"), ("equal", "min"), ("equal", "max")];
        Some(keywords.map(|(param, bound)| (param, format!("{bound}{of}"))).to_vec())
    }

    /// Writes which addresses are meant, if it is not all: schemars' own `ip` is no format.
    fn ip(&mut self, rule: &Rule) -> bool {
        if self.schema.get("format").is_some_and(|format| format == "ip") {
            self.schema.remove("format");
        }
        let on = |param: &str| rule.params.get(param) == Some(&Value::Bool(true));
        let format = match (on("v4"), on("v6")) {
            (true, false) => "ipv4",
            (false, true) => "ipv6",
            _ => return false,
        };
        self.own().insert("format".to_owned(), format.into());
        true
    }

    fn is(&self, kind: &str) -> bool {
        match self.schema.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().any(|other| other == kind),
            Some(other) => other == kind,
            None => false,
        }
    }

    /// A rule that has no keyword here.
    pub fn beside(&mut self, rule: &Rule) {
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

    /// The rules of a type with a schema of its own, which stands here or is referred to: written
    /// there, once.
    pub fn of_type(&mut self, rules: impl FnOnce(&mut Rules<'_>)) {
        // Beside a type, a reference is a part of the schema.
        let lone = |all: &Value| match all.as_array().map(Vec::as_slice) {
            Some([one]) => one.get("$ref").cloned(),
            _ => None,
        };
        let all = self.schema.get("allOf").filter(|_| !self.schema.contains_key("type"));
        let reference = self.schema.get("$ref").cloned().or_else(|| all.and_then(lone));
        let Some(reference) = reference else { return rules(self) };
        let Some(name) = reference.as_str().and_then(schema::definition_name) else { return };
        if !self.document.done.insert(name.clone()) {
            return;
        }
        // It is not needed meanwhile: whoever refers to it finds it done.
        if let Some(mut definition) = self.document.definitions.remove(&name) {
            if let Some(mut definition) = Rules::at(&mut definition, self.document) {
                rules(&mut definition);
            }
            self.document.definitions.insert(name, definition);
        }
    }

    /// Of what stands here.
    pub(crate) fn here(&mut self, rules: fn(&mut Rules<'_>)) {
        rules(self);
    }

    /// Of what is here unless it is `null`.
    pub(crate) fn present(&mut self, rules: fn(&mut Rules<'_>)) {
        let null = |schema: &Value| schema["type"] == "null";
        match self.schema.get_mut("anyOf").and_then(Value::as_array_mut) {
            Some(any) if any.iter().any(null) => {
                let others = any.iter_mut().filter(|schema| !null(schema));
                each(others, self.document, rules);
            }
            _ => rules(self),
        }
    }

    /// Of what is in a list.
    pub(crate) fn items(&mut self, rules: fn(&mut Rules<'_>)) {
        each(self.schema.get_mut("items"), self.document, rules);
    }

    /// Of what is in a map, whatever its keys are.
    pub(crate) fn values(&mut self, rules: fn(&mut Rules<'_>)) {
        // Of a map in the place of its whole, the properties are not the map's.
        let closed = self.schema.get("additionalProperties") == Some(&Value::Bool(false));
        let properties = closed.then_some("properties");
        for keyword in ["patternProperties"].into_iter().chain(properties) {
            let values = self.schema.get_mut(keyword).and_then(Value::as_object_mut);
            each(values.into_iter().flat_map(Map::values_mut), self.document, rules);
        }
        each(self.schema.get_mut("additionalProperties"), self.document, rules);
    }
}

/// The variants of an enum. With one that has no tag, they may overlap.
fn variants(schema: &mut Map<String, Value>) -> Option<&mut Vec<Value>> {
    let keyword = if schema.contains_key("oneOf") { "oneOf" } else { "anyOf" };
    schema.get_mut(keyword)?.as_array_mut()
}

fn each<'s>(
    schemas: impl IntoIterator<Item = &'s mut Value>,
    document: &mut Document,
    rules: fn(&mut Rules<'_>),
) {
    for schema in schemas {
        if let Some(mut schema) = Rules::at(schema, document) {
            rules(&mut schema);
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
pub(crate) fn without_words(schema: &mut Map<String, Value>) {
    let rules = schema.get_mut(KEYWORD).and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten().filter_map(Value::as_object_mut) {
        rule.remove("message");
    }
}
