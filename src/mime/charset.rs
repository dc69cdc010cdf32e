//! Charsets and encoded words (RFC 2047), by mail-parser's decoders.

use mail_parser::decoders::charsets::{DecoderFnc, map::charset_decoder};
use mail_parser::parsers::MessageStream;

use super::DECODED_PIECE_BYTES_MAX;
use super::header::unfold;

/// Decodes text of one charset that comes in pieces. Whatever is no text of that charset becomes U+FFFD.
///
/// UTF-8 and unknown charsets are read as UTF-8. Other charsets are decoded line by line, for a line end is at no place a
/// half character in any of them but UTF-16, of which a quarter of a megabyte is decoded at once.
pub struct CharsetDecoder {
    decode: Option<DecoderFnc>,
    is_wide: bool,
    held: Vec<u8>,
}

impl std::fmt::Debug for CharsetDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CharsetDecoder").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

impl CharsetDecoder {
    /// For a charset by its MIME name. Text without a charset is tried as UTF-8, which holds US-ASCII.
    pub fn new(charset: Option<&[u8]>) -> Self {
        let name = charset.unwrap_or_default();
        let decode = decoder(name);
        let lower = name.to_ascii_lowercase();
        let is_wide = ["utf-16", "utf_16", "ucs", "unicode", "iso-10646"]
            .iter()
            .any(|wide| lower.starts_with(wide.as_bytes()) && decode.is_some());
        Self { decode, is_wide, held: Vec::new() }
    }

    /// Takes encoded bytes and appends what is complete.
    pub fn push(&mut self, bytes: &[u8], into: &mut String) {
        match self.decode {
            None => self.push_utf8(bytes, into),
            Some(_) => {
                for piece in bytes.chunks(HELD_BYTES_MAX) {
                    self.held.extend_from_slice(piece);
                    if self.held.len() >= DECODED_AT_ONCE_BYTES {
                        self.decode_lines(into);
                    }
                }
            }
        }
    }

    /// Appends what is left.
    pub fn finish(&mut self, into: &mut String) {
        let held = std::mem::take(&mut self.held);
        match self.decode {
            _ if held.is_empty() => {}
            None => into.push_str(&String::from_utf8_lossy(&held)),
            Some(decode) => into.push_str(&decode(&held)),
        }
    }

    fn decode_lines(&mut self, into: &mut String) {
        let Some(decode) = self.decode else { return };
        let line_end =
            if self.is_wide { None } else { memchr::memrchr(b'\n', &self.held).map(|end| end + 1) };
        let length = match line_end {
            Some(length) => length,
            None if self.held.len() >= HELD_BYTES_MAX => self.held.len() & !1,
            None => return,
        };
        into.push_str(&decode(&self.held[..length]));
        self.held.drain(..length);
    }

    fn push_utf8(&mut self, bytes: &[u8], into: &mut String) {
        let mut rest = bytes;
        while !self.held.is_empty() && !rest.is_empty() {
            self.held.push(rest[0]);
            rest = &rest[1..];
            match std::str::from_utf8(&self.held) {
                Err(error) if error.error_len().is_none() => {}
                _ => {
                    // The octet that made it wrong may begin the next character.
                    let held = std::mem::take(&mut self.held);
                    self.push_utf8_whole(&held, into);
                }
            }
        }
        if !rest.is_empty() {
            self.push_utf8_whole(rest, into);
        }
    }

    fn push_utf8_whole(&mut self, bytes: &[u8], into: &mut String) {
        let mut rest = bytes;
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => return into.push_str(text),
                Err(error) => {
                    let (good, behind) = rest.split_at(error.valid_up_to());
                    into.push_str(&String::from_utf8_lossy(good));
                    let Some(wrong) = error.error_len() else {
                        self.held = behind.to_vec();
                        return;
                    };
                    into.push(char::REPLACEMENT_CHARACTER);
                    rest = &behind[wrong..];
                }
            }
        }
    }
}

/// Whether SEARCH can take strings of that charset, or text of it be decoded.
pub fn charset_is_known(charset: &[u8]) -> bool {
    is_utf8(charset) || decoder(charset).is_some()
}

fn is_utf8(charset: &[u8]) -> bool {
    [&b"utf-8"[..], b"utf8", b"us-ascii", b"ascii"].iter().any(|name| name.eq_ignore_ascii_case(charset))
}

/// mail-parser's decoder. US-ASCII is read as UTF-8: much mail without a charset is that.
fn decoder(charset: &[u8]) -> Option<DecoderFnc> {
    if charset.is_empty() || is_utf8(charset) { None } else { charset_decoder(charset) }
}

/// A header value as people read it: unfolded, encoded words decoded, white space between two of them taken away.
///
/// What is no encoded word stays as it is; raw 8-bit text is read as UTF-8.
pub fn decoded_header(raw: &[u8]) -> String {
    let value = unfold(raw);
    let mut text = String::with_capacity(value.len());
    let mut rest: &[u8] = &value;
    while rest.len() > DECODED_PIECE_BYTES_MAX {
        let window = &rest[..DECODED_PIECE_BYTES_MAX];
        let blank = memchr::memrchr2(b' ', b'\t', window).filter(|blank| *blank > 0);
        let (piece, behind) = rest.split_at(blank.unwrap_or(DECODED_PIECE_BYTES_MAX));
        decode_words(piece, &mut text);
        rest = behind;
    }
    decode_words(rest, &mut text);
    text
}

fn decode_words(value: &[u8], into: &mut String) {
    let (mut done, mut place) = (0, 0);
    let mut behind_word = false;
    while let Some(start) = memchr::memmem::find(&value[place..], b"=?").map(|found| place + found) {
        let mut stream = MessageStream::new(&value[start + 1..]);
        let Some(word) = stream.decode_rfc2047() else {
            place = start + 2;
            continue;
        };
        let between = &value[done..start];
        if !behind_word || !between.iter().all(u8::is_ascii_whitespace) {
            into.push_str(&String::from_utf8_lossy(between));
        }
        into.push_str(&word);
        behind_word = true;
        place = start + 1 + stream.offset().max(1);
        done = place.min(value.len());
        place = done;
    }
    into.push_str(&String::from_utf8_lossy(&value[done..]));
}

/// How much is decoded at once unless a line is longer, in bytes.
const DECODED_AT_ONCE_BYTES: usize = 16 * 1024;

/// The longest line that waits for its end, in bytes.
const HELD_BYTES_MAX: usize = 256 * 1024;
