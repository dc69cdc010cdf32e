//! Reading a small message that the system has in memory, without ever waiting for the disk: so sessions need no other
//! thread for it.

use std::io::IoSliceMut;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::{ReadWriteFlags, preadv2};

use super::{Mailboxes, StoredMessage};

/// The largest message that is read in one piece. Ours: about what a session takes for a larger one.
const BYTES_MAX: usize = 64 * 1024;

impl Mailboxes {
    /// The whole content of a small message that the system has in memory. Never waits for the disk; `None`: take
    /// [`Mailboxes::open`], which may.
    pub fn read_from_memory(&self, message: &StoredMessage) -> Option<Vec<u8>> {
        let bytes = usize::try_from(message.bytes).ok().filter(|bytes| *bytes <= BYTES_MAX)?;
        // With one more a file that has grown is told from the one that was listed.
        let content = read(&message.path, bytes + 1)?;
        if content.len() == bytes {
            return Some(content);
        }
        self.was_written_to(message);
        None
    }
}

/// The first `bytes_max` bytes of a file, or what it has. `None` when a part of it, or its name, is not in memory, or the
/// system cannot tell (before Linux 5.12; some file systems).
fn read(path: &Path, bytes_max: usize) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok()?;
    let mut content = vec![0; bytes_max];
    let count = preadv2(&file, &mut [IoSliceMut::new(&mut content)], 0, ReadWriteFlags::NOWAIT).ok()?;
    content.truncate(count);
    Some(content)
}
