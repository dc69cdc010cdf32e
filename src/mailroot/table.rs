//! From lines as written to rows with a meaning: what all typed tables share.

use std::path::Path;

use bstr::{BStr, BString, ByteSlice};

use super::problem::{Problem, ProblemKind, Problems};
use crate::tab::{Field, LineKind, Oddity, TabFile};

/// One MailRoot file read as a typed table. Loading never fails: what cannot be used becomes a [`Problem`].
pub trait Table: Default + Send + Sync + 'static {
    /// How many columns and bytes its rows have.
    const SPEC: RowSpec;

    /// Takes one row that has the columns the spec demands.
    fn push(&mut self, row: Row, problems: &mut Problems);

    /// Called once after the last row, to sort or cross-check.
    fn finish(&mut self, _problems: &mut Problems) {}

    /// Reads a whole file; `file` is its path relative to the MailRoot, for the problems.
    fn load(file: &Path, bytes: &[u8]) -> (Self, Vec<Problem>) {
        let mut problems = Problems::of(file);
        let mut table = Self::default();
        if bytes.starts_with(b"\xef\xbb\xbf") {
            problems.note(1, 1, ProblemKind::ByteOrderMark);
        }
        for (index, line) in TabFile::parse(bytes).lines().iter().enumerate() {
            if line.kind() != LineKind::Record {
                continue;
            }
            let row = Row {
                line: u32::try_from(index + 1).unwrap_or(u32::MAX),
                raw: line.content().into(),
                fields: line.fields(),
            };
            if line.has_nul() {
                problems.note(row.line, 0, ProblemKind::NulByte);
            }
            if Self::SPEC.accepts(&row, line.raw().len(), &mut problems) {
                table.push(row, &mut problems);
            }
        }
        table.finish(&mut problems);
        (table, problems.into_vec())
    }
}

/// The shape of a table's rows (`mailroot.md` 6).
#[derive(Clone, Copy, Debug)]
pub struct RowSpec {
    /// Fewer columns than this and the row is ignored.
    pub min_columns: usize,
    /// More columns than this and the row is ignored; `None`: further columns are.
    pub max_columns: Option<usize>,
    /// The largest line XMail reads in one piece, in bytes with its line end.
    pub line_bytes_max: usize,
}

impl RowSpec {
    /// Rows of at least `min_columns` columns.
    pub const fn at_least(min_columns: usize, line_bytes_max: usize) -> Self {
        Self { min_columns, max_columns: None, line_bytes_max }
    }

    /// Rows of exactly `columns` columns.
    pub const fn exactly(columns: usize, line_bytes_max: usize) -> Self {
        Self { min_columns: columns, max_columns: Some(columns), line_bytes_max }
    }

    fn accepts(&self, row: &Row, length: usize, problems: &mut Problems) -> bool {
        if length > self.line_bytes_max {
            problems.note(row.line, 0, ProblemKind::LineTooLong { length, limit: self.line_bytes_max });
        }
        for field in &row.fields {
            match field.oddity {
                Some(Oddity::Unclosed) => problems.note(row.line, field.column, ProblemKind::UnclosedQuote),
                Some(Oddity::TextAfterQuote) => {
                    problems.note(row.line, field.column, ProblemKind::TextAfterQuote);
                }
                None => {}
            }
        }
        let found = row.fields.len();
        if let Some(needed) = self.max_columns
            && found != needed
        {
            problems.note(row.line, 0, ProblemKind::WrongColumnCount { needed, found });
            return false;
        }
        if found < self.min_columns {
            problems.note(row.line, 0, ProblemKind::TooFewColumns { needed: self.min_columns, found });
        }
        found >= self.min_columns
    }
}

/// One record of a table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The line in its file, from 1.
    pub line: u32,
    /// The line as written, without its end.
    pub raw: BString,
    /// The columns; at least as many as the table's spec demands.
    pub fields: Vec<Field>,
}

impl Row {
    /// The value of column `index` (from 0); empty where the row has no such column.
    pub fn bytes(&self, index: usize) -> &BStr {
        self.fields.get(index).map_or_else(|| BStr::new(""), |field| field.value.as_bstr())
    }

    /// The byte column where column `index` begins.
    pub fn column(&self, index: usize) -> u32 {
        self.fields.get(index).map_or(0, |field| field.column)
    }

    /// The value of column `index` as text, or a noted problem.
    pub fn text(&self, index: usize, problems: &mut Problems) -> Option<Box<str>> {
        match self.bytes(index).to_str() {
            Ok(text) => Some(text.into()),
            Err(_) => {
                problems.note(self.line, self.column(index), ProblemKind::NotUtf8);
                None
            }
        }
    }

    /// All values from column `first` on.
    pub fn values_from(&self, first: usize) -> impl Iterator<Item = &BStr> {
        self.fields.iter().skip(first).map(|field| field.value.as_bstr())
    }
}
