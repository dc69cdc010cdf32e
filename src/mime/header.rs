//! Header blocks: their fields as they stand, and the blocks that `BODY[HEADER.FIELDS]` answers with.
//!
//! ```text
//! field = name [WSP] ":" value *( CRLF WSP value ) CRLF
//! ```
//!
//! A line that is neither a field nor a continuation is passed over, as Dovecot does; a blank line ends the block.

use std::borrow::Cow;

use bstr::ByteSlice as _;

/// One field of a header block, borrowed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderField<'a> {
    /// The name without white space before the colon, in the case it came in.
    pub name: &'a [u8],
    /// What follows the colon: folded, with its last line end.
    pub value: &'a [u8],
    /// The whole field as it stands.
    pub raw: &'a [u8],
}

impl HeaderField<'_> {
    /// Whether this is the field of that name, without regard to case.
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// The fields of a header block in their order, to the first blank line or the end of `block`.
pub fn fields(block: &[u8]) -> impl Iterator<Item = HeaderField<'_>> {
    let mut rest = block;
    std::iter::from_fn(move || {
        loop {
            let first = line(rest);
            if first.is_empty() || is_blank(first) {
                return None;
            }
            let mut length = first.len();
            while matches!(rest.get(length), Some(b' ' | b'\t')) {
                length += line(&rest[length..]).len();
            }
            let (raw, behind) = rest.split_at(length);
            rest = behind;
            if let Some(field) = split_name(raw, first.len()) {
                return Some(field);
            }
        }
    })
}

/// A field needs a colon in its first line, and a name before it that is not white space.
fn split_name(raw: &[u8], first_line_bytes: usize) -> Option<HeaderField<'_>> {
    let colon = raw[..first_line_bytes].find_byte(b':')?;
    let name = raw[..colon].trim_end_with(|c| matches!(c, ' ' | '\t'));
    let is_name = !name.is_empty() && !name.iter().any(|b| matches!(b, b' ' | b'\t'));
    is_name.then(|| HeaderField { name, value: &raw[colon + 1..], raw })
}

/// The fields whose names are listed (or, with `not`, all others) as they stand, and the blank line that RFC 9051 6.4.5
/// wants behind them.
pub fn header_fields(block: &[u8], names: &[&[u8]], not: bool) -> Vec<u8> {
    let mut found = Vec::new();
    for field in fields(block) {
        if names.iter().any(|name| field.is(name)) != not {
            found.extend_from_slice(field.raw);
            if !field.raw.ends_with(b"\n") {
                found.extend_from_slice(b"\r\n");
            }
        }
    }
    found.extend_from_slice(b"\r\n");
    found
}

/// A value on one line: each fold is one blank, lines of white space only vanish, and so does white space at both ends.
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_with(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
    if value.find_byteset(b"\r\n").is_none() {
        return Cow::Borrowed(value);
    }
    let mut unfolded: Vec<u8> = Vec::with_capacity(value.len());
    for line in value.lines_with_terminator() {
        let text = line.trim_end_with(|c| matches!(c, '\r' | '\n'));
        let continues = !unfolded.is_empty();
        match text {
            [] => {}
            text if text.iter().all(|b| matches!(b, b' ' | b'\t')) => {}
            [b' ' | b'\t', behind @ ..] if continues => {
                unfolded.push(b' ');
                unfolded.extend_from_slice(behind);
            }
            text => unfolded.extend_from_slice(text),
        }
    }
    // A CR alone is no line end, and no octet of a quoted string either.
    for octet in unfolded.iter_mut().filter(|octet| **octet == b'\r') {
        *octet = b' ';
    }
    Cow::Owned(unfolded)
}

/// Whether a line with its line end is blank.
pub(super) fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\r\n" | b"\n")
}

fn line(bytes: &[u8]) -> &[u8] {
    match bytes.find_byte(b'\n') {
        Some(end) => &bytes[..=end],
        None => bytes,
    }
}
