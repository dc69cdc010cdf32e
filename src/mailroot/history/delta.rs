//! How to get from one version of a file to another: lines kept from the one, bytes of the other.
//!
//! Shape: a text of instructions, one a line. `keep N`: the next N lines of the source; `drop N`: pass them;
//! `take N`: the next N bytes, and a line end that is not counted.

use bstr::ByteSlice;

use crate::mailroot::line_diff::{hunks, lines};

/// The instructions that make `to` of `from`.
pub(super) fn make(from: &[u8], to: &[u8]) -> Vec<u8> {
    let (old, new) = (lines(from), lines(to));
    let mut out = Vec::new();
    let mut at = 0;
    for hunk in hunks(&old, &new) {
        write_count(&mut out, "keep", hunk.before.start - at);
        write_count(&mut out, "drop", hunk.before.len());
        let taken = new[hunk.after].concat();
        if !taken.is_empty() {
            write_count(&mut out, "take", taken.len());
            out.extend_from_slice(&taken);
            out.push(b'\n');
        }
        at = hunk.before.end;
    }
    write_count(&mut out, "keep", old.len() - at);
    out
}

fn write_count(out: &mut Vec<u8>, word: &str, count: usize) {
    if count > 0 {
        out.extend_from_slice(format!("{word} {count}\n").as_bytes());
    }
}

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

    proptest! {
        #[test]
        fn a_delta_leads_from_one_to_the_other(from in "[abk \n]{0,40}", to in "[abk \n]{0,40}") {
            let delta = make(from.as_bytes(), to.as_bytes());
            prop_assert_eq!(apply(from.as_bytes(), &delta), Some(to.into_bytes()));
        }

        #[test]
        fn no_instructions_make_it_panic(from in "[ab\n]{0,20}", delta in "((keep|drop|take|x) [0-9]{0,20}\n?[ab\n]{0,3}){0,4}") {
            let _ = apply(from.as_bytes(), delta.as_bytes());
        }
    }

    #[test]
    fn one_row_of_many_costs_one_row() {
        let from: String = (0..10_000).map(|n| format!("\"row\"\t\"{n}\"\n")).collect();
        let to = from.replace("\"5000\"", "\"x\"");
        assert!(make(to.as_bytes(), from.as_bytes()).len() < 80);
    }
}
