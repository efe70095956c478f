//! Everything that is measured, for a moment: that it works, not how fast.

use std::{collections::HashMap, fs, path::Path, process::Command};

use serde_json::Value;

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn all_servers_take_part_in_all_workloads() {
    if !Path::new(FOLDER).join("peers/node_modules/.bin/bun").exists() {
        eprintln!("SKIPPED: `npm ci` in bench/peers installs the servers of Node and Bun");
        return;
    }
    let status = Command::new(env!("CARGO_BIN_EXE_bench")).arg("--smoke").status().unwrap();
    assert!(status.success());

    let measured = fs::read(Path::new(FOLDER).join("../target/bench-smoke.json")).unwrap();
    let measured: Value = serde_json::from_slice(&measured).unwrap();
    let mut contenders: HashMap<String, usize> = HashMap::new();
    let comparisons = measured["comparisons"].as_array().unwrap();
    for comparison in comparisons {
        for measure in comparison["measures"].as_array().unwrap() {
            for row in measure["rows"].as_array().unwrap() {
                let values = row["values"].as_array().unwrap();
                let what = format!("{} {} {row}", comparison["key"], measure["name"]);
                assert!(!values.is_empty(), "{what}");
                // So few idle connections may fit into the memory that a server has anyway.
                let least = if comparison["key"] == "idle" { -1.0 } else { 0.0 };
                assert!(values.iter().all(|value| value.as_f64().unwrap() > least), "{what}");
                let contender = row["contender"].as_str().unwrap().to_owned();
                *contenders.entry(contender).or_default() += 1;
            }
        }
    }
    assert_eq!(comparisons.len(), 13);
    let postgres = usize::from(std::env::var("DIALOGUE_TEST_POSTGRES").is_ok());
    assert_eq!(contenders.len(), 11 + postgres, "{contenders:?}");
}
