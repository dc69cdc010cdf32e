//! Which files of a MailRoot go into a backup.

use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::BackupError;

/// A part of a MailRoot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Everything outside `domains/`, `bin/` and `file/`.
    System,
    /// `domains/` without mail, and `bin/`.
    Accounts,
    /// Mailboxes, and what users keep in `file/` (`jdmail.md` JD-13).
    Mail,
}

/// Directories of a MailRoot that no backup holds: queues, logs, caches, locks, bundled programs (`mailroot.md` 1,
/// `jdmail.md` JD-08 to JD-17).
const LEFT_OUT: [&str; 17] = [
    "spool",
    "spool2",
    "spool3",
    "logs",
    "dnscache",
    "tabindex",
    "tmp",
    "temp",
    "pop3locks",
    "pop3linklocks",
    "smtplocks",
    "glst",
    "JDMG",
    "reg",
    "Apache2.2",
    "clamAV",
    "lost+found",
];

/// What names of our own files begin with: locks, sockets, the history.
const OUR_PREFIX: &str = ".tabmail";

/// Sub-directories of an account that hold mail.
const MAILBOXES: [&str; 2] = ["Maildir", "mailbox"];

/// How deep directories are looked into. Ours: IMAP folders are flat in a Maildir; a loop of links ends here.
const DEPTH_MAX: usize = 24;

/// A look at a MailRoot.
pub(super) struct Walk {
    root: PathBuf,
    /// Where backups are, which are left out.
    backups: Option<PathBuf>,
}

/// Modification time and size.
pub(super) type FileStamp = (i64, i64, u64, u64);

impl Walk {
    pub(super) fn new(root: &Path, backups: &Path) -> Self {
        Self { root: root.to_owned(), backups: backups.canonicalize().ok() }
    }

    /// All plain files of a part, as paths relative to the MailRoot.
    pub(super) fn each(
        &self,
        part: Part,
        found: &mut dyn FnMut(&Path) -> Result<(), BackupError>,
    ) -> Result<(), BackupError> {
        self.directory(Path::new(""), part, found)
    }

    /// The files of a part with their times and sizes, by name.
    pub(super) fn stamps(&self, part: Part) -> Result<Vec<(PathBuf, FileStamp)>, BackupError> {
        let mut found = Vec::new();
        self.each(part, &mut |relative| {
            if let Ok(data) = fs::symlink_metadata(self.root.join(relative)) {
                let stamp = (data.mtime(), data.mtime_nsec(), data.size(), data.ino());
                found.push((relative.to_owned(), stamp));
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn directory(
        &self,
        relative: &Path,
        part: Part,
        found: &mut dyn FnMut(&Path) -> Result<(), BackupError>,
    ) -> Result<(), BackupError> {
        for entry in self.entries(relative)? {
            let path = relative.join(entry.file_name());
            let Ok(kind) = entry.file_type() else { continue };
            let names_directory = kind.is_dir() || kind.is_symlink() && self.is_moved_directory(&path);
            if names_directory && self.may_hold(&path, part) {
                self.directory(&path, part, found)?;
            } else if kind.is_file() && part_of(&path) == part {
                found(&path)?;
            }
        }
        Ok(())
    }

    /// By name: `cur` is read after `new`, so that what is moved from there meanwhile is met at least once.
    fn entries(&self, relative: &Path) -> Result<Vec<DirEntry>, BackupError> {
        let path = self.root.join(relative);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(BackupError::File { path, source }),
        };
        let mut entries: Vec<DirEntry> = entries
            .flatten()
            .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(OUR_PREFIX.as_bytes()))
            .collect();
        entries.sort_by_key(|entry| (entry.file_name() == "cur", entry.file_name()));
        Ok(entries)
    }

    /// An operator's link at the top, or a domain's, leads to another disk; links further down are not followed.
    fn is_moved_directory(&self, relative: &Path) -> bool {
        relative.components().count() <= 2 && self.root.join(relative).is_dir()
    }

    /// Whether files of a part may lie below a directory.
    fn may_hold(&self, relative: &Path, part: Part) -> bool {
        let mut names = names(relative);
        let (Some(first), depth) = (names.next(), relative.components().count()) else { return false };
        if depth > DEPTH_MAX || LEFT_OUT.contains(&first) || self.is_backups(relative) {
            return false;
        }
        match (first, part) {
            ("domains", Part::System) | ("file", Part::System | Part::Accounts) => false,
            ("domains", Part::Accounts) => !is_mail(relative),
            // Operators keep the programs of their filters there.
            ("bin", part) => part == Part::Accounts,
            ("domains", Part::Mail) | ("file", Part::Mail) => true,
            (_, part) => part == Part::System,
        }
    }

    fn is_backups(&self, relative: &Path) -> bool {
        let real = self.root.join(relative).canonicalize().ok();
        real.is_some() && real == self.backups
    }
}

fn names(relative: &Path) -> impl Iterator<Item = &str> {
    relative.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    })
}

/// The part that a file belongs to.
pub(super) fn part_of(relative: &Path) -> Part {
    match names(relative).next() {
        Some("file") => Part::Mail,
        Some("domains") if is_mail(relative) => Part::Mail,
        Some("domains" | "bin") => Part::Accounts,
        _ => Part::System,
    }
}

/// `domains/<domain>/<account>/Maildir/...`
fn is_mail(relative: &Path) -> bool {
    let mut names = names(relative);
    names.next() == Some("domains") && names.nth(2).is_some_and(|name| MAILBOXES.contains(&name))
}

/// Where a message of a Maildir is now that was just there: it keeps the name up to the colon, and has other flags or has
/// gone from `new` to `cur`.
pub(super) fn moved(root: &Path, relative: &Path) -> Option<PathBuf> {
    if part_of(relative) != Part::Mail {
        return None;
    }
    let stem = stem_of(relative.file_name()?.to_str()?).to_owned();
    let cur = relative.parent()?.parent()?.join("cur");
    let entries = fs::read_dir(root.join(&cur)).ok()?.flatten();
    let name = entries.filter_map(|entry| entry.file_name().into_string().ok());
    name.into_iter().find(|name| stem_of(name) == stem).map(|name| cur.join(name))
}

/// A message's name without its flags.
pub(super) fn stem_of(name: &str) -> &str {
    name.split_once(':').map_or(name, |(stem, _)| stem)
}
