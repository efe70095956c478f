//! The delivery contract under trouble: connections that break, readers that stall, servers that die.
//! One oracle says whether it was kept.
#![allow(missing_docs, unreachable_pub)]

mod app;
mod crashes;
mod disconnects;
#[path = "../support/disk.rs"]
mod disk;
mod follower;
mod link;
mod oracle;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/process.rs"]
mod process;
mod producer;
mod serve;
#[path = "../support/skipped.rs"]
mod skipped;
mod slow;
mod world;
