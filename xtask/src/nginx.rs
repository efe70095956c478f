//! The proxy in front of a server, which a test starts by itself.

use std::path::Path;

use crate::{
    command::{Failure, find},
    debian,
};

/// Where Debian has it, which may not be in `PATH`.
const DEBIAN: &str = "/usr/sbin/nginx";

pub(crate) fn require() -> Result<(), Failure> {
    debian::require(
        || (Path::new(DEBIAN).exists() || find(&["nginx"]).is_some()).then_some(()),
        || debian::install(&["nginx"]),
        "install nginx (on Debian, `apt-get install nginx`), or put its program into `PATH`",
    )
}
