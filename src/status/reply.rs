//! One SMTP reply, built for the wire or read from it.

use bstr::BString;

use super::EnhancedCode;

/// A reply: code, optional enhanced code, one or more lines of text.
///
/// A built reply carries its enhanced code beside the lines and prints it on each of them. A reply that was read keeps
/// each line as the peer wrote it, enhanced code included, because logs and `slog` quote it (`mailflow.md` 2.6); then
/// `enhanced` is `None` and [`Reply::enhanced_code`] reads it from the first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599 in what we send; whatever three digits the peer wrote in what we read.
    pub code: u16,
    /// Printed after the code on every line, if its class fits (RFC 2034 §4). None on 220, EHLO and 3yz replies.
    pub enhanced: Option<EnhancedCode>,
    /// The texts without code and line end. No line is the same as one empty line.
    pub lines: Vec<BString>,
}

/// The first digit of a reply (RFC 5321 §4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyClass {
    /// 2yz.
    Positive,
    /// 3yz.
    Intermediate,
    /// 4yz.
    Transient,
    /// 5yz.
    Permanent,
    /// Anything else: the peer does not speak SMTP.
    Unknown,
}

impl Reply {
    /// A reply of one line without an enhanced code: greetings, EHLO and HELO answers, 3yz.
    #[must_use]
    pub fn new(code: u16, text: impl Into<BString>) -> Self {
        Self { code, enhanced: None, lines: vec![text.into()] }
    }

    /// A reply of one line with an enhanced code.
    #[must_use]
    pub fn enhanced(code: u16, enhanced: EnhancedCode, text: impl Into<BString>) -> Self {
        Self { code, enhanced: Some(enhanced), lines: vec![text.into()] }
    }

    /// A reply of several lines without an enhanced code.
    #[must_use]
    pub fn multi_line<T: Into<BString>>(code: u16, lines: impl IntoIterator<Item = T>) -> Self {
        Self { code, enhanced: None, lines: lines.into_iter().map(Into::into).collect() }
    }

    /// The same reply with an enhanced code.
    #[must_use]
    pub fn with_enhanced(mut self, enhanced: EnhancedCode) -> Self {
        self.enhanced = Some(enhanced);
        self
    }

    /// The bytes to send, CRLF after every line. Control characters in the texts become `?`, so that no text taken
    /// from a client, a filter or a table can start a line of its own.
    #[must_use]
    pub fn to_wire(&self) -> Vec<u8> {
        let empty = [BString::default()];
        let lines = if self.lines.is_empty() { &empty[..] } else { &self.lines[..] };
        let mut wire = Vec::new();
        for (index, text) in lines.iter().enumerate() {
            let separator = if index + 1 == lines.len() { ' ' } else { '-' };
            wire.extend_from_slice(format!("{:03}{separator}", self.code).as_bytes());
            if let Some(enhanced) = self.enhanced.filter(|enhanced| enhanced.fits(self.code)) {
                wire.extend_from_slice(format!("{enhanced} ").as_bytes());
            }
            wire.extend(text.iter().map(|byte| if is_control(*byte) { b'?' } else { *byte }));
            wire.extend_from_slice(b"\r\n");
        }
        wire
    }

