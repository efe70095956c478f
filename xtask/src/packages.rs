//! The packages as others get them.

use std::{env, fs, path::Path};

use crate::{
    command::{Failure, output, run},
    rust::cargo,
};

/// The packages that are published, each after those that it depends on.
const PUBLISHED: [&str; 3] = ["dialogue-macros", "dialogue-rt", "dialogue-client"];
/// Maximum number of packages that `cargo add dialogue-rt` brings, itself included.
const MOST_DEPENDENCIES: usize = 170;
/// Where the project of the README is made.
const PROJECT: &str = "target/readme-project";

/// Counts the packages that a server with the default features depends on.
pub(crate) fn dependencies() -> Result<(), Failure> {
    let tree = output(cargo().args([
        "tree",
        "--locked",
        "--package=dialogue-rt",
        "--edges=normal",
        "--prefix=none",
        "--format={p}",
    ]))
    .ok_or_else(|| Failure::new("`cargo tree` failed"))?;
    let mut packages: Vec<_> =
        tree.lines().map(|line| line.split(" (").next().unwrap_or(line)).collect();
    packages.sort_unstable();
    packages.dedup();
    println!("dialogue-rt has {} packages by default, itself included", packages.len());
    if packages.len() <= MOST_DEPENDENCIES {
        return Ok(());
    }
    let message = format!("more than {MOST_DEPENDENCIES}; make what is heavy opt-in:");
    Err(Failure::new(format!("{message}\n{}", packages.join("\n"))))
}

/// Builds each package from what is published of it.
pub(crate) fn published() -> Result<(), Failure> {
    // A change that is not committed yet is checked, too.
    let arguments = ["package", "--locked", "--allow-dirty"];
    run(cargo().args(arguments).args(PUBLISHED.map(|name| format!("--package={name}"))))
}

/// The project that the README describes compiles, with the lines that it gives and nothing else.
pub(crate) fn readme_project() -> Result<(), Failure> {
    let root = env::current_dir()?;
    let readme = fs::read_to_string("README.md")?;
    let section = readme.split("\n## A server\n").nth(1).unwrap_or_default();
    let (lines, main) = (block(section, "sh")?, block(section, "rust,no_run")?);
    let project = root.join(PROJECT);
    if project.exists() {
        fs::remove_dir_all(&project)?;
    }
    fs::create_dir_all(project.join("src"))?;
    let manifest = "[package]\nname = \"readme-project\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n";
    fs::write(project.join("Cargo.toml"), manifest)?;
    fs::write(project.join("src/main.rs"), main)?;
    // The versions are the workspace's, which are there.
    fs::copy("Cargo.lock", project.join("Cargo.lock"))?;
    for line in lines.lines() {
        let Some(arguments) = line.strip_prefix("cargo add ") else {
            return Err(Failure::new(format!("not a `cargo add` in the README: {line}")));
        };
        let mut add = cargo();
        add.args(["add", "--offline"]).current_dir(&project);
        match arguments.strip_prefix("dialogue-rt") {
            // It is not published yet.
            Some(options) => {
                add.arg("--path").arg(root.join("dialogue")).args(options.split_whitespace());
            }
            None => {
                add.args(arguments.split_whitespace());
            }
        }
        run(&mut add)?;
    }
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| root.join("target").into());
    let target = root.join(Path::new(&target));
    run(cargo().args(["check", "--offline"]).current_dir(&project).env("CARGO_TARGET_DIR", target))
}

/// The first block of code in a language.
fn block<'a>(text: &'a str, language: &str) -> Result<&'a str, Failure> {
    let start = format!("```{language}\n");
    let code = text.split_once(&*start).and_then(|(_, rest)| rest.split_once("\n```"));
    code.map(|(code, _)| code)
        .ok_or_else(|| Failure::new(format!("no block of {language} in the README's server")))
}
