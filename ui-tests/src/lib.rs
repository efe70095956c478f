//! Misuse that must not compile, and what the error says: one case a file, in `tests/`.
//!
//! Each message names the user's own item, points at the user's own token, says the fix, and comes
//! alone. `TRYBUILD=overwrite cargo test -p ui-tests` writes the expected output anew.
