//! The server, over real sockets.
#![allow(missing_docs, unreachable_pub, clippy::missing_panics_doc)]

mod admission;
mod app;
mod app_hooks;
mod archive;
mod auth;
mod bad_input;
mod clients;
mod contract;
mod created;
mod delivery;
mod dispatch;
mod ended;
mod examples;
mod history;
mod hooks;
mod http;
mod limits;
mod lobby;
mod log;
mod membership;
mod model;
mod names;
mod origins;
mod owners;
mod payload;
mod peer;
mod polling;
mod protocol_crate;
mod rate_limiter;
mod recovery;
mod reference;
mod retries;
mod rooms;
mod rules;
mod server;
mod sessions;
mod shaky;
mod shapes;
#[path = "../support/skipped.rs"]
mod skipped;
mod stop;
mod store;
mod threats;
mod tls;
mod untagged;
