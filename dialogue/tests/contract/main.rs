//! The delivery contract under trouble: connections that break, readers that stall, servers that die.
//! One oracle says whether it was kept.
#![allow(missing_docs, unreachable_pub)]

mod app;
mod disconnects;
mod follower;
mod link;
mod oracle;
mod producer;
mod slow;
mod world;
