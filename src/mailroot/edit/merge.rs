//! Three versions of a table made one: what two writers made of the same beginning.
//!
//! Shape: `base` is what both began with, `mine` what this edit wants to write, `theirs` what somebody else has
//! written meanwhile. The unit is the line; its content and its line end are merged on their own. A line of `base`
//! that one side changed or removed is taken from that side. Lines that one side added are added; where both added
//! at the same place, theirs come first. Comments, blank lines, order and line ends stay as each side left them.
//!
//! A conflict is: the same line changed differently, or changed here and removed there; and the same key (for
//! example domain and name in `mailusers.tab`, [`rules::key_of`]) given by both sides to different rows. Nothing is
//! merged then. The same change made by both sides is one change.
//!
//! Which old line became which new one is a question of taste where neighbours were changed together: rows are paired
//! by their key, then by position. Pairing only decides whether two changes meet in one line; a change of either side
//! is in the result, or a conflict is reported.
//!
//! Pure; the time is that of a line diff, and grows with the changes, not with the file.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};

use super::rules;
use crate::mailroot::line_diff::{self, printable};

/// How many conflicts are shown; the rest is counted.
const SHOWN_MAX: usize = 10;

/// Rows of one file that two writers changed so that not both changes can stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The file, relative to the MailRoot.
    pub file: PathBuf,
    /// The rows, in the order of the file; at least one.
    pub rows: Vec<RowConflict>,
}

/// One row in three versions; `None` where a version does not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowConflict {
    /// What both writers began with.
    pub base: Option<LineVersion>,
    /// What this edit wants.
    pub mine: Option<LineVersion>,
    /// What stands in the file.
    pub theirs: Option<LineVersion>,
}

/// A line of one version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineVersion {
    /// Its number, from 1.
    pub line: usize,
    /// Its text, without the line end. Tables hold passwords: show it to administrators only.
    pub text: BString,
}

/// Merges, or says which rows do not go together.
///
/// # Errors
/// The [`Conflict`]; there is no merged text then.
pub fn merge(file: &Path, base: &[u8], mine: &[u8], theirs: &[u8]) -> Result<Vec<u8>, Conflict> {
    merge_pairing(file, base, mine, theirs, Pairing::Position)
}

/// As [`merge`], but a row that was replaced by one with another key is a row removed and another one added: for
/// bringing together what does not have to be asked about.
pub(super) fn merge_by_key(
    file: &Path,
    base: &[u8],
    mine: &[u8],
    theirs: &[u8],
) -> Result<Vec<u8>, Conflict> {
    merge_pairing(file, base, mine, theirs, Pairing::Key)
}

/// How rows of a changed place are paired that do not have the same key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pairing {
    /// By their place: one row was made another.
    Position,
    /// Not at all, if one of them has a key.
    Key,
}

fn merge_pairing(
    file: &Path,
    base: &[u8],
    mine: &[u8],
    theirs: &[u8],
    pairing: Pairing,
) -> Result<Vec<u8>, Conflict> {
    if mine == theirs || base == theirs {
        return Ok(mine.to_owned());
    }
    if base == mine {
        return Ok(theirs.to_owned());
    }
    let texts = [base, mine, theirs].map(Text::of);
    let [base, mine, theirs] = &texts;
    let mine = Side::new(Rule { file, pairing }, base, mine);
    let theirs = Side::new(Rule { file, pairing }, base, theirs);
    Merge { file, base, mine, theirs, dropped: HashSet::new(), conflicts: Vec::new() }.run()
}

/// A version, cut into lines.
struct Text<'a> {
    lines: Vec<Line<'a>>,
}

#[derive(Clone, Copy)]
struct Line<'a> {
    content: &'a [u8],
    end: &'a [u8],
}

impl<'a> Text<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let cut = |raw: &'a [u8]| {
            let content = raw.trim_end_with(|c| c == '\r' || c == '\n');
            Line { content, end: &raw[content.len()..] }
        };
        Self { lines: bytes.lines_with_terminator().map(cut).collect() }
    }

    fn contents(&self) -> Vec<&'a [u8]> {
        self.lines.iter().map(|line| line.content).collect()
    }

    fn version(&self, index: usize) -> LineVersion {
        LineVersion { line: index + 1, text: self.lines[index].content.into() }
    }
}

