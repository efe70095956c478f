//! Programs that come with Debian's packages.

use std::{fs, path::Path, process::Command};

use crate::command::{Failure, output, run};

/// Packages ask this program whether to start a service. Exit status 101 forbids it.
const POLICY: &str = "/usr/sbin/policy-rc.d";

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

/// Installs packages, and starts none of their services.
pub(crate) fn install(packages: &[&str]) -> Result<(), Failure> {
    run(Command::new("apt-get").arg("update"))?;
    let _policy = if Path::new(POLICY).exists() { None } else { Some(Policy::write()?) };
    run(Command::new("apt-get")
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Forbids packages to start their services, until it is dropped.
struct Policy;

impl Policy {
    fn write() -> Result<Self, Failure> {
        let policy = Self;
        fs::write(POLICY, "#!/bin/sh\nexit 101\n")?;
        run(Command::new("chmod").args(["755", POLICY]))?;
        Ok(policy)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(POLICY) {
            eprintln!("remove {POLICY}, which forbids packages to start their services: {error}");
        }
    }
}
