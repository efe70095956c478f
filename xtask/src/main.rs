//! Developer commands: `cargo xtask test` and others; see [`USAGE`].

mod browser;
mod command;
mod debian;
mod instructions;
mod layers;
mod nginx;
mod node;
mod packages;
mod postgres;
mod rust;

use std::{env, fs, path::Path, process::ExitCode};

use crate::command::{Failure, run};

const USAGE: &str = "\
cargo xtask test           everything CI runs: format, lints, docs, tests, databases, browsers
cargo xtask bench          compares Dialogue with what one would pick instead, and writes docs/benchmarks.md
                           (ten minutes; `--quick`: two; names of workloads: only those)
cargo xtask instructions   counts the instructions that a trigger takes, against their bounds
cargo xtask layers         prints the layers of the crates, and fails where an import runs up
cargo xtask packages       builds the packages as others get them, and the README's project
cargo xtask bundle         builds the TypeScript client into dialogue/assets/client.js
cargo xtask screenshot     takes the picture of the chat page for the README";

const CLIENT: &str = "dialogue-client/typescript";
const CODEGEN: &str = "dialogue-client/codegen";
const PEERS: &str = "bench/peers";
const REACT_CHAT: &str = "examples/react-chat";
const BROWSER_TESTS: &str = "browser-tests";
const BUNDLE: &str = "dialogue/assets/client.js";
const SCREENSHOT: &str = "docs/chat.png";

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done =
        env::set_current_dir(root).map_err(Failure::from).and_then(|()| match arguments[..] {
            ["test"] => test(),
            ["bench", ref options @ ..] => bench(options),
            ["instructions"] => instructions::require()
                .and_then(|valgrind| instructions::check(valgrind.as_deref())),
            ["layers"] => layers::check(),
            ["packages"] => check_packages(),
            ["bundle"] => bundle(BUNDLE),
            ["screenshot"] => screenshot(),
            _ => Err(Failure::new(USAGE)),
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\n{failure}");
            ExitCode::FAILURE
        }
    }
}

fn test() -> Result<(), Failure> {
    // What is missing is said before the long part, not after it.
    node::require()?;
    let chromium = browser::require()?;
    let programs = postgres::require()?;
    postgres::require_pooler()?;
    nginx::require()?;
    let valgrind = instructions::require()?;

    rust::format()?;
    layers::check()?;
    rust::protocol_crate_alone()?;
    rust::lints()?;
    rust::docs()?;
    check_packages()?;
    let database = postgres::start(&programs)?;
    node::install(PEERS)?;
    node::script(PEERS, "typecheck")?;
    node::script(PEERS, "test")?;
    rust::tests(&database.url())?;
    instructions::check(valgrind.as_deref())?;

    node::install(CLIENT)?;
    node::script(CLIENT, "typecheck")?;
    node::script(CLIENT, "package")?;
    check_bundle()?;
    rust::build_examples()?;
    // A minute of random trouble in all: on a log that stays, one that does not, and with tokens that end.
    run(node::npm(CLIENT).args(["run", "test"]).env("DIALOGUE_ORACLE_SECONDS", "20"))?;

    node::install(CODEGEN)?;
    node::script(CODEGEN, "typecheck")?;
    node::script(CODEGEN, "package")?;
    node::script(CODEGEN, "test")?;

    node::install(REACT_CHAT)?;
    node::script(REACT_CHAT, "build")?;

    node::install(BROWSER_TESTS)?;
    node::script(BROWSER_TESTS, "typecheck")?;
    run(node::npm(BROWSER_TESTS)
        .args(["run", "test"])
        .env("CHROMIUM", chromium)
        .env(postgres::URL, database.url()))
}

/// The packages build as others get them.
fn check_packages() -> Result<(), Failure> {
    packages::dependencies()?;
    packages::readme_project()?;
    packages::published()
}

fn bench(options: &[&str]) -> Result<(), Failure> {
    node::require()?;
    let programs = postgres::require()?;
    node::install(PEERS)?;
    rust::build_benchmark()?;
    let database = postgres::start(&programs)?;
    rust::benchmark(options, &database.url())
}

/// The embedded client is what its source makes.
fn check_bundle() -> Result<(), Failure> {
    let built = env::current_dir()?.join("target/client.js");
    bundle(&built.to_string_lossy())?;
    if fs::read(built)? == fs::read(BUNDLE)? {
        return Ok(());
    }
    Err(Failure::new(format!("{BUNDLE} is not what {CLIENT} makes: run `cargo xtask bundle`")))
}

fn bundle(outfile: &str) -> Result<(), Failure> {
    node::install(CLIENT)?;
    let outfile = env::current_dir()?.join(outfile);
    run(node::npm(CLIENT).args(["run", "build", "--", "--outfile"]).arg(outfile))
}

fn screenshot() -> Result<(), Failure> {
    node::require()?;
    let chromium = browser::require()?;
    rust::build_examples()?;
    node::install(BROWSER_TESTS)?;
    let picture = env::current_dir()?.join(SCREENSHOT);
    run(node::npm(BROWSER_TESTS)
        .args(["run", "test", "--", "browser-tests/chat-page"])
        .env("CHROMIUM", chromium)
        .env("SCREENSHOT", picture))
}