/// What one side made of the base.
struct Side<'a> {
    text: &'a Text<'a>,
    /// For each line of the base the line it became; `None`: removed.
    became: Vec<Option<usize>>,
    /// Added lines, before which line of the base they stand.
    added: Vec<(usize, Range<usize>)>,
    /// Keys that rows of this side have and their lines in the base had not.
    new_keys: HashMap<Vec<u8>, NewKey>,
}

#[derive(Clone, Copy)]
struct NewKey {
    /// The line of the side.
    line: usize,
    /// The line of the base that became it; `None`: it was added.
    was: Option<usize>,
}

#[derive(Clone, Copy)]
struct Rule<'f> {
    file: &'f Path,
    pairing: Pairing,
}

impl<'a> Side<'a> {
    fn new(rule: Rule<'_>, base: &Text<'a>, text: &'a Text<'a>) -> Self {
        let mut side =
            Self { text, became: vec![None; base.lines.len()], added: Vec::new(), new_keys: HashMap::new() };
        let (old, new) = (base.contents(), text.contents());
        let (mut old_at, mut new_at) = (0, 0);
        for hunk in line_diff::hunks(&old, &new) {
            side.keep(old_at..hunk.before.start, new_at);
            side.pair(rule, base, hunk.before.clone(), hunk.after.clone());
            (old_at, new_at) = (hunk.before.end, hunk.after.end);
        }
        side.keep(old_at..old.len(), new_at);
        side.find_new_keys(rule.file, base);
        side
    }

    fn keep(&mut self, old: Range<usize>, new_start: usize) {
        for (offset, index) in old.enumerate() {
            self.became[index] = Some(new_start + offset);
        }
    }

    /// Rows of a hunk with the same key are the same row, as long as their order stays; what is between them is
    /// paired by position.
    fn pair(&mut self, rule: Rule<'_>, base: &Text<'a>, old: Range<usize>, new: Range<usize>) {
        let mut by_key: HashMap<Vec<u8>, usize> = HashMap::new();
        for index in old.clone().rev() {
            if let Some(key) = rules::key_of(rule.file, base.lines[index].content) {
                by_key.insert(key, index);
            }
        }
        let (mut old_at, mut new_at) = (old.start, new.start);
        for index in new.clone() {
            let key = rules::key_of(rule.file, self.text.lines[index].content);
            let Some(&same) = key.and_then(|key| by_key.get(&key).filter(|&&same| same >= old_at)) else {
                continue;
            };
            self.pair_by_position(rule, base, old_at..same, new_at..index);
            self.became[same] = Some(index);
            (old_at, new_at) = (same + 1, index + 1);
        }
        self.pair_by_position(rule, base, old_at..old.end, new_at..new.end);
    }

    fn pair_by_position(&mut self, rule: Rule<'_>, base: &Text<'a>, old: Range<usize>, new: Range<usize>) {
        let may_differ = |line: &Line<'_>| {
            rule.pairing == Pairing::Position || rules::key_of(rule.file, line.content).is_none()
        };
        let (before, after) = (&base.lines[old.clone()], &self.text.lines[new.clone()]);
        let paired = before.iter().zip(after).take_while(|(b, a)| may_differ(b) && may_differ(a)).count();
        self.keep(old.start..old.start + paired, new.start);
        if new.len() > paired {
            self.added.push((old.end, new.start + paired..new.end));
        }
    }

    fn find_new_keys(&mut self, file: &Path, base: &Text<'a>) {
        let key = |line: usize| rules::key_of(file, self.text.lines[line].content);
        let mut found = Vec::new();
        for (was, line) in self.became.iter().enumerate() {
            let Some(line) = *line else { continue };
            let old = base.lines[was].content;
            if old != self.text.lines[line].content {
                let new = key(line).filter(|new| rules::key_of(file, old).as_ref() != Some(new));
                found.extend(new.map(|key| (key, NewKey { line, was: Some(was) })));
            }
        }
        for line in self.added.iter().flat_map(|(_, range)| range.clone()) {
            found.extend(key(line).map(|key| (key, NewKey { line, was: None })));
        }
        for (key, new) in found {
            self.new_keys.entry(key).or_insert(new);
        }
    }

    fn added_lines(&self) -> impl Iterator<Item = (usize, &'a [u8])> {
        let lines = self.added.iter().flat_map(|(_, range)| range.clone());
        lines.map(|line| (line, self.text.lines[line].content))
    }

    /// The added lines before line `at` of the base.
    fn added_at(&self, at: usize) -> Range<usize> {
        let found = self.added.binary_search_by_key(&at, |(at, _)| *at);
        found.map_or(0..0, |index| self.added[index].1.clone())
    }
}

