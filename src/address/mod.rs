//! RFC 5321 address values with XMail's strict grammar.
//!
//! One grammar serves SMTP paths, spool headers, tables and CTRL arguments (`mailflow.md` 1.6):
//!
//! ```text
//! path    = [ "@" host *( "," "@" host ) ":" ] local "@" host
//! local   = atom *( "." atom )            ; no quoted strings, no empty atoms
//! atom    = 1*( ALPHA / DIGIT / any of !#$%&'*+-/=?^_`{|}~ )
//! host    = atom *( "." atom ) / "[" text "]"
//! ```
//!
//! `text` is an IPv4 address, `IPv6:` and an IPv6 address, a bare IPv6 address, or a dotted name (XMail's form). The
//! path is cut outside brackets only, so IPv6 literals survive, which XMail tears apart. Non-ASCII UTF-8 is an atom
//! character where the caller says [`Utf8::Allowed`] (RFC 6531 §3.3, decision 43); bytes that are not UTF-8 never are.
//!
//! Values keep their text as written; comparisons that ignore case fold ASCII only. Printing a parsed value gives back
//! the same bytes. The path between `<` and `>` is shorter than [`PATH_BYTES_LIMIT`] bytes; there is no further limit on
//! its parts, because XMail accepts a local part of 978 bytes (golden `smtp_basic`, connection `mail-len-990`).
//!
//! Every failure is a [`PathError`], which knows XMail's error number for the reply.

mod grammar;
mod parts;
mod path;

pub use grammar::{Utf8, is_domain, is_rfc822_name};
pub use parts::{Domain, LocalPart, Mailbox};
pub use path::{ForwardPath, PATH_BYTES_LIMIT, Path, RawPath, ReversePath, parse_angle};

/// Why a text is not a path or a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// There is no `<`, or no `>` after it.
    #[error("the path is not enclosed in angle brackets")]
    NoAngleBrackets,
    /// The text between the angle brackets has [`PATH_BYTES_LIMIT`] bytes or more.
    #[error("the path is longer than {} bytes", PATH_BYTES_LIMIT - 1)]
    TooLong,
    /// A part is missing or has a character the grammar does not know.
    #[error("the path does not follow the address grammar")]
    Grammar,
    /// The part after `@` is not a host name or a domain literal.
    #[error("the host name or domain literal is invalid")]
    Host,
    /// Non-ASCII text where the caller does not allow it, or bytes that are not UTF-8.
    #[error("the path has non-ASCII bytes that are not allowed here")]
    NonAscii,
    /// A recipient is needed and the path is null (`RCPT TO:<>`).
    #[error("the forward-path is null")]
    NullForwardPath,
}

impl PathError {
    /// XMail's error number, as in `501 Syntax error in parameters or arguments: (-132)` (`mailflow.md` 16).
    #[must_use]
    pub fn xmail_code(self) -> i32 {
        match self {
            Self::NoAngleBrackets | Self::TooLong => 31,
            Self::Grammar | Self::NonAscii => 132,
            Self::Host => 260,
            Self::NullForwardPath => 35,
        }
    }
}

#[cfg(test)]
mod tests;
