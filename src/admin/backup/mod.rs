//! Backups of a MailRoot while the server works on it, and the way back (`jdmail.md` JD-64).
//!
//! Shape: a gzipped tape archive (`archive`) that every `tar` reads, files relative to the MailRoot, in three parts:
//!
//! ```text
//! BACKUP.txt                     what this is
//! server.tab custdomains/... domains/a.test/anna/user.tab ...      the system and its users
//! domains/a.test/anna/Maildir/cur/...                              with mail: mailboxes
//! ```
//!
//! Consistency: everything outside `domains/` is read under the lock of edits, and read again as long as somebody
//! without a lock (a shell) changes one of the files meanwhile, so these tables are of one moment. Tables of accounts are whole
//! each. Mail is what a mailbox holds while it is walked: `new` before `cur`, so that a message which is moved meanwhile is
//! found in one of them.
//!
//! Not in it: `spool/` (a restored queue would send mail twice), logs, caches, the history, backups.
//!
//! The way back: tables go through [`crate::mailroot::edit`] and are shown as a diff first; the history keeps what they were. Other
//! files are put where they are missing; nothing is ever overwritten. Names in an archive are not trusted: only plain
//! relative paths, only files, and no way through a link out of the MailRoot.
//!
//! Limits: [`TABLES_BYTES_MAX`] for the part that is of one moment. A disk with less than [`FREE_BYTES_MIN`] left ends it.

mod archive;
mod parts;
mod receive;
mod restore;
mod walk;

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Admin, AdminError};
use crate::durable::{DiskFile, free_space};
use archive::{Reader, Stamp, Writer};
use walk::{Part, Walk};

pub use receive::{RECEIVED_BYTES_MAX, Receiving};
pub use restore::{Comparison, Difference, Restored, Within};

/// What goes into a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Tables, accounts, certificates.
    System,
    /// Mailboxes, too.
    WithMail,
}

/// How far a backup or the way back is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files done.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Called for each file.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Sync);

/// Why there is no backup, or no way back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or directory of the backup.
    #[error("{}: {source}", path.display())]
    Archive {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the MailRoot.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk would be full.
    #[error("{}: too little space left, {free_bytes} bytes", path.display())]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// What is left.
        free_bytes: u64,
    },
    /// The tables together are too large to be held in memory.
    #[error("the tables have more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// What comes from elsewhere is larger than is taken.
    #[error("it has more than {limit} bytes")]
    TooLargeToReceive {
        /// The limit.
        limit: u64,
    },
    /// The tables never stood still.
    #[error("the tables are being changed all the time")]
    NeverStill,
}

/// A backup that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its file's name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// When it was finished, in Unix seconds.
    pub unix_secs: i64,
}

/// What tables outside `domains/` may have together, in bytes: they are held in memory for a moment. Ours.
pub const TABLES_BYTES_MAX: u64 = 512 << 20;

/// A backup ends when less than this is left on its disk, in bytes. Ours: mail needs room more than a backup does.
pub const FREE_BYTES_MIN: u64 = 256 << 20;

/// How often tables that are changed meanwhile are read again.
const TRIES_MAX: usize = 20;

/// After this many files the room on the disk is looked at again.
const FILES_BETWEEN_LOOKS: u64 = 1000;

/// What the names of backups end with.
const ENDING: &str = ".tar.gz";

/// Readable by the server's user only: a backup holds passwords and the key.
const BACKUP_MODE: u32 = 0o600;

/// The first file of a backup.
const ABOUT: &str = "BACKUP.txt";

/// Whether a directory has room for `bytes` bytes and what mail needs.
fn look_for_room(directory: &Path, bytes: u64) -> Result<(), BackupError> {
    let free_bytes = free_space(directory).unwrap_or(u64::MAX);
    match free_bytes < FREE_BYTES_MIN.saturating_add(bytes) {
        true => Err(BackupError::NoRoom { path: directory.to_owned(), free_bytes }),
        false => Ok(()),
    }
}

