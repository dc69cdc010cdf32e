//! The directories of mailboxes as they were last read, so that quotas and log-ins need not `stat` every message.
//!
//! A directory's times change with every name that comes, goes or changes in it. While they stay, so does what was read;
//! when they change its names are read again, and only files that were not there are looked at: a message file is never
//! written to once it has its name. Programs that do so all the same are found out by a look at every file after
//! [`TRUST`], and when a message turns out to have another size ([`super::Mailboxes::read_from_memory`]).
//!
//! A directory that was read within a clock tick of its last change is read again, since another change may carry the
//! same time. Quotas ask for less ([`KnownDirectories::measure`]): they may miss for [`LATE`] what another program changed
//! in the very moment of a delivery of ours, and so need not read all names of a large mailbox for every delivery.
//!
//! Limits: [`KNOWN_MAX`] files, and the directory read last whatever its size ([`Recent`]). More are read anew.

use std::collections::HashMap;
use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::StoredMessage;
use super::recent::Recent;

/// How long what was found out about a file counts while its name is there. Ours: clients ask every few minutes at most.
const TRUST: Duration = Duration::from_secs(300);

/// How long a quota may rest on what we know of our own deliveries. Ours.
const LATE: Duration = Duration::from_secs(1);

/// Files remembered at once; some 30 MB. Ours.
const KNOWN_MAX: usize = 100_000;

/// Clock ticks of file systems are at most this coarse.
const TIMESTAMP_TICK: Duration = Duration::from_millis(20);

/// What was read so far.
#[derive(Debug)]
pub(super) struct KnownDirectories {
    kept: Mutex<Recent<Arc<Directory>>>,
}

impl Default for KnownDirectories {
    fn default() -> Self {
        Self { kept: Mutex::new(Recent::new(KNOWN_MAX)) }
    }
}

/// One directory. Names that begin with a dot are left out.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    stamp: Stamp,
    /// When its names were read.
    read_at: Instant,
    /// Since when files have been looked at for this.
    since: Instant,
    /// Plain files.
    pub(super) files: Vec<KnownFile>,
    /// Bytes of all plain files, also of those whose names are not UTF-8.
    pub(super) bytes: u64,
    /// How many these are.
    pub(super) count: u64,
    /// Directories in it.
    pub(super) below: Vec<PathBuf>,
    /// Directories in it whose names begin with a dot, but for those that are being removed: folders.
    pub(super) folders: Vec<PathBuf>,
}

/// A plain file of a directory.
#[derive(Clone, Debug)]
pub(super) struct KnownFile {
    /// Shared with the sessions that have listed it.
    pub(super) message: Arc<StoredMessage>,
    inode: u64,
}

/// Which version of a directory.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    inode: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
    /// Another change may leave the same times.
    may_hide_a_change: bool,
}

impl KnownDirectories {
    /// What is in a directory; `None` when there is none.
    pub(super) fn read(&self, path: &Path) -> io::Result<Option<Arc<Directory>>> {
        self.read_unless(path, |known, now| known.stamp.is_certainly(now))
    }

    /// The same for a quota.
    pub(super) fn measure(&self, path: &Path) -> io::Result<Option<Arc<Directory>>> {
        self.read_unless(path, |known, now| {
            known.stamp.is_certainly(now) || known.stamp.is_as(now) && known.read_at.elapsed() < LATE
        })
    }

