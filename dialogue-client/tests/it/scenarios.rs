//! The list of what every client does.

use std::{fs, path::Path};

const LIST: &str = include_str!("../../scenarios.md");

/// The last cells of the tables that have one for this client: which test.
fn named() -> Vec<&'static str> {
    let mut cells = Vec::new();
    for table in LIST.split("\n\n").filter(|part| part.starts_with("| id |")) {
        // After the head and the line below it.
        for row in table.lines().skip(2) {
            let cell = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
            cells.push(cell.trim());
        }
    }
    cells
}

#[test]
fn every_test_that_the_list_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = named();
    assert!(named.len() > 30, "the list has another form");
    for cell in named {
        let name = cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`'));
        let (module, test) = name
            .and_then(|name| name.split_once("::"))
            .unwrap_or_else(|| panic!("`{cell}` names no test"));
        let file = match module {
            "place" => root.join("src/place/tests.rs"),
            module => root.join("tests/it").join(module).with_extension("rs"),
        };
        let tests = fs::read_to_string(&file).unwrap_or_else(|_| panic!("{}", file.display()));
        assert!(tests.contains(&format!("fn {test}()")), "{test} is not in {}", file.display());
    }
}
