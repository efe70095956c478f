//! How deep JSON nests.

/// Whether arrays and objects of a JSON text nest deeper than `limit` levels. `serde_json` limits
/// the depth of what it decodes, not of what it passes on undecoded.
pub(crate) fn nests_deeper_than(json: &str, limit: usize) -> bool {
    // Few messages have as many brackets as may nest, and counting is fast.
    if json.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() <= limit {
        return false;
    }
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::nests_deeper_than;

    #[test]
    fn depth_counts_brackets_outside_strings() {
        assert!(!nests_deeper_than(r#"[{"a":[]}]"#, 3));
        assert!(nests_deeper_than(r#"[{"a":[]}]"#, 2));
        assert!(!nests_deeper_than(r#"["[[[\"[[["]"#, 1));
        assert!(!nests_deeper_than("[[],[],[]]", 2));
    }
}
