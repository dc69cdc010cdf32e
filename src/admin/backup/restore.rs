//! The way back: what differs, tables through the editor, other files where they are missing.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::archive::{Entry, EntryKind};
use super::walk::{Part, part_of, stem_of};
use super::{ABOUT, BackupError, OnProgress, Progress, look_for_room, read};
use crate::admin::files::{described, is_outside};
use crate::admin::{Admin, AdminError};
use crate::durable::Disk;
use crate::mailroot::snapshot::TABLE_BYTES_MAX;

/// What a restoration is confined to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Within {
    /// Everything.
    #[default]
    All,
    /// One domain.
    Domain(String),
    /// One account of a domain: its directory.
    Account(String, String),
}

impl Within {
    /// Names are compared, never joined.
    fn holds(&self, relative: &Path) -> bool {
        let mut names = relative.components().map(|part| part.as_os_str().to_string_lossy());
        let is_in_domain = |names: &mut dyn Iterator<Item = std::borrow::Cow<'_, str>>, domain: &str| {
            names.next().is_some_and(|name| name == "domains")
                && names.next().is_some_and(|name| name.eq_ignore_ascii_case(domain))
        };
        match self {
            Self::All => true,
            Self::Domain(domain) => is_in_domain(&mut names, domain),
            Self::Account(domain, account) => {
                is_in_domain(&mut names, domain)
                    && names.next().is_some_and(|name| name.eq_ignore_ascii_case(account))
            }
        }
    }
}

/// A table in a backup that is not as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub file: PathBuf,
    /// Whether there is none now.
    pub is_missing: bool,
}

/// A backup against the MailRoot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What the backup says of itself.
    pub about: String,
    /// Tables that are the same.
    pub same: usize,
    /// Tables that differ, those outside `domains/` first.
    pub different: Vec<Difference>,
    /// Further tables that differ.
    pub unlisted: usize,
    /// Entries whose names or kinds are refused.
    pub refused: usize,
    /// Whether mail is in it.
    pub has_mail: bool,
}

/// What was put back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Files made.
    pub made: u64,
    /// Files that are there and stay.
    pub kept: u64,
    /// Entries whose names or kinds are refused.
    pub refused: u64,
}

/// Differences that a comparison lists. Ours.
const DIFFERENCES_MAX: usize = 1000;

/// The plain relative path that a name in an archive stands for.
pub(super) fn safe_path(entry: &Entry<'_>) -> Option<PathBuf> {
    let name = entry.name.strip_prefix("./").unwrap_or(&entry.name);
    let path = Path::new(name);
    let is_plain = |part: Component<'_>| match part {
        Component::Normal(part) => !part.as_encoded_bytes().starts_with(b".tabmail"),
        _ => false,
    };
    let is_safe = entry.kind == EntryKind::File
        && !name.is_empty()
        && !name.ends_with('/')
        && !name.split('/').any(|part| part.is_empty() || part == "." || part == "..")
        && !name.contains(['\\', '\0'])
        && path.components().all(is_plain);
    is_safe.then(|| path.to_owned())
}

impl Admin {
    /// What the tables of a backup would change.
    ///
    /// # Errors
    /// `Archive`.
    pub fn compare_backup(&self, archive: &Path) -> Result<Comparison, AdminError> {
        let failed = |source| BackupError::Archive { path: archive.to_owned(), source };
        let (mut reader, mut found) = (read(archive)?, Comparison::default());
        let mut entries = reader.entries().map_err(failed)?;
        while let Some(mut entry) = entries.next().map_err(failed)? {
            let Some(relative) = safe_path(&entry) else {
                found.refused += 1;
                continue;
            };
            if part_of(&relative) == Part::Mail {
                // Behind all tables.
                found.has_mail = true;
                break;
            }
            if relative == Path::new(ABOUT) {
                found.about = String::from_utf8_lossy(&entry.body(4096).map_err(failed)?).into_owned();
                continue;
            }
            if described(&relative).is_none() || entry.bytes > TABLE_BYTES_MAX {
                continue;
            }
            let bytes = entry.body(TABLE_BYTES_MAX).map_err(failed)?;
            match self.read(&relative)? {
                Some(now) if now == bytes => found.same += 1,
                _ if found.different.len() >= DIFFERENCES_MAX => found.unlisted += 1,
                now => found.different.push(Difference { file: relative, is_missing: now.is_none() }),
            }
        }
        Ok(found)
    }

