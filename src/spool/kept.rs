//! A copy of a message file for the time in which somebody else's program may change it.
//!
//! A filter gets the path of the only copy of mail that we answered for. It may delete it, leave half of it, or be
//! killed while it writes. So a copy stands in `temp` meanwhile; it is not synced, because the message itself is on
//! stable storage until the program touches it. A crash of the machine in the same moment finds what the program left.
//!
//! A program whose writes fail because the disk is full often says nothing about it (`sed ... > new; mv new "$1"; exit 7`).
//! So a changed message is not believed while the disk is nearly full: [`Spool::check_room_for`] (decision 191).

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Attempt, Spool, SpoolError, State};
use crate::durable::FILE_MODE;

/// The copy. Ends with [`KeptCopy::accept`] or [`KeptCopy::restore`]; dropped without an end (a stop), it puts back a
/// message that was changed.
pub struct KeptCopy {
    spool: Spool,
    message: PathBuf,
    was: Identity,
    /// `None` once it has ended.
    copy: Option<PathBuf>,
}

/// What changes when a file is written to or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    /// Of the file itself: a link in its place is a change.
    fn of(path: &Path) -> io::Result<Self> {
        let data = fs::symlink_metadata(path)?;
        Ok(Self {
            device: data.dev(),
            inode: data.ino(),
            bytes: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }
}

/// Less than this free, and twice the message, counts as a full disk: the program's own temporary file may have gone
/// meanwhile, or the place of the file it replaced. Ours, in bytes.
const ROOM_BYTES_MIN: u64 = 1024 * 1024;

impl Spool {
    /// That a program which changed a message file of `bytes` in the directory of `path` can have had the room to. Blocks.
    ///
    /// # Errors
    /// `StorageFull` when the disk is full now, or what it said when asked.
    pub fn check_room_for(&self, path: &Path, bytes: u64) -> Result<(), SpoolError> {
        let needed = ROOM_BYTES_MIN.saturating_add(bytes.saturating_mul(2));
        let free = self.disk().free_space(path.parent().unwrap_or(Path::new(".")));
        let checked = match free {
            Ok(free) if free < needed => Err(io::ErrorKind::StorageFull.into()),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        checked.map_err(SpoolError::disk("trust a change of", path))
    }
}

impl Attempt {
    /// Copies the message file to `temp`. Blocks.
    ///
    /// # Errors
    /// The disk's; nothing is left behind then.
    pub fn keep_copy(&self) -> Result<KeptCopy, SpoolError> {
        self.need_file()?;
        let (spool, message) = (self.spool(), self.path());
        let copy = spool.path(self.name(), State::Temp);
        let was = Identity::of(&message).map_err(SpoolError::disk("look at", &message))?;
        let kept = KeptCopy { spool: spool.clone(), message, was, copy: Some(copy.clone()) };
        kept.write(&copy).map_err(SpoolError::disk("write", &copy))?;
        Ok(kept)
    }
}

impl KeptCopy {
    fn write(&self, copy: &Path) -> io::Result<()> {
        let disk = self.spool.disk();
        match disk.remove(copy) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut to = disk.create_new(copy, FILE_MODE)?;
        io::copy(&mut File::open(&self.message)?, &mut to).map(drop)
    }

    /// Whether the message file is another one than it was, or gone.
    pub fn is_changed(&self) -> bool {
        Identity::of(&self.message).ok() != Some(self.was)
    }

    /// That a program which changed it can have had the room to: [`Spool::check_room_for`].
    ///
    /// # Errors
    /// As there.
    pub fn check_room(&self) -> Result<(), SpoolError> {
        self.spool.check_room_for(&self.message, self.was.bytes)
    }

    /// The message file stays as it is now; if it was changed it is on stable storage afterwards. Blocks.
    ///
    /// # Errors
    /// The disk's; the change may then be lost in a crash of the machine.
    pub fn accept(mut self) -> Result<(), SpoolError> {
        let is_changed = self.is_changed();
        if let Some(copy) = self.copy.take() {
            remove(&self.spool, &copy);
        }
        if !is_changed {
            return Ok(());
        }
        let sync = || {
            File::open(&self.message)?.sync_all()?;
            self.spool.disk().sync_dir(self.message.parent().unwrap_or(Path::new(".")))
        };
        sync().map_err(SpoolError::disk("sync", &self.message))
    }

    /// Puts the message back as it was. Blocks.
    ///
    /// # Errors
    /// The disk's.
    pub fn restore(mut self) -> Result<(), SpoolError> {
        self.put_back()
    }

    fn put_back(&mut self) -> Result<(), SpoolError> {
        let Some(copy) = self.copy.take() else { return Ok(()) };
        if !self.is_changed() {
            remove(&self.spool, &copy);
            return Ok(());
        }
        let back = || {
            File::open(&copy)?.sync_all()?;
            self.spool.disk().rename(&copy, &self.message)?;
            self.spool.disk().sync_dir(self.message.parent().unwrap_or(Path::new(".")))
        };
        back().map_err(SpoolError::disk("put back", &self.message))
    }
}

fn remove(spool: &Spool, copy: &Path) {
    if let Err(error) = spool.disk().remove(copy) {
        tracing::warn!("{}: cannot be removed: {error}", copy.display());
    }
}

impl Drop for KeptCopy {
    fn drop(&mut self) {
        if let Err(error) = self.put_back() {
            tracing::error!(%error, "a message stays as a program left it");
        }
    }
}
