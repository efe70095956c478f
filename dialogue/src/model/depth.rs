//! How deep JSON nests, and how many objects and lists it has.

/// Which limit a JSON text exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    /// It nests too deep.
    Depth,
    /// It has too many objects and lists.
    Count,
}

/// Whether objects and lists of a JSON text nest deeper than `limit` levels. `serde_json` limits the depth
/// of what it decodes, not of what it passes on undecoded.
pub(crate) fn nests_deeper_than(json: &str, limit: usize) -> bool {
    check_containers(json, limit, usize::MAX).is_err()
}

/// Checks that a JSON text nests at most `depth` levels, and has at most `count` objects and lists.
pub(crate) fn check_containers(json: &str, depth: usize, count: usize) -> Result<(), Excess> {
    // Few messages have as many brackets as may nest, and counting is fast.
    if json.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() <= depth.min(count) {
        return Ok(());
    }
    let (mut open, mut all, mut quoted, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                (open, all) = (open + 1, all + 1);
                if open > depth {
                    return Err(Excess::Depth);
                }
                if all > count {
                    return Err(Excess::Count);
                }
            }
            b']' | b'}' if !quoted => open = open.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings() {
        assert!(!nests_deeper_than(r#"[{"a":[]}]"#, 3));
        assert!(nests_deeper_than(r#"[{"a":[]}]"#, 2));
        assert!(!nests_deeper_than(r#"["[[[\"[[["]"#, 1));
        assert!(!nests_deeper_than("[[],[],[]]", 2));
    }

    #[test]
    fn count_is_of_all_objects_and_lists_outside_strings() {
        assert_eq!(check_containers(r#"[{},{},"{{{"]"#, 9, 3), Ok(()));
        assert_eq!(check_containers(r#"[{},{},"{{{"]"#, 9, 2), Err(Excess::Count));
        assert_eq!(check_containers("[[]]", 1, 1), Err(Excess::Depth));
    }
}