    /// Gives tables the content that a backup has for them. Tables that it does not hold stay as they are.
    ///
    /// # Errors
    /// `Archive`, `BadTable` for one that loses rows, `Edit`.
    pub fn restore_tables(&self, archive: &Path, wanted: &[PathBuf]) -> Result<(), AdminError> {
        let failed = |source| BackupError::Archive { path: archive.to_owned(), source };
        let mut reader = read(archive)?;
        let mut entries = reader.entries().map_err(failed)?;
        let mut contents: HashMap<PathBuf, Vec<u8>> = HashMap::new();
        while contents.len() < wanted.len()
            && let Some(mut entry) = entries.next().map_err(failed)?
        {
            if let Some(relative) = safe_path(&entry).filter(|path| wanted.contains(path)) {
                contents.insert(relative, entry.body(TABLE_BYTES_MAX).map_err(failed)?);
            }
        }
        for file in wanted {
            if let Some(bytes) = contents.get(file) {
                self.restore_table(file, bytes)?;
            }
        }
        Ok(())
    }

    fn restore_table(&self, file: &Path, bytes: &[u8]) -> Result<(), AdminError> {
        let base = self.table_text(file)?;
        if base == bytes {
            return Ok(());
        }
        if let Some(directory) =
            file.parent().filter(|directory| !self.root().path().join(directory).is_dir())
        {
            self.make_directory(directory)?;
        }
        self.save_table(file, &base, bytes)
    }

    /// Puts the files of a backup where they are missing: mail, accounts' files, tables that are gone. Nothing that is
    /// there is touched. A message counts as there when the mailbox has one of its name, in `new` or `cur`.
    ///
    /// # Errors
    /// `Archive`; what was put back until then stays.
    pub fn restore_files(
        &self,
        archive: &Path,
        within: &Within,
        progress: OnProgress<'_>,
    ) -> Result<Restored, AdminError> {
        let failed = |source| BackupError::Archive { path: archive.to_owned(), source };
        let (mut reader, mut done) = (read(archive)?, Restored::default());
        let mut bytes = 0;
        let mut house = House { root: self.root().path(), disk: &self.disk, folder: None, made: 0 };
        let mut entries = reader.entries().map_err(failed)?;
        while let Some(mut entry) = entries.next().map_err(failed)? {
            let Some(relative) = safe_path(&entry) else {
                done.refused += 1;
                continue;
            };
            if relative == Path::new(ABOUT) || !within.holds(&relative) {
                continue;
            }
            if is_outside(self.root().path(), &relative) {
                done.refused += 1;
                continue;
            }
            // A packed file may be much smaller than what it becomes.
            look_for_room(self.root().path(), entry.bytes)?;
            match house.put(&relative, &mut entry).map_err(failed)? {
                true => done.made += 1,
                false => done.kept += 1,
            }
            bytes += entry.bytes;
            progress(Progress { files: done.made + done.kept, bytes });
        }
        Ok(done)
    }
}

/// Where files are put.
struct House<'a> {
    root: &'a Path,
    disk: &'a Disk,
    /// The folder of the last message, and the names in its `new` and `cur` without flags.
    folder: Option<(PathBuf, HashSet<String>)>,
    made: u64,
}

impl House<'_> {
    /// False when there is such a file.
    fn put(&mut self, relative: &Path, entry: &mut Entry<'_>) -> io::Result<bool> {
        let target = self.root.join(relative);
        if fs::symlink_metadata(&target).is_ok() || self.is_in_folder(relative) {
            return Ok(false);
        }
        let directory = target.parent().unwrap_or(self.root);
        self.disk.create_dir_all(directory)?;
        self.made += 1;
        let name = format!(".tabmail-restore-{}-{}", std::process::id(), self.made);
        let temporary = directory.join(name);
        let mut file = self.disk.create_new(&temporary, entry.stamp.mode & 0o777)?;
        let time = std::time::Duration::from_secs(u64::try_from(entry.stamp.unix_secs).unwrap_or(0));
        let written = io::copy(entry, &mut file).and_then(|_| {
            file.set_modified(std::time::UNIX_EPOCH + time)?;
            file.sync()?;
            // It fails where a file of that name has come meanwhile.
            self.disk.hard_link(&temporary, &target)
        });
        let removed = self.disk.remove(&temporary);
        match written {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
            Ok(()) => removed.and_then(|()| self.disk.sync_dir(directory)).map(|()| true),
        }
    }

    /// Whether a Maildir has the message under other flags.
    fn is_in_folder(&mut self, relative: &Path) -> bool {
        let Some(directory) = relative.parent().filter(|_| part_of(relative) == Part::Mail) else {
            return false;
        };
        let is_maildir = directory.file_name().is_some_and(|name| name == "new" || name == "cur");
        let (true, Some(folder)) = (is_maildir, directory.parent()) else { return false };
        if self.folder.as_ref().is_none_or(|(known, _)| known != folder) {
            let names = ["new", "cur"].into_iter().flat_map(|part| {
                let entries = fs::read_dir(self.root.join(folder).join(part)).into_iter().flatten().flatten();
                entries
                    .map(|entry| stem_of(&entry.file_name().to_string_lossy()).to_owned())
                    .collect::<Vec<_>>()
            });
            self.folder = Some((folder.to_owned(), names.collect()));
        }
        let name = relative.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        self.folder.as_ref().is_some_and(|(_, names)| names.contains(stem_of(&name)))
    }
}
