//! Rooms at run time: who is in them, what they keep, how events pass through.

pub(crate) mod any;
pub(crate) mod config;
pub(crate) mod erased;
pub(crate) mod handle;
pub(crate) mod hub;
pub(crate) mod lifecycle;
pub(crate) mod live;
mod log;
pub(crate) mod membership;
pub(crate) mod on;
pub(crate) mod subscriptions;
pub(crate) mod trigger;
