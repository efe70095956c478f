//! The table of the reference's features names tests that there are.

use std::{fs, path::Path};

#[test]
fn every_test_that_the_table_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let table = fs::read_to_string(root.join("docs/reference.md")).unwrap();
    let mut named = 0;
    let features = table.lines().skip_while(|line| !line.starts_with("## "));
    let lines = features.filter(|line| line.starts_with("| ") && !line.contains("shown by"));
    for line in lines {
        let shown = line.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap();
        for name in shown.split('`').skip(1).step_by(2) {
            let (path, test) = match name.split_once(':') {
                Some(("ui", case)) => (format!("ui-tests/tests/{case}"), None),
                Some(("client", file)) => {
                    (format!("dialogue-client/typescript/tests/{file}.test.ts"), None)
                }
                Some(("codegen", file)) => {
                    (format!("dialogue-client/codegen/tests/{file}.test.ts"), None)
                }
                Some(("recursion", test)) => {
                    ("dialogue/tests/recursion/main.rs".to_owned(), Some(test))
                }
                Some(("page", file)) => (format!("browser-tests/{file}.test.ts"), None),
                Some(("unit", test)) => {
                    let (file, test) = test.split_once("::").unwrap();
                    (format!("dialogue/src/{file}.rs"), Some(test))
                }
                Some(("store", test)) if !test.starts_with(':') => {
                    let (file, test) = test.split_once("::").unwrap();
                    (format!("dialogue/tests/store/{file}.rs"), Some(test))
                }
                Some(("attacks", test)) => {
                    ("dialogue/tests/attacks/main.rs".to_owned(), test.strip_prefix(':'))
                }
                Some((file, test)) => {
                    (format!("dialogue/tests/it/{file}.rs"), test.strip_prefix(':'))
                }
                None => (format!("dialogue/tests/it/{name}.rs"), None),
            };
            let path = root.join(path);
            let other = |extension| path.with_extension(extension).exists();
            assert!(path.exists() || other("rs") || other("tsx"), "{name} in {line}");
            if let Some(test) = test {
                let file = fs::read_to_string(path).unwrap();
                assert!(file.contains(&format!("fn {test}(")), "{name} in {line}");
            }
            named += 1;
        }
    }
    assert!(named > 60, "only {named}");
}
