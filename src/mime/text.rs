//! ENVELOPE, BODY and BODYSTRUCTURE as they stand in a FETCH response (RFC 9051 7.5.2 and 9).
//!
//! ```text
//! envelope    = "(" date subject from sender reply-to to cc bcc in-reply-to message-id ")"
//! body        = "(" 1*body media-subtype [params dsp lang loc] ")"
//!             / "(" media subtype params id desc enc octets [envelope body] [lines] [md5 dsp lang loc] ")"
//! ```

use std::io::Write as _;

use super::DEPTH_MAX;
use super::envelope::{Address, Envelope};
use super::structure::{Content, Disposition, Param, Part, Structure};

/// Appends the envelope.
pub fn envelope_text(envelope: &Envelope, into: &mut Vec<u8>) {
    into.push(b'(');
    nstring(envelope.date.as_deref(), into);
    into.push(b' ');
    nstring(envelope.subject.as_deref(), into);
    let lists =
        [&envelope.from, &envelope.sender, &envelope.reply_to, &envelope.to, &envelope.cc, &envelope.bcc];
    for list in lists {
        into.push(b' ');
        addresses(list, into);
    }
    into.push(b' ');
    nstring(envelope.in_reply_to.as_deref(), into);
    into.push(b' ');
    nstring(envelope.message_id.as_deref(), into);
    into.push(b')');
}

fn addresses(list: &[Address], into: &mut Vec<u8>) {
    if list.is_empty() {
        into.extend_from_slice(b"NIL");
        return;
    }
    into.push(b'(');
    for one in list {
        into.push(b'(');
        for (index, text) in [&one.name, &one.route, &one.mailbox, &one.host].into_iter().enumerate() {
            if index > 0 {
                into.push(b' ');
            }
            nstring(text.as_deref(), into);
        }
        into.push(b')');
    }
    into.push(b')');
}

/// Whose grammar a structure is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 3501 knows message/rfc822 only: a message/global is written like any file, as Dovecot does.
    Rev1,
    /// RFC 9051 wants the envelope and body of message/global, too.
    Rev2,
}

/// Appends what BODY (not `extended`) or BODYSTRUCTURE (`extended`) tells.
pub fn body_structure_text(structure: &Structure, extended: bool, dialect: Dialect, into: &mut Vec<u8>) {
    Writer { structure, extended, dialect }.part(0, 0, into);
}

struct Writer<'a> {
    structure: &'a Structure,
    extended: bool,
    dialect: Dialect,
}

impl Writer<'_> {
    fn part(&self, index: u32, depth: usize, into: &mut Vec<u8>) {
        let found = usize::try_from(index).ok().and_then(|index| self.structure.parts.get(index));
        let Some(part) = found.filter(|_| depth <= DEPTH_MAX) else {
            into.extend_from_slice(b"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0)");
            return;
        };
        into.push(b'(');
        match &part.content {
            Content::Multipart(children) => {
                for child in children {
                    self.part(*child, depth + 1, into);
                }
                into.push(b' ');
                string(&part.subtype, into);
                if self.extended {
                    into.push(b' ');
                    params(&part.params, false, into);
                    self.extension(part, into);
                }
            }
            Content::Message { root, envelope } if self.tells_of(part) => {
                basic(part, into);
                into.push(b' ');
                envelope_text(envelope, into);
                into.push(b' ');
                self.part(*root, depth + 1, into);
                number(part.lines, into);
                self.single_extension(part, into);
            }
            Content::Message { .. } | Content::Leaf => {
                basic(part, into);
                if part.is_media("text") {
                    number(part.lines, into);
                }
                self.single_extension(part, into);
            }
        }
        into.push(b')');
    }

    fn tells_of(&self, message: &Part) -> bool {
        self.dialect == Dialect::Rev2 || message.is_type("message", "rfc822")
    }

    fn single_extension(&self, part: &Part, into: &mut Vec<u8>) {
        if self.extended {
            into.push(b' ');
            nstring(part.md5.as_deref(), into);
            self.extension(part, into);
        }
    }

    fn extension(&self, part: &Part, into: &mut Vec<u8>) {
        into.push(b' ');
        match &part.disposition {
            None => into.extend_from_slice(b"NIL"),
            Some(Disposition { kind, params: list }) => {
                into.push(b'(');
                string(kind, into);
                into.push(b' ');
                params(list, false, into);
                into.push(b')');
            }
        }
        into.push(b' ');
        if part.language.is_empty() {
            into.extend_from_slice(b"NIL");
        } else {
            into.push(b'(');
            for (index, tag) in part.language.iter().enumerate() {
                if index > 0 {
                    into.push(b' ');
                }
                string(tag, into);
            }
            into.push(b')');
        }
        into.push(b' ');
        nstring(part.location.as_deref(), into);
    }
}

/// media subtype params id desc enc octets
fn basic(part: &Part, into: &mut Vec<u8>) {
    string(&part.media, into);
    into.push(b' ');
    string(&part.subtype, into);
    into.push(b' ');
    // RFC 2045 5.2: text without a charset is US-ASCII, and clients want to be told.
    params(&part.params, part.is_media("text") && part.charset().is_none(), into);
    into.push(b' ');
    nstring(part.id.as_deref(), into);
    into.push(b' ');
    nstring(part.description.as_deref(), into);
    into.push(b' ');
    string(part.encoding.as_deref().unwrap_or(b"7bit"), into);
    number(part.body.end.saturating_sub(part.body.start), into);
}

fn params(list: &[Param], us_ascii: bool, into: &mut Vec<u8>) {
    if list.is_empty() && !us_ascii {
        into.extend_from_slice(b"NIL");
        return;
    }
    into.push(b'(');
    for (index, Param { name, value }) in list.iter().enumerate() {
        if index > 0 {
            into.push(b' ');
        }
        string(name, into);
        into.push(b' ');
        string(value, into);
    }
    if us_ascii {
        if !list.is_empty() {
            into.push(b' ');
        }
        into.extend_from_slice(b"\"charset\" \"us-ascii\"");
    }
    into.push(b')');
}

fn number(value: u64, into: &mut Vec<u8>) {
    // Nothing can fail where memory is written to.
    let _ = write!(into, " {value}");
}

/// Appends NIL or a string.
pub fn nstring(text: Option<&[u8]>, into: &mut Vec<u8>) {
    match text {
        Some(text) => string(text, into),
        None => into.extend_from_slice(b"NIL"),
    }
}

/// Appends a quoted string, or a literal where a quoted string may not hold the text. NUL may stand in neither: it is
/// written as `?`.
pub fn string(text: &[u8], into: &mut Vec<u8>) {
    let fits = text.len() <= QUOTED_BYTES_MAX
        && text.iter().all(|octet| octet.is_ascii() && !matches!(octet, b'\r' | b'\n'));
    let written = |octet: u8| if octet == 0 { b'?' } else { octet };
    if fits {
        into.push(b'"');
        if memchr::memchr3(b'"', b'\\', 0, text).is_none() {
            into.extend_from_slice(text);
        } else {
            for &octet in text {
                if matches!(octet, b'"' | b'\\') {
                    into.push(b'\\');
                }
                into.push(written(octet));
            }
        }
        into.push(b'"');
    } else {
        into.extend_from_slice(format!("{{{}}}\r\n", text.len()).as_bytes());
        into.extend(text.iter().map(|octet| written(*octet)));
    }
}

/// The longest text that is quoted, in bytes: old clients read lines into buffers of 1,000 and more bytes.
const QUOTED_BYTES_MAX: usize = 900;
