//! The folders that are open in this process, and those that were until a moment ago: a mail reader that comes back finds
//! its folder as it left it, without the cache file being read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::state::{Ended, Folder};

/// Ended folders that are remembered; they are few octets each.
const OPEN_KNOWN_MAX: usize = 10_000;

/// Folders that nobody looks at and that are kept all the same. Ours: each has two open files.
const KEPT_FOLDERS_MAX: usize = 100;

/// Messages of all these folders, and what is known of their order. Ours.
const KEPT_MESSAGES_MAX: usize = 200_000;

/// Octets that a message takes, more or less.
const MESSAGE_BYTES: usize = 200;

/// How long a folder is kept. Ours: mail readers ask every few minutes.
const KEPT_FOR: Duration = Duration::from_secs(15 * 60);

/// By the paths of their cache files. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(in crate::mailbox) struct OpenFolders(Arc<Mutex<Open>>);

/// Folders in use, and those that are kept. A folder in use is among both, so that the last one to let go of it is always
/// [`Open::forget_old`], while nobody else opens it.
#[derive(Debug, Default)]
pub(super) struct Open {
    folders: HashMap<PathBuf, Known>,
    /// The one opened last comes last.
    kept: Vec<(Instant, Arc<Folder>)>,
}

/// A folder that is open, or was.
#[derive(Debug)]
struct Known {
    folder: Weak<Folder>,
    ended: Arc<Ended>,
    uid_validity: u32,
}

impl OpenFolders {
    pub(super) fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The folder, if it is open. If not, what it had to say to its cache is written.
    fn folder(&self) -> Option<Arc<Folder>> {
        let folder = self.folder.upgrade();
        if folder.is_none() {
            self.ended.wait();
        }
        folder
    }
}

impl Open {
    pub(super) fn get(&self, cache: &Path) -> Option<Arc<Folder>> {
        self.folders.get(cache)?.folder()
    }

    /// The UIDVALIDITY of a folder that was open.
    pub(super) fn former_validity(&self, cache: &Path) -> Option<u32> {
        self.folders.get(cache).map(|known| known.uid_validity)
    }

    /// A folder that is open or kept. A kept one whose cache file is no longer there, or whose UIDVALIDITY is not that of
    /// the table, is let go of.
    pub(super) fn find(&mut self, cache: &Path, known_validity: u32) -> Option<Arc<Folder>> {
        let folder = self.get(cache)?;
        let at = self.kept.iter().position(|(_, kept)| Arc::ptr_eq(kept, &folder));
        if let Some(at) = at {
            let (_, kept) = self.kept.remove(at);
            drop(kept);
            // Nobody else has it, and nobody can get it while this is locked.
            if Arc::strong_count(&folder) == 1 && !folder.is_current(known_validity) {
                folder.lock_names().is_gone = true;
                return None;
            }
        }
        self.kept.push((Instant::now(), Arc::clone(&folder)));
        Some(folder)
    }

    pub(super) fn insert(&mut self, folder: &Arc<Folder>) {
        let (ended, uid_validity) = (Arc::clone(&folder.ended), folder.lock_names().uid_validity);
        let known = Known { folder: Arc::downgrade(folder), ended, uid_validity };
        if self.folders.len() >= OPEN_KNOWN_MAX {
            self.folders.retain(|_, known| known.folder.strong_count() > 0 || !known.ended.is_over());
        }
        self.folders.insert(folder.places.cache.clone(), known);
        self.kept.push((Instant::now(), Arc::clone(folder)));
        self.forget_old();
    }

    /// Takes out a folder that was removed or renamed.
    pub(super) fn remove(&mut self, cache: &Path) {
        self.folders.remove(cache);
        self.kept.retain(|(_, kept)| kept.places.cache != cache);
    }

    /// Closes folders that nobody looks at, the oldest first, down to the limits.
    fn forget_old(&mut self) {
        let (mut folders, mut messages) = (0, 0);
        let mut at = self.kept.len();
        while at > 0 {
            at -= 1;
            let (since, folder) = &self.kept[at];
            if Arc::strong_count(folder) > 1 {
                continue;
            }
            folders += 1;
            messages += folder.lock_names().entries.len() + folder.order_bytes() / MESSAGE_BYTES;
            if folders > KEPT_FOLDERS_MAX || messages > KEPT_MESSAGES_MAX || since.elapsed() > KEPT_FOR {
                self.kept.remove(at);
            }
        }
    }
}
