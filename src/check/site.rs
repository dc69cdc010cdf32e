//! The MailRoot as the checks see it: its tables, and the files of single domains and accounts.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::code::Fact;
use super::finding::{Finding, Findings, Fix};
use crate::mailroot::snapshot::TABLE_BYTES_MAX;
use crate::mailroot::{MailRoot, ProblemKind, Snapshot, Table};

/// What all checks need. Nothing in it changes during a run.
pub(super) struct Site<'a> {
    pub(super) tables: &'a Snapshot,
    pub(super) now: Timestamp,
    /// The user the MailRoot belongs to.
    pub(super) owner: Option<u32>,
}

/// A table of one domain or account.
pub(super) enum File<T> {
    Missing,
    /// Is there and cannot be read; that was reported.
    Unreadable,
    Table(T),
}

impl<T> File<T> {
    pub(super) fn table(self) -> Option<T> {
        match self {
            Self::Table(table) => Some(table),
            Self::Missing | Self::Unreadable => None,
        }
    }
}

impl Site<'_> {
    pub(super) fn root(&self) -> &MailRoot {
        self.tables.root()
    }

    pub(super) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root().path().join(relative)
    }

    /// Reads a table as the server does and reports its problems.
    pub(super) fn load<T: Table>(&self, relative: &Path, findings: &mut Findings) -> File<T> {
        let bytes = match read(&self.path(relative)) {
            Ok(Some((bytes, owner))) => {
                self.check_owner(relative, owner, findings);
                bytes
            }
            Ok(None) => return File::Missing,
            Err(kind) => {
                findings.add(Finding::of_file(relative, Fact::Table(kind)));
                return File::Unreadable;
            }
        };
        let (table, problems) = T::load(relative, &bytes);
        findings.add_problems(&problems);
        if bytes.last().is_some_and(|&last| last != b'\n') {
            findings.add(no_final_newline(relative));
        }
        File::Table(table)
    }

    /// Reports a root table whose last line does not end. The snapshot has read it already, so only its end is read.
    pub(super) fn check_end(&self, relative: &str, findings: &mut Findings) {
        let last_byte = || -> io::Result<[u8; 1]> {
            let mut last = [b'\n'];
            // Opening a pipe would wait for its other end.
            if !fs::metadata(self.path(relative))?.is_file() {
                return Ok(last);
            }
            let mut file = fs::File::open(self.path(relative))?;
            if file.seek(SeekFrom::End(-1)).is_ok() {
                file.read_exact(&mut last)?;
            }
            Ok(last)
        };
        if last_byte().is_ok_and(|last| last != [b'\n']) {
            findings.add(no_final_newline(Path::new(relative)));
        }
    }

    pub(super) fn check_owner(&self, relative: &Path, owner: u32, findings: &mut Findings) {
        if let Some(expected) = self.owner
            && owner != expected
        {
            findings.add(Finding::of_file(relative, Fact::OtherOwner { owner, expected }));
        }
    }

    /// Whether mail to a local address would be taken; `None` for addresses that are not ours.
    pub(super) fn receives(&self, address: &str) -> Option<bool> {
        let (name, domain) = address.rsplit_once('@')?;
        let known =
            self.tables.resolve(domain, name).is_some() || self.tables.cmdalias(domain, name).is_some();
        (known || self.tables.handles(domain)).then_some(known)
    }

    /// Whether findings about missing domains and accounts mean anything: the tables could be read.
    pub(super) fn knows_its_accounts(&self) -> bool {
        let tables = self.tables;
        let there = tables.domains.exists() && tables.users.exists();
        there && !tables.domains.is_unreadable() && !tables.users.is_unreadable()
    }
}

fn no_final_newline(file: &Path) -> Finding {
    Finding::of_file(file, Fact::NoFinalNewline {}).with_fix(Fix::EndLastLine)
}

/// The content and owner of a plain file; `None` when it is missing.
fn read(path: &Path) -> Result<Option<(Vec<u8>, u32)>, ProblemKind> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound if fs::symlink_metadata(path).is_err() => None,
        kind => Some(ProblemKind::Unreadable(kind)),
    };
    let read = || -> io::Result<Result<(Vec<u8>, u32), ProblemKind>> {
        let data = fs::metadata(path)?;
        if !data.is_file() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if data.len() > TABLE_BYTES_MAX {
            return Ok(Err(ProblemKind::TooLarge { bytes: data.len(), limit: TABLE_BYTES_MAX }));
        }
        Ok(Ok((fs::read(path)?, data.uid())))
    };
    match read() {
        Ok(result) => result.map(Some),
        Err(error) => unreadable(error).map_or(Ok(None), Err),
    }
}

/// The names in a directory, sorted, with their kinds; nothing when it cannot be read.
pub(super) fn entries(directory: &Path) -> Vec<Entry> {
    let Ok(read) = fs::read_dir(directory) else { return Vec::new() };
    let mut entries: Vec<Entry> = read.flatten().filter_map(|entry| Entry::of(&entry)).collect();
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    entries
}

/// A name in a directory.
pub(super) struct Entry {
    pub(super) name: String,
    /// Also for links to directories.
    pub(super) is_directory: bool,
    /// Also for links to plain files.
    pub(super) is_file: bool,
    /// A link that leads nowhere, or round in circles.
    pub(super) is_broken_link: bool,
}

impl Entry {
    /// Names that are not UTF-8 are nobody's.
    fn of(entry: &fs::DirEntry) -> Option<Self> {
        let name = entry.file_name().into_string().ok()?;
        let kind = entry.file_type().ok()?;
        if !kind.is_symlink() {
            let (is_directory, is_file) = (kind.is_dir(), kind.is_file());
            return Some(Self { name, is_directory, is_file, is_broken_link: false });
        }
        let target = fs::metadata(entry.path());
        let is_directory = target.as_ref().is_ok_and(fs::Metadata::is_dir);
        let is_file = target.as_ref().is_ok_and(fs::Metadata::is_file);
        Some(Self { name, is_directory, is_file, is_broken_link: target.is_err() })
    }
}
