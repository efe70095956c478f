//! Runs the cases.

use std::process::Command;

/// The compiler whose words the expected output has; others say the same things differently.
const COMPILER: &str = "rustc 1.95.";

#[test]
fn misuse_does_not_compile() {
    let version = Command::new("rustc").arg("--version").output().expect("rustc runs");
    let version = String::from_utf8_lossy(&version.stdout);
    if !version.starts_with(COMPILER) {
        eprintln!("SKIPPED: the expected output is of {COMPILER}x, this is {version}");
        return;
    }
    let cases = trybuild::TestCases::new();
    for topic in ["event", "room", "handler", "app", "use", "client"] {
        cases.compile_fail(format!("tests/{topic}/*.rs"));
    }
}
