//! What cargo checks.

use std::process::Command;

use crate::{
    command::{Failure, output, run},
    postgres,
};

pub(crate) fn cargo() -> Command {
    Command::new(env!("CARGO"))
}

pub(crate) fn format() -> Result<(), Failure> {
    run(cargo().args(["fmt", "--all", "--check"]))
}

/// A protocol crate builds by itself, with nothing of the server: a workspace build would turn the
/// server on for it.
pub(crate) fn protocol_crate_alone() -> Result<(), Failure> {
    run(cargo().args(["check", "--locked", "--package", "protocol"]))?;
    let tree = output(cargo().args([
        "tree",
        "--package",
        "protocol",
        "--edges",
        "normal",
        "--prefix",
        "none",
    ]))
    .ok_or_else(|| Failure::new("`cargo tree` failed"))?;
    let server = ["tokio", "axum", "socketioxide"];
    match tree.lines().find(|line| server.contains(&line.split(' ').next().unwrap_or_default())) {
        Some(found) => Err(Failure::new(format!("the protocol crate depends on {found}"))),
        None => Ok(()),
    }
}

pub(crate) fn lints() -> Result<(), Failure> {
    run(cargo().args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "--deny",
        "warnings",
    ]))
}

pub(crate) fn docs() -> Result<(), Failure> {
    // No link of the default features leads to what is opt-in.
    run(cargo()
        .args(["doc", "--locked", "--package=dialogue-rt", "--no-deps"])
        .env("RUSTDOCFLAGS", "--deny warnings"))?;
    run(cargo()
        .args(["doc", "--locked", "--workspace", "--all-features", "--no-deps"])
        .arg("--document-private-items")
        .env("RUSTDOCFLAGS", "--deny warnings"))
}

/// With the URL of a database, in which the tests make what they need.
pub(crate) fn tests(database: &str) -> Result<(), Failure> {
    run(cargo()
        .args(["test", "--locked", "--workspace", "--all-features"])
        .env(postgres::URL, database)
        // A minute of random trouble for the client.
        .env("DIALOGUE_CUTS_SECONDS", "60"))
}

/// The servers that the tests of clients and pages start, and what their types are tried with.
pub(crate) fn build_examples() -> Result<(), Failure> {
    let packages = ["bot", "chat", "rooms", "authenticated", "persistence", "shapes"];
    run(cargo().args(["build", "--locked"]).args(packages.map(|name| format!("--package={name}"))))
}

/// The load, and the servers of Rust that it is put on.
pub(crate) fn build_benchmark() -> Result<(), Failure> {
    run(cargo().args(["build", "--locked", "--release", "--package=bench"]))
}

pub(crate) fn benchmark(options: &[&str], database: &str) -> Result<(), Failure> {
    run(cargo()
        .args(["run", "--locked", "--release", "--package=bench", "--bin=bench", "--"])
        .args(options)
        .env(postgres::URL, database))
}
