//! The browser that the pages are tested in.

use std::{env, path::PathBuf};

use crate::{
    command::{Failure, find},
    debian,
};

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The browser's path. Installs Debian's Chromium where that is allowed.
pub(crate) fn require() -> Result<PathBuf, Failure> {
    debian::require(
        || env::var_os("CHROMIUM").map(PathBuf::from).or_else(|| find(&NAMES)),
        || debian::install(&["chromium", "fonts-dejavu-core"]),
        "install Chromium (on Debian, `apt-get install chromium`), or set `CHROMIUM` to its path",
    )
}
