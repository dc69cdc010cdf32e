//! Why an edit was refused or failed.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::mailroot::Problem;

use super::Conflict;

/// Why a table was not written. Paths are relative to the MailRoot; lines and columns count from 1.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The path is absolute, empty, or leads out of the MailRoot.
    #[error("{} is not a path inside the MailRoot", file.display())]
    BadPath {
        /// What was asked for.
        file: PathBuf,
    },
    /// Another edit of this MailRoot held the lock all the time.
    #[error("the MailRoot is being edited; waited {} s", waited.as_secs())]
    Busy {
        /// How long this one waited.
        waited: Duration,
    },
    /// The lock file cannot be made or locked.
    #[error("the lock file of the MailRoot: {source}")]
    Lock {
        /// What the system says.
        source: io::Error,
    },
    /// The file exists but cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody else changed the same rows since the file was read. Nothing was written.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Another program has the file open and does not finish: what it still writes would be lost. Nothing was
    /// written.
    #[error("{}: is being written by {program} (process {pid}); nothing was written", file.display())]
    OpenForWriting {
        /// The file.
        file: PathBuf,
        /// The program's short name.
        program: String,
        /// Its process id.
        pid: u32,
    },
    /// The file was removed since it was read, or changed although it was to be removed, or changes all the time.
    /// Nothing was written.
    #[error("{}: changed since it was read", file.display())]
    ChangedMeanwhile {
        /// The file.
        file: PathBuf,
    },
    /// There is no record in this line.
    #[error("{}:{line}: is not a row", file.display())]
    NoSuchRow {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
    },
    /// A value that this column cannot hold.
    #[error("{}: column {column}: {reason}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The column, from 1 (not the byte column).
        column: usize,
        /// What stands in the way.
        reason: &'static str,
    },
    /// A number of columns that readers of the table skip, or that makes XMail crash.
    #[error("{}: a row needs {needed} columns, not {found}", file.display())]
    ColumnCount {
        /// The file.
        file: PathBuf,
        /// Columns the table needs.
        needed: usize,
        /// Columns given.
        found: usize,
    },
    /// Longer than XMail reads in one piece: it would split the line in two.
    #[error("{}:{line}: the line has {length} bytes; at most {limit} are read", file.display())]
    LineTooLong {
        /// The file.
        file: PathBuf,
        /// The line it would have.
        line: usize,
        /// Bytes with the line end.
        length: usize,
        /// XMail's limit for this table.
        limit: usize,
    },
    /// A NUL byte would hide the rest of its line.
    #[error("{}:{line}: a NUL byte would hide the rest of the line", file.display())]
    NulByte {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
    },
    /// The server does not take the file as it is now, and would not take it after this edit.
    #[error("{problem}; until this is repaired the table cannot be changed")]
    Rejected {
        /// What is wrong with the file.
        problem: Problem,
    },
    /// The file could not be written.
    #[error("{}: cannot be written: {source}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}
