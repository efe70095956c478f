//! Where it was measured, and with what.

use std::{fs, path::Path, process::Command, thread};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::server;

/// What figures depend on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) system: String,
    pub(crate) rust: String,
    pub(crate) node: String,
    pub(crate) bun: String,
    /// Those that servers are made of, with their versions.
    pub(crate) libraries: Vec<String>,
}

/// What servers in Rust are made of.
const CRATES: [&str; 3] = ["tokio", "axum", "socketioxide"];

impl Machine {
    /// This one; what cannot be found out is left empty.
    pub(crate) fn here(root: &Path) -> Self {
        // Without what those who built it call it.
        let release = said("uname", &["-r"]);
        let release: Vec<&str> = release.split(['.', '-']).take(2).collect();
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model =
            processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            processor: model.map(|(_, model)| model.to_owned()).unwrap_or_default(),
            processors: thread::available_parallelism().map_or(1, usize::from),
            system: format!("{} {}", said("uname", &["-s"]), release.join(".")),
            rust: said("rustc", &["--version"]),
            node: said("node", &["--version"]),
            bun: said(&server::bun(), &["--version"]),
            libraries: crates(root).into_iter().chain(packages(root)).collect(),
        }
    }
}

fn crates(root: &Path) -> Vec<String> {
    let manifest = root.join("Cargo.toml");
    let manifest = manifest.to_string_lossy();
    let arguments = ["metadata", "--format-version=1", "--locked", "--manifest-path", &manifest];
    let metadata: Value = serde_json::from_str(&said("cargo", &arguments)).unwrap_or_default();
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let version = |name: &&str| {
        let package = packages.iter().find(|package| package["name"] == *name)?;
        Some(format!("{name} {}", package["version"].as_str()?))
    };
    CRATES.iter().filter_map(version).collect()
}

/// What servers in JavaScript are made of.
fn packages(root: &Path) -> Vec<String> {
    let manifest = fs::read_to_string(root.join("bench/peers/package.json")).unwrap_or_default();
    let manifest: Value = serde_json::from_str(&manifest).unwrap_or_default();
    let dependencies = manifest["dependencies"].as_object().into_iter().flatten();
    // The runtimes have a place of their own.
    let libraries = dependencies.filter(|(name, _)| *name != "bun");
    libraries.filter_map(|(name, version)| Some(format!("{name} {}", version.as_str()?))).collect()
}

/// What a program prints.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok();
    let printed = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    printed.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_have_versions() {
        let libraries = Machine::here(&crate::root()).libraries;
        for name in ["tokio", "socketioxide", "socket.io", "zod"] {
            let of = |library: &&String| library.starts_with(&format!("{name} "));
            let library = libraries.iter().find(of).unwrap_or_else(|| panic!("{libraries:?}"));
            assert!(library.ends_with(|last: char| last.is_ascii_digit()), "{library}");
        }
        assert!(!libraries.iter().any(|library| library.starts_with("bun ")));
    }
}
