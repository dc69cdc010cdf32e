//! From lines as written to rows with a meaning: what all typed tables share.

use std::path::Path;

use bstr::{BStr, ByteSlice};

use super::problem::{Problem, ProblemKind, Problems};
use super::revision::Change;
use crate::tab::{self, FieldRef, LineKind, Oddity};

/// One MailRoot file read as a typed table. Loading never fails: what cannot be used becomes a [`Problem`].
pub trait Table: Default + Send + Sync + 'static {
    /// How many columns and bytes its rows have.
    const SPEC: RowSpec;

    /// Whether a row means the same whatever stands around it, duplicates aside, and [`Table::revised`] is there.
    const IS_REVISABLE: bool = false;

    /// This table after some of its lines were replaced by those of `part`, which was read by itself; neither has
    /// duplicates. `None` when it must be read anew.
    fn revised(&self, _part: Self, _change: &Change<'_>) -> Option<Self> {
        None
    }

    /// Told once before the first row: there will be at most about this many.
    fn expect(&mut self, _rows: usize) {}

    /// Takes one row that has the columns the spec demands.
    fn push(&mut self, row: Row<'_>, problems: &mut Problems);

    /// Called once after the last row, to sort or cross-check.
    fn finish(&mut self, _problems: &mut Problems) {}

    /// Reads a whole file; `file` is its path relative to the MailRoot, for the problems.
    fn load(file: &Path, bytes: &[u8]) -> (Self, Vec<Problem>) {
        let (table, problems, _) = Self::load_counted(file, bytes);
        (table, problems)
    }

    /// As [`Table::load`], with the number of rows that were taken.
    fn load_counted(file: &Path, bytes: &[u8]) -> (Self, Vec<Problem>, usize) {
        let mut rows = 0;
        let mut problems = Problems::of(file);
        let mut table = Self::default();
        if bytes.starts_with(BYTE_ORDER_MARK) {
            problems.note(1, 1, ProblemKind::ByteOrderMark);
        }
        table.expect(bytes.iter().filter(|&&byte| byte == b'\n').count().min(EXPECTED_ROWS_MAX));
        // One vector for all rows: a large table has no time for one each.
        let mut fields = Vec::new();
        for (index, line) in tab::lines(bytes).enumerate() {
            let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
            if line.has_nul() && line.kind() != LineKind::Comment {
                problems.note(number, 0, ProblemKind::NulByte);
            }
            if line.kind() != LineKind::Record {
                continue;
            }
            fields.clear();
            fields.extend(tab::field_refs(line.content()));
            let row = Row { line: number, raw: line.content().as_bstr(), fields: &fields };
            if Self::SPEC.accepts(&row, line.raw().len(), &mut problems) {
                rows += 1;
                table.push(row, &mut problems);
            }
        }
        table.finish(&mut problems);
        (table, problems.into_vec(), rows)
    }
}

/// What some editors put before the first line.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// For how many rows room is made in advance; a file of blank lines must not cost memory. Ours.
const EXPECTED_ROWS_MAX: usize = 1 << 20;

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

    fn accepts(&self, row: &Row<'_>, length: usize, problems: &mut Problems) -> bool {
        if length > self.line_bytes_max {
            problems.note(row.line, 0, ProblemKind::LineTooLong { length, limit: self.line_bytes_max });
        }
        for field in row.fields {
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

/// One record of a table, as long as its file is in memory.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The line in its file, from 1.
    pub line: u32,
    /// The line as written, without its end.
    pub raw: &'a BStr,
    /// The columns; at least as many as the table's spec demands.
    pub fields: &'a [FieldRef<'a>],
}

impl<'a> Row<'a> {
    /// The value of column `index` (from 0); empty where the row has no such column.
    pub fn bytes(&self, index: usize) -> &'a BStr {
        self.fields.get(index).map_or_else(|| BStr::new(""), |field| field.value.as_bstr())
    }

    /// The byte column where column `index` begins.
    pub fn column(&self, index: usize) -> u32 {
        self.fields.get(index).map_or(0, |field| field.column)
    }

    /// The value of column `index` as text, or a noted problem.
    pub fn text(&self, index: usize, problems: &mut Problems) -> Option<Box<str>> {
        self.str(index, problems).map(Into::into)
    }

    /// As [`Row::text`], without a copy.
    pub fn str(&self, index: usize, problems: &mut Problems) -> Option<&'a str> {
        match std::str::from_utf8(self.bytes(index)) {
            Ok(text) => Some(text),
            Err(_) => {
                problems.note(self.line, self.column(index), ProblemKind::NotUtf8);
                None
            }
        }
    }

    /// All values from column `first` on.
    pub fn values_from(&self, first: usize) -> impl Iterator<Item = &'a BStr> {
        self.fields.iter().skip(first).map(|field| field.value.as_bstr())
    }
}