/// The backups in a directory, the newest first; those that are being made are not among them.
pub fn backups(directory: &Path) -> Vec<Backup> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let backup = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let data = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        let is_one = name.ends_with(ENDING) && !name.starts_with('.');
        is_one.then(|| Backup { name, bytes: data.len(), unix_secs: data.mtime() })
    };
    let mut found: Vec<Backup> = entries.filter_map(backup).collect();
    found.sort_by(|a, b| (b.unix_secs, &b.name).cmp(&(a.unix_secs, &a.name)));
    found
}

/// The path of one of the backups of a directory; the name is looked up, not joined.
pub fn find_backup(directory: &Path, name: &str) -> Option<PathBuf> {
    backups(directory)
        .into_iter()
        .find(|backup| backup.name == name)
        .map(|backup| directory.join(backup.name))
}

impl Admin {
    /// Makes a backup in `directory`, which is made when it is missing, and returns its file. A crash leaves a file that
    /// [`Admin::remove_unfinished_backups`] removes.
    ///
    /// # Errors
    /// `Archive` with a [`BackupError`]; `Edit` when the tables stay locked.
    pub fn make_backup(
        &self,
        directory: &Path,
        scope: Scope,
        progress: OnProgress<'_>,
    ) -> Result<PathBuf, AdminError> {
        let of = |path: &Path| {
            let path = path.to_owned();
            move |source| BackupError::Archive { path, source }
        };
        self.disk.create_dir_all(directory).map_err(of(directory))?;
        let kind = if scope == Scope::System { "system" } else { "mail" };
        let stem = format!("tabmail-{}-{kind}", self.clock.zoned().strftime("%Y%m%d-%H%M%S"));
        let path = directory.join(format!("{stem}{ENDING}"));
        let file = parts::begin(&self.disk, directory, &stem).map_err(of(directory))?;
        let unfinished = file.path().to_owned();
        // Its lock is held until it has its name.
        let made = self.write_backup(file, directory, scope, progress).and_then(|_locked| {
            // Never over another one.
            self.disk.hard_link(&unfinished, &path).map_err(of(&path))?;
            Ok(self.disk.sync_dir(directory).map_err(of(directory))?)
        });
        // The first error is the one to report.
        let _ = self.disk.remove(&unfinished);
        made.map(|()| path)
    }

    fn write_backup(
        &self,
        file: DiskFile,
        directory: &Path,
        scope: Scope,
        progress: OnProgress<'_>,
    ) -> Result<DiskFile, AdminError> {
        let path = file.path().to_owned();
        let failed = |source| BackupError::Archive { path: path.clone(), source };
        let output = GzEncoder::new(BufWriter::new(file), Compression::fast());
        let mut making = Making {
            root: self.root().path().to_owned(),
            directory: directory.to_owned(),
            archive: Writer::new(output),
            progress,
            done: Progress::default(),
        };
        making.about(scope, &self.clock.mail_date()).map_err(failed)?;
        let walk = Walk::new(self.root().path(), directory);
        making.at_once(self.read_at_once(&walk)?)?;
        walk.each(Part::Accounts, &mut |relative| making.file(relative))?;
        if scope == Scope::WithMail {
            walk.each(Part::Mail, &mut |relative| making.file(relative))?;
        }
        let buffered = making.archive.finish().and_then(GzEncoder::finish).map_err(failed)?;
        let mut file = buffered.into_inner().map_err(|error| failed(error.into_error()))?;
        file.flush().and_then(|()| file.sync()).map_err(failed)?;
        Ok(file)
    }