struct Merge<'a> {
    file: &'a Path,
    base: &'a Text<'a>,
    mine: Side<'a>,
    theirs: Side<'a>,
    /// Added lines of mine that theirs has as well.
    dropped: HashSet<usize>,
    conflicts: Vec<RowConflict>,
}

impl<'a> Merge<'a> {
    /// A row without a key that both moved, to different places, would be there twice.
    fn compare_moved(&mut self) {
        let gone = |at: &usize| self.mine.became[*at].is_none() && self.theirs.became[*at].is_none();
        let rows = (0..self.base.lines.len()).filter(gone).map(|at| self.base.lines[at].content);
        let gone: HashSet<&[u8]> = rows.filter(|row| !matches!(row.first(), None | Some(b'#'))).collect();
        if gone.is_empty() {
            return;
        }
        let theirs: HashMap<&[u8], usize> = self
            .theirs
            .added_lines()
            .filter(|(_, row)| gone.contains(row))
            .map(|(line, row)| (row, line))
            .collect();
        for (mine, row) in self.mine.added_lines() {
            let is_new = !self.dropped.contains(&mine) && rules::key_of(self.file, row).is_none();
            if let Some(&theirs) = theirs.get(row).filter(|_| is_new) {
                self.conflicts.push(RowConflict {
                    base: None,
                    mine: Some(self.mine.text.version(mine)),
                    theirs: Some(self.theirs.text.version(theirs)),
                });
            }
        }
    }

    fn run(mut self) -> Result<Vec<u8>, Conflict> {
        let mut lines = Vec::with_capacity(self.base.lines.len());
        for at in 0..=self.base.lines.len() {
            self.merge_added(at, &mut lines);
            if at < self.base.lines.len() {
                lines.extend(self.merge_line(at));
            }
        }
        self.compare_new_keys();
        self.compare_moved();
        if self.conflicts.is_empty() {
            return Ok(written(&lines));
        }
        let place = |row: &RowConflict| {
            [&row.base, &row.theirs, &row.mine].into_iter().flatten().next().map(|v| v.line)
        };
        self.conflicts.sort_by_key(place);
        Err(Conflict { file: self.file.to_owned(), rows: self.conflicts })
    }

