//! Stores, by themselves.
#![allow(missing_docs, unreachable_pub)]

#[cfg(feature = "sqlite")]
#[path = "../support/disk.rs"]
mod disk;
mod history;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
#[path = "../support/postgres.rs"]
mod server;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[path = "../support/skipped.rs"]
mod skipped;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