    /// Reads a whole reply, lines ended by CRLF or LF; what follows the last line is ignored.
    ///
    /// # Errors
    /// [`ReplyError`]: the text is not a reply, or its last line is missing.
    pub fn parse(text: &[u8]) -> Result<Self, ReplyError> {
        let mut reader = ReplyReader::default();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if let Some(reply) = reader.push(line)? {
                return Ok(reply);
            }
        }
        Err(ReplyError::Incomplete)
    }

    /// Reads the line a filter left in its `.rej` file or an operator wrote in a table: `NNN text`.
    /// `None` when it does not begin with a 4yz or 5yz code (decision 13 says what then).
    #[must_use]
    pub fn parse_rejection(line: &[u8]) -> Option<Self> {
        let (code, separator, text) = split_line(line)?;
        let is_rejection = (400..600).contains(&code) && matches!(separator, None | Some(b' '));
        is_rejection.then(|| Self::new(code, text))
    }

    /// The class of the code.
    #[must_use]
    pub fn class(&self) -> ReplyClass {
        match self.code {
            200..=299 => ReplyClass::Positive,
            300..=399 => ReplyClass::Intermediate,
            400..=499 => ReplyClass::Transient,
            500..=599 => ReplyClass::Permanent,
            _ => ReplyClass::Unknown,
        }
    }

    /// Whether delivery must not try again: 500 to 599 (`mailflow.md` 4.7). All else but 2yz is transient.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.class() == ReplyClass::Permanent
    }

    /// Whether the code is 2yz.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.class() == ReplyClass::Positive
    }

    /// The enhanced code: that of a built reply, or the one a peer wrote on its first line.
    #[must_use]
    pub fn enhanced_code(&self) -> Option<EnhancedCode> {
        let written = || EnhancedCode::split(self.lines.first()?).map(|(code, _)| code);
        self.enhanced.or_else(written).filter(|code| code.fits(self.code))
    }

    /// The reply as logs and `slog` quote it: the wire form without its last CRLF.
    #[must_use]
    pub fn to_quoted(&self) -> BString {
        let mut wire = self.to_wire();
        wire.truncate(wire.len() - 2);
        wire.into()
    }
}

/// Gathers the lines of a reply as they arrive.
#[derive(Debug, Default)]
pub struct ReplyReader {
    reply: Option<Reply>,
    size_bytes: usize,
}

impl ReplyReader {
    /// Takes one line, with or without its line end; gives the reply when this was its last line.
    ///
    /// Tolerant as XMail's client: a line of only three digits is a last line, and a last line whose code differs
    /// from the first one decides (RFC 5321 §4.2.1 has them equal).
    ///
    /// # Errors
    /// [`ReplyError`] when the line is not a reply line or the reply grows over [`REPLY_BYTES_MAX`].
    pub fn push(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        self.size_bytes += line.len();
        if self.size_bytes > REPLY_BYTES_MAX {
            return Err(ReplyError::TooLong);
        }
        let (code, separator, text) = split_line(line).ok_or(ReplyError::NotAReply)?;
        let reply = self.reply.get_or_insert_with(|| Reply { code, enhanced: None, lines: Vec::new() });
        reply.code = code;
        reply.lines.push(text.into());
        if separator == Some(b'-') {
            return Ok(None);
        }
        self.size_bytes = 0;
        Ok(self.reply.take())
    }

    /// Whether a reply has begun and its last line is missing.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.reply.is_some()
    }
}

/// What is wrong with a peer's reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line does not begin with three digits and a blank or hyphen.
    #[error("the line is not an SMTP reply")]
    NotAReply,
    /// All lines together exceed [`REPLY_BYTES_MAX`].
    #[error("the reply is longer than {REPLY_BYTES_MAX} bytes")]
    TooLong,
    /// The text ends before the last line of the reply.
    #[error("the last line of the reply is missing")]
    Incomplete,
}

/// Bytes of one reply with all its lines. RFC 5321 §4.5.3.1.5 has 512 per line and no limit on lines; real EHLO
/// answers stay below 2 KiB.
pub const REPLY_BYTES_MAX: usize = 64 * 1024;

/// Code, the byte after it, and the text, without line end.
fn split_line(line: &[u8]) -> Option<(u16, Option<u8>, &[u8])> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (digits, rest) = line.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match rest.split_first() {
        None => Some((code, None, rest)),
        Some((b' ' | b'-', text)) => Some((code, Some(rest[0]), text)),
        Some(_) => None,
    }
}

/// TAB is harmless in a reply (RFC 5321 §4.2 `textstring`).
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}
