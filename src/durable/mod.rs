//! Writes that survive a crash: write-temp, fsync, rename, fsync-dir; and file locks.
//!
//! Everything that must be on stable storage before we say so goes through a [`Disk`]. In production it is a thin
//! layer over `std::fs`; in tests it carries [`Faults`], which can fail any single [`Step`] (for example the third
//! write with ENOSPC), so that each order of steps can be checked against what a failure in it leaves behind.
//!
//! What to rely on:
//! - a file's content is safe after [`DiskFile::sync`]; its *name* is safe after [`Disk::sync_dir`] of the directory
//!   (both directories after a rename between two);
//! - after a failed sync the content must be taken for lost, even if a second sync succeeds;
//! - [`Disk::replace`] leaves the old or the new content under the name, never a mixture and never nothing;
//! - [`Disk::exchange`] does the same and gives back the file that it displaced, for writers who share a file with
//!   programs that know nothing of our locks.
//!
//! All methods block; async callers use `spawn_blocking`. Errors are `io::Error`: the caller knows what the path was
//! for and puts both into its own error.

mod exchange;
mod lock;
mod replace;
mod writers;

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

pub use exchange::{Displaced, KEPT_EXTENSION};
pub use lock::FileLock;
pub use replace::is_temporary;
pub use writers::Writer;

/// Permission bits of new files: mail and tables with passwords are for the server alone.
pub const FILE_MODE: u32 = 0o600;

/// Permission bits of new directories.
pub const DIR_MODE: u32 = 0o700;

/// The way to the disk. Cheap to clone.
#[derive(Clone, Default)]
pub struct Disk {
    faults: Option<Arc<dyn Faults>>,
}

