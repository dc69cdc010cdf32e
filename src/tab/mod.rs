//! The TAB grammar: the lines of a MailRoot table as they are written, byte for byte.
//!
//! Shape (`mailroot.md` 2):
//!
//! ```text
//! "home.test"<TAB>"info"<TAB>""      three columns, the third empty
//! home.test<TAB>info                 two columns, unquoted
//! "say \"hi\""                       one column: say "hi"
//! # text                             a comment: the first byte is '#'
//! ```
//!
//! A line ends at LF; CR and LF bytes at its end do not belong to it; a NUL ends its content early. Runs of TABs
//! are one separator and outer TABs vanish, so an empty column is only ever `""`. There is no character set.
//! Reading never fails: what a line *means* is for [`crate::mailroot`] to judge. `TabFile::parse` followed by
//! [`TabFile::to_bytes`] gives back the same bytes.

pub mod wildcard;

use std::borrow::Cow;
use std::iter;

use bstr::{BString, ByteSlice};

/// A whole table file, line by line, without loss.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TabFile {
    lines: Vec<Line>,
}

impl TabFile {
    /// Cuts `bytes` into lines. Every byte is kept.
    pub fn parse(bytes: &[u8]) -> Self {
        Self { lines: bytes.lines_with_terminator().map(|raw| Line { raw: raw.into() }).collect() }
    }

    /// The file as bytes: exactly what was parsed, plus what was edited.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| line.raw.iter().copied()).collect()
    }

    /// The lines in file order; line *n* of the file is at index *n* - 1.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Replaces the line at `index` by a record in XMail's writing; its line end is kept.
    ///
    /// # Panics
    /// Never for an index below `lines().len()`; an index past the end is ignored.
    pub fn set(&mut self, index: usize, record: &Record) {
        if let Some(line) = self.lines.get_mut(index) {
            let end = line.ending().to_vec();
            line.raw = record.text.clone();
            line.raw.extend_from_slice(if end.is_empty() { b"\n" } else { &end });
        }
    }

    /// Removes the line at `index`, with its line end.
    pub fn remove(&mut self, index: usize) {
        if index < self.lines.len() {
            self.lines.remove(index);
        }
    }

    /// Removes the lines at `indexes`, which ascend: many at the cost of one.
    pub fn remove_all(&mut self, indexes: &[usize]) {
        let (mut index, mut gone) = (0, indexes.iter().peekable());
        self.lines.retain(|_| {
            let is_gone = gone.next_if(|&&next| next == index).is_some();
            index += 1;
            !is_gone
        });
    }

    /// Appends a record. A last line without a line end gets one first (decision 20).
    pub fn push(&mut self, record: &Record) {
        // A CR alone does not end a line.
        if let Some(last) = self.lines.last_mut()
            && !last.raw.ends_with(b"\n")
        {
            last.raw.push(b'\n');
        }
        let mut raw = record.text.clone();
        raw.push(b'\n');
        self.lines.push(Line { raw });
    }
}

/// One line as it stands in the file, with its line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    raw: BString,
}

/// The lines of a file without a copy of it, for readers that change nothing; line *n* comes as number *n* - 1.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = LineRef<'_>> {
    bytes.lines_with_terminator().map(LineRef::new)
}

/// One line of a file in memory.
#[derive(Clone, Copy, Debug)]
pub struct LineRef<'a> {
    raw: &'a [u8],
    content: &'a [u8],
    has_nul: bool,
}

impl<'a> LineRef<'a> {
    fn new(raw: &'a [u8]) -> Self {
        let body = raw.trim_end_with(|c| c == '\r' || c == '\n');
        match body.find_byte(0) {
            Some(nul) => Self { raw, content: &body[..nul], has_nul: true },
            None => Self { raw, content: body, has_nul: false },
        }
    }

    /// The bytes as written, line end included.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The bytes before the line end; a NUL ends them early, as XMail reads it.
    pub fn content(&self) -> &'a [u8] {
        self.content
    }

    /// Whether a NUL byte hides the rest of the line.
    pub fn has_nul(&self) -> bool {
        self.has_nul
    }

    /// What kind of line this is.
    pub fn kind(&self) -> LineKind {
        match self.content.first() {
            None => LineKind::Blank,
            Some(b'#') => LineKind::Comment,
            Some(_) => LineKind::Record,
        }
    }
}

impl Line {
    /// The bytes as written, line end included.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The bytes before the line end; a NUL ends them early, as XMail reads it.
    pub fn content(&self) -> &[u8] {
        LineRef::new(&self.raw).content
    }

    /// Whether a NUL byte hides the rest of the line.
    pub fn has_nul(&self) -> bool {
        LineRef::new(&self.raw).has_nul
    }

    /// What kind of line this is.
    pub fn kind(&self) -> LineKind {
        LineRef::new(&self.raw).kind()
    }

    /// The columns, unquoted. Empty for comments and blank lines, and for a line of TABs only.
    pub fn fields(&self) -> Vec<Field> {
        if self.kind() == LineKind::Record { fields(self.content()) } else { Vec::new() }
    }

