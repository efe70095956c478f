//! Rooms at run time: who is in them, what they keep, how events pass through. The engine knows neither the app nor
//! the wire.

pub(crate) mod added_handlers;
pub(crate) mod admission;
pub(crate) mod announcements;
mod append;
pub(crate) mod append_queue;
mod created_rooms;
pub(crate) mod definition;
pub(crate) mod deliveries;
pub(crate) mod fan_out;
pub(crate) mod host;
pub(crate) mod hub;
mod info;
pub(crate) mod join_answer;
pub(crate) mod live;
pub(crate) mod member;
mod opening;
mod pages;
mod positions;
pub(crate) mod receipt;
pub(crate) mod recovery;
pub(crate) mod reservation;
mod room_log;
mod shared_reads;
mod slow_consumer;
pub(crate) mod stats;
pub(crate) mod subscriptions;
mod undelivered;
