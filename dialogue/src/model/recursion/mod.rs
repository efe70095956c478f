//! How often one value of a payload is visited when a recursive schema is checked.
//!
//! A schema is an automaton that reads the path to a value: properties and items lead down,
//! references and combinations (`anyOf`, `allOf`, `if`) stay at the value. A check that remembers
//! nothing visits a value once for each way through the automaton that reads its path. Where two ways
//! lead from a schema back to itself along one path, their number doubles with each round, and a few
//! hundred bytes cost gigabytes. Where no path has two, the number does not grow with the depth.

mod document;
mod graph;
#[cfg(test)]
mod random;
mod tags;
#[cfg(test)]
mod tests;

use serde_json::Value;

use graph::{Graph, Location, Step};

/// The most visits of one value that a recursive schema may cost.
pub(crate) const MOST_VISITS: u64 = 64;

/// The deepest JSON that `serde_json` reads.
const DEEPEST: usize = 128;

/// Who checks a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// The validator of JSON Schemas: it tries each alternative that the tag, if there is one, allows.
    #[cfg_attr(not(feature = "json-schema"), expect(dead_code, reason = "no schemas"))]
    Validator,
    /// serde: it finds the variant of an enum with a tag by that, and tries each variant of one without.
    Serde,
}

/// A recursive schema that visits values too often.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany {
    /// Where in the schema the ways part: a JSON pointer, as in `#/$defs/node`.
    pub(crate) at: String,
    /// The deepest payloads that do not cost too much.
    pub(crate) fits: usize,
}

/// What of a schema is recursive.
#[derive(Debug)]
pub(crate) struct Recursion {
    graph: Graph,
    /// Values that are read below a schema: of each path, those that some schema tells apart.
    letters: Vec<Letter>,
}

/// A step of a path, as far as a schema tells it from others.
#[derive(Debug, PartialEq, Eq)]
enum Letter {
    Named(String),
    /// A property that the schema names nowhere.
    Unnamed,
    Item(usize),
}

impl Recursion {
    /// Says in words what is wrong with a schema that cannot be looked through.
    pub(crate) fn of(schema: &Value, reader: Reader) -> Result<Self, String> {
        let graph = Graph::of(schema, reader)?;
        if let (Some(stuck), Reader::Validator) = (graph.stuck, reader) {
            return Err(format!(
                "`{}` refers to itself for one and the same value; refer to it from `properties` or \
                 `items`",
                graph.nodes[stuck].at
            ));
        }
        let letters = letters(&graph);
        Ok(Self { graph, letters })
    }

    /// Where a union without a tag leads back to itself: a JSON pointer.
    pub(crate) fn retries(&self) -> Option<&str> {
        let nodes = &self.graph.nodes;
        let retries = |n: &usize| nodes[*n].tries.iter().any(|tried| self.graph.leads(*tried, *n));
        (0..nodes.len()).find(retries).map(|n| nodes[n].at.as_str())
    }

    /// The unions, as lists, whose alternatives a tag tells apart: JSON pointers without the `#`.
    #[cfg(feature = "json-schema")]
    pub(crate) fn tagged(&self) -> &[String] {
        &self.graph.tagged
    }

    /// Whether payloads so deep visit no value too often.
    pub(crate) fn check(&self, depth: usize) -> Result<(), TooMany> {
        if let Some(stuck) = self.graph.stuck {
            return Err(TooMany { at: self.graph.nodes[stuck].at.clone(), fits: 0 });
        }
        // By schema: how often a value some levels below is visited at most, if the schema is once.
        let mut below = vec![1_u64; self.graph.nodes.len()];
        for level in 1..=depth.min(DEEPEST) {
            let (visits, parting) = self.above(&below);
            below = visits;
            if below.first().is_some_and(|visits| *visits > MOST_VISITS) {
                let at = self.graph.nodes[parting].at.clone();
                return Err(TooMany { at, fits: level - 1 });
            }
        }
        Ok(())
    }

    /// The same of a value one level further down, and the schema at which most ways part.
    fn above(&self, below: &[u64]) -> (Vec<u64>, usize) {
        let nodes = &self.graph.nodes;
        let mut by_letter = vec![vec![0_u64; self.letters.len()]; nodes.len()];
        let (mut parting, mut most) = (0, 0);
        for &n in &self.graph.order {
            for (l, letter) in self.letters.iter().enumerate() {
                let (mut sum, mut first, mut second) = (0_u64, 0, 0);
                let mut add = |visits: u64| {
                    sum = sum.saturating_add(visits);
                    second = second.max(first.min(visits));
                    first = first.max(visits);
                };
                for step in &nodes[n].here {
                    match step {
                        Step::One(to) => add(by_letter[*to][l]),
                        // Of alternatives with a tag, one is looked into.
                        Step::OneOf(to) => {
                            add(to.iter().map(|to| by_letter[*to][l]).max().unwrap_or(0));
                        }
                    }
                }
                for (place, to) in &nodes[n].below {
                    if place.takes(letter) {
                        add(below[*to]);
                    }
                }
                by_letter[n][l] = sum;
                if second > most {
                    (parting, most) = (n, second);
                }
            }
        }
        let visits = by_letter.into_iter().map(|by| by.into_iter().max().unwrap_or(0));
        (visits.collect(), parting)
    }
}

impl Location {
    fn takes(&self, letter: &Letter) -> bool {
        match (self, letter) {
            (Self::Named(name), Letter::Named(other)) => name == other,
            (Self::Property { except }, Letter::Named(name)) => !except.contains(name),
            (Self::Property { .. }, Letter::Unnamed) => true,
            (Self::Item(n), Letter::Item(other)) => n == other,
            (Self::Items { from }, Letter::Item(n)) => n >= from,
            _ => false,
        }
    }
}

fn letters(graph: &Graph) -> Vec<Letter> {
    let places = || graph.nodes.iter().flat_map(|node| &node.below).map(|(place, _)| place);
    let mut names: Vec<&String> = places()
        .filter_map(|place| match place {
            Location::Named(name) => Some(name),
            _ => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    let items = places().filter_map(|place| match place {
        Location::Item(n) | Location::Items { from: n } => Some(n + 1),
        _ => None,
    });
    let items = items.max().unwrap_or(0);
    let properties = names.into_iter().cloned().map(Letter::Named);
    properties.chain([Letter::Unnamed]).chain((0..=items).map(Letter::Item)).collect()
}
