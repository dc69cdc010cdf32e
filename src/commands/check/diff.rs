//! Unified differences of files whose lines changed in place.

use std::io::{self, Write};
use std::path::Path;

use bstr::ByteSlice;

/// Unchanged lines around a change.
const CONTEXT: usize = 3;

/// Prints what `after` changes in `before`. Lines are neither added nor removed by our repairs.
pub(super) fn print(
    file: &Path,
    before: &[u8],
    after: &[u8],
    colours: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (old, new): (Vec<&[u8]>, Vec<&[u8]>) =
        (before.lines_with_terminator().collect(), after.lines_with_terminator().collect());
    let changed: Vec<usize> = (0..old.len().min(new.len())).filter(|&at| old[at] != new[at]).collect();
    writeln!(out, "--- {0}\n+++ {0}", file.display())?;
    let mut rest = changed.as_slice();
    while let Some(&first) = rest.first() {
        let length = rest.windows(2).take_while(|pair| pair[1] - pair[0] <= 2 * CONTEXT).count() + 1;
        let (hunk, later) = rest.split_at(length);
        let from = first.saturating_sub(CONTEXT);
        let to = (hunk[length - 1] + CONTEXT + 1).min(old.len());
        writeln!(out, "@@ -{0},{1} +{0},{1} @@", from + 1, to - from)?;
        print_hunk(&old, &new, from..to, colours, out)?;
        rest = later;
    }
    Ok(())
}

fn print_hunk(
    old: &[&[u8]],
    new: &[&[u8]],
    lines: std::ops::Range<usize>,
    colours: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (red, green, plain) = if colours { ("\x1b[31m", "\x1b[32m", "\x1b[0m") } else { ("", "", "") };
    let mut at = lines.start;
    while at < lines.end {
        let end = (at..lines.end)
            .find(|&line| (old[line] == new[line]) != (old[at] == new[at]))
            .unwrap_or(lines.end);
        if old[at] == new[at] {
            (at..end).try_for_each(|line| print_line(' ', "", old[line], "", out))?;
        } else {
            (at..end).try_for_each(|line| print_line('-', red, old[line], plain, out))?;
            (at..end).try_for_each(|line| print_line('+', green, new[line], plain, out))?;
        }
        at = end;
    }
    Ok(())
}

fn print_line(sign: char, colour: &str, line: &[u8], plain: &str, out: &mut dyn Write) -> io::Result<()> {
    let text = line.trim_end_with(|c| c == '\n');
    writeln!(out, "{colour}{sign}{}{plain}", text.to_str_lossy().escape_controls())?;
    if line.ends_with(b"\n") { Ok(()) } else { writeln!(out, "\\ No newline at end of file") }
}

/// Bytes from a file must not command the terminal.
trait EscapeControls {
    fn escape_controls(&self) -> String;
}

impl EscapeControls for str {
    fn escape_controls(&self) -> String {
        let shown = |c: char| match c {
            '\t' => "\t".to_owned(),
            c if c.is_control() => c.escape_default().to_string(),
            c => c.to_string(),
        };
        self.chars().map(shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_lines_are_shown_with_their_neighbours() {
        let before: String = (1..=20).map(|line| format!("{line}\n")).collect();
        let after = before.replace("5\n", "five\n").replace("20\n", "20");
        let mut out = Vec::new();
        print(Path::new("x.tab"), after.as_bytes(), before.as_bytes(), false, &mut out).unwrap();
        let expected = "--- x.tab\n+++ x.tab\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-five\n+5\n 6\n 7\n 8\n\
            @@ -12,9 +12,9 @@\n 12\n 13\n 14\n-1five\n+15\n 16\n 17\n 18\n 19\n-20\n\\ No newline at end of file\n+20\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
