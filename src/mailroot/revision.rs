//! Which lines of a file are new, so that a large table need not be read from its first line after each edit.
//!
//! Shape: the common lines at the head and at the end of two versions are found by comparing bytes; what is between
//! them was replaced. An edit of one row in a hundred thousand leaves two lines to look at.

use std::ops::Range;

/// The difference of two versions: some lines in a row were replaced by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// How many lines at the head are the same.
    pub first_line: u32,
    /// How many bytes these are.
    pub head_bytes: usize,
    /// The old lines that are gone.
    pub old: &'a [u8],
    /// The new lines in their place.
    pub new: &'a [u8],
}

impl<'a> Change<'a> {
    /// Finds the lines that differ.
    pub fn between(old: &'a [u8], new: &'a [u8]) -> Self {
        let head = line_start(old, common_head(old, new));
        let (old, head_text, new) = (&old[head..], &old[..head], &new[head..]);
        let tail = common_tail(old, new);
        // The common end must begin behind a line end in both; the head does.
        let tail_text = &old[old.len() - tail..];
        let is_line = tail == old.len().min(new.len())
            && (tail == old.len() || old[..old.len() - tail].ends_with(b"\n"))
            && (tail == new.len() || new[..new.len() - tail].ends_with(b"\n"));
        let cut = match is_line {
            true => 0,
            false => tail_text.iter().position(|&byte| byte == b'\n').map_or(tail, |end| end + 1),
        };
        let tail = tail - cut;
        Self {
            first_line: u32::try_from(count_lines(head_text)).unwrap_or(u32::MAX),
            head_bytes: head,
            old: &old[..old.len() - tail],
            new: &new[..new.len() - tail],
        }
    }

    /// How far the lines behind the change move.
    pub fn shift(&self) -> i64 {
        let lines = |bytes| i64::try_from(count_lines(bytes)).unwrap_or(i64::MAX);
        lines(self.new) - lines(self.old)
    }

    /// The last of the old lines, from 1; one that has no line end counts too.
    pub(super) fn last_old_line(&self) -> u32 {
        let open = usize::from(!self.old.is_empty() && !self.old.ends_with(b"\n"));
        let lines = u32::try_from(count_lines(self.old) + open).unwrap_or(u32::MAX);
        self.first_line.saturating_add(lines)
    }
}

/// Where rows were replaced: `start..old_end` before, `start..new_end` now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: usize,
    pub(super) old_end: usize,
    pub(super) new_end: usize,
}

impl Place {
    /// The rows that are gone, by their old places.
    pub(super) fn gone(self) -> Range<usize> {
        self.start..self.old_end
    }

    /// The rows that are new, by their new places.
    pub(super) fn new_rows(self) -> Range<usize> {
        self.start..self.new_end
    }

    /// How far the places of the rows behind move.
    pub(super) fn shift(self) -> isize {
        self.new_end.cast_signed() - self.old_end.cast_signed()
    }
}

/// The rows after a change: those before it as they were, those of `part`, and those behind it, moved.
pub(super) fn spliced<R>(
    rows: &[R],
    part: &[R],
    change: &Change<'_>,
    line: impl Fn(&R) -> u32,
    moved: impl Fn(&R, i64) -> R,
) -> (Vec<R>, Place) {
    let start = rows.partition_point(|row| line(row) <= change.first_line);
    let old_end = rows.partition_point(|row| line(row) <= change.last_old_line());
    let place = Place { start, old_end, new_end: start + part.len() };
    let shift = change.shift();
    let mut spliced = Vec::with_capacity(place.new_end + rows.len() - old_end);
    spliced.extend(rows[..start].iter().map(|row| moved(row, 0)));
    spliced.extend(part.iter().map(|row| moved(row, change.first_line.into())));
    spliced.extend(rows[old_end..].iter().map(|row| moved(row, shift)));
    (spliced, place)
}

/// A line that lines were put before, or taken away.
pub(super) fn moved_line(line: u32, by: i64) -> u32 {
    u32::try_from(i64::from(line) + by).unwrap_or(u32::MAX)
}

fn count_lines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

/// The start of the line that holds the byte at `at`.
fn line_start(bytes: &[u8], at: usize) -> usize {
    memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |end| end + 1)
}

