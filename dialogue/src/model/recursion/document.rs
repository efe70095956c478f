//! Which keywords of a schema lead where.

use std::{collections::HashMap, sync::Arc};

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::{
    Reader,
    graph::{Location, Node, Step},
    tags,
};

/// A schema that is being looked through.
pub(crate) struct Document<'s> {
    root: &'s Value,
    reader: Reader,
    /// Schemas with an address of their own, and where they are.
    ids: Vec<(&'s str, String)>,
    /// The same of names within an address.
    anchors: Vec<(&'s str, String)>,
    nodes: Vec<Node>,
    found: HashMap<(String, bool), usize>,
    keys: Vec<(String, bool)>,
    waiting: Vec<usize>,
    tagged: Vec<String>,
}

impl<'s> Document<'s> {
    /// All schemas that the document leads to, itself first, and its unions whose alternatives a tag
    /// tells apart.
    pub(crate) fn read(
        root: &'s Value,
        reader: Reader,
    ) -> Result<(Vec<Node>, Vec<String>), String> {
        let mut document = Self::new(root, reader);
        document.node("", false);
        while let Some(n) = document.waiting.pop() {
            document.fill(n)?;
        }
        Ok((document.nodes, document.tagged))
    }

    fn new(root: &'s Value, reader: Reader) -> Self {
        let (mut ids, mut anchors) = (Vec::new(), Vec::new());
        let mut values = vec![(String::new(), root)];
        while let Some((at, value)) = values.pop() {
            match value {
                Value::Object(fields) => {
                    for (name, value) in fields {
                        match (name.as_str(), value.as_str()) {
                            ("$id" | "id", Some(id)) => match id.strip_prefix('#') {
                                Some(anchor) => anchors.push((anchor, at.clone())),
                                None => ids.push((id.trim_end_matches('#'), at.clone())),
                            },
                            ("$anchor" | "$dynamicAnchor", Some(anchor)) => {
                                anchors.push((anchor, at.clone()));
                            }
                            _ => values.push((within(&at, name), value)),
                        }
                    }
                }
                Value::Array(items) => {
                    let items = items.iter().enumerate();
                    values.extend(items.map(|(n, value)| (format!("{at}/{n}"), value)));
                }
                _ => {}
            }
        }
        let (nodes, found, tagged) = (Vec::new(), HashMap::new(), Vec::new());
        let (keys, waiting) = (Vec::new(), Vec::new());
        Self { root, reader, ids, anchors, nodes, found, keys, waiting, tagged }
    }

    /// The node of the schema at a pointer. Another one is for finding out which properties and items
    /// it has looked at, for which what is in it is checked once more.
    fn node(&mut self, at: &str, marks: bool) -> usize {
        let key = (at.to_owned(), marks);
        if let Some(&n) = self.found.get(&key) {
            return n;
        }
        let n = self.nodes.len();
        self.nodes.push(Node { at: format!("#{at}"), ..Node::default() });
        self.found.insert(key.clone(), n);
        self.keys.push(key);
        self.waiting.push(n);
        n
    }

    fn fill(&mut self, n: usize) -> Result<(), String> {
        let (at, marks) = self.keys[n].clone();
        let Some(Value::Object(schema)) = self.root.pointer(&at) else { return Ok(()) };
        for (keyword, value) in schema {
            let inner = within(&at, keyword);
            if keyword.ends_with("Ref") || keyword == "$ref" {
                let Some(reference) = value.as_str() else { continue };
                let resolved = match self.resolve(&at, reference) {
                    // What a type's schema refers to is its own affair: serde does not read it.
                    Err(_) if self.reader == Reader::Serde => continue,
                    resolved => resolved?,
                };
                for to in resolved {
                    let to = self.node(&to, marks);
                    self.nodes[n].here.push(Step::One(to));
                }
            } else if marks {
                self.mark(n, keyword, value, &inner);
                self.descend(n, schema, keyword, value, &inner, true);
            } else {
                self.combine(n, keyword, value, &inner);
                self.descend(n, schema, keyword, value, &inner, false);
            }
        }
        if !marks && schema.keys().any(|keyword| keyword.starts_with("unevaluated")) {
            let to = self.node(&at, true);
            self.nodes[n].here.push(Step::One(to));
        }
        Ok(())
    }

    /// What is checked of the same value.
    fn combine(&mut self, n: usize, keyword: &str, value: &Value, inner: &str) {
        match keyword {
            "anyOf" | "oneOf" => self.union(n, keyword, value, inner),
            "not" | "if" | "then" | "else" => {
                let to = self.node(inner, false);
                self.nodes[n].here.push(Step::One(to));
            }
            "allOf" | "dependentSchemas" | "dependencies" => {
                for at in children(value, inner) {
                    let to = self.node(&at, false);
                    self.nodes[n].here.push(Step::One(to));
                }
            }
            _ => {}
        }
    }

    fn union(&mut self, n: usize, keyword: &str, value: &Value, inner: &str) {
        let Value::Array(schemas) = value else { return };
        let to: Vec<usize> =
            children(value, inner).into_iter().map(|at| self.node(&at, false)).collect();
        let tagged = match self.reader {
            // schemars writes `oneOf` for enums whose variants have tags, and `anyOf` for others.
            Reader::Serde if keyword == "oneOf" => vec![true; to.len()],
            Reader::Serde => {
                if !tags::is_option(schemas) {
                    self.nodes[n].tries.clone_from(&to);
                }
                vec![false; to.len()]
            }
            // A reference means something else within an address of its own.
            Reader::Validator if self.ids.iter().any(|(_, at)| !at.is_empty()) => {
                vec![false; to.len()]
            }
            Reader::Validator => tags::tagged(self.root, schemas),
        };
        if tagged.contains(&true) {
            self.tagged.push(inner.to_owned());
        }
        let (one_of, each): (Vec<_>, Vec<_>) = to.into_iter().zip(tagged).partition(|(_, of)| *of);
        self.nodes[n].here.extend(each.into_iter().map(|(to, _)| Step::One(to)));
        let one_of: Vec<usize> = one_of.into_iter().map(|(to, _)| to).collect();
        if !one_of.is_empty() {
            self.nodes[n].here.push(Step::OneOf(one_of));
        }
    }

    /// What is checked of the same value to find out what of it was looked at.
    fn mark(&mut self, n: usize, keyword: &str, value: &Value, inner: &str) {
        let (schemas, checked) = match keyword {
            "allOf" | "anyOf" | "oneOf" => (children(value, inner), true),
            "dependentSchemas" => (children(value, inner), false),
            "if" => (vec![inner.to_owned()], true),
            "then" | "else" => (vec![inner.to_owned()], false),
            _ => return,
        };
        for at in schemas {
            let marked = self.node(&at, true);
            self.nodes[n].here.push(Step::One(marked));
            if checked {
                let checked = self.node(&at, false);
                self.nodes[n].here.push(Step::One(checked));
            }
        }
    }

    /// What is checked of values below.
    fn descend(
        &mut self,
        n: usize,
        schema: &Map<String, Value>,
        keyword: &str,
        value: &Value,
        inner: &str,
        marks: bool,
    ) {
        if marks && !(keyword.starts_with("unevaluated") || keyword == "contains") {
            return;
        }
        let prefix = |keyword| schema.get(keyword).and_then(Value::as_array).map_or(0, Vec::len);
        match (keyword, value) {
            ("properties", Value::Object(properties)) => {
                for name in properties.keys() {
                    self.below(n, Location::Named(name.clone()), &within(inner, name));
                }
            }
            ("patternProperties", Value::Object(patterns)) => {
                for pattern in patterns.keys() {
                    let place = Location::Property { except: Arc::default() };
                    self.below(n, place, &within(inner, pattern));
                }
            }
            ("additionalProperties" | "unevaluatedProperties", _) => {
                let properties = schema.get("properties").and_then(Value::as_object);
                let except = properties.into_iter().flat_map(Map::keys).cloned().collect();
                self.below(n, Location::Property { except: Arc::new(except) }, inner);
            }
            ("prefixItems" | "items", Value::Array(items)) => {
                for i in 0..items.len() {
                    self.below(n, Location::Item(i), &format!("{inner}/{i}"));
                }
            }
            ("items" | "unevaluatedItems", _) => {
                self.below(n, Location::Items { from: prefix("prefixItems") }, inner);
            }
            ("additionalItems", _) => {
                self.below(n, Location::Items { from: prefix("items") }, inner);
            }
            ("contains", _) => self.below(n, Location::Items { from: 0 }, inner),
            _ => {}
        }
    }

    fn below(&mut self, n: usize, place: Location, at: &str) {
        let to = self.node(at, false);
        self.nodes[n].below.push((place, to));
    }

    /// Where a reference leads: with a dynamic one, anywhere that it may.
    fn resolve(&self, at: &str, reference: &str) -> Result<Vec<String>, String> {
        let (address, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let base = if address.is_empty() {
            let around = |(_, id_at): &&(&str, String)| {
                at.strip_prefix(id_at.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let around = self.ids.iter().filter(around).max_by_key(|(_, at)| at.len());
            Some(around.map_or("", |(_, at)| at.as_str()))
        } else {
            let named = |(id, _): &&(&str, String)| {
                *id == address || id.rsplit('/').next() == Some(address)
            };
            self.ids.iter().find(named).map(|(_, at)| at.as_str())
        };
        let fragment = percent_decode_str(fragment).decode_utf8_lossy();
        let found: Vec<String> = match base {
            None => Vec::new(),
            Some(base) if fragment.is_empty() || fragment.starts_with('/') => {
                vec![format!("{base}{fragment}")]
            }
            Some(_) => {
                let named = self.anchors.iter().filter(|(anchor, _)| *anchor == fragment);
                named.map(|(_, at)| at.clone()).collect()
            }
        };
        if found.is_empty() || found.iter().any(|at| self.root.pointer(at).is_none()) {
            return Err(format!("`{reference}` leads nowhere in it; refer to `#/$defs/..`"));
        }
        Ok(found)
    }
}

fn within(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The schemas in a list or a map of such.
fn children(value: &Value, at: &str) -> Vec<String> {
    match value {
        Value::Array(schemas) => (0..schemas.len()).map(|n| format!("{at}/{n}")).collect(),
        // Of `dependencies`, lists are of names.
        Value::Object(schemas) => {
            let schemas = schemas.iter().filter(|(_, schema)| !schema.is_array());
            schemas.map(|(name, _)| within(at, name)).collect()
        }
        _ => Vec::new(),
    }
}
