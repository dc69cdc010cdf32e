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

/// How much a [`Problem`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Works, but surely not as it was meant: a row that never counts, a line that XMail would split.
    Warning,
    /// What stands there cannot be used. An edit that brings one is not taken while the server runs: the old table
    /// stays (see [`super::snapshot`]).
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
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
    /// Longer than lines of this table are. XMail would split the line in two, if it is one of its tables.
    #[error("the line has {length} bytes; one of this table has at most {limit}")]
    LineTooLong {
        /// Bytes in the line with its end.
        length: usize,
        /// The limit of this table: XMail's, and for tables of ours the same.
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
    /// A network of more bits than its address has; XMail takes it for the address alone (`mailroot.md` 2.6).
    #[error("has more bits than the address, which has {width}: {found:?}; it is that address alone")]
    TooManyBits {
        /// What stands there.
        found: String,
        /// Bits of an address of this family.
        width: u32,
    },
    /// A stored password that cannot be decoded.
    #[error("is not a password encoding (pairs of hex digits, or $argon2id$...); nobody can log in with it")]
    BadPassword,
    /// A mail address was expected.
    #[error("is not a mail address: {0:?}")]
    BadAddress(String),
    /// One of a fixed set of words was expected, and what another one does is not what it says.
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
    /// A file that the server needs has lost all its bytes.
    #[error("is empty; its last content stays in use")]
    Emptied,
    /// A file that is too large for a table.
    #[error("has {bytes} bytes; at most {limit} are read as a table, so the last good content stays in use")]
    TooLarge {
        /// Bytes in the file.
        bytes: u64,
        /// What is read at most.
        limit: u64,
    },
    /// A variable that nobody reads: an older or newer one, or a slip of the pen.
    #[error("is not a variable{}", did_you_mean(*.nearest))]
    UnknownVariable {
        /// The known one that looks most like it.
        nearest: Option<&'static str>,
    },
    /// A variable that is known and has no effect.
    #[error("has no effect: {0}")]
    IgnoredVariable(&'static str),
    /// A number that is more or less than makes sense.
    #[error("is not {accepted}: {found:?}")]
    OutOfRange {
        /// What stands there.
        found: String,
        /// What is accepted: "a number of lines from 0 to 10".
        accepted: String,
    },
    /// A value that is no number, and counts as one all the same.
    #[error("is not a decimal number, so it counts as {counts_as}: {found:?}")]
    ReadAsNumber {
        /// What stands there.
        found: String,
        /// The number it is read as.
        counts_as: i64,
    },
    /// A domain was expected.
    #[error("is not a domain: {0:?}")]
    BadDomain(String),
    /// The part of an address before the `@` was expected.
    #[error("is not the part of an address before the @: {0:?}")]
    BadLocalPart(String),
    /// A value was expected.
    #[error("is empty")]
    Empty,
    /// A reply with its code was expected.
    #[error("does not begin with a reply code such as 554: {0:?}")]
    NoReplyCode(String),
    /// A part of a list, an option, a letter or a command that nobody knows and everybody passes over.
    #[error("{found:?} counts for nothing: accepted are {accepted}")]
    CountsForNothing {
        /// What stands there.
        found: String,
        /// What is accepted.
        accepted: &'static str,
    },
    /// More problems than are listed.
    #[error("has {0} more problems, which are not listed")]
    MoreProblems(usize),
}

impl ProblemKind {
    /// The stable code that `check` shows and its page explains. A code is never given to another fact.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "TAB001",
            Self::TooFewColumns { .. } => "TAB002",
            Self::WrongColumnCount { .. } => "TAB003",
            Self::LineTooLong { .. } => "TAB004",
            Self::NulByte => "TAB005",
            Self::UnclosedQuote => "TAB006",
            Self::TextAfterQuote => "TAB007",
            Self::ByteOrderMark => "TAB008",
            Self::NotUtf8 => "TAB009",
            Self::NotANumber(_) => "TAB010",
            Self::BadAddressFilter(_) => "TAB011",
            Self::BadPassword => "TAB012",
            Self::BadAddress(_) => "TAB013",
            Self::UnknownWord { .. } => "TAB014",
            Self::Duplicate { .. } => "TAB015",
            Self::BadName(_) => "TAB016",
            Self::BadIpAddress(_) => "TAB017",
            Self::BadHost(_) => "TAB018",
            Self::NoHost => "TAB019",
            Self::BadRoute(_) => "TAB020",
            Self::AtInDomainPattern(_) => "TAB021",
            Self::NegativePrecedence => "TAB022",
            Self::NoEffectHere(_) => "TAB023",
            Self::NothingToMatch => "TAB024",
            Self::TooMany { .. } => "TAB025",
            Self::Missing => "TAB026",
            Self::TooLarge { .. } => "TAB027",
            Self::MoreProblems(_) => "TAB028",
            Self::UnknownVariable { .. } => "TAB029",
            Self::IgnoredVariable(_) => "TAB030",
            Self::OutOfRange { .. } => "TAB031",
            Self::ReadAsNumber { .. } => "TAB032",
            Self::BadDomain(_) => "TAB033",
            Self::BadLocalPart(_) => "TAB034",
            Self::Empty => "TAB035",
            Self::NoReplyCode(_) => "TAB036",
            Self::Emptied => "TAB037",
            Self::CountsForNothing { .. } => "TAB038",
            Self::TooManyBits { .. } => "TAB039",
        }
    }

    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            Self::MoreProblems(_) | Self::IgnoredVariable(_) => Severity::Note,
            Self::LineTooLong { .. }
            | Self::Duplicate { .. }
            | Self::AtInDomainPattern(_)
            | Self::NegativePrecedence
            | Self::NoEffectHere(_)
            | Self::NothingToMatch
            | Self::TooMany { .. }
            | Self::UnknownVariable { .. }
            | Self::OutOfRange { .. }
            | Self::ReadAsNumber { .. }
            | Self::BadDomain(_)
            | Self::BadLocalPart(_)
            | Self::Empty
            | Self::NoReplyCode(_)
            | Self::CountsForNothing { .. } => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// How many problems of one file are listed; the rest is counted. Ours: a file that is no table at all must not fill
