//! How the first histories led from one version of a file to the one before: lines kept, bytes taken. Only read.
//!
//! Shape: a text of instructions, one a line. `keep N`: the next N lines of the source; `drop N`: pass them;
//! `take N`: the next N bytes, and a line end that is not counted. What is written now is a [`super::step`].

use bstr::ByteSlice;

use crate::mailroot::line_diff::lines;

/// Follows the instructions; `None` when they do not fit `from`.
pub(super) fn apply(from: &[u8], mut delta: &[u8]) -> Option<Vec<u8>> {
    let mut source = lines(from).into_iter();
    let mut out = Vec::new();
    while !delta.is_empty() {
        let (line, rest) = delta.split_once_str(b"\n")?;
        let (word, count) = line.split_once_str(b" ")?;
        let count: usize = count.to_str().ok()?.parse().ok()?;
        delta = rest;
        match word {
            b"keep" => (0..count).try_for_each(|_| source.next().map(|line| out.extend_from_slice(line)))?,
            b"drop" => (0..count).try_for_each(|_| source.next().map(drop))?,
            b"take" => {
                out.extend_from_slice(delta.get(..count)?);
                delta = delta.get(count..)?.strip_prefix(b"\n")?;
            }
            _ => return None,
        }
    }
    source.next().is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_way_back_is_found() {
        let delta = b"keep 1\ndrop 2\ntake 4\nb\nc\n\nkeep 1\n";
        assert_eq!(apply(b"a\nx\ny\nd\n", delta).unwrap(), b"a\nb\nc\nd\n");
        assert_eq!(apply(b"a\nx\ny\n", delta), None);
    }

    proptest! {
        #[test]
        fn no_instructions_make_it_panic(from in "[ab\n]{0,20}", delta in "((keep|drop|take|x) [0-9]{0,20}\n?[ab\n]{0,3}){0,4}") {
            let _ = apply(from.as_bytes(), delta.as_bytes());
        }
    }
}
