//! Text files as people's programs write them: UTF-8 with or without a byte order mark, UTF-16 with one ("Unicode text" of
//! a spreadsheet), else GB18030, which is what Chinese Windows calls ANSI (GBK and GB2312 are parts of it).
//!
//! Nothing is guessed beyond that, and nothing replaced: a file with one byte that does not fit is refused. Pure.

use encoding_rs::{GB18030, UTF_16BE, UTF_16LE};

/// How a file was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 3629.
    Utf8,
    /// With a byte order mark.
    Utf16,
    /// GB 18030.
    Gb18030,
}

impl Encoding {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16 => "UTF-16",
            Self::Gb18030 => "GB18030 (GBK)",
        }
    }
}

/// The file is no text, or in another encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither UTF-8 nor UTF-16 nor GB18030")]
pub struct NotText;

const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";
const LITTLE_ENDIAN_MARK: &[u8] = b"\xFF\xFE";
const BIG_ENDIAN_MARK: &[u8] = b"\xFE\xFF";

/// Reads a file.
///
/// ```
/// use tabmail::admin::text_file::{Encoding, decode};
/// assert_eq!(decode(b"\xC0\xEE\xC4\xC8"), Ok(("李娜".into(), Encoding::Gb18030)));
/// ```
///
/// # Errors
/// [`NotText`], also for control characters other than TAB and line ends.
pub fn decode(bytes: &[u8]) -> Result<(String, Encoding), NotText> {
    let marked = |mark| bytes.strip_prefix(mark);
    let strict = |encoding: &'static encoding_rs::Encoding, bytes| {
        encoding.decode_without_bom_handling_and_without_replacement(bytes).map(|text| text.into_owned())
    };
    let utf8 = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let (text, encoding) = if let Some(rest) = marked(UTF8_MARK) {
        (utf8(rest), Encoding::Utf8)
    } else if let Some(rest) = marked(LITTLE_ENDIAN_MARK) {
        (strict(UTF_16LE, rest), Encoding::Utf16)
    } else if let Some(rest) = marked(BIG_ENDIAN_MARK) {
        (strict(UTF_16BE, rest), Encoding::Utf16)
    } else if let Some(text) = utf8(bytes) {
        (Some(text), Encoding::Utf8)
    } else {
        (strict(GB18030, bytes), Encoding::Gb18030)
    };
    let is_text =
        |text: &String| !text.contains(|c: char| c.is_control() && !matches!(c, '\t' | '\r' | '\n'));
    text.filter(is_text).map(|text| (text, encoding)).ok_or(NotText)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Option<(&str, Encoding)>) {
        let expected = expected.map(|(text, encoding)| (text.to_owned(), encoding));
        assert_eq!(decode(bytes).ok(), expected, "{bytes:?}");
    }

    /// JD-44.
    #[test]
    fn files_of_all_windows_are_read() {
        check(b"", Some(("", Encoding::Utf8)));
        check("anna,,pw,李娜\r\n".as_bytes(), Some(("anna,,pw,李娜\r\n", Encoding::Utf8)));
        check(b"\xEF\xBB\xBFanna\t", Some(("anna\t", Encoding::Utf8)));
        check(b"anna,,pw,\xC0\xEE\xC4\xC8\r\n", Some(("anna,,pw,李娜\r\n", Encoding::Gb18030)));
        // Four bytes: what GBK has not.
        check(b"\x95\x32\x82\x36", Some(("𠀀", Encoding::Gb18030)));
        check(b"\xFF\xFEa\0\x4E\x67", Some(("a李", Encoding::Utf16)));
        check(b"\xFE\xFF\0a\x67\x4E", Some(("a李", Encoding::Utf16)));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        check(b"PK\x03\x04\x14\0\x06\0", None);
        check(b"Jos\xE9,pw", None);
        check(b"\xEF\xBB\xBF\xC0\xEE", None);
        check(b"\xFF\xFEa", None);
        check(b"anna\0", None);
        check(b"\xC0", None);
    }
}
