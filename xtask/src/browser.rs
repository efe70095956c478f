//! The browser that the pages are tested in.

use std::{env, path::PathBuf, process::Command};

use crate::command::{Failure, output, run};

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The browser's path. Installs Debian's Chromium where that is allowed.
pub(crate) fn require() -> Result<PathBuf, Failure> {
    if let Some(path) = env::var_os("CHROMIUM").map(PathBuf::from).or_else(find) {
        return Ok(path);
    }
    let root = output(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0");
    if root && output(Command::new("apt-get").arg("--version")).is_some() {
        run(Command::new("apt-get").arg("update"))?;
        run(Command::new("apt-get")
            .args(["install", "--yes", "--no-install-recommends", "chromium", "fonts-dejavu-core"])
            .env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    find().ok_or_else(|| {
        Failure::new("install Chromium (on Debian, `apt-get install chromium`), or set `CHROMIUM` to its path")
    })
}

fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .flat_map(|folder| NAMES.map(|name| folder.join(name)))
        .find(|path| path.is_file())
}
