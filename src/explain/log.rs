//! What was done with a message that is not in the queue any more: the lines of the smail log about it
//! (`mailflow.md` 15).
//!
//! ```text
//! smtp domain, spool name, message number, sender, recipient, medium, parameter, date, remote id
//! ```

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use bstr::ByteSlice as _;

use crate::logs::LogKind;
use crate::mailroot::{Fact, MailRoot, Step};
use crate::tab::TabFile;

/// The newest files that are read: a month of days. Ours.
const FILES_MAX: usize = 31;

/// Lines that are told at most. Ours.
const LINES_MAX: usize = 100;

/// The lines about a spool name, the beginning of one, or a message number, oldest first. Blocks.
pub(super) fn find(root: &MailRoot, wanted: &str) -> Vec<Step> {
    let mut files = files(&root.path().join("logs"));
    files.sort_unstable();
    let newest = files.len().saturating_sub(FILES_MAX);
    let found = files[newest..].iter().flat_map(|file| lines(root, file, wanted));
    if wanted.is_empty() { Vec::new() } else { found.take(LINES_MAX).collect() }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let prefix = format!("{}-", LogKind::Smail.name());
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(&prefix)).map(|name| Path::new("logs").join(name)).collect()
}

fn lines(root: &MailRoot, file: &Path, wanted: &str) -> Vec<Step> {
    let Ok(open) = File::open(root.path().join(file)) else { return Vec::new() };
    let lines = BufReader::new(open).split(b'\n').map_while(Result::ok).zip(1..);
    // Looking for the text first spares the columns of all other lines.
    let about = lines.filter(|(line, _)| line.contains_str(wanted));
    about.filter_map(|(line, number)| step(file, number, &line, wanted)).collect()
}

fn step(file: &Path, number: u32, line: &[u8], wanted: &str) -> Option<Step> {
    let table = TabFile::parse(line);
    let columns = table.lines().first()?.fields();
    let column = |index: usize| columns.get(index).map(|field| field.value.to_str_lossy().into_owned());
    let is_meant = column(1)?.starts_with(wanted) || column(2)?.eq_ignore_ascii_case(wanted);
    let fact = Fact::Logged {
        from: column(3)?,
        to: column(4)?,
        medium: column(5)?,
        parameter: column(6)?,
        date: column(7)?,
    };
    is_meant.then(|| Step::new(fact).by(file, number))
}
