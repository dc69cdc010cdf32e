//! Files of the MailRoot as files: lists of directories, and the tables that may be read and replaced whole.
//!
//! XMail lets CTRL read and replace every file below the MailRoot. Here only the files of [`schema::TABLES`] are reached,
//! and a table that would lose rows is refused (decision 16):
//!
//! ```text
//! <root table>.tab  userdef.tab  dnsroots           (mailroot.md 6)
//! custdomains/*.tab  cmdaliases/<domain>/*.tab  filters/*.tab
//! userauth/pop3/*.tab  userauth/smtp/*.tab
//! domains/<domain>/{userdef,mailproc,smtpfwd}.tab
//! domains/<domain>/{rules,addressbook}.tab  groups/<domain>/<group>/{members,user}.tab                   (ours)
//! domains/<domain>/<account>/{user,mlusers,mailproc,smtpfwd,pop3.ipmap,imap.ipmap}.tab
//! domains/<domain>/<account>/{imapfolders,imapflags,imapmetadata}.tab, and imapkeywords.tab of its folders (ours)
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use super::{Admin, AdminError};
use crate::mailroot::ProblemKind;
use crate::mailroot::edit::EditError;
use crate::mailroot::schema::{self, TableSchema};
use crate::tab::wildcard;

/// A file in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Without these XMail does not start (`mailroot.md` 1): an empty upload empties them instead of deleting them.
const NEVER_DELETED: [&str; 6] =
    ["server.tab", "domains.tab", "aliasdomain.tab", "mailusers.tab", "aliases.tab", "extaliases.tab"];

/// What our own files and half-written ones begin with; they are not listed.
const OUR_PREFIX: &str = ".tabmail";

impl Admin {
    /// The plain files in a directory below the MailRoot whose names match, by name (`filelist`).
    ///
    /// # Errors
    /// `BadPath` for a path with `..`, `NoSuchDirectory`.
    pub fn files(&self, directory: &str, pattern: &str) -> Result<Vec<ListedFile>, AdminError> {
        let path = self.root().path().join(below(directory)?);
        let entries = fs::read_dir(&path).map_err(|_| AdminError::NoSuchDirectory)?;
        let mut files: Vec<ListedFile> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                let listed =
                    !name.starts_with(OUR_PREFIX) && wildcard::matches(pattern.as_bytes(), name.as_bytes());
                listed.then_some(ListedFile { name, bytes: meta.len() })
            })
            .collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    /// The content of a table (`cfgfileget`).
    ///
    /// # Errors
    /// `BadPath` for a path with `..`; `NoSuchFile`, also for files that are not the manual's; `Disk`.
    pub fn config_file(&self, file: &str) -> Result<Vec<u8>, AdminError> {
        let file = below(file)?;
        described(&file).ok_or(AdminError::NoSuchFile)?;
        self.refuse_links(&file).map_err(|_| AdminError::NoSuchFile)?;
        self.read(&file)?.ok_or(AdminError::NoSuchFile)
    }

    /// Whether [`Admin::set_config_file`] would take the file.
    ///
    /// # Errors
    /// `BadPath` for a path with `..`; `FileRefused` for files that are not the manual's.
    pub fn may_set_config_file(&self, file: &str) -> Result<(), AdminError> {
        let file = below(file)?;
        described(&file).ok_or(AdminError::FileRefused)?;
        self.refuse_links(&file)
    }

    /// Replaces a table; an empty upload deletes it (`cfgfileset`), or empties it where XMail needs the file.
    ///
    /// # Errors
    /// As [`Admin::may_set_config_file`]; `BadTable` when rows would be lost; `Edit`.
    pub fn set_config_file(&self, file: &str, bytes: &[u8]) -> Result<(), AdminError> {
        let _changing = self.changing();
        self.may_set_config_file(file)?;
        let file = below(file)?;
        let table = described(&file).ok_or(AdminError::FileRefused)?;
        let mut problems = (table.load)(&file, bytes);
        problems.retain(|problem| loses_rows(&problem.kind));
        if !problems.is_empty() {
            return Err(AdminError::BadTable { problems });
        }
        let directory = file.parent().map(|parent| self.root().path().join(parent));
        if directory.is_some_and(|directory| !directory.is_dir()) {
            return Err(AdminError::FileRefused);
        }
        if bytes.is_empty() && NEVER_DELETED.iter().any(|name| file == Path::new(name)) {
            let mut edit = self.editor.begin(&file)?;
            edit.replace_all(b"")?;
            return Ok(edit.commit()?);
        }
        self.store(&file, bytes)
    }

    /// Saves a table that somebody read as `base` and changed to `content`; what others changed meanwhile is merged.
    ///
    /// # Errors
    /// As [`Admin::may_set_config_file`]; `BadTable` when `content` loses rows that `base` did not; `Edit` with
    /// [`EditError::Conflict`] for rows changed on both sides.
    pub fn save_table(&self, file: &Path, base: &[u8], content: &[u8]) -> Result<(), AdminError> {
        let _changing = self.changing();
        let table = described(file).ok_or(AdminError::FileRefused)?;
        self.refuse_links(file)?;
        let faults = |bytes: &[u8]| {
            let mut problems = (table.load)(file, bytes);
            problems.retain(|problem| loses_rows(&problem.kind));
            problems
        };
        let problems = faults(content);
        if problems.len() > faults(base).len() {
            return Err(AdminError::BadTable { problems });
        }
        self.make_directory_of(file)?;
        let mut edit = self.editor.begin_from(file, base)?;
        edit.replace_all(content)?;
        Ok(edit.commit()?)
    }

    /// Removes a table that somebody read as `base`, and that says nothing any more.
    ///
    /// # Errors
    /// As [`Admin::may_set_config_file`], also for root tables; `Edit` with
    /// [`EditError::ChangedMeanwhile`] when it is another one now.
    pub fn remove_table(&self, file: &Path, base: &[u8]) -> Result<(), AdminError> {
        let _changing = self.changing();
        described(file).filter(|_| file.iter().count() > 1).ok_or(AdminError::FileRefused)?;
        self.refuse_links(file)?;
        if self.read(file)?.unwrap_or_default() != base {
            return Err(EditError::ChangedMeanwhile { file: file.to_owned() }.into());
        }
        self.store(file, b"")
    }

    /// Makes the directory of a table that is the first one in it: of `cmdaliases/<domain>` nobody else does. Those of
    /// domains and accounts are made with them.
    fn make_directory_of(&self, file: &Path) -> Result<(), AdminError> {
        let Some(directory) = file.parent().filter(|directory| directory.iter().next().is_some()) else {
            return Ok(());
        };
        if file.starts_with("domains") || self.root().path().join(directory).is_dir() {
            return Ok(());
        }
        self.make_directory(directory)
    }

    /// The content of a described file by its path, empty where there is none, and what is wrong with it.
    ///
    /// # Errors
    /// As [`Admin::may_set_config_file`]; `Disk`.
    pub fn table_text(&self, file: &Path) -> Result<Vec<u8>, AdminError> {
        described(file).ok_or(AdminError::FileRefused)?;
        self.refuse_links(file)?;
        Ok(self.read(file)?.unwrap_or_default())
    }

    /// A link below the MailRoot may be the operator's way to another disk, but not ours into files elsewhere: the
    /// real path must lie below the real MailRoot.
    fn refuse_links(&self, file: &Path) -> Result<(), AdminError> {
        if is_outside(self.root().path(), file) { Err(AdminError::FileRefused) } else { Ok(()) }
    }
}

