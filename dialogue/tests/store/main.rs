//! Stores, by themselves.
#![allow(missing_docs, unreachable_pub)]

mod history;
mod memory;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
