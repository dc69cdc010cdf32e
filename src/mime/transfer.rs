//! Content transfer encodings (RFC 2045 6), decoded while they stream by.

use base64::Engine as _;
use thiserror::Error;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferEncoding {
    /// 7bit, 8bit, binary: as it is.
    Identity,
    /// base64.
    Base64,
    /// quoted-printable.
    QuotedPrintable,
    /// Anything else; FETCH BINARY answers UNKNOWN-CTE (RFC 3516 4.3).
    Unknown,
}

impl TransferEncoding {
    /// By the name in the field, without regard to case.
    pub fn named(name: &[u8]) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match () {
            () if is("7bit") || is("8bit") || is("binary") || name.is_empty() => Self::Identity,
            () if is("base64") => Self::Base64,
            () if is("quoted-printable") => Self::QuotedPrintable,
            () => Self::Unknown,
        }
    }
}

/// A body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TransferError {
    /// The encoding is not known.
    #[error("unknown content transfer encoding")]
    Unknown,
    /// The text is no base64. Everything before that place was given out.
    #[error("broken base64")]
    Base64,
}

/// Decodes a body that comes in pieces.
#[derive(Debug)]
pub struct TransferDecoder {
    encoding: TransferEncoding,
    /// base64: characters that wait for others; quoted-printable: an unfinished line or escape.
    held: Vec<u8>,
    failed: Option<TransferError>,
}

impl TransferDecoder {
    /// For one body.
    pub fn new(encoding: TransferEncoding) -> Self {
        let failed = (encoding == TransferEncoding::Unknown).then_some(TransferError::Unknown);
        Self { encoding, held: Vec::new(), failed }
    }

    /// Takes encoded bytes and appends decoded ones.
    ///
    /// # Errors
    /// The encoding is unknown or the base64 broken, then and at each later call. A reader that searches may go on with
    /// what it has; one that answers FETCH BINARY says UNKNOWN-CTE.
    pub fn push(&mut self, bytes: &[u8], into: &mut Vec<u8>) -> Result<(), TransferError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.encoding {
            TransferEncoding::Base64 => self.push_base64(bytes, into),
            TransferEncoding::QuotedPrintable => self.push_quoted_printable(bytes, into),
            _ => into.extend_from_slice(bytes),
        }
        self.failed.map_or(Ok(()), Err)
    }

    /// Appends what is left at the end of the body.
    ///
    /// # Errors
    /// As [`TransferDecoder::push`]; base64 that ends in the middle of an octet is broken, missing padding is not.
    pub fn finish(&mut self, into: &mut Vec<u8>) -> Result<(), TransferError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let held = std::mem::take(&mut self.held);
        match self.encoding {
            TransferEncoding::Base64 if held.len() == 1 => self.failed = Some(TransferError::Base64),
            TransferEncoding::Base64 if !held.is_empty() => self.decode_base64(&held, into),
            TransferEncoding::QuotedPrintable => decode_line(&held, into),
            _ => {}
        }
        self.failed.map_or(Ok(()), Err)
    }

    fn push_base64(&mut self, bytes: &[u8], into: &mut Vec<u8>) {
        let mut whole = std::mem::take(&mut self.held);
        for &octet in bytes {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'=' => {
                    // Padding ends a quantum; base64 texts may stand one behind the other, as some programs write.
                    self.decode_base64(&whole, into);
                    whole.clear();
                }
                octet => whole.push(octet),
            }
            if self.failed.is_some() {
                return;
            }
        }
        let ready = whole.len() - whole.len() % 4;
        self.decode_base64(&whole[..ready], into);
        self.held = whole.split_off(ready);
    }

    fn decode_base64(&mut self, text: &[u8], into: &mut Vec<u8>) {
        if BASE64.decode_vec(text, into).is_err() {
            self.failed = Some(TransferError::Base64);
        }
    }

    fn push_quoted_printable(&mut self, bytes: &[u8], into: &mut Vec<u8>) {
        for line in bytes.split_inclusive(|octet| *octet == b'\n') {
            if self.held.is_empty() && line.ends_with(b"\n") {
                decode_line(line, into);
                continue;
            }
            self.held.extend_from_slice(line);
            if line.ends_with(b"\n") {
                let held = std::mem::take(&mut self.held);
                decode_line(&held, into);
            } else if self.held.len() > HELD_LINE_BYTES_MAX {
                let held = std::mem::take(&mut self.held);
                let cut = safe_cut(&held);
                decode_escapes(&held[..cut], into);
                self.held = held[cut..].to_vec();
            }
        }
    }
}

/// One line with its line end, or the last without: blanks at its end are nobody's, and `=` there joins lines.
fn decode_line(line: &[u8], into: &mut Vec<u8>) {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let end = &line[text.len()..];
    let kept = text.len() - text.iter().rev().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
    let text = &text[..kept];
    match text.strip_suffix(b"=") {
        Some(joined) => decode_escapes(joined, into),
        None => {
            decode_escapes(text, into);
            into.extend_from_slice(end);
        }
    }
}

/// Escapes that are none stay as they are (RFC 2045 6.7).
fn decode_escapes(text: &[u8], into: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(escape) = memchr::memchr(b'=', rest) {
        into.extend_from_slice(&rest[..escape]);
        let decoded = match rest.get(escape + 1..escape + 3) {
            Some(&[high, low]) => hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        into.push(decoded.unwrap_or(b'='));
        rest = &rest[escape + if decoded.is_some() { 3 } else { 1 }..];
    }
    into.extend_from_slice(rest);
}

fn hex(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Where an overlong line may be cut: not in white space, which may end it, and not in an escape.
fn safe_cut(line: &[u8]) -> usize {
    let tail = line.iter().rev().take_while(|octet| matches!(octet, b' ' | b'\t' | b'\r')).count();
    let mut cut = line.len() - tail;
    for back in 1..=2 {
        if cut >= back && line[cut - back] == b'=' {
            cut -= back;
            break;
        }
    }
    // White space without end is cut anywhere.
    if cut == 0 { line.len() } else { cut }
}

/// The longest line of quoted-printable that is held to see its end, in bytes; RFC 2045 allows 76.
const HELD_LINE_BYTES_MAX: usize = 64 * 1024;

/// Padding is passed over before, and trailing bits are not looked at, as in most mail readers.
const BASE64: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
