//! Stores, by themselves.
#![allow(missing_docs, unreachable_pub)]

mod history;
mod memory;
