//! The list of what every client does.

use std::{fs, path::Path};

const LIST: &str = include_str!("../../scenarios.md");

/// The tests that the list names as this client's.
fn named() -> impl Iterator<Item = (&'static str, &'static str)> {
    let last_cell = |line: &'static str| line.strip_suffix("` |")?.rsplit_once("| `");
    LIST.lines().filter_map(last_cell).filter_map(|(_, test)| test.split_once("::"))
}

#[test]
fn every_test_that_the_list_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, test) in named() {
        let file = match file {
            "place" => root.join("src/place/tests.rs"),
            file => root.join("tests/it").join(file).with_extension("rs"),
        };
        let text = fs::read_to_string(&file).unwrap_or_else(|_| panic!("{}", file.display()));
        assert!(text.contains(&format!("fn {test}()")), "{test} is not in {}", file.display());
    }
    assert!(named().count() > 30, "the list has another form");
}