/// the memory or the log.
pub const PROBLEMS_MAX: usize = 1000;

/// Collects the problems of one file while it is read.
#[derive(Debug)]
pub struct Problems {
    file: PathBuf,
    found: Vec<Problem>,
    unlisted: usize,
}

impl Problems {
    /// A collection for `file`, a path relative to the MailRoot.
    pub fn of(file: &Path) -> Self {
        Self { file: file.to_owned(), found: Vec::new(), unlisted: 0 }
    }

    /// The file, relative to the MailRoot.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Notes a problem; `line` and `column` as in [`Problem`]. After [`PROBLEMS_MAX`] they are only counted.
    pub fn note(&mut self, line: u32, column: u32, kind: ProblemKind) {
        if self.found.len() >= PROBLEMS_MAX {
            self.unlisted += 1;
            return;
        }
        self.found.push(Problem { file: self.file.clone(), line, column, kind });
    }

    /// The problems in the order they were noted.
    pub fn into_vec(mut self) -> Vec<Problem> {
        if self.unlisted > 0 {
            let kind = ProblemKind::MoreProblems(self.unlisted);
            self.found.push(Problem { file: self.file, line: 0, column: 0, kind });
        }
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_without_end_are_counted() {
        let mut problems = Problems::of(Path::new("x.tab"));
        (1..=PROBLEMS_MAX as u32 + 5).for_each(|line| problems.note(line, 0, ProblemKind::NulByte));
        let found = problems.into_vec();
        assert_eq!(found.len(), PROBLEMS_MAX + 1);
        assert_eq!(found[PROBLEMS_MAX].to_string(), "x.tab: has 5 more problems, which are not listed");
    }
}