/// Something that may refuse a step; the seam for tests.
pub trait Faults: Send + Sync {
    /// Called before each step is done.
    ///
    /// # Errors
    /// What it returns is returned by the operation, and the step is not done.
    fn before(&self, step: Step<'_>) -> io::Result<()>;

    /// What [`Disk::free_space`] says instead of the system.
    fn free_space(&self) -> Option<u64> {
        None
    }

    /// Who has this file open for writing; `None`: ask the system.
    fn writer_of(&self, _file: &File) -> Option<Writer> {
        None
    }

    /// Called where somebody waits; true when time has passed meanwhile.
    fn pause(&self, _time: Duration) -> bool {
        false
    }
}

/// One thing done to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A file is created, or opened to be appended to.
    Create(&'a Path),
    /// Bytes are written to this file.
    Write(&'a Path),
    /// This file is synced.
    SyncFile(&'a Path),
    /// A name changes.
    Rename {
        /// The present name.
        from: &'a Path,
        /// The future name; what had it is replaced.
        to: &'a Path,
    },
    /// Two names are swapped.
    Exchange {
        /// One name.
        from: &'a Path,
        /// The other.
        to: &'a Path,
    },
    /// The content of this file is synced, not its times (fdatasync).
    SyncData(&'a Path),
    /// This directory is synced.
    SyncDir(&'a Path),
    /// Everything of the file system that holds this path is synced (syncfs).
    SyncFileSystem(&'a Path),
    /// This file is removed.
    Remove(&'a Path),
    /// This directory is made.
    CreateDir(&'a Path),
}

impl Disk {
    /// A disk whose steps `faults` may refuse.
    pub fn with_faults(faults: Arc<dyn Faults>) -> Self {
        Self { faults: Some(faults) }
    }

    /// Creates a file that must not exist (O_EXCL), for writing and reading. `mode` is subject to the umask.
    ///
    /// # Errors
    /// `AlreadyExists`, or what the system says.
    pub fn create_new(&self, path: &Path, mode: u32) -> io::Result<DiskFile> {
        self.before(Step::Create(path))?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path)?;
        Ok(DiskFile { file, path: path.to_owned(), disk: self.clone() })
    }

    /// Opens a file for reading and writing at places in it; creates it with `mode` if it is missing.
    ///
    /// # Errors
    /// What the system says.
    pub fn open_or_create(&self, path: &Path, mode: u32) -> io::Result<DiskFile> {
        self.before(Step::Create(path))?;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(mode).open(path)?;
        Ok(DiskFile { file, path: path.to_owned(), disk: self.clone() })
    }

    /// Appends `bytes` with one write where the system allows; creates the file with `mode` if it is missing. With
    /// `sync` the bytes, and the name of a file that was missing, are on stable storage afterwards.
    ///
    /// # Errors
    /// What the system says. A part of `bytes` may then stand at the end of the file.
    pub fn append(&self, path: &Path, mode: u32, bytes: &[u8], sync: bool) -> io::Result<()> {
        self.before(Step::Create(path))?;
        let mut options = OpenOptions::new();
        options.append(true).mode(mode);
        let (file, is_new) = match options.clone().create_new(true).open(path) {
            Ok(file) => (file, true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (options.create(true).open(path)?, false)
            }
            Err(error) => return Err(error),
        };
        let mut file = DiskFile { file, path: path.to_owned(), disk: self.clone() };
        file.write_all(bytes)?;
        if sync {
            file.sync()?;
            if is_new {
                self.sync_dir(parent(path))?;
            }
        }
        Ok(())
    }

    /// Gives `from` the name `to` on the same file system; a file that had the name is replaced. Not durable before
    /// [`Disk::sync_dir`].
    ///
    /// # Errors
    /// What the system says; then nothing has changed.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(Step::Rename { from, to })?;
        fs::rename(from, to)
    }

    /// Gives the file `from` a second name on the same file system. Not durable before [`Disk::sync_dir`].
    ///
    /// # Errors
    /// `AlreadyExists`, or what the system says; then nothing has changed.
    pub fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(Step::Create(to))?;
        fs::hard_link(from, to)
    }

    /// Puts the content of a file on stable storage that was written by others, or earlier.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.before(Step::SyncFile(path))?;
        File::open(path)?.sync_all()
    }

    /// Makes the names in `dir` durable.
    ///
    /// # Errors
    /// What the system says; the names may or may not survive a crash then.
    pub fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.before(Step::SyncDir(dir))?;
        File::open(dir)?.sync_all()
    }

    /// Puts everything written so far to the file system that holds `path` on stable storage: contents and names.
    /// Cheaper than one sync per file once there are dozens.
    ///
    /// # Errors
    /// What the system says (since Linux 5.8 also that earlier writes were lost); what was written since the last sync
    /// must be taken for lost then.
    pub fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        self.before(Step::SyncFileSystem(path))?;
        Ok(rustix::fs::syncfs(File::open(path)?)?)
    }

    /// Removes a file. Not durable before [`Disk::sync_dir`].
    ///
    /// # Errors
    /// `NotFound` when there is no such file, or what the system says.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        self.before(Step::Remove(path))?;
        fs::remove_file(path)
    }

    /// Makes one directory (its parent must exist) and makes its name durable. One that exists already is fine.
    ///
    /// # Errors
    /// What the system says, and there is no directory then, unless that cannot be removed either; `AlreadyExists` when the name is taken by something that is not a directory.
    pub fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        self.before(Step::CreateDir(path))?;
        match DirBuilder::new().mode(mode).create(path) {
            // Not left behind: who has to make a new one would take it for somebody's.
            Ok(()) => self.sync_dir(parent(path)).inspect_err(|_| drop(fs::remove_dir(path))),
            // Somebody else may have made it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes `path` and what is missing above it, each new level with [`DIR_MODE`] and durable.
    ///
    /// # Errors
    /// As [`Disk::create_dir`]; levels made so far stay.
    pub fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let missing: Vec<&Path> =
            path.ancestors().take_while(|level| !level.as_os_str().is_empty() && !level.is_dir()).collect();
        missing.into_iter().rev().try_for_each(|level| self.create_dir(level, DIR_MODE))
    }

    /// Makes many directories below `top`, made as well, with one sync of the file system at the end instead of one
    /// for each: the thousands of a fresh spool.
    ///
    /// # Errors
    /// As [`Disk::create_dir`]; directories made so far stay.
    pub fn create_tree(&self, top: &Path, directories: impl Iterator<Item = PathBuf>) -> io::Result<()> {
        self.create_dir_all(top)?;
        let mut made_any = false;
        for path in directories {
            if !path.is_dir() {
                self.before(Step::CreateDir(&path))?;
                DirBuilder::new().recursive(true).mode(DIR_MODE).create(&path)?;
                made_any = true;
            }
        }
        if made_any { self.sync_file_system(top) } else { Ok(()) }
    }

    fn before(&self, step: Step<'_>) -> io::Result<()> {
        self.faults.as_ref().map_or(Ok(()), |faults| faults.before(step))
    }
}

impl Disk {
    /// [`free_space`].
    ///
    /// # Errors
    /// As there.
    pub fn free_space(&self, path: &Path) -> io::Result<u64> {
        match self.faults.as_ref().and_then(|faults| faults.free_space()) {
            Some(bytes) => Ok(bytes),
            None => free_space(path),
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("has_faults", &self.faults.is_some()).finish()
    }
}

/// A file made by [`Disk::create_new`]. Unbuffered: wrap it or write large pieces. Dropping it neither syncs nor
/// removes it.
#[derive(Debug)]
pub struct DiskFile {
    file: File,
    path: PathBuf,
    disk: Disk,
}

impl DiskFile {
    /// Puts content, size and permissions on stable storage (fsync).
    ///
    /// # Errors
    /// What the system says; the content must be taken for lost then.
    pub fn sync(&mut self) -> io::Result<()> {
        self.disk.before(Step::SyncFile(&self.path))?;
        self.file.sync_all()
    }

