//! Loads Dialogue and what one would pick instead, and compares them.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "what is counted and timed here is small"
)]

mod chart;
mod connection;
mod crowd;
mod machine;
mod number;
mod plot;
mod report;
mod results;
mod server;
mod wire;
mod workloads;

use std::{
    env,
    fmt::Display,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use tokio::task::LocalSet;

use crate::{
    machine::Machine,
    results::Results,
    workloads::{Effort, Plan},
};

/// How many files the load opens, and the servers with it: most of them are connections.
const FILES: u64 = 20_000;
/// What a run leaves behind.
const MEASURED: &str = "target/bench.json";
const SMOKE: &str = "target/bench-smoke.json";

enum Task {
    Run(Plan),
    Report(PathBuf),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Task::of(env::args().skip(1)) {
        Ok(Task::Run(plan)) => LocalSet::new().run_until(run(&plan)).await,
        Ok(Task::Report(file)) => read(&file).and_then(|results| report::write(&root(), &results)),
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

impl Task {
    fn of(mut arguments: impl Iterator<Item = String>) -> io::Result<Self> {
        let postgres = env::var("DIALOGUE_TEST_POSTGRES").ok();
        let mut plan = Plan { effort: Effort::Whole, postgres, only: Vec::new() };
        let known = workloads::keys();
        while let Some(argument) = arguments.next() {
            match &*argument {
                "--quick" => plan.effort = Effort::Quick,
                "--smoke" => plan.effort = Effort::Smoke,
                "--report" => {
                    let file = arguments.next().ok_or_else(|| usage("`--report` needs a file"))?;
                    return Ok(Self::Report(file.into()));
                }
                key if known.iter().any(|known| known.starts_with(key)) => plan.only.push(argument),
                unknown => return Err(usage(&format!("`{unknown}` is no option and no key"))),
            }
        }
        Ok(Self::Run(plan))
    }
}

async fn run(plan: &Plan) -> io::Result<()> {
    rlimit::increase_nofile_limit(FILES)?;
    let mut results = Results {
        machine: Machine::here(&root()),
        quick: plan.effort != Effort::Whole,
        comparisons: Vec::new(),
    };
    let smoke = plan.effort == Effort::Smoke;
    let file = root().join(if smoke { SMOKE } else { MEASURED });
    fs::create_dir_all(root().join("target"))?;
    workloads::run(plan, |comparison| {
        println!("{}", report::table(&comparison));
        results.comparisons.push(comparison);
        // What fails later takes nothing away.
        fs::write(&file, serde_json::to_string_pretty(&results)?)
    })
    .await?;
    let whole = plan.only.is_empty() && !smoke;
    if whole { report::write(&root(), &results) } else { Ok(()) }
}

fn read(file: &Path) -> io::Result<Results> {
    let failure = |error: &dyn Display| {
        let file = file.display();
        io::Error::other(format!("{file}: {error}; a run leaves its results in `{MEASURED}`"))
    };
    let text = fs::read_to_string(file).map_err(|error| failure(&error))?;
    serde_json::from_str(&text).map_err(|error| failure(&error))
}

fn usage(problem: &str) -> io::Error {
    io::Error::other(format!(
        "\
{problem}

bench [--quick] [KEY...]    runs all workloads, or those whose keys begin so; after all, writes {page}
bench --smoke               runs everything for a moment, to see that it works
bench --report FILE.json    writes {page} anew, from what a run left in {MEASURED}

keys: {keys}",
        page = report::PAGE,
        keys = workloads::keys().join(", "),
    ))
}

/// The workspace's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
