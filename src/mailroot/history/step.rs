//! A step between two versions of a file, to be gone either way: bytes kept, bytes dropped, bytes taken.
//!
//! Shape: a text of instructions. `keep N`: the next N bytes are the same. `drop N`: N bytes that only the older
//! version has; `take N`: N bytes that only the newer one has; both follow on the next line, with a line end that is
//! not counted.
//!
//! A version on the way is never put together: it is a [`Rope`], so that a thousand steps through a table of 10 MB cost
//! as much as their own bytes.

use bstr::ByteSlice;

use crate::mailroot::line_diff::{hunks, lines};
use crate::mailroot::revision::Change;

/// A version in pieces, in order.
pub(super) type Rope<'a> = Vec<&'a [u8]>;

/// Which way a step is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the older version to the newer one.
    Forward,
    /// From the newer version to the older one.
    Back,
}

/// The instructions between `older` and `newer`.
pub(super) fn make(older: &[u8], newer: &[u8]) -> Vec<u8> {
    // What a large table has in common at both ends is not looked at line by line.
    let change = Change::between(older, newer);
    let (old, new) = (lines(change.old), lines(change.new));
    let mut out = Vec::new();
    let mut kept = change.head_bytes;
    let mut at = 0;
    for hunk in hunks(&old, &new) {
        kept += length(&old[at..hunk.before.start]);
        let (dropped, taken) = (old[hunk.before.clone()].concat(), new[hunk.after].concat());
        write_keep(&mut out, std::mem::take(&mut kept));
        write_bytes(&mut out, "drop", &dropped);
        write_bytes(&mut out, "take", &taken);
        at = hunk.before.end;
    }
    kept += length(&old[at..]) + (older.len() - change.head_bytes - change.old.len());
    write_keep(&mut out, kept);
    out
}

fn length(lines: &[&[u8]]) -> usize {
    lines.iter().map(|line| line.len()).sum()
}

fn write_keep(out: &mut Vec<u8>, count: usize) {
    if count > 0 {
        out.extend_from_slice(format!("keep {count}\n").as_bytes());
    }
}

fn write_bytes(out: &mut Vec<u8>, word: &str, bytes: &[u8]) {
    if !bytes.is_empty() {
        out.extend_from_slice(format!("{word} {}\n", bytes.len()).as_bytes());
        out.extend_from_slice(bytes);
        out.push(b'\n');
    }
}

/// Goes a step; `None` when it does not fit `from`.
pub(super) fn go<'a>(from: &Rope<'a>, mut step: &'a [u8], way: Way) -> Option<Rope<'a>> {
    let mut source = Source { pieces: from.iter().copied(), piece: b"" };
    let mut out = Rope::new();
    while !step.is_empty() {
        let (line, rest) = step.split_once_str(b"\n")?;
        let (word, count) = line.split_once_str(b" ")?;
        let count: usize = count.to_str().ok()?.parse().ok()?;
        step = rest;
        if word == b"keep" {
            source.pass(count, |piece| out.push(piece))?;
            continue;
        }
        let bytes = step.get(..count)?;
        step = step.get(count..)?.strip_prefix(b"\n")?;
        match (word, way) {
            (b"take", Way::Forward) | (b"drop", Way::Back) => out.push(bytes),
            (b"drop", Way::Forward) | (b"take", Way::Back) => source.pass(count, |_| ())?,
            _ => return None,
        }
    }
    source.is_at_end().then_some(out)
}

/// What is left of a rope.
struct Source<'a, I> {
    pieces: I,
    piece: &'a [u8],
}

impl<'a, I: Iterator<Item = &'a [u8]>> Source<'a, I> {
    /// Hands out the next `count` bytes.
    fn pass(&mut self, mut count: usize, mut to: impl FnMut(&'a [u8])) -> Option<()> {
        while count > 0 {
            if self.piece.is_empty() {
                self.piece = self.pieces.next()?;
            }
            let (now, rest) = self.piece.split_at(count.min(self.piece.len()));
            if !now.is_empty() {
                to(now);
            }
            (self.piece, count) = (rest, count - now.len());
        }
        Some(())
    }

    fn is_at_end(&mut self) -> bool {
        self.piece.is_empty() && self.pieces.all(<[u8]>::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn steps_lead_from_one_to_the_other_and_back(versions in prop::collection::vec("[abk \n]{0,40}", 1..6)) {
            let versions: Vec<&[u8]> = versions.iter().map(|text| text.as_bytes()).collect();
            let steps: Vec<_> = versions.windows(2).map(|pair| make(pair[0], pair[1])).collect();
            let mut rope = vec![versions[0]];
            for (step, version) in steps.iter().zip(&versions[1..]) {
                rope = go(&rope, step, Way::Forward).unwrap();
                prop_assert_eq!(&rope.concat(), version);
            }
            for (step, version) in steps.iter().zip(&versions).rev() {
                rope = go(&rope, step, Way::Back).unwrap();
                prop_assert_eq!(&rope.concat(), version);
            }
        }

        #[test]
        fn no_instructions_make_it_panic(from in "[ab\n]{0,20}", step in "((keep|drop|take|x) [0-9]{0,20}\n?[ab\n]{0,3}){0,4}") {
            let _ = go(&vec![from.as_bytes()], step.as_bytes(), Way::Forward);
            let _ = go(&vec![from.as_bytes()], step.as_bytes(), Way::Back);
        }
    }

    #[test]
    fn one_row_of_many_costs_one_row() {
        let from: String = (0..10_000).map(|n| format!("\"row\"\t\"{n}\"\n")).collect();
        let to = from.replace("\"5000\"", "\"x\"");
        assert!(make(to.as_bytes(), from.as_bytes()).len() < 80);
    }
}
