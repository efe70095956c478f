//! The answer to a join.

use std::hash::RandomState;

use crate::{
    Epoch, SyncHistory,
    connection::packet::{Body, SharedBody},
    protocol::Joined,
};

/// The answer to a join.
pub(crate) struct JoinAnswer<'a> {
    pub(crate) joined: Joined<'a>,
    /// What a joiner is sent of the past.
    pub(crate) sync: SyncHistory,
    pub(super) like: Like,
    pub(super) answered: &'a mut Answered,
}

impl JoinAnswer<'_> {
    /// The answer as JSON, which joins with the same answer share while it waits in a queue.
    pub(crate) fn shared(&mut self, encode: impl FnOnce(&Joined<'_>) -> Body) -> Body {
        let last = self.answered.last.as_ref().filter(|(like, _)| *like == self.like);
        if let Some(body) = last.and_then(|(_, body)| body.get()) {
            return body;
        }
        let body = encode(&self.joined);
        self.answered.last = Some((self.like, body.share()));
        body
    }
}

/// The last answer to a join.
#[derive(Default)]
pub(crate) struct Answered {
    last: Option<(Like, SharedBody)>,
    /// Of subscriptions and unknown events, whose names may be long.
    pub(super) hasher: RandomState,
}

/// What makes two answers the same: the log's epoch and end, what was read of it, the hash of the names.
pub(super) type Like = (Epoch, u64, Reading, u64);

/// What makes the answers of two joiners equal, where the log is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(super) recovered: Option<bool>,
    pub(super) since: Option<u64>,
    pub(super) limit: usize,
}
