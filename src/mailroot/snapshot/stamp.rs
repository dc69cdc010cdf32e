//! What tells one version of a file from the next without reading it, and the reading with its bound.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;

/// The largest table. Ours: some millions of rows; more is no table but an accident, and is never read into memory.
pub const TABLE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// From this size on a file is looked at with care: its writer may need several writes, and reading it twice costs.
/// Ours: one page, which every writer writes at once.
pub(super) const LARGE_BYTES: u64 = 4096;

/// Clock ticks of file systems are at most this coarse.
const TIMESTAMP_TICK: Duration = Duration::from_millis(20);

/// A version of a file: which inode, how large, when written and changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) inode: (u64, u64),
    pub(super) bytes: u64,
    pub(super) modified: (i64, i64),
    pub(super) changed: (i64, i64),
    /// The file was written so shortly before this look that another write could carry the same time.
    pub(super) may_hide_a_change: bool,
}

impl PartialEq for Stamp {
    fn eq(&self, other: &Self) -> bool {
        (self.inode, self.bytes, self.modified, self.changed)
            == (other.inode, other.bytes, other.modified, other.changed)
    }
}

impl Stamp {
    /// The stamp of the file at `path`; `None` when there is none.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::IsADirectory`], and `Unsupported` for other things that are no files.
    pub(super) fn of(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(metadata) => Self::of_metadata(&metadata).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn of_metadata(metadata: &Metadata) -> io::Result<Self> {
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut stamp = Self {
            inode: (metadata.dev(), metadata.ino()),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            may_hide_a_change: false,
        };
        stamp.may_hide_a_change = stamp.age() < TIMESTAMP_TICK;
        Ok(stamp)
    }

    /// How long ago the inode last changed; zero for times in the future.
    pub(super) fn age(&self) -> Duration {
        let nanos = u32::try_from(self.changed.1).unwrap_or(0);
        let since_epoch = Duration::new(u64::try_from(self.changed.0).unwrap_or(0), nanos);
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + since_epoch).unwrap_or_default()
    }

    /// Whether the inode was changed after the last write: renamed, or given its owner, mode or times. A writer does
    /// these when it has finished.
    pub(super) fn is_finished(&self) -> bool {
        self.changed > self.modified
    }
}

/// The content of a file and its stamp, which is taken before the content: a write in between makes the next look see
/// another stamp. `None` when there is no file. A file that is too large comes without its content.
pub(super) fn read(path: &Path) -> io::Result<Option<(Stamp, Option<Vec<u8>>)>> {
    // Without waiting: what was a file a moment ago may be a pipe now.
    let no_waiting = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = match OpenOptions::new().read(true).custom_flags(no_waiting).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let stamp = Stamp::of_metadata(&file.metadata()?)?;
    Ok(Some((stamp, read_bounded(file, &stamp)?)))
}

fn read_bounded(file: File, stamp: &Stamp) -> io::Result<Option<Vec<u8>>> {
    if stamp.bytes > TABLE_BYTES_MAX {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(stamp.bytes).unwrap_or(0) + 1);
    let read = file.take(TABLE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok((read as u64 <= TABLE_BYTES_MAX).then_some(bytes))
}
