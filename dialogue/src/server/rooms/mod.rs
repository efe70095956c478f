//! Rooms at run time: who is in them, what they keep, how events pass through.

pub(crate) mod announce;
pub(crate) mod any;
mod append;
pub(crate) mod config;
mod deliver;
pub(crate) mod erased;
pub(crate) mod handle;
pub(crate) mod hub;
mod info;
pub(crate) mod lifecycle;
pub(crate) mod live;
mod log;
pub(crate) mod membership;
pub(crate) mod on;
mod replay;
pub(crate) mod subscriptions;
pub(crate) mod trigger;
