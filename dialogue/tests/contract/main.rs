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
mod process;
mod producer;
mod slow;
mod world;