    /// All files outside `domains/`, of one moment.
    fn read_at_once(&self, walk: &Walk) -> Result<Vec<Held>, AdminError> {
        for _ in 0..TRIES_MAX {
            // No edit of this MailRoot begins before it is dropped, in any process.
            let _nobody_edits = self.editor.begin(Path::new("server.tab"))?;
            let before = walk.stamps(Part::System)?;
            let mut held = Vec::new();
            let mut bytes_left = TABLES_BYTES_MAX;
            for (relative, _) in &before {
                let path = self.root().path().join(relative);
                let Some((file, data)) = open(&path)? else { continue };
                let mut bytes = Vec::new();
                let read = file.take(bytes_left + 1).read_to_end(&mut bytes);
                read.map_err(|source| BackupError::File { path, source })?;
                bytes_left = bytes_left
                    .checked_sub(bytes.len() as u64)
                    .ok_or(BackupError::TooLarge { limit: TABLES_BYTES_MAX })?;
                held.push(Held { relative: relative.clone(), stamp: stamp_of(&data), bytes });
            }
            if walk.stamps(Part::System)? == before {
                return Ok(held);
            }
        }
        Err(BackupError::NeverStill.into())
    }
}

/// A file in memory.
struct Held {
    relative: PathBuf,
    stamp: Stamp,
    bytes: Vec<u8>,
}

/// A backup that is being written.
struct Making<'a> {
    root: PathBuf,
    directory: PathBuf,
    archive: Writer<GzEncoder<BufWriter<DiskFile>>>,
    progress: OnProgress<'a>,
    done: Progress,
}

impl Making<'_> {
    fn about(&mut self, scope: Scope, date: &str) -> io::Result<()> {
        let what = if scope == Scope::System { "system and users" } else { "system, users and mail" };
        let text = format!(
            "Tabmail {} backup\nmade: {date}\nholds: {what}\n\
             Not in it: spool, logs, caches, history. Files are relative to the MailRoot.\n",
            env!("CARGO_PKG_VERSION")
        );
        let stamp = Stamp { mode: BACKUP_MODE, unix_secs: 0 };
        self.archive.file(ABOUT, stamp, text.len() as u64, text.as_bytes())
    }

    fn at_once(&mut self, files: Vec<Held>) -> Result<(), BackupError> {
        for file in files {
            self.add(&file.relative, file.stamp, file.bytes.len() as u64, &file.bytes[..])?;
        }
        Ok(())
    }

    /// One file as it is now; one that is gone is passed, or found where its mailbox moved it.
    fn file(&mut self, relative: &Path) -> Result<(), BackupError> {
        let path = self.root.join(relative);
        let found = match open(&path)? {
            Some(found) => Some((relative.to_owned(), found)),
            None => match walk::moved(&self.root, relative) {
                Some(moved) => open(&self.root.join(&moved))?.map(|found| (moved, found)),
                None => None,
            },
        };
        let Some((relative, (file, data))) = found else { return Ok(()) };
        self.add(&relative, stamp_of(&data), data.len(), BufReader::new(file))
    }

    fn add(
        &mut self,
        relative: &Path,
        stamp: Stamp,
        bytes: u64,
        content: impl Read,
    ) -> Result<(), BackupError> {
        // Every name below a MailRoot that the server makes is UTF-8.
        let Some(name) = relative.to_str() else { return Ok(()) };
        if self.done.files.is_multiple_of(FILES_BETWEEN_LOOKS) {
            look_for_room(&self.directory, 0)?;
        }
        let written = self.archive.file(name, stamp, bytes, content);
        written.map_err(|source| BackupError::File { path: relative.to_owned(), source })?;
        self.done = Progress { files: self.done.files + 1, bytes: self.done.bytes + bytes };
        (self.progress)(self.done);
        Ok(())
    }
}

fn stamp_of(data: &fs::Metadata) -> Stamp {
    Stamp { mode: data.mode() & 0o7777, unix_secs: data.mtime() }
}

/// A plain file, opened; `None` when it is gone or has become something else.
fn open(path: &Path) -> Result<Option<(File, fs::Metadata)>, BackupError> {
    let failed = |source| BackupError::File { path: path.to_owned(), source };
    // Opening a pipe would wait for its other end.
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
        Ok(file) => {
            let data = file.metadata().map_err(failed)?;
            Ok(Some((file, data)))
        }
    }
}

/// A backup, opened for reading.
fn read(path: &Path) -> Result<Reader, BackupError> {
    let file = File::open(path).map_err(|source| BackupError::Archive { path: path.to_owned(), source })?;
    Ok(Reader::new(file))
}

#[cfg(test)]
mod tests;
