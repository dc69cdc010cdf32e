//! The parts of an address: domain, local part, mailbox.

use std::fmt;
use std::net::IpAddr;

use super::PathError;
use super::grammar::{self, Utf8};

/// A host name or domain literal, as written (RFC 5321 §4.1.2 `Domain / address-literal`).
///
/// `==` compares bytes; names are compared with [`Domain::eq_ignore_ascii_case`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Domain(String);

impl Domain {
    /// Reads a domain from a table or an admin argument; UTF-8 is allowed.
    ///
    /// # Errors
    /// [`PathError::Grammar`] for an empty label, [`PathError::Host`] for a foreign character or a bad literal,
    /// [`PathError::NonAscii`] for bytes that are not UTF-8.
    pub fn parse(text: &[u8]) -> Result<Self, PathError> {
        Self::parse_with(text, Utf8::Allowed)
    }

    /// As [`Domain::parse`], with UTF-8 allowed or not.
    ///
    /// # Errors
    /// See [`Domain::parse`].
    pub fn parse_with(text: &[u8], utf8: Utf8) -> Result<Self, PathError> {
        let text = grammar::as_text(text, utf8)?;
        grammar::check_domain(text)?;
        Ok(Self(text.to_owned()))
    }

    /// The text as written, brackets included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is a domain literal: `[1.2.3.4]`, `[IPv6:…]` or XMail's `[name]`.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.0.starts_with('[')
    }

    /// The address of a literal that holds one; `None` for names and for `[name]`.
    #[must_use]
    pub fn literal_address(&self) -> Option<IpAddr> {
        grammar::literal_address(&self.0)
    }

    /// The text without the brackets of a literal: what a resolver is asked for.
    #[must_use]
    pub fn host_text(&self) -> &str {
        grammar::literal_text(&self.0).unwrap_or(&self.0)
    }

    /// Whether both name the same domain: ASCII case is folded.
    #[must_use]
    pub fn eq_ignore_ascii_case(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }

    /// The text in ASCII lower case, as XMail names directories and index keys.
    #[must_use]
    pub fn to_ascii_lowercase(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Whether the text can name one directory entry. The grammar lets `/` through, so whoever makes a path of an
    /// address asks this first.
    #[must_use]
    pub fn is_path_component(&self) -> bool {
        is_path_component(&self.0)
    }
}

/// The part before `@`, as written (RFC 5321 §4.1.2 `Local-part`, dot-string form only).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LocalPart(String);

impl LocalPart {
    /// Reads a local part from a table or an admin argument; UTF-8 is allowed.
    ///
    /// # Errors
    /// [`PathError::Grammar`], or [`PathError::NonAscii`] for bytes that are not UTF-8.
    pub fn parse(text: &[u8]) -> Result<Self, PathError> {
        Self::parse_with(text, Utf8::Allowed)
    }

    /// As [`LocalPart::parse`], with UTF-8 allowed or not.
    ///
    /// # Errors
    /// See [`LocalPart::parse`].
    pub fn parse_with(text: &[u8], utf8: Utf8) -> Result<Self, PathError> {
        let text = grammar::as_text(text, utf8)?;
        grammar::check_local_part(text)?;
        Ok(Self(text.to_owned()))
    }

    /// The text as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both name the same account: XMail folds ASCII case (`mailflow.md` 3.6).
    #[must_use]
    pub fn eq_ignore_ascii_case(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }

    /// The text in ASCII lower case.
    #[must_use]
    pub fn to_ascii_lowercase(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// See [`Domain::is_path_component`].
    #[must_use]
    pub fn is_path_component(&self) -> bool {
        is_path_component(&self.0)
    }
}

/// `local@domain` (RFC 5321 §4.1.2 `Mailbox`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    /// The part before `@`.
    pub local_part: LocalPart,
    /// The part after `@`.
    pub domain: Domain,
}

impl Mailbox {
    /// Reads `user@dom` from a table or an admin argument; UTF-8 is allowed.
    ///
    /// ```
    /// use tabmail::address::Mailbox;
    /// let mailbox = Mailbox::parse(b"Alice@[IPv6:::1]").unwrap();
    /// assert_eq!(mailbox.to_string(), "Alice@[IPv6:::1]");
    /// assert!(Mailbox::parse(b"alice").is_err());
    /// ```
    ///
    /// # Errors
    /// [`PathError::Grammar`] when a part is missing or wrong, [`PathError::Host`] when the domain is.
    pub fn parse(text: &[u8]) -> Result<Self, PathError> {
        Self::parse_with(text, Utf8::Allowed)
    }

    /// As [`Mailbox::parse`], with UTF-8 allowed or not.
    ///
    /// # Errors
    /// See [`Mailbox::parse`].
    pub fn parse_with(text: &[u8], utf8: Utf8) -> Result<Self, PathError> {
        let at = memchr::memchr(b'@', text).ok_or(PathError::Grammar)?;
        let local_part = LocalPart::parse_with(&text[..at], utf8)?;
        let domain = Domain::parse_with(&text[at + 1..], utf8)?;
        Ok(Self { local_part, domain })
    }

    /// The mailbox of two parts.
    #[must_use]
    pub fn new(local_part: LocalPart, domain: Domain) -> Self {
        Self { local_part, domain }
    }

    /// Whether both parts are equal when ASCII case is folded.
    #[must_use]
    pub fn eq_ignore_ascii_case(&self, other: &Self) -> bool {
        self.local_part.eq_ignore_ascii_case(other.local_part.as_str())
            && self.domain.eq_ignore_ascii_case(other.domain.as_str())
    }

    /// Whether both parts are ASCII; sending other mailboxes on needs SMTPUTF8.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.local_part.as_str().is_ascii() && self.domain.as_str().is_ascii()
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for LocalPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local_part, self.domain)
    }
}

impl std::str::FromStr for Mailbox {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text.as_bytes())
    }
}

fn is_path_component(text: &str) -> bool {
    !text.starts_with('.') && !text.contains(['/', '\\', '\0']) && text.len() <= FILE_NAME_BYTES_MAX
}

/// POSIX `NAME_MAX` on every file system we know.
const FILE_NAME_BYTES_MAX: usize = 255;
