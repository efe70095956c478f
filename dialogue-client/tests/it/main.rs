//! The client against a real server, behind a proxy that cuts, stalls and delays.
#![allow(missing_docs, unreachable_pub)]

mod app;
mod connecting;
mod errors;
mod following;
mod nginx;
mod oracle;
mod proxy;
mod rooms;
mod scenarios;
mod server;
#[path = "../../../dialogue/tests/it/shaky.rs"]
#[allow(dead_code, reason = "the server's own tests need more of it")]
mod shaky;
#[path = "../../../dialogue/tests/support/skipped.rs"]
mod skipped;
mod slow;
mod tls;
mod triggers;
