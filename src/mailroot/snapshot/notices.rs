//! Whether a table can have changed since all were looked at last, in one system call instead of one for each.
//!
//! The kernel queues a notice (inotify) before the call that changes a file in the MailRoot's directory returns. So when
//! the queue holds none about a table, what was true at the last look still is: an edit that has ended before a client
//! connects is seen by that client, as with a look. `message.id` lies in the same directory and changes with every
//! message; its notices are read and forgotten.
//!
//! Not every change has a notice: one through another name of the same file, from another machine, through a mapping of
//! the file. Where tables have several names, are links or on other file systems, and on file systems that others may
//! write to, there is no such shortcut ([`is_told_all`]); and none anywhere holds longer than [`RESTAT_INTERVAL`].
//!
//! Failures: no watch (the inotify limit), no shortcut. Lost notices count as a change.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::{RESTAT_INTERVAL, ROOT_TABLES};

/// The notices of one MailRoot.
#[derive(Debug)]
pub(super) struct Notices {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// `None`: nobody tells us.
    watch: Option<OwnedFd>,
    /// Changes heard of.
    changes: u64,
    /// Nothing has changed since a look at this time.
    quiet_since: Option<Instant>,
}

/// What was known before a look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    changes: u64,
    at: Instant,
}

impl Notices {
    /// Begins to listen.
    pub(super) fn of(root: &Path) -> Self {
        let watch = tells_all(root).then(|| begin(root).ok()).flatten();
        Self { state: Mutex::new(State { watch, ..State::default() }) }
    }

    /// Whether no table has changed since the last look that was [`Notices::looked`] at. Never waits.
    pub(super) fn is_quiet(&self) -> bool {
        let mut state = self.lock();
        state.hear();
        state.quiet_since.is_some_and(|since| since.elapsed() < RESTAT_INTERVAL)
    }

    /// To be asked for before a look.
    pub(super) fn before(&self) -> Before {
        let mut state = self.lock();
        state.hear();
        Before { changes: state.changes, at: Instant::now() }
    }

    /// A look found nothing new, and that no table is about to change without a change of its file.
    pub(super) fn looked(&self, before: Before, root: &Path) {
        let may_listen = self.lock().watch.is_some();
        if !may_listen || !is_told_all(root) {
            return;
        }
        let mut state = self.lock();
        if state.changes == before.changes {
            state.quiet_since = Some(before.at);
        }
    }

    /// Other tables are in service; the next session looks.
    pub(super) fn disturb(&self) {
        self.lock().changed();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn changed(&mut self) {
        self.changes += 1;
        self.quiet_since = None;
    }

    /// Reads what is in the queue.
    fn hear(&mut self) {
        let Some(watch) = &self.watch else { return };
        let mut buffer = [MaybeUninit::uninit(); NOTICES_BYTES];
        let mut reader = Reader::new(watch, &mut buffer);
        let (mut has_changed, mut is_lost) = (false, false);
        loop {
            match reader.next() {
                Ok(event) => {
                    has_changed |= event
                        .file_name()
                        .is_none_or(|name| name.to_str().is_ok_and(|name| ROOT_TABLES.contains(&name)));
                    // The directory is gone, or is another one now.
                    is_lost |= event.events().intersects(
                        ReadFlags::IGNORED
                            | ReadFlags::UNMOUNT
                            | ReadFlags::MOVE_SELF
                            | ReadFlags::DELETE_SELF,
                    );
                }
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => break,
                Err(_) => {
                    is_lost = true;
                    break;
                }
            }
        }
        if has_changed || is_lost {
            self.changed();
        }
        if is_lost {
            self.watch = None;
        }
    }
}

fn begin(root: &Path) -> rustix::io::Result<OwnedFd> {
    let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    let wanted = WatchFlags::MODIFY
        | WatchFlags::ATTRIB
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR;
    inotify::add_watch(&watch, root, wanted)?;
    Ok(watch)
}

/// Whether all changes on this file system come through this kernel.
fn tells_all(root: &Path) -> bool {
    let kind = rustix::fs::statfs(root).map(|found| found.f_type);
    kind.is_ok_and(|kind| LOCAL_FILE_SYSTEMS.contains(&kind))
}

/// Whether every change of a table as it lies there now would be heard of.
fn is_told_all(root: &Path) -> bool {
    let Ok(device) = root.metadata().map(|above| above.dev()) else { return false };
    ROOT_TABLES.iter().all(|name| match root.join(name).symlink_metadata() {
        Ok(found) => found.is_file() && found.nlink() == 1 && found.dev() == device,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    })
}

/// ext2 to ext4, XFS, Btrfs, F2FS, ZFS, tmpfs (`linux/magic.h`).
const LOCAL_FILE_SYSTEMS: &[i64] = &[0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x2fc1_2fc1, 0x0102_1994];

/// Room for a dozen of the longest notices, and for a hundred of the usual ones.
const NOTICES_BYTES: usize = 4096;
