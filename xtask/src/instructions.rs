//! How many instructions a trigger takes: unlike its time, nearly the same number on every run.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::{
    command::{Failure, find, run},
    debian, rust,
};

/// How many instructions a trigger of each kind may take: about a tenth more than it did when this was
/// written.
const BOUNDS: [(&str, u64); 3] =
    [("ephemeral", 19_500), ("stored", 29_000), ("acknowledged", 31_500)];
/// How many triggers are counted.
const TRIGGERS: u64 = 1_000;
/// With a share of its bound below this, in percent, a kind could do with a lower one.
const LOW: u64 = 90;

/// Valgrind's path; none where the bounds do not hold. Installs Debian's where that is allowed.
pub(crate) fn require() -> Result<Option<PathBuf>, Failure> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(None);
    }
    let valgrind = debian::require(
        || find(&["valgrind"]),
        || debian::install(&["valgrind"]),
        "install Valgrind (on Debian, `apt-get install valgrind`)",
    );
    valgrind.map(Some)
}

/// No trigger takes more instructions than it may.
pub(crate) fn check(valgrind: Option<&Path>) -> Result<(), Failure> {
    let Some(valgrind) = valgrind else {
        println!("\nSKIPPED instructions: their bounds are for Linux on x86-64");
        return Ok(());
    };
    let mut counts = Vec::new();
    for (kind, bound) in BOUNDS {
        counts.push((kind, count(valgrind, kind)? / TRIGGERS, bound));
    }
    println!("\n{:<12}{:>26}{:>10}{:>8}", "kind", "instructions per trigger", "bound", "share");
    for (kind, count, bound) in &counts {
        println!("{kind:<12}{count:>26}{bound:>10}{:>6} %", count * 100 / bound);
    }
    for (kind, ..) in counts.iter().filter(|(_, count, bound)| count * 100 < bound * LOW) {
        println!("{kind} is far below its bound: lower it in {}", file!());
    }
    match counts.iter().find(|(_, count, bound)| count > bound) {
        None => Ok(()),
        Some((kind, ..)) => Err(Failure::new(format!(
            "a trigger takes more instructions than it may: `callgrind_annotate {}` says where they go. \
             If they are worth it, or come with another compiler, raise the bound in {}",
            profile(kind)?.display(),
            file!(),
        ))),
    }
}

/// How many instructions so many triggers take.
fn count(valgrind: &Path, kind: &str) -> Result<u64, Failure> {
    let (valgrind, profile) = (valgrind.display(), profile(kind)?);
    let options = "'--quiet', '--tool=callgrind', '--toggle-collect=instructions::trigger'";
    let out = format!("'--callgrind-out-file={}'", profile.display());
    let runner = format!("target.'cfg(all())'.runner = ['{valgrind}', {options}, {out}]");
    run(rust::cargo()
        .args(["run", "--locked", "--release", "--package", "bench-micro", "--bin", "instructions"])
        .args(["--config", &runner, "--", kind, &TRIGGERS.to_string()]))?;
    let profile = fs::read_to_string(profile)?;
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|total| total.parse().ok()).filter(|total| *total > 0);
    total.ok_or_else(|| Failure::new("Valgrind counted nothing: is `trigger` a function any more?"))
}

/// Where the count of a kind is kept, function by function.
fn profile(kind: &str) -> Result<PathBuf, Failure> {
    let folder = env::current_dir()?.join("target");
    fs::create_dir_all(&folder)?;
    Ok(folder.join(format!("callgrind.{kind}.out")))
}
