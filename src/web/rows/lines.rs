//! A table as lines: rows that are set, added, moved and removed with the remark above them; all else stays as it is.
//!
//! A remark is one comment line directly above a row, `# text`. Two comment lines or more above a row are about the file
//! or a part of it, and so is `#"`, a row that somebody has put out of use: those are never touched.

use bstr::ByteSlice as _;

use crate::tab::{self, LineKind, Record};

/// The lines of a table.
#[derive(Clone, Debug)]
pub(in crate::web) struct Lines {
    lines: Vec<Vec<u8>>,
}

/// A row with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::web) struct FoundRow {
    /// Its line, from 1.
    pub(in crate::web) line: usize,
    /// Its columns.
    pub(in crate::web) values: Vec<String>,
    /// The text of the comment above it; empty without one.
    pub(in crate::web) remark: String,
}

impl Lines {
    pub(in crate::web) fn parse(bytes: &[u8]) -> Self {
        Self { lines: bytes.lines_with_terminator().map(<[u8]>::to_vec).collect() }
    }

    pub(in crate::web) fn to_bytes(&self) -> Vec<u8> {
        self.lines.concat()
    }

    /// All rows in order.
    pub(in crate::web) fn rows(&self) -> impl Iterator<Item = FoundRow> {
        (1..=self.lines.len()).filter_map(|line| self.row(line))
    }

    /// The row at a line, from 1.
    pub(in crate::web) fn row(&self, line: usize) -> Option<FoundRow> {
        let index = line.checked_sub(1)?;
        let fields = (self.kind(index)? == LineKind::Record).then(|| self.fields(index))?;
        let values = fields.iter().map(|field| field.value.to_str_lossy().into_owned()).collect();
        let remark = match self.remark_above(index) {
            Some(above) => self.lines[above][1..].trim().to_str_lossy().into_owned(),
            None => String::new(),
        };
        Some(FoundRow { line, values, remark })
    }

    /// Whether nothing is left that says anything: no row and no comment.
    pub(in crate::web) fn is_blank(&self) -> bool {
        (0..self.lines.len()).all(|index| self.kind(index) == Some(LineKind::Blank))
    }

    /// Rewrites the row at a line, and its remark where another is given.
    pub(in crate::web) fn set(&mut self, line: usize, record: &Record, remark: Option<&str>) {
        let Some(index) = line.checked_sub(1).filter(|index| *index < self.lines.len()) else { return };
        let end = self.ending(index);
        self.lines[index] = [record.as_bytes(), &end].concat();
        if let Some(remark) = remark {
            self.set_remark(index, remark, &end);
        }
    }

    /// Adds a row at the end.
    pub(in crate::web) fn push(&mut self, record: &Record, remark: &str) {
        if let Some(last) = self.lines.last_mut()
            && !last.ends_with(b"\n")
        {
            last.push(b'\n');
        }
        self.lines.push([record.as_bytes(), b"\n"].concat());
        self.set_remark(self.lines.len() - 1, remark, b"\n");
    }

    /// Removes the row at a line with its remark.
    pub(in crate::web) fn remove(&mut self, line: usize) {
        if let Some(index) = line.checked_sub(1).filter(|index| *index < self.lines.len()) {
            let from = self.remark_above(index).unwrap_or(index);
            self.lines.drain(from..=index);
        }
    }

    /// Exchanges the row at a line with the row before it (`up`) or after it; their remarks go with them. False where
    /// there is none.
    pub(in crate::web) fn shift(&mut self, line: usize, up: bool) -> bool {
        let Some(index) = line.checked_sub(1) else { return false };
        let is_row = |index: &usize| self.kind(*index) == Some(LineKind::Record);
        let other = match up {
            true => (0..index).rev().find(is_row),
            false => (index + 1..self.lines.len()).find(is_row),
        };
        let Some(other) = other.filter(|_| is_row(&index)) else { return false };
        let (first, second) = (index.min(other), index.max(other));
        let blocks = [first, second].map(|index| (self.remark_above(index).unwrap_or(index), index));
        let mut taken = blocks.map(|(from, to)| self.lines[from..=to].to_vec());
        // The last line of a file may lack its end; whoever stands there now needs one.
        for block in taken.iter_mut().flatten().filter(|line| !line.ends_with(b"\n")) {
            block.push(b'\n');
        }
        let [upper, lower] = taken;
        self.lines.splice(blocks[1].0..=blocks[1].1, upper);
        self.lines.splice(blocks[0].0..=blocks[0].1, lower);
        true
    }

