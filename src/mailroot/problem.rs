//! What is wrong with a table, by file, line and column.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// One finding in one table. The rest of the table is used all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, relative to the MailRoot.
    pub file: PathBuf,
    /// The line, from 1; 0 when the whole file is meant.
    pub line: u32,
    /// The byte column, from 1; 0 when the whole line is meant.
    pub column: u32,
    /// What was found.
    pub kind: ProblemKind,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        write!(f, ": {}", self.kind)
    }
}

/// The facts of a [`Problem`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// The file exists but cannot be read; its last good content stays in use.
    #[error("cannot be read ({0}); the last good content stays in use")]
    Unreadable(io::ErrorKind),
    /// A record with fewer columns than its table needs; it never matches.
    #[error("needs {needed} columns, has {found}; the row is ignored")]
    TooFewColumns {
        /// Columns the table needs.
        needed: usize,
        /// Columns the row has.
        found: usize,
    },
    /// A record with a number of columns that makes the table's readers skip it.
    #[error("needs exactly {needed} columns, has {found}; the row is ignored")]
    WrongColumnCount {
        /// Columns the table needs.
        needed: usize,
        /// Columns the row has.
        found: usize,
    },
    /// Longer than XMail reads in one piece: XMail would split the line in two.
    #[error("the line has {length} bytes; XMail reads at most {limit} and would split it")]
    LineTooLong {
        /// Bytes in the line with its end.
        length: usize,
        /// XMail's limit for this table.
        limit: usize,
    },
    /// A NUL byte hides the rest of the line.
    #[error("a NUL byte hides the rest of the line")]
    NulByte,
    /// A quoted column without its closing quote.
    #[error("the closing quote is missing")]
    UnclosedQuote,
    /// Text between a closing quote and the next TAB is dropped.
    #[error("text after the closing quote is dropped")]
    TextAfterQuote,
    /// The file begins with a byte order mark, which spoils its first line.
    #[error("a byte order mark stands before the first column")]
    ByteOrderMark,
    /// Names must be UTF-8.
    #[error("is not UTF-8; the row is ignored")]
    NotUtf8,
    /// A number was expected.
    #[error("is not a decimal number: {0:?}")]
    NotANumber(String),
    /// A network or address was expected.
    #[error("is not an address filter (net/bits, or net and mask): {0:?}; the row never matches")]
    BadAddressFilter(String),
    /// A stored password that cannot be decoded.
    #[error("is not a password encoding (pairs of hex digits, or $argon2id$...); nobody can log in with it")]
    BadPassword,
    /// A mail address was expected.
    #[error("is not a mail address: {0:?}")]
    BadAddress(String),
    /// One of a fixed set of words was expected.
    #[error("{found:?} is not one of: {accepted}")]
    UnknownWord {
        /// What stands there.
        found: String,
        /// What is accepted.
        accepted: &'static str,
    },
    /// An earlier row with the same key wins.
    #[error("has the same key as line {first}, which wins")]
    Duplicate {
        /// The line that wins.
        first: u32,
    },
    /// The path would leave its directory, or names something else than one file.
    #[error("is not a plain file or directory name: {0:?}; the row is ignored")]
    BadName(String),
    /// An address without a network length or mask was expected.
    #[error("is not an IP address: {0:?}")]
    BadIpAddress(String),
    /// A host to connect to was expected.
    #[error("is not a host (host, host:port, host|port or [v6]:port): {0:?}")]
    BadHost(String),
    /// A host list without a host.
    #[error("names no host")]
    NoHost,
    /// A route of `smtpgw.tab` was expected.
    #[error("is not a route (@relay or @relay1,@relay2): {0:?}")]
    BadRoute(String),
    /// A pattern that is compared with a domain holds an `@`.
    #[error("is compared with a domain, which never has an '@': {0:?}")]
    AtInDomainPattern(String),
    /// A row of an IP map whose precedence is below 0 (decision 47).
    #[error("a negative precedence never applies")]
    NegativePrecedence,
    /// A command that has no effect in this kind of command file.
    #[error("has no effect in this file: {0:?}")]
    NoEffectHere(String),
    /// A link of `pop3links.tab` that looks for addresses without saying in which domains.
    #[error("lists no domains to look for, so nothing can be fetched")]
    NothingToMatch,
    /// More entries than count.
    #[error("comes after the {limit} that count; it is ignored")]
    TooMany {
        /// How many count.
        limit: usize,
    },
    /// A file that the server needs does not exist.
    #[error("is missing")]
    Missing,
}

/// Collects the problems of one file while it is read.
#[derive(Debug)]
pub struct Problems {
    file: PathBuf,
    found: Vec<Problem>,
}

impl Problems {
    /// A collection for `file`, a path relative to the MailRoot.
    pub fn of(file: &Path) -> Self {
        Self { file: file.to_owned(), found: Vec::new() }
    }

    /// The file, relative to the MailRoot.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Notes a problem; `line` and `column` as in [`Problem`].
    pub fn note(&mut self, line: u32, column: u32, kind: ProblemKind) {
        self.found.push(Problem { file: self.file.clone(), line, column, kind });
    }

    /// The problems in the order they were noted.
    pub fn into_vec(self) -> Vec<Problem> {
        self.found
    }
}
