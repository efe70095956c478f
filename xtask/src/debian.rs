//! Programs that come with Debian's packages.

use std::process::Command;

use crate::command::{Failure, output, run};

/// Finds something; if it is missing, installs it where that is allowed, which is as root on Debian and
/// what descends from it. `missing` says what else to do.
pub(crate) fn require<T>(
    find: impl Fn() -> Option<T>,
    install: impl FnOnce() -> Result<(), Failure>,
    missing: &str,
) -> Result<T, Failure> {
    if let Some(found) = find() {
        return Ok(found);
    }
    let root = output(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0");
    if root && output(Command::new("apt-get").arg("--version")).is_some() {
        install()?;
    }
    find().ok_or_else(|| Failure::new(missing))
}

pub(crate) fn install(packages: &[&str]) -> Result<(), Failure> {
    run(Command::new("apt-get").arg("update"))?;
    run(Command::new("apt-get")
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}