    fn kind(&self, index: usize) -> Option<LineKind> {
        self.lines.get(index).and_then(|line| tab::lines(line).next()).map(|line| line.kind())
    }

    fn fields(&self, index: usize) -> Vec<tab::Field> {
        tab::lines(&self.lines[index]).next().map(|line| tab::fields(line.content())).unwrap_or_default()
    }

    fn ending(&self, index: usize) -> Vec<u8> {
        let line = &self.lines[index];
        let end = &line[line.trim_end_with(|c| c == '\r' || c == '\n').len()..];
        if end.is_empty() { b"\n".to_vec() } else { end.to_vec() }
    }

    fn remark_above(&self, index: usize) -> Option<usize> {
        let is_comment = |index: usize| self.kind(index) == Some(LineKind::Comment);
        let above = index.checked_sub(1).filter(|above| is_comment(*above))?;
        let is_alone = above.checked_sub(1).is_none_or(|before| !is_comment(before));
        let is_text = !matches!(self.lines[above].get(1), Some(b'"' | b'#'));
        (is_alone && is_text).then_some(above)
    }

    fn set_remark(&mut self, index: usize, remark: &str, end: &[u8]) {
        let text: String = remark.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '#' || c == '"');
        let line = [b"# ", text.as_bytes(), end].concat();
        match (self.remark_above(index), text.is_empty()) {
            (Some(above), true) => drop(self.lines.remove(above)),
            (Some(above), false) => self.lines[above] = line,
            (None, true) => {}
            // Under another comment ours would become a part of that.
            (None, false) if index > 0 && self.kind(index - 1) == Some(LineKind::Comment) => {
                self.lines.splice(index..index, [end.to_vec(), line]);
            }
            (None, false) => self.lines.insert(index, line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# head\n# more\n\"a\"\n\n# about b\n\"b\"\n#\"off\"\n\"c\"\n";

    fn lines() -> Lines {
        Lines::parse(TEXT.as_bytes())
    }

    fn record(value: &str) -> Record {
        Record::quoted(&[value]).unwrap()
    }

    #[track_caller]
    fn check(lines: &Lines, expected: &str) {
        assert_eq!(lines.to_bytes().to_str_lossy(), expected);
    }

    #[test]
    fn a_remark_is_the_one_comment_above_a_row() {
        let found: Vec<_> = lines().rows().map(|row| (row.line, row.values.concat(), row.remark)).collect();
        let expected = [(3, "a", ""), (6, "b", "about b"), (8, "c", "")];
        assert_eq!(found, expected.map(|(line, value, remark)| (line, value.into(), remark.into())));
    }

    #[test]
    fn changes_touch_the_row_and_its_remark_only() {
        let mut changed = lines();
        changed.set(6, &record("B"), Some("new\nremark"));
        check(&changed, "# head\n# more\n\"a\"\n\n# new remark\n\"B\"\n#\"off\"\n\"c\"\n");
        changed.set(6, &record("B"), Some(""));
        check(&changed, "# head\n# more\n\"a\"\n\n\"B\"\n#\"off\"\n\"c\"\n");
        changed.set(3, &record("a"), Some("mine"));
        assert_eq!(changed.row(5).unwrap().remark, "mine");
        let mut changed = lines();
        changed.remove(6);
        check(&changed, "# head\n# more\n\"a\"\n\n#\"off\"\n\"c\"\n");
        let mut changed = Lines::parse(b"\"a\"");
        changed.push(&record("b"), "why");
        check(&changed, "\"a\"\n# why\n\"b\"\n");
        changed.remove(3);
        changed.remove(1);
        assert!(changed.is_blank());
    }

    #[test]
    fn rows_change_places_with_their_remarks() {
        let mut changed = lines();
        assert!(changed.shift(6, true));
        check(&changed, "# head\n# more\n# about b\n\"b\"\n\n\"a\"\n#\"off\"\n\"c\"\n");
        let mut changed = Lines::parse(b"# 1\n\"a\"\n\"b\"\r\n\"c\"");
        assert!(changed.shift(2, false));
        check(&changed, "\"b\"\r\n# 1\n\"a\"\n\"c\"");
        assert!(changed.shift(3, false));
        check(&changed, "\"b\"\r\n\"c\"\n# 1\n\"a\"\n");
        assert!(!changed.shift(1, true) && !changed.shift(4, false) && !changed.shift(9, true));
    }
}