    /// Writes all of `bytes` at `offset`, past the place of [`Write`].
    ///
    /// # Errors
    /// What the system says; a part may have been written.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.before(Step::Write(&self.path))?;
        self.file.write_all_at(bytes, offset)
    }

    /// Puts the content on stable storage, and the size if it has changed (fdatasync).
    ///
    /// # Errors
    /// As [`DiskFile::sync`].
    pub fn sync_data(&self) -> io::Result<()> {
        self.disk.before(Step::SyncData(&self.path))?;
        self.file.sync_data()
    }

    /// Sets the time of the last modification, until something is written.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.file.set_modified(time)
    }

    /// Holds an exclusive lock on it until it is closed, so that others can tell it from one that a crash left
    /// ([`FileLock::try_existing`]). False: somebody else has it, or there is another file of its name by now.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_lock(&self) -> io::Result<bool> {
        match fs2::FileExt::try_lock_exclusive(&self.file) {
            Ok(()) => {}
            Err(error) if error.kind() == fs2::lock_contended_error().kind() => return Ok(false),
            Err(error) => return Err(error),
        }
        let ours = self.file.metadata()?;
        Ok(fs::metadata(&self.path).is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())))
    }

    /// The file itself, for reading.
    pub fn as_file(&self) -> &File {
        &self.file
    }

    /// The name it was created with.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Cuts the file to `size_bytes` (or fills it up with zeros).
    ///
    /// # Errors
    /// What the system says.
    pub fn set_len(&mut self, size_bytes: u64) -> io::Result<()> {
        self.disk.before(Step::Write(&self.path))?;
        self.file.set_len(size_bytes)
    }
}

impl Write for DiskFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.before(Step::Write(&self.path))?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Read for DiskFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Seek for DiskFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Bytes that this process may still write to the file system of `path`.
///
/// # Errors
/// What the system says, for example that there is no such path.
pub fn free_space(path: &Path) -> io::Result<u64> {
    fs2::available_space(path)
}

/// The directory that holds `path`'s name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests;
