//! Exclusive locks between processes: ours, a second server on the same MailRoot, admin commands.
//!
//! Advisory (flock), on a file of their own that is never removed: removing it would let two processes lock two
//! different files of one name. Not the on-disk locks of `pop3locks`, whose existence is the lock (mailflow.md 1.4).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::FILE_MODE;

/// An exclusive lock on a lock file, held until dropped. It excludes other holders in this process too.
#[derive(Debug)]
pub struct FileLock {
    /// Closing it releases the lock: no other descriptor shares it, and programs we start do not inherit it.
    _file: File,
}

impl FileLock {
    /// Waits for the lock; makes the lock file if it is missing. Blocks the thread.
    ///
    /// # Errors
    /// What the system says.
    pub fn acquire(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        loop {
            match fs2::FileExt::lock_exclusive(&file) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
        }
    }

    /// The lock, or None when somebody else holds it.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        Self::try_of(open(path)?)
    }

    /// The lock of a file that is there, which is not made; None when somebody else holds it.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_existing(path: &Path) -> io::Result<Option<Self>> {
        Self::try_of(File::open(path)?)
    }

    fn try_of(file: File) -> io::Result<Option<Self>> {
        match fs2::FileExt::try_lock_exclusive(&file) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(error) if error.kind() == fs2::lock_contended_error().kind() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)
}
