//! The database server that stores are tested with.

#[path = "../../dialogue/tests/support/postgres.rs"]
mod server;

use std::{
    fs,
    path::{Path, PathBuf},
};

use self::server::Server;
use crate::{command::Failure, debian};

/// Where tests find the server.
pub(crate) const URL: &str = "DIALOGUE_TEST_POSTGRES";

/// Where Debian's package looks whether to make a database of its own, and to run a server for it.
const CLUSTERS: &str = "/etc/postgresql-common/createcluster.d";

/// The folder of the server's programs. Installs Debian's where that is allowed.
pub(crate) fn require() -> Result<PathBuf, Failure> {
    debian::require(
        server::find,
        install,
        "install PostgreSQL's server (on Debian, `apt-get install postgresql`), or put its programs into `PATH`",
    )
}

/// Sees to a pooler, which tests start by themselves.
pub(crate) fn require_pooler() -> Result<(), Failure> {
    debian::require(
        server::find_pooler,
        || debian::install(&["pgbouncer"]),
        "install PgBouncer (on Debian, `apt-get install pgbouncer`), or put its program into `PATH`",
    )
    .map(drop)
}

fn install() -> Result<(), Failure> {
    let none = Path::new(CLUSTERS).join("dialogue.conf");
    fs::create_dir_all(CLUSTERS)?;
    fs::write(&none, "create_main_cluster = false\n")?;
    let installed = debian::install(&["postgresql"]);
    fs::remove_file(none)?;
    installed
}

/// Starts a server for the tests, which ends with what this returns.
pub(crate) fn start(programs: &Path) -> Result<Server, Failure> {
    println!("\n$ {}", programs.join("postgres").display());
    Ok(Server::start(programs)?)
}
