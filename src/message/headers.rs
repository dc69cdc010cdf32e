//! The header block of a stored message.

use std::borrow::Cow;
use std::ops::Range;

use bstr::ByteSlice;

/// One header field as it stands in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written, without the colon and without blanks before it (RFC 5322 §4.5.8).
    pub name: &'a [u8],
    /// Everything behind the colon up to the last line end, folds included.
    pub raw_value: &'a [u8],
    /// Where the field stands in the scanned bytes, its last line end included.
    pub whole: Range<usize>,
}

impl<'a> Field<'a> {
    /// Whether the field has this name, ASCII case folded.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value unfolded and without blanks around it.
    #[must_use]
    pub fn value(&self) -> Cow<'a, [u8]> {
        unfold(self.raw_value)
    }
}

/// Why the header block ends where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderEnd {
    /// A blank line; the body stands behind it.
    BlankLine {
        /// Index of the body's first byte.
        body: usize,
    },
    /// A line that is no header; it is the first line of the body. In a prefix whose last line is cut this may be
    /// the beginning of a header.
    NotAHeader {
        /// Index of the body's first byte.
        body: usize,
    },
    /// The bytes given end inside the headers: the message has no body, or the caller gave a prefix.
    EndOfInput,
}

impl HeaderEnd {
    /// Index of the body, or of the end of `message` when no body was seen.
    #[must_use]
    pub fn body_start(self, message: &[u8]) -> usize {
        match self {
            Self::BlankLine { body } | Self::NotAHeader { body } => body,
            Self::EndOfInput => message.len(),
        }
    }
}

/// Iterates over the fields of a message and then knows where the body begins.
///
/// ```
/// use tabmail::message::{HeaderEnd, HeaderScanner};
/// let mut scanner = HeaderScanner::new(b"Subject: one\r\n two\nTo: x\r\n\r\nbody");
/// let subject = scanner.next().unwrap();
/// assert_eq!(&*subject.value(), b"one two");
/// assert_eq!(scanner.end(), HeaderEnd::BlankLine { body: 28 });
/// ```
#[derive(Debug, Clone)]
pub struct HeaderScanner<'a> {
    message: &'a [u8],
    position: usize,
    end: Option<HeaderEnd>,
}

impl<'a> HeaderScanner<'a> {
    /// Scans `message`, which may be a prefix of one.
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self { message, position: 0, end: None }
    }

    /// Scans what is left of the header block and says where it ends.
    #[must_use]
    pub fn end(mut self) -> HeaderEnd {
        while self.next().is_some() {}
        self.end.unwrap_or(HeaderEnd::EndOfInput)
    }

    fn finish(&mut self, end: HeaderEnd) -> Option<Field<'a>> {
        self.end = Some(end);
        None
    }
}

impl<'a> Iterator for HeaderScanner<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.end.is_some() {
            return None;
        }
        let start = self.position;
        let first_line = line_at(self.message, start);
        if first_line.is_empty() {
            return self.finish(HeaderEnd::EndOfInput);
        }
        if without_line_end(first_line).is_empty() {
            return self.finish(HeaderEnd::BlankLine { body: start + first_line.len() });
        }
        let Some(name) = field_name(first_line) else {
            return self.finish(HeaderEnd::NotAHeader { body: start });
        };
        let mut end = start + first_line.len();
        while is_continuation(line_at(self.message, end)) {
            end += line_at(self.message, end).len();
        }
        self.position = end;
        let value_start = start + memchr::memchr(b':', first_line)? + 1;
        let raw_value = without_line_end(&self.message[value_start..end]);
        Some(Field { name, raw_value, whole: start..end })
    }
}

impl std::iter::FusedIterator for HeaderScanner<'_> {}

/// Where the header block of `message` ends.
#[must_use]
pub fn header_end(message: &[u8]) -> HeaderEnd {
    HeaderScanner::new(message).end()
}

/// Where a blank line is missing between headers and body, as index into `message`. XMail puts one there in mailbox
/// copies (golden `smtp_basic`, connection `helo-only`), without which every reader takes the body for headers.
#[must_use]
pub fn missing_blank_line(message: &[u8]) -> Option<usize> {
    match header_end(message) {
        HeaderEnd::NotAHeader { body } => Some(body),
        HeaderEnd::BlankLine { .. } | HeaderEnd::EndOfInput => None,
    }
}

/// The first field with this name, ASCII case folded.
#[must_use]
pub fn first<'a>(message: &'a [u8], name: &str) -> Option<Field<'a>> {
    HeaderScanner::new(message).find(|field| field.is(name))
}

/// How many hops the message has: `Received` and `X-Deliver-To` fields (loop check, `mailflow.md` 2.9).
#[must_use]
pub fn count_trace_fields(message: &[u8]) -> usize {
    HeaderScanner::new(message).filter(|field| field.is("Received") || field.is("X-Deliver-To")).count()
}

/// Who was logged in when the message was submitted: the first `X-AuthUser` before the first `Received`, which only
/// this server can have put there (`mailflow.md` 1.7, 3.9). An empty name counts as none.
#[must_use]
pub fn auth_user(message: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut ours = HeaderScanner::new(message).take_while(|field| !field.is("Received"));
    ours.find(|field| field.is("X-AuthUser")).map(|field| field.value()).filter(|name| !name.is_empty())
}

/// Removes the line ends of a folded value and the blanks around it (RFC 5322 §2.2.3).
#[must_use]
pub fn unfold(raw_value: &[u8]) -> Cow<'_, [u8]> {
    let trimmed = raw_value.trim_with(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
    if memchr::memchr(b'\n', trimmed).is_none() {
        return Cow::Borrowed(trimmed);
    }
    let unfolded: Vec<u8> = lines(trimmed).flat_map(without_line_end).copied().collect();
    Cow::Owned(unfolded)
}

/// The line at `position` with its LF; empty at the end of `bytes`.
fn line_at(bytes: &[u8], position: usize) -> &[u8] {
    let rest = bytes.get(position..).unwrap_or_default();
    let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
    &rest[..end]
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n')
}

/// A CR ends a line together with an LF only: at the end of a prefix its LF is still to come.
fn without_line_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n")).unwrap_or(line)
}

/// `None` when the line is no header: no colon, nothing before it, or a blank at its beginning.
fn field_name(line: &[u8]) -> Option<&[u8]> {
    if is_continuation(line) {
        return None;
    }
    let colon = memchr::memchr(b':', line)?;
    let name = line[..colon].trim_end_with(|c| matches!(c, ' ' | '\t'));
    (!name.is_empty()).then_some(name)
}

fn is_continuation(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}
