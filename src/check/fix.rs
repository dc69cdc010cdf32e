//! Repairs that are safe: what would be done, shown before it is done, and done through the one door for writes.
//!
//! A repair never changes what the server decides: it ends a last line, rewrites a value in the quoting it is read
//! with, turns a row that never counts into a comment, makes directories that the first mail would make, and takes
//! rights away from (or gives them to) the file's owner and nobody else.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;

use super::finding::{Finding, Fix};
use crate::durable::Disk;
use crate::mailroot::MailRoot;
use crate::mailroot::edit::{EditError, Editor};
use crate::tab::{Line, Record, TabFile};

/// Tables larger than this are not rewritten; the operator has other worries. Ours.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// One step of repairing a MailRoot.
#[derive(Debug)]
pub enum Repair {
    /// A file gets another content.
    Rewrite {
        /// Relative to the MailRoot.
        file: PathBuf,
        /// What is there now.
        before: Vec<u8>,
        /// What will be there.
        after: Vec<u8>,
    },
    /// Directories are made.
    MakeDirectories(Vec<PathBuf>),
    /// A file gets other permission bits.
    Mode {
        /// Relative to the MailRoot; empty for the MailRoot itself.
        file: PathBuf,
        /// The bits.
        mode: u32,
    },
}

/// Why a repair was not done.
#[derive(Debug, thiserror::Error)]
pub enum FixError {
    /// The file could not be written, or has changed since it was checked.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The disk refused.
    #[error("{}: {source}", path.display())]
    Disk {
        /// On which file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What would repair these findings, as far as that is safe.
pub fn repairs(root: &MailRoot, findings: &[Finding]) -> Vec<Repair> {
    let mut of_files: BTreeMap<&Path, Vec<&Finding>> = BTreeMap::new();
    let mut repairs = Vec::new();
    for finding in findings {
        match &finding.fix {
            Some(Fix::MakeDirectories(paths)) => repairs.push(Repair::MakeDirectories(paths.clone())),
            Some(Fix::Mode(mode)) => repairs.push(Repair::Mode { file: finding.file.clone(), mode: *mode }),
            Some(_) => of_files.entry(&finding.file).or_default().push(finding),
            None => {}
        }
    }
    let rewrites = of_files.into_iter().filter_map(|(file, findings)| rewrite(root, file, &findings));
    rewrites.chain(repairs).collect()
}

fn rewrite(root: &MailRoot, file: &Path, findings: &[&Finding]) -> Option<Repair> {
    let path = root.path().join(file);
    let is_small = fs::metadata(&path).is_ok_and(|data| data.len() <= FILE_BYTES_MAX);
    let before = is_small.then(|| fs::read(&path).ok()).flatten()?;
    let mut lines: Vec<Vec<u8>> =
        TabFile::parse(&before).lines().iter().map(|line| line.raw().to_vec()).collect();
    for finding in findings {
        let line = lines.get_mut((finding.line as usize).saturating_sub(1));
        match (&finding.fix, line) {
            (Some(Fix::Requote), Some(line)) => requote(line),
            (Some(Fix::CommentOut), Some(line)) => comment_out(line),
            (Some(Fix::RemoveByteOrderMark), Some(line)) => {
                if let Some(rest) = line.strip_prefix(b"\xef\xbb\xbf") {
                    *line = rest.to_vec();
                }
            }
            _ => {}
        }
    }
    // Every writer ends the last line.
    if let Some(last) = lines.last_mut().filter(|last| !last.ends_with(b"\n")) {
        last.push(b'\n');
    }
    let after = lines.concat();
    (after != before).then(|| Repair::Rewrite { file: file.to_owned(), before, after })
}

/// The row with the values it is read with, so that nothing changes but the looks.
fn requote(line: &mut Vec<u8>) {
    let file = TabFile::parse(line);
    // What a NUL byte hides would be lost.
    let Some(only) = file.lines().first().filter(|line| !line.has_nul()) else { return };
    let values: Vec<_> = only.fields().into_iter().map(|field| field.value).collect();
    if let Ok(record) = Record::quoted(&values) {
        let end = ending(only).to_vec();
        *line = [record.as_bytes(), &end].concat();
    }
}

/// The TABs go: XMail takes a comment with enough columns for a row in its listings (`mailroot.md` 2.4).
fn comment_out(line: &mut Vec<u8>) {
    if !line.starts_with(b"#") {
        *line = [b"# ", line.replace("\t", "  ").as_slice()].concat();
    }
}

fn ending(line: &Line) -> &[u8] {
    let body = line.raw().trim_end_with(|c| c == '\r' || c == '\n');
    &line.raw()[body.len()..]
}

impl Repair {
    /// Does it. A file that changed since it was checked is left alone.
    ///
    /// # Errors
    /// [`FixError`]; nothing of this repair is done then, except that some of several directories may be there.
    pub fn apply(&self, root: &MailRoot) -> Result<(), FixError> {
        match self {
            Self::Rewrite { file, before, after } => {
                let mut edit = Editor::new(root, Disk::default()).begin_from(file, before)?;
                edit.replace_all(after)?;
                Ok(edit.commit()?)
            }
            Self::MakeDirectories(paths) => paths.iter().try_for_each(|relative| {
                let path = root.path().join(relative);
                Disk::default().create_dir_all(&path).map_err(|source| FixError::Disk { path, source })
            }),
            Self::Mode { file, mode } => {
                let path = root.path().join(file);
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode))
                    .map_err(|source| FixError::Disk { path, source })
            }
        }
    }
}
