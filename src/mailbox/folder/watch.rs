//! Hearing of changes in folders' directories while clients wait for them (IDLE).
//!
//! One watcher for the process looks at the directories of folders that somebody waits for. It says only that something has
//! happened; [`Folder::look`] finds out what. Where the system does not watch (too many directories, a network file
//! system), [`Watched::is_reliable`] is false and the one who waits has to look now and then.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::state::Folder;

/// The watcher of all folders. Clones are the same.
#[derive(Clone, Default)]
pub(in crate::mailbox) struct Watcher(Arc<Shared>);

/// Adding and removing a directory wait for the system's thread, and that may be telling of an event just then: who holds
/// `directories` must not wait for it. So `system` comes first, and `directories` is held for a moment only.
#[derive(Default)]
struct Shared {
    system: Mutex<Option<RecommendedWatcher>>,
    directories: Mutex<HashMap<PathBuf, Waiting>>,
}

/// Who waits for a directory.
struct Waiting {
    folder: Weak<Folder>,
    count: usize,
}

/// A folder whose directories are watched until this is dropped.
pub struct Watched {
    watcher: Watcher,
    paths: Vec<PathBuf>,
    is_reliable: bool,
}

impl Watched {
    /// Whether every change will be heard of.
    pub fn is_reliable(&self) -> bool {
        self.is_reliable
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("paths", &self.paths).finish_non_exhaustive()
    }
}

impl Folder {
    /// From now on [`Folder::changed`] tells of changes by others, too. Look once after this.
    pub fn watch(self: &Arc<Self>) -> Watched {
        let watcher = self.mailboxes.watcher.clone();
        let mut paths: Vec<PathBuf> = vec![self.places.new.clone()];
        paths.extend(self.places.cur.clone());
        // INBOX: the flags' table.
        paths.extend(self.places.flags_table.as_deref().and_then(Path::parent).map(Path::to_owned));
        let wanted = paths.len();
        paths.retain(|path| watcher.add(path, self));
        Watched { watcher, is_reliable: paths.len() == wanted, paths }
    }
}

impl Watcher {
    /// Whether the directory is watched.
    fn add(&self, path: &Path, folder: &Arc<Folder>) -> bool {
        let mut system = self.0.system.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = self.0.directories().get_mut(path) {
            waiting.count += 1;
            waiting.folder = Arc::downgrade(folder);
            return true;
        }
        if system.is_none() {
            *system = self.start();
        }
        let Some(system) = system.as_mut() else { return false };
        if let Err(error) = system.watch(path, RecursiveMode::NonRecursive) {
            tracing::debug!("{}: cannot be watched: {error}", path.display());
            return false;
        }
        let waiting = Waiting { folder: Arc::downgrade(folder), count: 1 };
        self.0.directories().insert(path.to_owned(), waiting);
        true
    }

    fn start(&self) -> Option<RecommendedWatcher> {
        let shared = Arc::downgrade(&self.0);
        let heard = move |event: notify::Result<notify::Event>| {
            let Some(shared) = shared.upgrade() else { return };
            match event {
                Ok(event) if event.need_rescan() => shared.tell_all(),
                Ok(event) if !matches!(event.kind, EventKind::Access(_)) => {
                    event
                        .paths
                        .iter()
                        .filter_map(|path| path.parent())
                        .for_each(|parent| shared.tell(parent));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!("folders: {error}");
                    shared.tell_all();
                }
            }
        };
        notify::recommended_watcher(heard)
            .inspect_err(|error| tracing::warn!("folders cannot be watched: {error}"))
            .ok()
    }
}

impl Shared {
    fn directories(&self) -> MutexGuard<'_, HashMap<PathBuf, Waiting>> {
        self.directories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One fewer waits for a directory; whether nobody is left.
    fn leave(&self, path: &Path) -> bool {
        let mut directories = self.directories();
        let Some(waiting) = directories.get_mut(path) else { return false };
        waiting.count -= 1;
        waiting.count == 0 && directories.remove(path).is_some()
    }

    fn tell(&self, directory: &Path) {
        let directories = self.directories();
        let folder = directories.get(directory).and_then(|waiting| waiting.folder.upgrade());
        drop(directories);
        if let Some(folder) = folder {
            folder.tell();
        }
    }

    fn tell_all(&self) {
        let directories = self.directories();
        let folders: Vec<Arc<Folder>> =
            directories.values().filter_map(|waiting| waiting.folder.upgrade()).collect();
        drop(directories);
        folders.iter().for_each(|folder| folder.tell());
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let shared = &self.watcher.0;
        let mut system = shared.system.lock().unwrap_or_else(PoisonError::into_inner);
        for path in self.paths.iter().filter(|path| shared.leave(path)) {
            if let Some(system) = system.as_mut() {
                // A directory that is gone is no longer watched anyway.
                let _ = system.unwatch(path);
            }
        }
    }
}
