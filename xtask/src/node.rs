//! Node.js: its version, packages and scripts.

use std::{env, fs, path::Path, process::Command};

use crate::command::{Failure, output, run};

/// Minimum version of Node.js, which Vite requires.
const OLDEST: (u32, u32) = (20, 19);

/// Environment variable with the folder of the built examples, for tests.
const EXAMPLES: &str = "DIALOGUE_EXAMPLES";

/// Fails unless npm and Node.js of at least [`OLDEST`] are installed.
pub(crate) fn require() -> Result<(), Failure> {
    let (major, minor) = OLDEST;
    let missing = || Failure::new(format!("install Node.js {major}.{minor} or newer, with npm"));
    let version = output(Command::new("node").arg("--version")).ok_or_else(missing)?;
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Err(missing());
    };
    if (major, minor) < OLDEST {
        return Err(missing());
    }
    output(Command::new("npm").arg("--version")).map(drop).ok_or_else(missing)
}

/// An npm command in a package's folder. Sets `DIALOGUE_EXAMPLES` to the folder of this program, where cargo also
/// puts the examples.
pub(crate) fn npm(package: &str) -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(package);
    if let Ok(program) = env::current_exe()
        && let Some(folder) = program.parent()
        && env::var_os(EXAMPLES).is_none()
    {
        npm.env(EXAMPLES, folder);
    }
    npm
}

/// Installs what the lock file says, unless it is installed already.
pub(crate) fn install(package: &str) -> Result<(), Failure> {
    let lock = Path::new(package).join("package-lock.json");
    let stamp = Path::new(package).join("node_modules/.installed-lock.json");
    if fs::read(&lock).ok() == fs::read(&stamp).ok() {
        return Ok(());
    }
    run(npm(package).args(["ci", "--no-audit", "--no-fund"]))?;
    fs::copy(lock, stamp)?;
    Ok(())
}

pub(crate) fn script(package: &str, name: &str) -> Result<(), Failure> {
    run(npm(package).args(["run", name]))
}
