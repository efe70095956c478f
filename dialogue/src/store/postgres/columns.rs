//! A batch as the statement that appends it takes it: one array for each column.

use std::collections::HashMap;

use super::super::{
    NewEvent,
    sql::{self, signed},
};

pub(super) struct Columns<'a> {
    pub(super) names: Names<'a>,
    pub(super) events: Events<'a>,
    pub(super) keys: Keys<'a>,
}

/// Each name once. Places in the batch are from 1.
#[derive(Default)]
pub(super) struct Names<'a> {
    pub(super) event: Vec<&'a str>,
    pub(super) last: Vec<i64>,
    pub(super) keep: Vec<i64>,
    pub(super) count: Vec<i64>,
    pub(super) bytes: Vec<i64>,
}

#[derive(Default)]
pub(super) struct Events<'a> {
    pub(super) event: Vec<&'a str>,
    /// The place of the one of the same name before it, if that is in the batch.
    pub(super) prev: Vec<Option<i64>>,
    pub(super) sender: Vec<&'a str>,
    pub(super) at: Vec<i64>,
    pub(super) data: Vec<&'a str>,
    pub(super) meta: Vec<Option<String>>,
}

#[derive(Default)]
pub(super) struct Keys<'a> {
    pub(super) place: Vec<i64>,
    pub(super) owner: Vec<&'a str>,
    pub(super) key: Vec<&'a str>,
    pub(super) digest: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    pub(super) fn new(batch: &[&'a NewEvent]) -> Self {
        let (mut names, mut events, mut keys) =
            (Names::default(), Events::default(), Keys::default());
        let mut known = HashMap::new();
        for (place, event) in (1..).zip(batch) {
            let message = &event.message;
            let (name, data) = (&*message.event, message.data.get());
            let meta = sql::meta(message);
            let index = *known.entry(name).or_insert_with(|| names.add(name));
            let prev = std::mem::replace(&mut names.last[index], place);
            names.keep[index] = signed(event.keep.get());
            names.count[index] += 1;
            names.bytes[index] += sql::size(data, meta.as_deref());

            events.event.push(name);
            events.prev.push((prev > 0).then_some(prev));
            events.sender.push(&message.from);
            events.at.push(signed(message.timestamp));
            events.data.push(data);
            events.meta.push(meta);

            if let Some(key) = &event.key {
                keys.place.push(place);
                keys.owner.push(&key.user);
                keys.key.push(&key.text);
                keys.digest.push(&key.digest);
            }
        }
        Self { names, events, keys }
    }
}

impl<'a> Names<'a> {
    /// Says where it is.
    fn add(&mut self, name: &'a str) -> usize {
        self.event.push(name);
        for column in [&mut self.last, &mut self.keep, &mut self.count, &mut self.bytes] {
            column.push(0);
        }
        self.event.len() - 1
    }
}
