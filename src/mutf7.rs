//! Modified UTF-7: how mailbox names travel in IMAP4rev1 (RFC 3501 section 5.1.3).
//!
//! Shape: printing US-ASCII stands for itself, `&` is `&-`, and everything else is UTF-16 in big-endian order, in
//! base64 with `,` for `/` and without padding, between `&` and `-`: `Entwürfe` is `Entw&APw-rfe`.
//!
//! Only the one shortest form of a name is taken, so that no mailbox has two names.

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

/// Why octets are no mailbox name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// 8-bit octets where modified UTF-7 is expected.
    #[error("the name has 8-bit octets and is not modified UTF-7")]
    EightBit,
    /// No `-` after `&`, or what is between is not base64 of UTF-16.
    #[error("what follows & in the name is not modified UTF-7")]
    Shift,
    /// There is a shorter way to write the name, or it has control characters as they are.
    #[error("the name is not the one right form of modified UTF-7")]
    NotCanonical,
    /// 8-bit octets that are not UTF-8 where UTF-8 is expected.
    #[error("the name is not UTF-8")]
    NotUtf8,
    /// U+0000.
    #[error("the name contains NUL")]
    Nul,
}

/// The name in modified UTF-7; always printing US-ASCII.
pub fn encode(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let plain_len = rest.find(|c| !is_plain(c)).unwrap_or(rest.len());
        if plain_len > 0 {
            text.push_str(&rest[..plain_len].replace('&', "&-"));
            rest = &rest[plain_len..];
            continue;
        }
        let shifted_len = rest.find(is_plain).unwrap_or(rest.len()).max(first.len_utf8());
        let utf16: Vec<u8> = rest[..shifted_len].encode_utf16().flat_map(u16::to_be_bytes).collect();
        text.push('&');
        BASE64.encode_string(utf16, &mut text);
        text.push('-');
        rest = &rest[shifted_len..];
    }
    text
}

/// The name these octets stand for.
///
/// # Errors
/// [`NameError`], any but `NotUtf8`.
pub fn decode(text: &[u8]) -> Result<String, NameError> {
    let text = std::str::from_utf8(text).map_err(|_| NameError::EightBit)?;
    if !text.is_ascii() {
        return Err(NameError::EightBit);
    }
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, shifted)) = rest.split_once('&') {
        name.push_str(plain);
        let (base64, after) = shifted.split_once('-').ok_or(NameError::Shift)?;
        if base64.is_empty() {
            name.push('&')
        } else {
            name.push_str(&decode_shifted(base64)?)
        }
        rest = after;
    }
    name.push_str(rest);
    if name.contains('\0') {
        return Err(NameError::Nul);
    }
    if encode(&name) == text { Ok(name) } else { Err(NameError::NotCanonical) }
}

/// The name of octets that are UTF-8 already (RFC 6855, RFC 9051).
///
/// # Errors
/// [`NameError::NotUtf8`] or [`NameError::Nul`].
pub fn from_utf8(text: &[u8]) -> Result<String, NameError> {
    let name = std::str::from_utf8(text).map_err(|_| NameError::NotUtf8)?;
    if name.contains('\0') { Err(NameError::Nul) } else { Ok(name.to_owned()) }
}

fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~')
}

fn decode_shifted(base64: &str) -> Result<String, NameError> {
    let octets = BASE64.decode(base64).map_err(|_| NameError::Shift)?;
    let (pairs, []) = octets.as_chunks::<2>() else { return Err(NameError::Shift) };
    let units = pairs.iter().map(|&pair| u16::from_be_bytes(pair));
    char::decode_utf16(units).collect::<Result<String, _>>().map_err(|_| NameError::Shift)
}

const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_have_one_form() {
        for (name, text) in [
            ("", ""),
            ("INBOX", "INBOX"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("&", "&-"),
            ("a&b", "a&-b"),
            ("&ü", "&-&APw-"),
            ("ü&", "&APw-&-"),
            // RFC 3501 section 5.1.3.
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            // A surrogate pair.
            ("📬", "&2D3c7A-"),
            ("a\tb", "a&AAk-b"),
            ("- -", "- -"),
            ("~\u{7f}", "~&AH8-"),
        ] {
            assert_eq!(encode(name), text);
            assert_eq!(decode(text.as_bytes()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        for (text, error) in [
            (&b"Entw\xfcrfe"[..], NameError::EightBit),
            ("Entwürfe".as_bytes(), NameError::EightBit),
            (b"a&b", NameError::Shift),
            (b"&", NameError::Shift),
            (b"&A-", NameError::Shift),
            (b"&AP-", NameError::Shift),
            (b"&APx-", NameError::Shift),
            (b"&AP/-", NameError::Shift),
            (b"&APw=-", NameError::Shift),
            // Half of a surrogate pair, and the pair in the wrong order.
            (b"&2D0-", NameError::Shift),
            (b"&3KzYPQ-", NameError::Shift),
            // `a` needs no shift; two shifts that could be one; the controls that must be encoded.
            (b"&AGE-", NameError::NotCanonical),
            (b"&APw-&APw-", NameError::NotCanonical),
            (b"a\tb", NameError::NotCanonical),
            (b"a\r\nb", NameError::NotCanonical),
            (b"&AAA-", NameError::Nul),
            (b"a\0", NameError::Nul),
        ] {
            assert_eq!(decode(text), Err(error), "{}", text.escape_ascii());
        }
        assert_eq!(from_utf8(b"\xfc"), Err(NameError::NotUtf8));
        assert_eq!(from_utf8(b"\0"), Err(NameError::Nul));
        assert_eq!(from_utf8("a&ü".as_bytes()), Ok("a&ü".to_owned()));
    }

    proptest! {
        #[test]
        fn every_name_survives(name in "[^\0]*") {
            let text = encode(&name);
            prop_assert!(text.chars().all(is_plain));
            prop_assert_eq!(decode(text.as_bytes()), Ok(name));
        }

        #[test]
        fn what_is_taken_is_written_the_same(text in "[&a-zA-Z0-9+,-]{0,12}") {
            if let Ok(name) = decode(text.as_bytes()) {
                prop_assert_eq!(encode(&name), text);
            }
        }

        #[test]
        fn no_octets_panic(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = decode(&text);
        }
    }
}
