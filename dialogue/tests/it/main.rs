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
#[cfg(unix)]
mod files;
mod finite;
mod history;
mod hooks;
mod http;
mod in_process;
mod limits;
mod lobby;
mod log;
mod membership;
mod model;
mod names;
mod order;
mod origins;
mod owners;
mod payload;
mod peer;
mod polling;
#[path = "../support/process.rs"]
mod process;
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
mod shared;
#[path = "../support/skipped.rs"]
mod skipped;
mod slow;
mod stop;
mod store;
mod threats;
mod tls;
mod transport;
mod untagged;
