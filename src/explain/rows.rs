//! The text of cited rows. Passwords are left out: an explanation is made to be shown to others. Who administers some domains
//! sees the rows of these.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bstr::ByteSlice as _;

use super::within::Within;
use crate::mailroot::{Citation, MailRoot};
use crate::tab::{Line, TabFile};

/// Reads the files of a MailRoot for their rows, each once.
#[derive(Debug)]
pub struct Rows {
    root: MailRoot,
    files: HashMap<PathBuf, Option<TabFile>>,
    /// `None`: all rows may be seen.
    within: Option<Within>,
}

/// Files that hold passwords, and in which column (from 0).
const SECRETS: [(&str, usize); 4] =
    [("mailusers.tab", 2), ("smtpauth.tab", 1), ("ctrlaccounts.tab", 1), ("pop3links.tab", 4)];

/// Tables of all domains, and the column (from 0) that names the domain whose row it is.
const OF_DOMAINS: [(&str, usize); 4] =
    [("mailusers.tab", 0), ("aliases.tab", 0), ("aliasdomain.tab", 1), ("domains.tab", 0)];

/// What stands for a password, and for what is not for who asks.
pub(super) const HIDDEN: &str = "***";

/// Characters of one row that are shown. Ours.
const SHOWN_CHARS_MAX: usize = 200;

/// Larger files are cited without their text. Ours.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

impl Rows {
    /// The rows of this MailRoot.
    pub fn of(root: &MailRoot) -> Self {
        Self { root: root.clone(), files: HashMap::new(), within: None }
    }

    /// Those of them that are of these domains.
    pub fn within(root: &MailRoot, within: Within) -> Self {
        Self { within: Some(within), ..Self::of(root) }
    }

    /// Whether the text of a row may be seen: its file lies in the directory of a domain, or its columns name one. Blocks.
    pub(super) fn is_seen(&mut self, row: &Citation) -> bool {
        let Some(within) = self.within.clone() else { return true };
        let mut names = row.file.iter().filter_map(|name| name.to_str());
        match (names.next(), names.next()) {
            (Some("domains" | "cmdaliases" | "groups"), Some(domain)) => within.holds(domain),
            (Some(name), None) => {
                let Some((_, column)) = OF_DOMAINS.iter().find(|(known, _)| *known == name) else {
                    return false;
                };
                let line = self.line(row);
                let domain = line.and_then(|line| line.fields().into_iter().nth(*column));
                domain.is_some_and(|domain| within.holds(&domain.value.to_str_lossy()))
            }
            _ => false,
        }
    }

    /// The columns of a row, separated by blanks; `None`: the whole file is meant, or the row is gone. Blocks.
    pub fn text(&mut self, row: &Citation) -> Option<String> {
        if !self.is_seen(row) {
            return None;
        }
        let secret = secret_column(&row.file);
        let line = self.line(row)?;
        let columns = line.fields().into_iter().enumerate().map(|(column, field)| match secret {
            Some(secret) if secret == column && !field.value.is_empty() => HIDDEN.to_owned(),
            _ => format!("\"{}\"", field.value.to_str_lossy().escape_debug()),
        });
        let text = columns.collect::<Vec<_>>().join(" ");
        match text.char_indices().nth(SHOWN_CHARS_MAX) {
            Some((end, _)) => Some(format!("{}...", &text[..end])),
            None => Some(text),
        }
    }

    fn line(&mut self, row: &Citation) -> Option<&Line> {
        let index = usize::try_from(row.line).ok()?.checked_sub(1)?;
        let root = self.root.path();
        let read = || {
            let path = root.join(&row.file);
            let is_readable = std::fs::metadata(&path).is_ok_and(|meta| meta.len() <= FILE_BYTES_MAX);
            is_readable.then(|| std::fs::read(&path).ok()).flatten().map(|bytes| TabFile::parse(&bytes))
        };
        let file = self.files.entry(row.file.clone()).or_insert_with(read).as_ref()?;
        file.lines().get(index)
    }
}

fn secret_column(file: &Path) -> Option<usize> {
    let name = file.file_name()?.to_str()?;
    let in_root = file.parent().is_none_or(|parent| parent.as_os_str().is_empty());
    SECRETS.iter().find(|(secret, _)| in_root && *secret == name).map(|(_, column)| *column)
}