    fn read_unless(
        &self,
        path: &Path,
        holds: impl Fn(&Directory, &Stamp) -> bool,
    ) -> io::Result<Option<Arc<Directory>>> {
        let stamp = match Stamp::of(path) {
            Ok(stamp) => stamp,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.forget(path);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let known = self.lock().get(path).cloned();
        let known = known.filter(|known| known.since.elapsed() < TRUST);
        if let Some(known) = &known
            && holds(known, &stamp)
        {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(read) = Directory::read(path, stamp, known.as_deref())? else { return Ok(None) };
        let read = Arc::new(read);
        self.lock().insert(path, Arc::clone(&read), read.files.len());
        Ok(Some(read))
    }

    /// Whether it is known what is in a directory now, so that [`KnownDirectories::note`] may be told of a change by us.
    pub(super) fn is_known(&self, path: &Path) -> bool {
        // One `stat` less for mailboxes without a quota.
        let Some(known) = self.lock().get(path).map(|known| known.stamp) else { return false };
        Stamp::of(path).is_ok_and(|now| known.is_as(&now))
    }

    /// A message of ours has come into a directory that was known.
    pub(super) fn note_file(&self, path: &Path, file: &Path) {
        let Some(file_name) = file.file_name().and_then(|name| name.to_str()) else { return };
        let Ok(meta) = fs::metadata(file) else { return };
        let modified = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let (bytes, file_name) = (meta.len(), file_name.to_owned());
        let message = Arc::new(StoredMessage { path: file.to_owned(), bytes, modified, file_name });
        self.note(path, Some(KnownFile { message, inode: meta.ino() }));
    }

    /// We have changed a directory that was known: `new`, if any, has come; for the rest it is as it was.
    pub(super) fn note(&self, path: &Path, new: Option<KnownFile>) {
        let Ok(stamp) = Stamp::of(path) else { return };
        let mut kept = self.lock();
        let Some(known) = kept.get(path) else { return };
        // Only who has just listed the directory shares it; then it is copied.
        let directory = Arc::make_mut(known);
        directory.stamp = Stamp { may_hide_a_change: true, ..stamp };
        let Some(new) = new else { return };
        directory.bytes += new.message.bytes;
        directory.count += 1;
        directory.files.push(new);
        kept.grown(path, 1);
    }

    /// The next look at this directory looks at every file.
    pub(super) fn forget(&self, path: &Path) {
        self.lock().remove(path);
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Arc<Directory>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Directory {
    #[cfg(test)]
    pub(super) fn read_at(&self) -> Instant {
        self.read_at
    }

    /// `None` when it has gone since `stamp` was taken.
    fn read(path: &Path, stamp: Stamp, known: Option<&Self>) -> io::Result<Option<Self>> {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let files = known.map_or(&[][..], |known| &known.files);
        let by_name: HashMap<&str, &KnownFile> =
            files.iter().map(|file| (file.message.file_name.as_str(), file)).collect();
        let since = known.map_or_else(Instant::now, |known| known.since);
        let mut read = Self {
            stamp,
            read_at: Instant::now(),
            since,
            files: Vec::new(),
            bytes: 0,
            count: 0,
            below: Vec::new(),
            folders: Vec::new(),
        };
        for entry in entries {
            // Half a list would look to clients as if mail had been removed.
            read.add(&entry?, &by_name)?;
        }
        Ok(Some(read))
    }

    fn add(&mut self, entry: &DirEntry, known: &HashMap<&str, &KnownFile>) -> io::Result<()> {
        let name = entry.file_name();
        if name.as_bytes().starts_with(b".") {
            if !name.as_bytes().starts_with(b"..") && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.folders.push(entry.path());
            }
            return Ok(());
        }
        let kind = match entry.file_type() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            kind => kind?,
        };
        if kind.is_dir() {
            self.below.push(entry.path());
        }
        if !kind.is_file() {
            return Ok(());
        }
        let same = name.to_str().and_then(|name| known.get(name)).filter(|known| known.inode == entry.ino());
        if let Some(known) = same {
            self.bytes += known.message.bytes;
            self.count += 1;
            self.files.push(KnownFile::clone(known));
            return Ok(());
        }
        let (bytes, modified) = match entry.metadata() {
            Ok(meta) => (meta.len(), meta.modified().unwrap_or(SystemTime::UNIX_EPOCH)),
            // Taken away while we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        self.bytes += bytes;
        self.count += 1;
        if let Ok(file_name) = name.into_string() {
            let message = Arc::new(StoredMessage { path: entry.path(), bytes, modified, file_name });
            self.files.push(KnownFile { message, inode: entry.ino() });
        }
        Ok(())
    }
}

impl Stamp {
    /// Whether nothing has changed from this one to `now`.
    fn is_certainly(&self, now: &Self) -> bool {
        self.is_as(now) && !self.may_hide_a_change
    }

    /// The same, but for changes in the same clock tick.
    fn is_as(&self, now: &Self) -> bool {
        let times = |stamp: &Self| (stamp.inode, stamp.modified, stamp.changed);
        times(self) == times(now)
    }

    fn of(path: &Path) -> io::Result<Self> {
        let meta = fs::metadata(path)?;
        let changed = (meta.ctime(), meta.ctime_nsec());
        let at = SystemTime::UNIX_EPOCH
            + Duration::new(u64::try_from(changed.0).unwrap_or(0), u32::try_from(changed.1).unwrap_or(0));
        // A time in the future counts as now.
        let age = SystemTime::now().duration_since(at).unwrap_or_default();
        Ok(Self {
            inode: (meta.dev(), meta.ino()),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed,
            may_hide_a_change: age < TIMESTAMP_TICK,
        })
    }
}
