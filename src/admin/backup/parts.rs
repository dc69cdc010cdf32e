//! Backups that are not whole yet: files whose names begin with a dot and end with [`PART`].
//!
//! Whoever writes one holds its lock, so that what a crash left can be told from what another process still works on.

use std::fs;
use std::io;
use std::path::Path;

use super::BACKUP_MODE;
use crate::admin::Admin;
use crate::durable::{Disk, DiskFile, FileLock};

/// What the names of all of them begin with.
const BEGINNING: &str = ".tabmail-";

/// What their names end with.
const PART: &str = ".part";

/// How often a file is made anew that somebody took for a leftover, between its making and its lock.
const TRIES_MAX: usize = 10;

/// Makes and locks `.<stem>.part`, which nobody else has; `stem` begins with `tabmail-`.
pub(super) fn begin(disk: &Disk, directory: &Path, stem: &str) -> io::Result<DiskFile> {
    let path = directory.join(format!(".{stem}{PART}"));
    debug_assert!(is_part(&format!(".{stem}{PART}")));
    for _ in 0..TRIES_MAX {
        let file = disk.create_new(&path, BACKUP_MODE)?;
        match file.try_lock() {
            Ok(true) => return Ok(file),
            Ok(false) => {}
            // A file system without locks: nobody takes it for a leftover there.
            Err(_) => return Ok(file),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn is_part(name: &str) -> bool {
    name.starts_with(BEGINNING) && name.ends_with(PART)
}

impl Admin {
    /// Removes what a crash in the middle of a backup or an upload left in `directory`, and returns how many files that
    /// were. Those that some process still writes stay.
    pub fn remove_unfinished_backups(&self, directory: &Path) -> usize {
        let mut count = 0;
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let is_ours = entry.file_name().to_str().is_some_and(is_part)
                && entry.file_type().is_ok_and(|kind| kind.is_file());
            if !is_ours {
                continue;
            }
            let path = entry.path();
            // Held until it is removed.
            let Ok(Some(_lock)) = FileLock::try_existing(&path) else { continue };
            match self.disk.remove(&path) {
                Ok(()) => count += 1,
                Err(error) => tracing::warn!("{}: {error}", path.display()),
            }
        }
        count
    }
}
