//! Replacing a file as a whole.
//!
//! ```text
//! state                         a crash leaves                    who cleans
//! temporary file being written  old content, temporary file       whoever scans the directory: `is_temporary`
//! temporary file synced         the same                          the same
//! renamed, directory unsynced   old or new content                nobody needs to
//! directory synced              new content                       nobody needs to
//! ```

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Disk, DiskFile, FILE_MODE, parent};

impl Disk {
    /// Makes `bytes` the content of `path`: a temporary file in the same directory is written, synced, renamed over
    /// it, and the directory synced. A file that exists keeps its permissions and, when we are root, its owner; a new
    /// one gets [`FILE_MODE`]. Where `path` is a symbolic link, the file it points to is replaced.
    ///
    /// # Errors
    /// What the system says; the temporary file is gone and `path` unchanged then. Only when the last step, the sync
    /// of the directory, fails, the new content is in place, but a crash may bring back the old one.
    pub fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (target, ()) =
            self.put(path, bytes, |temporary, target| self.rename(temporary.path(), target))?;
        self.sync_dir(parent(&target))
    }

    /// Writes a temporary file beside `path`, links resolved, and syncs it; `take_name` gives it the name. Returns that
    /// name, too. After an error the temporary file is gone.
    pub(super) fn put<T>(
        &self,
        path: &Path,
        bytes: &[u8],
        take_name: impl FnOnce(&DiskFile, &Path) -> io::Result<T>,
    ) -> io::Result<(PathBuf, T)> {
        let target = real_target(path)?;
        let existing = match fs::metadata(&target) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut temporary = self.create_temporary(parent(&target))?;
        let done =
            fill(&mut temporary, existing.as_ref(), bytes).and_then(|()| take_name(&temporary, &target));
        if done.is_err() {
            // The first error is the one to report; a temporary file that stays is found by its name.
            let _ = self.remove(temporary.path());
        }
        done.map(|taken| (target, taken))
    }

    pub(super) fn create_temporary(&self, dir: &Path) -> io::Result<DiskFile> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let name = format!("{PREFIX}{:x}.{number:x}{SUFFIX}", std::process::id());
            match self.create_new(&dir.join(name), FILE_MODE) {
                // Left by a crash of an earlier process with our id.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                created => return created,
            }
        }
    }
}

/// True for the names of [`Disk::replace`]'s temporary files. One that is older than this process was left by a
/// crash; it may be removed and must never be read as a table or a message.
pub fn is_temporary(file_name: &OsStr) -> bool {
    let name = file_name.as_encoded_bytes();
    name.starts_with(PREFIX.as_bytes()) && name.ends_with(SUFFIX.as_bytes())
}

/// Temporary files do not carry the target's name: it may be as long as the file system allows.
const PREFIX: &str = ".tabmail.";
const SUFFIX: &str = ".tmp";

/// An operator may keep a table elsewhere and link to it; a rename over the link would cut it off.
pub(super) fn real_target(path: &Path) -> io::Result<PathBuf> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => fs::canonicalize(path),
        Ok(_) => Ok(path.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        Err(error) => Err(error),
    }
}

pub(super) fn fill(temporary: &mut DiskFile, existing: Option<&Metadata>, bytes: &[u8]) -> io::Result<()> {
    temporary.write_all(bytes)?;
    if let Some(existing) = existing {
        keep_owner_and_mode(temporary, existing)?;
    }
    temporary.sync()
}

fn keep_owner_and_mode(temporary: &DiskFile, existing: &Metadata) -> io::Result<()> {
    let ours = temporary.file.metadata()?;
    let same_owner = (ours.uid(), ours.gid()) == (existing.uid(), existing.gid());
    if !same_owner && rustix::process::geteuid().is_root() {
        fchown(&temporary.file, Some(existing.uid()), Some(existing.gid()))?;
    }
    // After the owner: changing that clears some bits.
    temporary.file.set_permissions(fs::Permissions::from_mode(existing.mode() & 0o7777))
}