/// Whether links lead a path relative to the MailRoot out of it.
pub(super) fn is_outside(root: &Path, file: &Path) -> bool {
    let path = root.join(file);
    let existing = path.ancestors().find_map(|level| level.canonicalize().ok());
    match (existing, root.canonicalize().ok()) {
        (Some(existing), Some(root)) => !existing.starts_with(&root),
        _ => true,
    }
}

/// A path relative to the MailRoot; XMail takes a leading `/` for the MailRoot itself.
///
/// # Errors
/// `..` anywhere, as XMail (error 214), and NUL.
fn below(path: &str) -> Result<PathBuf, AdminError> {
    if path.contains("..") || path.contains(['\0', '\\']) {
        return Err(AdminError::BadPath);
    }
    Ok(Path::new(path).components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect())
}

/// The description of a file that CTRL may read and write: a table, but in directories of tables not what we put there
/// ourselves.
pub(super) fn described(file: &Path) -> Option<&'static TableSchema> {
    let is_at_root = file.iter().count() == 1;
    let name = file.file_name()?.to_str()?;
    schema::table::of_file(file).filter(|_| is_at_root || is_table(name))
}

fn is_table(name: &str) -> bool {
    name.ends_with(".tab") && !name.starts_with(super::files::OUR_PREFIX)
}

/// Whether a problem means that a row, or a part of one, is not what was meant. Findings about what a row says (a
/// network that is none, an unknown word, a duplicate) are for `check`: the operator may be in the middle of his work.
fn loses_rows(kind: &ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::TooFewColumns { .. }
            | ProblemKind::WrongColumnCount { .. }
            | ProblemKind::LineTooLong { .. }
            | ProblemKind::NulByte
            | ProblemKind::UnclosedQuote
            | ProblemKind::TextAfterQuote
            | ProblemKind::ByteOrderMark
            | ProblemKind::NotUtf8
            | ProblemKind::BadName(_)
    )
}