/// Reads `text` as the MailRoot file `file`; the problems come as their texts.
#[cfg(test)]
pub(super) fn load_text<T: Table>(file: &str, text: &str) -> (T, Vec<String>) {
    let (table, problems) = T::load(Path::new(file), text.as_bytes());
    (table, problems.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::{access, accounts, authentication, command_file, dnsroots, filters, folders};
    use crate::mailroot::{links, lists, profile, routing, server_tab};
    use proptest::prelude::*;

    fn load_everything(bytes: &[u8]) {
        fn lines_are_real<T: Table>(bytes: &[u8]) {
            let lines = tab::lines(bytes).count();
            let (_, problems) = T::load(Path::new("mailproc.tab"), bytes);
            for problem in problems {
                assert!(problem.line as usize <= lines, "{problem}");
                assert!(!problem.to_string().contains('\n'), "{problem}");
            }
        }
        lines_are_real::<server_tab::ServerTab>(bytes);
        lines_are_real::<profile::UserTab>(bytes);
        lines_are_real::<accounts::Domains>(bytes);
        lines_are_real::<accounts::AliasDomains>(bytes);
        lines_are_real::<accounts::MailUsers>(bytes);
        lines_are_real::<accounts::Aliases>(bytes);
        lines_are_real::<accounts::ExtAliases>(bytes);
        lines_are_real::<access::IpMap>(bytes);
        lines_are_real::<access::SmtpRelay>(bytes);
        lines_are_real::<access::Spammers>(bytes);
        lines_are_real::<access::SpamAddresses>(bytes);
        lines_are_real::<access::IpProperties>(bytes);
        lines_are_real::<access::HostProperties>(bytes);
        lines_are_real::<routing::SmtpGw>(bytes);
        lines_are_real::<routing::SmtpFwd>(bytes);
        lines_are_real::<authentication::SmtpAuth>(bytes);
        lines_are_real::<authentication::SmtpExtAuth>(bytes);
        lines_are_real::<authentication::CtrlAccounts>(bytes);
        lines_are_real::<authentication::Pop3ExtAuth>(bytes);
        lines_are_real::<authentication::SmtpClientAuth>(bytes);
        lines_are_real::<command_file::CommandFile>(bytes);
        lines_are_real::<filters::FilterRules>(bytes);
        lines_are_real::<filters::FilterProgram>(bytes);
        lines_are_real::<links::Pop3Links>(bytes);
        lines_are_real::<lists::ListMembers>(bytes);
        lines_are_real::<dnsroots::DnsRoots>(bytes);
        lines_are_real::<folders::ImapFolders>(bytes);
        lines_are_real::<folders::ImapFlags>(bytes);
        lines_are_real::<folders::ImapKeywords>(bytes);
    }

    /// Pieces that reach the parsers behind the grammar, which random bytes rarely do.
    const PIECES: [&[u8]; 28] = [
        b"\t",
        b"\t",
        b"\t",
        b"\n",
        b"\"",
        b"\\",
        b"#",
        b"!",
        b"?",
        b"&",
        b"@",
        b",",
        b";",
        b":",
        b"|",
        b"[",
        b"]",
        b"/",
        b"=",
        b"-",
        b"0",
        b"99999999999999999999",
        b"::ffff:1.2.3.4",
        b"192.0.2.1",
        b"external",
        b"smtprelay",
        b"NeedTLS",
        b"\xff\0",
    ];

    proptest! {
        #[test]
        fn no_bytes_make_a_table_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            load_everything(&bytes);
        }

        #[test]
        fn no_mixture_of_meaningful_pieces_makes_a_table_panic(
            pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..60),
        ) {
            load_everything(&pieces.concat());
        }
    }
}
