//! The text of cited rows. Passwords are left out: an explanation is made to be shown to others.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bstr::ByteSlice as _;

use crate::mailroot::{Citation, MailRoot};
use crate::tab::TabFile;

/// Reads the files of a MailRoot for their rows, each once.
#[derive(Debug)]
pub struct Rows {
    root: MailRoot,
    files: HashMap<PathBuf, Option<TabFile>>,
}

/// Files that hold passwords, and in which column (from 0).
const SECRETS: [(&str, usize); 4] =
    [("mailusers.tab", 2), ("smtpauth.tab", 1), ("ctrlaccounts.tab", 1), ("pop3links.tab", 4)];

/// What stands for a password.
const HIDDEN: &str = "***";

/// Characters of one row that are shown. Ours.
const SHOWN_CHARS_MAX: usize = 200;

/// Larger files are cited without their text. Ours.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

impl Rows {
    /// The rows of this MailRoot.
    pub fn of(root: &MailRoot) -> Self {
        Self { root: root.clone(), files: HashMap::new() }
    }

    /// The columns of a row, separated by blanks; `None`: the whole file is meant, or the row is gone. Blocks.
    pub fn text(&mut self, row: &Citation) -> Option<String> {
        let index = usize::try_from(row.line).ok()?.checked_sub(1)?;
        let root = self.root.path();
        let read = || {
            let path = root.join(&row.file);
            let is_readable = std::fs::metadata(&path).is_ok_and(|meta| meta.len() <= FILE_BYTES_MAX);
            is_readable.then(|| std::fs::read(&path).ok()).flatten().map(|bytes| TabFile::parse(&bytes))
        };
        let file = self.files.entry(row.file.clone()).or_insert_with(read).as_ref()?;
        let line = file.lines().get(index)?;
        let secret = secret_column(&row.file);
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
}

fn secret_column(file: &Path) -> Option<usize> {
    let name = file.file_name()?.to_str()?;
    let in_root = file.parent().is_none_or(|parent| parent.as_os_str().is_empty());
    SECRETS.iter().find(|(secret, _)| in_root && *secret == name).map(|(_, column)| *column)
}
