//! What differs between two versions of a file, line by line: hunks, and the unified form that people read.
//!
//! Shape: a `Hunk` says that lines `before` became lines `after` (indexes from 0; one of the two may be empty).
//! Between hunks the lines are equal. Equal lines at the beginning and the end are set aside first, so that a file
//! of 100,000 lines with a few changes costs little more than comparing it once.

use std::fmt::Write as _;
use std::ops::Range;

use bstr::ByteSlice;
use imara_diff::{Algorithm, Diff, InternedInput};

/// Lines that were replaced by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hunk {
    /// The lines in the old version.
    pub(crate) before: Range<usize>,
    /// The lines in the new version.
    pub(crate) after: Range<usize>,
}

/// The lines of a file, each with its line end.
pub(crate) fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.lines_with_terminator().collect()
}

/// The changes from one version to the other, in order.
pub(crate) fn hunks(before: &[&[u8]], after: &[&[u8]]) -> Vec<Hunk> {
    let head = before.iter().zip(after).take_while(|(b, a)| b == a).count();
    let rest = (before[head..].iter().rev()).zip(after[head..].iter().rev());
    let tail = rest.take_while(|(b, a)| b == a).count();
    let (old, new) = (&before[head..before.len() - tail], &after[head..after.len() - tail]);
    if old.is_empty() && new.is_empty() {
        return Vec::new();
    }
    let whole = Hunk { before: head..head + old.len(), after: head..head + new.len() };
    if old.is_empty() || new.is_empty() {
        return vec![whole];
    }
    let mut input = InternedInput::default();
    input.update_before(old.iter().copied());
    input.update_after(new.iter().copied());
    let shift = |range: Range<u32>| range.start as usize + head..range.end as usize + head;
    Diff::compute(Algorithm::Histogram, &input)
        .hunks()
        .map(|hunk| Hunk { before: shift(hunk.before), after: shift(hunk.after) })
        .collect()
}

/// The changes as `diff -U` prints them with so many unchanged lines around, without its two head lines; empty when
/// there are none. Bytes that are no
/// UTF-8 are shown as U+FFFD and control characters are escaped: the text is for a terminal, not for `patch`.
pub fn unified(before: &[u8], after: &[u8], context_lines: usize) -> String {
    let (before, after) = (lines(before), lines(after));
    let mut out = String::new();
    for group in groups(&hunks(&before, &after), context_lines) {
        print_group(&mut out, (&before, &after), group, context_lines);
    }
    out
}

/// Hunks whose context would touch are shown together.
fn groups(hunks: &[Hunk], context_lines: usize) -> impl Iterator<Item = &[Hunk]> {
    hunks.chunk_by(move |one, next| next.before.start - one.before.end <= 2 * context_lines)
}

fn print_group(
    out: &mut String,
    (before, after): (&[&[u8]], &[&[u8]]),
    group: &[Hunk],
    context_lines: usize,
) {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return };
    let lead = first.before.start.min(context_lines);
    let trail = (before.len() - last.before.end).min(context_lines);
    let old = first.before.start - lead..last.before.end + trail;
    let new = first.after.start - lead..last.after.end + trail;
    let _ = writeln!(out, "@@ -{} +{} @@", range_text(&old), range_text(&new));
    let mut at = old.start;
    for hunk in group {
        print_lines(out, ' ', &before[at..hunk.before.start]);
        print_lines(out, '-', &before[hunk.before.clone()]);
        print_lines(out, '+', &after[hunk.after.clone()]);
        at = hunk.before.end;
    }
    print_lines(out, ' ', &before[at..old.end]);
}

fn range_text(range: &Range<usize>) -> String {
    match range.len() {
        0 => format!("{},0", range.start),
        1 => format!("{}", range.start + 1),
        count => format!("{},{count}", range.start + 1),
    }
}

fn print_lines(out: &mut String, mark: char, lines: &[&[u8]]) {
    for line in lines {
        let _ = writeln!(out, "{mark}{}", printable(line.strip_suffix(b"\n").unwrap_or(line)));
        if !line.ends_with(b"\n") {
            out.push_str("\\ No newline at end of file\n");
        }
    }
}

/// The text of a line for a terminal: TABs stay, other control characters are escaped.
pub(crate) fn printable(line: &[u8]) -> String {
    let mut out = String::with_capacity(line.len());
    for char in line.to_str_lossy().chars() {
        match char {
            '\t' => out.push('\t'),
            control if control.is_control() => out.extend(control.escape_default()),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    #[track_caller]
    fn check(before: &str, after: &str, expected: &str) {
        assert_eq!(unified(before.as_bytes(), after.as_bytes(), 3), expected);
    }

    #[test]
    fn changes_are_shown_as_diff_shows_them() {
        check("a\n", "a\n", "");
        check("", "a\n", "@@ -0,0 +1 @@\n+a\n");
        check("a\n", "", "@@ -1 +0,0 @@\n-a\n");
        check("a\nb\nc\n", "a\nB\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
        check("a\x1b[2J", "a\n", "@@ -1 +1 @@\n-a\\u{1b}[2J\n\\ No newline at end of file\n+a\n");
        let far: Vec<String> = (0..20).map(|n| format!("{n}\n")).collect();
        let edited = far.concat().replace("\n2\n", "\nx\n").replace("\n17\n", "\ny\n");
        let shown = unified(far.concat().as_bytes(), edited.as_bytes(), 3);
        assert_eq!(shown.matches("@@ -").count(), 2, "{shown}");
        assert_eq!(shown.lines().count(), 2 * 8, "{shown}");
    }

    #[test]
    fn a_few_changes_in_100_000_lines_are_found_fast() {
        let before: String =
            (0..100_000).map(|n| format!("\"example.test\"\t\"user{n}\"\t\"x\"\n")).collect();
        let after =
            before.replace("\"user50\"\t\"x\"", "\"user50\"\t\"y\"").replace("\"user99000\"", "\"z\"");
        let begun = Instant::now();
        let found = hunks(&lines(before.as_bytes()), &lines(after.as_bytes()));
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!(
            found,
            [Hunk { before: 50..51, after: 50..51 }, Hunk { before: 99_000..99_001, after: 99_000..99_001 }]
        );
    }

    proptest! {
        #[test]
        fn hunks_lead_from_one_version_to_the_other(before in "[ab\n]{0,40}", after in "[ab\n]{0,40}") {
            let (old, new) = (lines(before.as_bytes()), lines(after.as_bytes()));
            let mut made: Vec<&[u8]> = Vec::new();
            let mut at = 0;
            for hunk in hunks(&old, &new) {
                made.extend(&old[at..hunk.before.start]);
                prop_assert_eq!(made.len(), hunk.after.start);
                made.extend(&new[hunk.after.clone()]);
                at = hunk.before.end;
            }
            made.extend(&old[at..]);
            prop_assert_eq!(made, new);
        }
    }
}
