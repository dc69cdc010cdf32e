//! A backup that comes from elsewhere, piece by piece.
//!
//! It is a file whose name begins with a dot until it is whole and has been read through; then it stands among the
//! others under a name of ours. One that is given up leaves nothing.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::restore::safe_path;
use super::{BackupError, ENDING, OnProgress, Progress, look_for_room, parts, read};
use crate::admin::{Admin, AdminError};
use crate::durable::{Disk, DiskFile};

/// The largest archive that is taken, in bytes. Ours: larger ones are better copied into the directory.
pub const RECEIVED_BYTES_MAX: u64 = 64 << 30;

/// After this many bytes the room on the disk is looked at again.
const BYTES_BETWEEN_LOOKS: u64 = 8 << 20;

/// Tells those apart that come at once.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// A backup that comes; nothing is left of it when it is dropped.
#[derive(Debug)]
pub struct Receiving {
    disk: Disk,
    directory: PathBuf,
    file: DiskFile,
    bytes: u64,
    unlooked: u64,
}

impl Receiving {
    /// How much has come, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// `TooLargeToReceive`, `NoRoom`, `Archive`.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), BackupError> {
        self.bytes += piece.len() as u64;
        if self.bytes > RECEIVED_BYTES_MAX {
            return Err(BackupError::TooLargeToReceive { limit: RECEIVED_BYTES_MAX });
        }
        self.unlooked += piece.len() as u64;
        if self.unlooked >= BYTES_BETWEEN_LOOKS {
            self.unlooked = 0;
            look_for_room(&self.directory, 0)?;
        }
        let written = self.file.write_all(piece);
        written.map_err(|source| BackupError::Archive { path: self.file.path().to_owned(), source })
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        // One that stays is not among the backups, and tells by its name what it was.
        let _ = self.disk.remove(self.file.path());
    }
}

impl Admin {
    /// Begins to take a backup into `directory`, which is made when it is missing. `expected_bytes`: its size, as far as
    /// the sender tells it, or 0.
    ///
    /// # Errors
    /// `Archive` with a [`BackupError`]: `TooLargeToReceive`, `NoRoom`, `Archive`.
    pub fn receive_backup(&self, directory: &Path, expected_bytes: u64) -> Result<Receiving, AdminError> {
        if expected_bytes > RECEIVED_BYTES_MAX {
            return Err(BackupError::TooLargeToReceive { limit: RECEIVED_BYTES_MAX }.into());
        }
        let failed = |source| BackupError::Archive { path: directory.to_owned(), source };
        self.disk.create_dir_all(directory).map_err(failed)?;
        look_for_room(directory, expected_bytes)?;
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let stem = format!("tabmail-received-{}-{serial}", std::process::id());
        let file = parts::begin(&self.disk, directory, &stem).map_err(failed)?;
        let (disk, directory) = (self.disk.clone(), directory.to_owned());
        Ok(Receiving { disk, directory, file, bytes: 0, unlooked: 0 })
    }

    /// Reads a backup that has come whole and puts it among the others; returns its file.
    ///
    /// # Errors
    /// `Archive` with a [`BackupError`]: it cannot be read to its end, or holds no file.
    pub fn accept_backup(
        &self,
        mut received: Receiving,
        progress: OnProgress<'_>,
    ) -> Result<PathBuf, AdminError> {
        let temporary = received.file.path().to_owned();
        let failed = |source| BackupError::Archive { path: temporary.clone(), source };
        received.file.flush().and_then(|()| received.file.sync()).map_err(failed)?;
        read_through(&temporary, progress)?;
        let stem = format!("tabmail-{}-received", self.clock.zoned().strftime("%Y%m%d-%H%M%S"));
        let path = received.directory.join(format!("{stem}{ENDING}"));
        // Never over another one.
        self.disk
            .hard_link(&temporary, &path)
            .map_err(|source| BackupError::Archive { path: path.clone(), source })?;
        self.disk.sync_dir(&received.directory).map_err(failed)?;
        Ok(path)
    }
}

fn read_through(archive: &Path, progress: OnProgress<'_>) -> Result<(), BackupError> {
    let failed = |source| BackupError::Archive { path: archive.to_owned(), source };
    let (mut reader, mut done) = (read(archive)?, Progress::default());
    let mut entries = reader.entries().map_err(failed)?;
    while let Some(mut entry) = entries.next().map_err(failed)? {
        let bytes = io::copy(&mut entry, &mut io::sink()).map_err(failed)?;
        if safe_path(&entry).is_some() {
            done = Progress { files: done.files + 1, bytes: done.bytes + bytes };
            progress(done);
        }
    }
    match done.files {
        0 => Err(failed(io::Error::new(io::ErrorKind::InvalidData, "no file is in it"))),
        _ => Ok(()),
    }
}
