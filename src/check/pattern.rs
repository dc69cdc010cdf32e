//! Whether one wildcard pattern matches all that another matches. Careful: "no" where it is not certain.

use crate::tab::wildcard;

/// Whether everything that `later` matches is matched by `earlier` too.
pub(super) fn covers(earlier: &[u8], later: &[u8]) -> bool {
    if earlier.eq_ignore_ascii_case(later) || (!earlier.is_empty() && earlier.iter().all(|&b| b == b'*')) {
        return true;
    }
    if is_literal(later) {
        return wildcard::matches(earlier, later);
    }
    // Sets and escapes could hide a star; only `*text` and `text*` are compared with other patterns.
    if later.iter().any(|b| matches!(b, b'[' | b'\\')) {
        return false;
    }
    let special = |b: &u8| matches!(b, b'*' | b'?');
    match earlier {
        [b'*', suffix @ ..] if is_literal(suffix) => {
            let from = later.iter().rposition(special).map_or(0, |at| at + 1);
            let tail = &later[from..];
            tail.len() >= suffix.len() && tail[tail.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
        }
        [prefix @ .., b'*'] if is_literal(prefix) => {
            let to = later.iter().position(special).unwrap_or(later.len());
            to >= prefix.len() && later[..prefix.len()].eq_ignore_ascii_case(prefix)
        }
        _ => false,
    }
}

fn is_literal(pattern: &[u8]) -> bool {
    !pattern.iter().any(|b| matches!(b, b'*' | b'?' | b'[' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn covering_is_seen_where_it_is_certain() {
        for (earlier, later, expected) in [
            ("*", "a?b", true),
            ("*.test", "x.test", true),
            ("*.test", "*.x.TEST", true),
            ("*.test", "*.tes?", false),
            ("*.x.test", "*.test", false),
            ("x*", "xy*z", true),
            ("xy*", "x*", false),
            ("a?c", "abc", true),
            ("a*c", "a*bc", false),
            ("*", "[ab]", true),
            ("x", "y", false),
        ] {
            assert_eq!(covers(earlier.as_bytes(), later.as_bytes()), expected, "{earlier} {later}");
        }
    }

    proptest! {
        #[test]
        fn what_the_later_matches_the_earlier_matches(
            earlier in "[ab*?]{0,4}", later in "[ab*?]{0,4}", text in "[ab]{0,5}",
        ) {
            if covers(earlier.as_bytes(), later.as_bytes()) && wildcard::matches(later.as_bytes(), text.as_bytes()) {
                prop_assert!(wildcard::matches(earlier.as_bytes(), text.as_bytes()));
            }
        }
    }
}