    fn without_ending(&self) -> &[u8] {
        self.raw.trim_end_with(|c| c == '\r' || c == '\n')
    }

    fn ending(&self) -> &[u8] {
        &self.raw[self.without_ending().len()..]
    }
}

/// What a line is, before any table gives it a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// Nothing before the line end.
    Blank,
    /// The first byte is `#` (in every table: decision 46).
    Comment,
    /// Anything else.
    Record,
}

/// One column of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The value, unquoted.
    pub value: BString,
    /// Where the column begins in its line, in bytes from 1.
    pub column: u32,
    /// Whether it was written in double quotes.
    pub quoted: bool,
    /// What is odd about how it was written; XMail reads it all the same.
    pub oddity: Option<Oddity>,
}

/// Writing that XMail tolerates by dropping or guessing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// A quoted column without its closing quote.
    Unclosed,
    /// Text after the closing quote, which is dropped.
    TextAfterQuote,
}

/// One column of a record, borrowed where its writing allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRef<'a> {
    /// The value, unquoted.
    pub value: Cow<'a, [u8]>,
    /// As [`Field::column`].
    pub column: u32,
    /// As [`Field::quoted`].
    pub quoted: bool,
    /// As [`Field::oddity`].
    pub oddity: Option<Oddity>,
}

/// Splits the content of a record line into its columns (`mailroot.md` 2.2).
///
/// ```
/// let values: Vec<_> = tabmail::tab::fields(b"\"a\"\t\t\"\"\tb").into_iter().map(|f| f.value).collect();
/// assert_eq!(values, ["a", "", "b"]);
/// ```
pub fn fields(content: &[u8]) -> Vec<Field> {
    let owned = |FieldRef { value, column, quoted, oddity }: FieldRef<'_>| Field {
        value: value.into_owned().into(),
        column,
        quoted,
        oddity,
    };
    field_refs(content).map(owned).collect()
}

/// The same columns, one by one and without copies of what was written plainly.
pub fn field_refs(content: &[u8]) -> impl Iterator<Item = FieldRef<'_>> {
    let mut rest = content;
    let mut start = 0;
    iter::from_fn(move || {
        let before_tabs = rest.len();
        rest = &rest[rest.iter().take_while(|&&byte| byte == b'\t').count()..];
        start += before_tabs - rest.len();
        if rest.is_empty() {
            return None;
        }
        let (piece, tail) = rest.split_at(rest.find_byte(b'\t').unwrap_or(rest.len()));
        let found = field(piece, u32::try_from(start + 1).unwrap_or(u32::MAX));
        start += piece.len();
        rest = tail;
        Some(found)
    })
}

fn field(piece: &[u8], column: u32) -> FieldRef<'_> {
    let Some(quoted) = piece.strip_prefix(b"\"") else {
        return FieldRef { value: Cow::Borrowed(piece), column, quoted: false, oddity: None };
    };
    match quoted.split_last() {
        Some((b'"', value)) if !value.contains(&b'"') && !value.ends_with(b"\\") => {
            FieldRef { value: Cow::Borrowed(value), column, quoted: true, oddity: None }
        }
        _ => unquoted(quoted, column),
    }
}

/// A quoted column in all its writings; `quoted` begins after the first quote.
fn unquoted(quoted: &[u8], column: u32) -> FieldRef<'_> {
    let mut value = Vec::new();
    let mut rest = quoted;
    let oddity = loop {
        match rest {
            [b'\\', b'"', tail @ ..] => {
                value.push(b'"');
                rest = tail;
            }
            [b'"'] => break None,
            [b'"', ..] => break Some(Oddity::TextAfterQuote),
            [byte, tail @ ..] => {
                value.push(*byte);
                rest = tail;
            }
            [] => break Some(Oddity::Unclosed),
        }
    };
    FieldRef { value: Cow::Owned(value), column, quoted: true, oddity }
}

/// A record ready to be written, in XMail's quoting, without a line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    text: BString,
}

impl Record {
    /// Writes `cells` as one record (`mailroot.md` 2.3).
    ///
    /// # Errors
    /// A value that the grammar cannot represent.
    pub fn new(cells: &[Cell<'_>]) -> Result<Self, Unrepresentable> {
        let mut text = BString::default();
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                text.push(b'\t');
            }
            match cell {
                Cell::Text(value) => push_quoted(&mut text, value, index)?,
                Cell::Number(number) => text.extend_from_slice(number.to_string().as_bytes()),
            }
        }
        Ok(Self { text })
    }

    /// Writes every value in double quotes.
    ///
    /// # Errors
    /// A value that the grammar cannot represent.
    pub fn quoted<V: AsRef<[u8]>>(values: &[V]) -> Result<Self, Unrepresentable> {
        Self::new(&values.iter().map(|value| Cell::Text(value.as_ref())).collect::<Vec<_>>())
    }

    /// The text without a line end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

