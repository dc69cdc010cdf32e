//! Files of messages that are not ours, or not any more, which the disk did not let us remove: in `mess` or `rsnd` the next
//! start would deliver them. They are tried again whenever the spool is worked on. Their names are never used again.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::durable::Disk;

/// Files to be removed once that is possible; forgotten at the end of the process.
#[derive(Default)]
pub(super) struct Leftovers {
    paths: Mutex<Vec<PathBuf>>,
    are_there: AtomicBool,
}

impl Leftovers {
    pub(super) fn add(&self, paths: impl IntoIterator<Item = PathBuf>) {
        let mut all = self.lock();
        all.extend(paths);
        self.are_there.store(!all.is_empty(), Ordering::Relaxed);
    }

    /// Removes what can be removed now. Costs nothing while there is nothing. Blocks.
    pub(super) fn remove(&self, disk: &Disk) {
        if !self.are_there.load(Ordering::Relaxed) {
            return;
        }
        let mut all = self.lock();
        all.retain(|path| match disk.remove(path) {
            Ok(()) => {
                tracing::info!("{}: is removed now", path.display());
                false
            }
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        });
        self.are_there.store(!all.is_empty(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
