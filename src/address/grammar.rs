//! The characters and words of the address grammar (`mailflow.md` 1.6).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::PathError;

/// Whether non-ASCII UTF-8 may stand in an address here (RFC 6531).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Utf8 {
    /// ASCII only: the client did not ask for SMTPUTF8.
    Refused,
    /// UTF-8 atoms are accepted: SMTPUTF8, tables, files we wrote ourselves.
    Allowed,
}

/// Whether `name` is a local part by the strict grammar: CTRL refuses other account names with error 216.
#[must_use]
pub fn is_rfc822_name(name: &[u8]) -> bool {
    as_text(name, Utf8::Allowed).is_ok_and(|name| check_local_part(name).is_ok())
}

/// Whether `name` is a domain by the same grammar, an address literal included.
#[must_use]
pub fn is_domain(name: &[u8]) -> bool {
    as_text(name, Utf8::Allowed).is_ok_and(|name| check_domain(name).is_ok())
}

/// Bytes as text, where they are UTF-8 and, unless `utf8` allows more, ASCII.
pub(super) fn as_text(bytes: &[u8], utf8: Utf8) -> Result<&str, PathError> {
    let text = std::str::from_utf8(bytes).map_err(|_| PathError::NonAscii)?;
    if utf8 == Utf8::Refused && !text.is_ascii() {
        return Err(PathError::NonAscii);
    }
    Ok(text)
}

pub(super) fn check_local_part(text: &str) -> Result<(), PathError> {
    if text.split('.').all(is_atom) { Ok(()) } else { Err(PathError::Grammar) }
}

/// An empty atom is a grammar error (132) and a foreign character a host error (260), as golden `smtp_basic` shows
/// with `<alice@example.test.>` and `<a@b@client.test>`.
pub(super) fn check_domain(text: &str) -> Result<(), PathError> {
    if text.starts_with('[') {
        return if is_literal(text) { Ok(()) } else { Err(PathError::Host) };
    }
    if !text.chars().all(|c| c == '.' || is_atext(c)) {
        return Err(PathError::Host);
    }
    check_local_part(text)
}

/// The address inside `[1.2.3.4]`, `[IPv6:…]` or `[…]` with a bare IPv6 address.
pub(super) fn literal_address(text: &str) -> Option<std::net::IpAddr> {
    let inner = literal_text(text)?;
    if let Ok(v4) = inner.parse::<Ipv4Addr>() {
        return Some(v4.into());
    }
    let v6 = match inner.get(..IPV6_TAG.len()) {
        Some(tag) if tag.eq_ignore_ascii_case(IPV6_TAG) => &inner[IPV6_TAG.len()..],
        _ => inner,
    };
    v6.parse::<Ipv6Addr>().ok().map(Into::into)
}

pub(super) fn literal_text(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

fn is_literal(text: &str) -> bool {
    literal_address(text).is_some() || literal_text(text).is_some_and(|name| name.split('.').all(is_atom))
}

fn is_atom(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_atext)
}

fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || ATEXT_SPECIALS.contains(c)
        || (!c.is_ascii() && !c.is_whitespace() && !c.is_control())
}

/// RFC 5322 §3.2.3 `atext` besides letters and digits.
const ATEXT_SPECIALS: &str = "!#$%&'*+-/=?^_`{|}~";

/// RFC 5321 §4.1.3.
const IPV6_TAG: &str = "IPv6:";