/// One column to be written.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'a> {
    /// Written in double quotes with `"` as `\"`.
    Text(&'a [u8]),
    /// Written bare, as XMail writes the id of `mailusers.tab`.
    Number(u64),
}

/// A value that no TAB file can hold: it has a TAB, CR, LF or NUL, or ends in a backslash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {} cannot be written to a table: {reason}", index + 1)]
pub struct Unrepresentable {
    /// The column, from 0.
    pub index: usize,
    /// What stands in the way.
    pub reason: &'static str,
}

fn push_quoted(text: &mut BString, value: &[u8], index: usize) -> Result<(), Unrepresentable> {
    let reason = match value {
        v if v.contains(&b'\t') => Some("it holds a TAB"),
        v if v.contains(&b'\n') || v.contains(&b'\r') => Some("it holds a line end"),
        v if v.contains(&0) => Some("it holds a NUL byte"),
        [.., b'\\'] => Some("it ends in a backslash"),
        _ => None,
    };
    if let Some(reason) = reason {
        return Err(Unrepresentable { index, reason });
    }
    text.push(b'"');
    for &byte in value {
        if byte == b'"' {
            text.push(b'\\');
        }
        text.push(byte);
    }
    text.push(b'"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(line: &[u8], expected: &[&str]) {
        let values: Vec<_> = fields(line).into_iter().map(|f| f.value.to_string()).collect();
        assert_eq!(values, expected);
    }

    #[test]
    fn columns_are_cut_at_tabs_before_quotes_are_looked_at() {
        check(b"\"home.test\"\t\"info\"\t\"\"", &["home.test", "info", ""]);
        check(b"home.test\tinfo", &["home.test", "info"]);
        check(b"\"a\"\t\t\"b\"\t", &["a", "b"]);
        check(b"\"say \\\"hi\\\"\"", &["say \"hi\""]);
        check(b" \"x\"", &[" \"x\""]);
        check(b"\"a\tb\"", &["a", "b\""]);
        check(b"\"a\\\\b\"", &["a\\\\b"]);
        check(b"\"a\"tail\t\"open", &["a", "open"]);
        check(b"\t\t", &[]);
    }

    #[test]
    fn a_field_knows_its_byte_column_and_its_oddities() {
        let found = fields(b"\"a\"\t\t\"b\"x\t\"c");
        assert_eq!(found.iter().map(|f| f.column).collect::<Vec<_>>(), [1, 6, 11]);
        assert_eq!(
            found.iter().map(|f| f.oddity).collect::<Vec<_>>(),
            [None, Some(Oddity::TextAfterQuote), Some(Oddity::Unclosed)]
        );
    }

    #[test]
    fn comments_blank_lines_and_nul() {
        let file = TabFile::parse(b"# x\n\r\n\"a\"\0\"b\"\r\nlast");
        let kinds: Vec<_> = file.lines().iter().map(Line::kind).collect();
        assert_eq!(kinds, [LineKind::Comment, LineKind::Blank, LineKind::Record, LineKind::Record]);
        assert!(file.lines()[2].has_nul());
        assert_eq!(file.lines()[2].fields().len(), 1);
    }

    #[test]
    fn edits_touch_one_line_and_keep_its_line_end() {
        let mut file = TabFile::parse(b"# keep\r\n\"a\"\t\"1\"\r\n\n\"b\"");
        file.set(1, &Record::quoted(&["a", "2"]).unwrap());
        file.push(&Record::new(&[Cell::Text(b"c"), Cell::Number(3)]).unwrap());
        assert_eq!(file.to_bytes(), b"# keep\r\n\"a\"\t\"2\"\r\n\n\"b\"\n\"c\"\t3\n");
        file.remove(3);
        assert_eq!(file.to_bytes(), b"# keep\r\n\"a\"\t\"2\"\r\n\n\"c\"\t3\n");
    }

    #[test]
    fn a_record_is_never_glued_to_the_last_line() {
        for (before, after) in
            [("", "\"b\"\n"), ("a", "a\n\"b\"\n"), ("a\r", "a\r\n\"b\"\n"), ("\n", "\n\"b\"\n")]
        {
            let mut file = TabFile::parse(before.as_bytes());
            file.push(&Record::quoted(&["b"]).unwrap());
            assert_eq!(file.to_bytes(), after.as_bytes(), "{before:?}");
        }
    }

    #[test]
    fn values_that_no_table_can_hold_are_refused() {
        for value in ["a\tb", "a\nb", "a\rb", "a\0b", "a\\"] {
            assert!(Record::quoted(&[value]).is_err(), "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_written_back_byte_for_byte(bytes: Vec<u8>) {
            prop_assert_eq!(TabFile::parse(&bytes).to_bytes(), bytes);
        }

        #[test]
        fn what_is_written_is_read_back(values in prop::collection::vec("[^\t\r\n\0]*[^\t\r\n\0\\\\]", 1..6)) {
            let record = Record::quoted(&values).unwrap();
            let read: Vec<_> = fields(record.as_bytes()).into_iter().map(|f| f.value.to_string()).collect();
            prop_assert_eq!(read, values);
        }
    }
}
