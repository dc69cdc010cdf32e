//! How a table stands, for those who ask: CTRL, `tabmail status`, the log.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::mailroot::problem::Problem;

/// How one table stands.
#[derive(Clone, Debug)]
pub struct TableStatus {
    /// The file, relative to the MailRoot.
    pub file: PathBuf,
    /// The rows in service.
    pub rows: usize,
    /// Since when it stands like that.
    pub since: SystemTime,
    /// How.
    pub state: TableState,
    /// What is wrong with the file as it is now.
    pub problems: Vec<Problem>,
}

/// What a table is to its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableState {
    /// The table in service is what the file says.
    Live,
    /// The file looks half-written; the table from before is in service for a moment.
    Suspect,
    /// The file brings errors, or vanished though it is needed; the table from before stays in service.
    Rejected,
    /// The file cannot be read; the table from before stays in service.
    Unreadable,
}

impl TableState {
    /// Whether the table from before stays until the file changes.
    pub fn is_kept(self) -> bool {
        matches!(self, Self::Rejected | Self::Unreadable)
    }
}

impl fmt::Display for TableState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Suspect => "suspect",
            Self::Rejected => "rejected",
            Self::Unreadable => "unreadable",
        })
    }
}

/// A problem's text, with long values from the file cut: for logs and reports.
pub fn brief(problem: &impl fmt::Display) -> String {
    let mut text = problem.to_string();
    if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// Longer than any text of ours without a value from a file.
const TEXT_CHARS_MAX: usize = 400;
