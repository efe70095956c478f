//! Schemas, and which lead to which.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

use super::{Reader, document::Document};

/// The schemas of a document that lead to a cycle, the document itself first.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    /// Each after those that it leads to without going down.
    pub(crate) order: Vec<usize>,
    /// The unions of the document whose alternatives a tag tells apart.
    #[cfg_attr(not(feature = "json-schema"), expect(dead_code, reason = "no schemas"))]
    pub(crate) tagged: Vec<String>,
    /// A schema that leads back to itself without going down.
    pub(crate) stuck: Option<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct Node {
    /// A JSON pointer, as in `#/$defs/node`.
    pub(crate) at: String,
    /// What is checked of the same value.
    pub(crate) here: Vec<Step>,
    /// What is checked of values that are in it.
    pub(crate) below: Vec<(Location, usize)>,
    /// The alternatives that are tried one after the other.
    pub(crate) tries: Vec<usize>,
}

#[derive(Debug)]
pub(crate) enum Step {
    One(usize),
    /// Alternatives that a tag tells apart.
    OneOf(Vec<usize>),
}

/// Which values a schema is for.
#[derive(Clone, Debug)]
pub(crate) enum Location {
    Named(String),
    Property { except: Arc<BTreeSet<String>> },
    Item(usize),
    Items { from: usize },
}

impl Step {
    fn targets(&self) -> &[usize] {
        match self {
            Self::One(to) => std::slice::from_ref(to),
            Self::OneOf(to) => to,
        }
    }
}

impl Node {
    fn targets(&self) -> impl Iterator<Item = usize> + '_ {
        let here = self.here.iter().flat_map(Step::targets).copied();
        here.chain(self.below.iter().map(|(_, to)| *to))
    }
}

impl Graph {
    pub(crate) fn of(schema: &Value, reader: Reader) -> Result<Self, String> {
        let (nodes, tagged) = Document::read(schema, reader)?;
        let mut graph = Self { nodes, tagged, ..Self::default() };
        graph.keep_recursive();
        graph.sort();
        Ok(graph)
    }

    /// Whether a schema leads to another.
    pub(crate) fn leads(&self, from: usize, to: usize) -> bool {
        let mut seen = vec![false; self.nodes.len()];
        let mut waiting = vec![from];
        while let Some(n) = waiting.pop() {
            if n == to {
                return true;
            }
            if !std::mem::replace(&mut seen[n], true) {
                waiting.extend(self.nodes[n].targets());
            }
        }
        false
    }

    /// Drops the schemas that lead to no cycle: their cost is their own, whatever the payload.
    fn keep_recursive(&mut self) {
        let mut parents = vec![Vec::new(); self.nodes.len()];
        let mut children: Vec<usize> = vec![0; self.nodes.len()];
        for (n, node) in self.nodes.iter().enumerate() {
            for to in node.targets() {
                parents[to].push(n);
                children[n] += 1;
            }
        }
        let mut ended: Vec<usize> = (0..children.len()).filter(|n| children[*n] == 0).collect();
        let mut kept = vec![true; children.len()];
        while let Some(n) = ended.pop() {
            kept[n] = false;
            for &parent in &parents[n] {
                children[parent] -= 1;
                if children[parent] == 0 {
                    ended.push(parent);
                }
            }
        }
        let mut places = vec![0; kept.len()];
        let mut next = 0;
        for (n, kept) in kept.iter().enumerate() {
            places[n] = next;
            next += usize::from(*kept);
        }
        let nodes = std::mem::take(&mut self.nodes).into_iter().zip(&kept);
        self.nodes = nodes.filter(|(_, kept)| **kept).map(|(node, _)| node).collect();
        for node in &mut self.nodes {
            node.below.retain(|(_, to)| kept[*to]);
            node.below.iter_mut().for_each(|(_, to)| *to = places[*to]);
            node.tries.retain(|to| kept[*to]);
            node.tries.iter_mut().for_each(|to| *to = places[*to]);
            for step in std::mem::take(&mut node.here) {
                let to = step.targets().iter().filter(|to| kept[**to]).map(|to| places[*to]);
                match (&step, to.collect::<Vec<_>>()) {
                    (_, to) if to.is_empty() => {}
                    (Step::One(_), to) => node.here.extend(to.into_iter().map(Step::One)),
                    (Step::OneOf(_), to) => node.here.push(Step::OneOf(to)),
                }
            }
        }
    }

    fn sort(&mut self) {
        let mut parents = vec![Vec::new(); self.nodes.len()];
        let mut children: Vec<usize> = vec![0; self.nodes.len()];
        for (n, node) in self.nodes.iter().enumerate() {
            for &to in node.here.iter().flat_map(Step::targets) {
                parents[to].push(n);
                children[n] += 1;
            }
        }
        let mut ready: Vec<usize> = (0..children.len()).filter(|n| children[*n] == 0).collect();
        while let Some(n) = ready.pop() {
            self.order.push(n);
            for &parent in &parents[n] {
                children[parent] -= 1;
                if children[parent] == 0 {
                    ready.push(parent);
                }
            }
        }
        self.stuck = children.iter().position(|children| *children > 0);
    }
}