    fn merge_line(&mut self, at: usize) -> Option<Line<'a>> {
        let base = self.base.lines[at];
        let (mine, theirs) = (self.mine.became[at], self.theirs.became[at]);
        let line = |side: &Side<'a>, index: Option<usize>| index.map(|index| side.text.lines[index]);
        match (line(&self.mine, mine), line(&self.theirs, theirs)) {
            (None, None) => None,
            (None, Some(other)) | (Some(other), None) if other.content == base.content => None,
            (Some(mine), Some(theirs)) if agree(base.content, mine.content, theirs.content) => Some(Line {
                content: either(base.content, mine.content, theirs.content),
                end: either(base.end, mine.end, theirs.end),
            }),
            _ => {
                self.conflicts.push(RowConflict {
                    base: Some(self.base.version(at)),
                    mine: mine.map(|index| self.mine.text.version(index)),
                    theirs: theirs.map(|index| self.theirs.text.version(index)),
                });
                None
            }
        }
    }

    /// Theirs, then mine; of equal beginnings only one.
    fn merge_added(&mut self, at: usize, out: &mut Vec<Line<'a>>) {
        let theirs = &self.theirs.text.lines[self.theirs.added_at(at)];
        let mine_range = self.mine.added_at(at);
        let mine = &self.mine.text.lines[mine_range.clone()];
        let shared = mine.iter().zip(theirs).take_while(|(m, t)| m.content == t.content).count();
        let shared = if shared == mine.len() || shared == theirs.len() { shared } else { 0 };
        out.extend(theirs);
        for (offset, line) in mine.iter().enumerate().skip(shared) {
            let index = mine_range.start + offset;
            if !self.is_theirs_too(index, line.content) {
                out.push(*line);
            }
        }
        self.dropped.extend(mine_range.take(shared));
    }

    /// A keyed row that theirs has added elsewhere, word for word.
    fn is_theirs_too(&mut self, index: usize, content: &[u8]) -> bool {
        let twin = rules::key_of(self.file, content).and_then(|key| self.theirs.new_keys.get(&key));
        let is_twin = twin.is_some_and(|twin| self.theirs.text.lines[twin.line].content == content);
        if is_twin {
            self.dropped.insert(index);
        }
        is_twin
    }

    /// Both sides gave a key to a row. The same row in the same place, or a dropped twin, is one change.
    fn compare_new_keys(&mut self) {
        for (key, mine) in &self.mine.new_keys {
            let Some(theirs) = self.theirs.new_keys.get(key) else { continue };
            let same_line = mine.was.is_some() && mine.was == theirs.was;
            if !same_line && !self.dropped.contains(&mine.line) {
                self.conflicts.push(RowConflict {
                    base: None,
                    mine: Some(self.mine.text.version(mine.line)),
                    theirs: Some(self.theirs.text.version(theirs.line)),
                });
            }
        }
    }
}

/// Every line but the last needs a line end: one that was last may have had none.
fn written(lines: &[Line<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        out.extend_from_slice(line.content);
        out.extend_from_slice(line.end);
        if index + 1 < lines.len() && !line.end.ends_with(b"\n") {
            out.push(b'\n');
        }
    }
    out
}

fn agree(base: &[u8], mine: &[u8], theirs: &[u8]) -> bool {
    mine == theirs || mine == base || theirs == base
}

/// The side that changed; mine, where both did.
fn either<'a>(base: &[u8], mine: &'a [u8], theirs: &'a [u8]) -> &'a [u8] {
    if mine == base { theirs } else { mine }
}

impl std::error::Error for Conflict {}

impl fmt::Display for Conflict {
    /// One line saying what happened, then for each row its place and its three versions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, count) = (self.file.display(), self.rows.len());
        let rows = if count == 1 { "row was" } else { "rows were" };
        write!(f, "{file}: {count} {rows} changed by somebody else meanwhile; nothing was written")?;
        for row in self.rows.iter().take(SHOWN_MAX) {
            let place = row.theirs.as_ref().or(row.base.as_ref()).or(row.mine.as_ref());
            write!(f, "\n{file}:{}: {}", place.map_or(0, |version| version.line), row.reason())?;
            for (name, version) in [("before", &row.base), ("yours", &row.mine), ("theirs", &row.theirs)] {
                write!(f, "\n  {name:<7} {}", shown(version.as_ref()))?;
            }
        }
        if count > SHOWN_MAX {
            write!(f, "\nand {} more", count - SHOWN_MAX)?;
        }
        Ok(())
    }
}

impl RowConflict {
    /// What happened to the row, in words.
    pub fn reason(&self) -> &'static str {
        match (&self.base, &self.mine, &self.theirs) {
            (None, ..) => "added on both sides",
            (Some(_), None, _) => "you removed it, they changed it",
            (Some(_), _, None) => "you changed it, they removed it",
            (Some(_), Some(_), Some(_)) => "changed on both sides",
        }
    }
}

fn shown(version: Option<&LineVersion>) -> Cow<'static, str> {
    version.map_or(Cow::Borrowed("(not there)"), |version| printable(&version.text).into())
}

#[cfg(test)]
mod tests;
