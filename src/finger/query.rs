//! The query line.
//!
//! ```text
//! query = [ "/W" SP ] ( local-part / local-part "@" domain )     ; RFC 1288 section 2.3 without forwarding
//! ```

use crate::address::{Domain, LocalPart, Mailbox, Utf8};

/// Octets of a query without its line end; XMail's buffer (`mailflow.md` 1.2).
pub const LINE_BYTES_MAX: usize = 1022;

/// Who is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The name before the `@`.
    pub local_part: LocalPart,
    /// The domain, where one was given.
    pub domain: Option<Domain>,
}

/// Why a query means nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// An empty line: RFC 1288's question who is logged in. Nobody is, here.
    #[error("Empty query not allowed")]
    Empty,
    /// An unknown switch, or no address. Forwarding (`a@b@c`) is no address either.
    #[error("Invalid query")]
    Invalid,
}

/// Reads a query. `/W` asks for more; there is no more.
///
/// ```
/// use tabmail::finger::query::{QueryError, parse};
/// assert_eq!(parse(b"/W bob@example.test"), parse(b"bob@example.test"));
/// assert_eq!(parse(b"bob@example.test@other.test"), Err(QueryError::Invalid));
/// ```
///
/// # Errors
/// [`QueryError`]; its text is the answer.
pub fn parse(line: &[u8]) -> Result<Query, QueryError> {
    let address = line.strip_prefix(b"/W ").unwrap_or(line).trim_ascii();
    if address.is_empty() {
        return Err(QueryError::Empty);
    }
    if address.starts_with(b"/") {
        return Err(QueryError::Invalid);
    }
    if let Ok(local_part) = LocalPart::parse_with(address, Utf8::Allowed) {
        return Ok(Query { local_part, domain: None });
    }
    let mailbox = Mailbox::parse_with(address, Utf8::Allowed).map_err(|_| QueryError::Invalid)?;
    Ok(Query { local_part: mailbox.local_part, domain: Some(mailbox.domain) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &[u8], expected: Result<(&str, Option<&str>), QueryError>) {
        let parsed = parse(line);
        let shown = parsed
            .as_ref()
            .map(|query| (query.local_part.as_str(), query.domain.as_ref().map(Domain::as_str)))
            .map_err(|error| *error);
        assert_eq!(shown, expected, "{line:?}");
    }

    /// The queries of golden `finger`, then others.
    #[test]
    fn names_addresses_and_what_is_neither() {
        check(b"", Err(QueryError::Empty));
        check(b"alice", Ok(("alice", None)));
        check(b"alice@example.test", Ok(("alice", Some("example.test"))));
        check(b"bob@example.test@example.test", Err(QueryError::Invalid));
        check(b"/W bob@example.test", Ok(("bob", Some("example.test"))));
        check(b"example.test", Ok(("example.test", None)));
        check(b"@example.test", Err(QueryError::Invalid));
        check(b"*@example.test", Ok(("*", Some("example.test"))));
        check(b"/W ", Err(QueryError::Empty));
        check(b"  ", Err(QueryError::Empty));
        check(b" alice ", Ok(("alice", None)));
        check(b"/W", Err(QueryError::Invalid));
        check(b"/X alice", Err(QueryError::Invalid));
        check(b"alice bob", Err(QueryError::Invalid));
        check("j\u{fc}rgen@example.test".as_bytes(), Ok(("j\u{fc}rgen", Some("example.test"))));
        check(b"j\xfcrgen", Err(QueryError::Invalid));
        check(b"al\0ice", Err(QueryError::Invalid));
    }
}
