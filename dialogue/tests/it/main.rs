//! The server, over real sockets.
#![allow(missing_docs, unreachable_pub, clippy::missing_panics_doc)]

mod app;
mod bad_input;
mod clients;
mod delivery;
mod dispatch;
mod history;
mod hooks;
mod http;
mod membership;
mod payload;
mod peer;
mod polling;
mod protocol_crate;
mod rooms;
mod server;
mod sessions;
mod shapes;
