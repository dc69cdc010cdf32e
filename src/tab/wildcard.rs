//! XMail's wildcards (`mailroot.md` 2.5): `*` any run, `?` one byte, `[set]` with ranges `a-b` and `^` negation,
//! `\x` the byte x. The whole text must match; ASCII case is folded.

/// Whether `text` matches `pattern`, without regard to ASCII case.
///
/// Runs in O(pattern × text) at worst: there is no recursion for a hostile pattern to blow up.
///
/// ```
/// assert!(tabmail::tab::wildcard::matches(b"*.branch.test", b"a.BRANCH.test"));
/// assert!(!tabmail::tab::wildcard::matches(b"?", b""));
/// ```
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go back to when a byte does not fit: after the last star, and the text position it has eaten up to.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
        } else if let Some(width) = fits(&pattern[p..], text[t]) {
            p += width;
            t += 1;
        } else if let Some((after, eaten)) = star {
            star = Some((after, eaten + 1));
            (p, t) = (after, eaten + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

/// Whether an alias-like entry counts as a pattern: it holds `*` or `?`; a set alone does not make one.
pub fn is_pattern(text: &[u8]) -> bool {
    text.iter().any(|b| matches!(b, b'*' | b'?'))
}

/// How many pattern bytes match the one byte, if they do.
fn fits(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'\\', literal, ..] => literal.eq_ignore_ascii_case(&byte).then_some(2),
        [b'[', set @ ..] => match set.iter().skip(1).position(|&b| b == b']').map(|at| at + 1) {
            Some(end) => in_set(&set[..end], byte).then_some(end + 2),
            None => (byte == b'[').then_some(1),
        },
        [literal, ..] => literal.eq_ignore_ascii_case(&byte).then_some(1),
    }
}

fn in_set(set: &[u8], byte: u8) -> bool {
    let (negated, mut rest) = match set {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, set),
    };
    let cases = [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()];
    let mut found = false;
    while let Some((&first, tail)) = rest.split_first() {
        if let [b'-', last, after @ ..] = tail {
            found |= cases.iter().any(|case| (first..=*last).contains(case));
            rest = after;
        } else {
            found |= cases.contains(&first);
            rest = tail;
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbbd", false),
            ("?b[0-9]*", "xb7tail", true),
            ("?b[0-9]*", "xbqtail", false),
            ("[^a-c]x", "dX", true),
            ("[^a-c]x", "Bx", false),
            ("\\*x", "*x", true),
            ("\\*x", "ax", false),
            ("*@bulk.example", "A@BULK.example", true),
            ("[", "[", true),
            ("", "", true),
            ("", "a", false),
            ("a**b", "ab", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_is_quick() {
        let pattern = b"*a".repeat(50);
        assert!(!matches(&pattern, &b"b".repeat(20_000)));
    }
}