fn common_head(a: &[u8], b: &[u8]) -> usize {
    let same = a.chunks(BLOCK).zip(b.chunks(BLOCK)).take_while(|(a, b)| a == b);
    let blocks: usize = same.map(|(a, _)| a.len()).sum();
    blocks + a[blocks..].iter().zip(&b[blocks..]).take_while(|(a, b)| a == b).count()
}

fn common_tail(a: &[u8], b: &[u8]) -> usize {
    let same = a.rchunks(BLOCK).zip(b.rchunks(BLOCK)).take_while(|(a, b)| a == b);
    let blocks: usize = same.map(|(a, _)| a.len()).sum();
    let (a, b) = (&a[..a.len() - blocks], &b[..b.len() - blocks]);
    blocks + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// How many bytes are compared at once.
const BLOCK: usize = 4096;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::mailroot::accounts::{Aliases, MailUsers};
    use crate::mailroot::table::Table;
    use proptest::prelude::*;

    #[test]
    fn whole_lines_are_cut_out() {
        let check = |old: &str, new: &str, expected: (u32, &str, &str)| {
            let change = Change::between(old.as_bytes(), new.as_bytes());
            let text = |bytes| std::str::from_utf8(bytes).unwrap();
            assert_eq!((change.first_line, text(change.old), text(change.new)), expected, "{old:?} {new:?}");
        };
        check("a\nb\nc\n", "a\nB\nc\n", (1, "b\n", "B\n"));
        check("a\nb\nc\n", "a\nxb\nc\n", (1, "b\n", "xb\n"));
        check("a\nb\nc\n", "a\nc\n", (1, "b\n", ""));
        check("a\nc\n", "a\nb\nc\n", (1, "", "b\n"));
        check("a\n", "a\nb\n", (1, "", "b\n"));
        check("a", "a\nb\n", (0, "a", "a\nb\n"));
        check("b\n", "a\nb\n", (0, "", "a\n"));
        check("a\na\n", "a\na\na\n", (2, "", "a\n"));
        check("", "", (0, "", ""));
        check("ab\n", "b\n", (0, "ab\n", "b\n"));
    }

    /// Reading what changed gives the table that reading everything gives, or nothing.
    fn agrees<T: Table + std::fmt::Debug>(old: &[String], new: &[String], show: impl Fn(&T) -> String) {
        let (file, old, new) = (Path::new("x.tab"), old.concat(), new.concat());
        let (table, problems) = T::load(file, old.as_bytes());
        let (whole, whole_problems) = T::load(file, new.as_bytes());
        let change = Change::between(old.as_bytes(), new.as_bytes());
        let (part, part_problems) = T::load(file, change.new);
        if !problems.is_empty() || !part_problems.is_empty() {
            return;
        }
        match table.revised(part, &change) {
            Some(revised) => assert_eq!(show(&revised), show(&whole), "{old:?} {new:?}"),
            None => assert!(!whole_problems.is_empty(), "{old:?} {new:?}"),
        }
    }

    fn line() -> impl Strategy<Value = String> {
        let row = "\"[ab]\"\t\"[a-e*]{1,2}\"\t\"x\"\t1\t\"y\"\t\"U\"\n";
        prop_oneof![8 => row, 1 => Just("# c\n".to_owned()), 1 => Just("\n".to_owned())]
    }

    proptest! {
        #[test]
        fn a_revised_table_is_the_table_read_anew(
            head in prop::collection::vec(line(), 0..6),
            gone in prop::collection::vec(line(), 0..3),
            come in prop::collection::vec(line(), 0..3),
            tail in prop::collection::vec(line(), 0..6),
        ) {
            let old = [head.clone(), gone, tail.clone()].concat();
            let new = [head, come, tail].concat();
            let keys = || "abc".chars().flat_map(|d| ["a", "b", "ab", "e", "cd", "x"].map(|n| (d.to_string(), n)));
            agrees::<MailUsers>(&old, &new, |users| {
                let found: Vec<_> = keys().map(|(d, n)| users.get(&d, n).map(|row| row.line)).collect();
                format!("{:?} {found:?}", users.rows())
            });
            agrees::<Aliases>(&old, &new, |aliases| {
                let found: Vec<_> = keys().map(|(d, n)| aliases.get(&d, n).map(|row| row.line)).collect();
                format!("{:?} {found:?}", aliases.rows())
            });
        }
    }
}
