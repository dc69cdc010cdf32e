//! The tables of single domains and accounts, read when they are used.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::loaded::{Found, Haste, Loaded};
use super::{TableState, TableStatus};
use crate::mailroot::MailRoot;
use crate::mailroot::groups::GroupNames;
use crate::mailroot::table::Table;

/// How many files of single domains and accounts are kept in memory.
pub const CACHED_FILES_MAX: usize = 20_000;

/// How many bytes these files have together at most, unless a single one has more. Ours.
pub const CACHED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Hears of every file that got a new content which is now in use. It must not wait.
pub trait Observer: fmt::Debug + Send + Sync {
    /// This content of a file, relative to the MailRoot, was taken instead of the one before; a file that is gone or
    /// was not there is empty.
    fn accepted(&self, file: &Path, before: &Arc<Vec<u8>>, bytes: &Arc<Vec<u8>>);

    /// An edit of ours replaced the content of a file.
    fn saved(&self, file: &Path, before: Option<Vec<u8>>, after: Option<Vec<u8>>);
}

/// Tables of single domains and accounts, as last read.
#[derive(Debug, Default)]
pub(super) struct FileCache {
    pub(super) observer: OnceLock<Arc<dyn Observer>>,
    pub(super) group_names: GroupNames,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<PathBuf, Entry>,
    bytes: u64,
    /// Grows when all files shall be taken as they stand.
    hurries: u64,
}

#[derive(Debug)]
struct Entry {
    loaded: Arc<dyn Any + Send + Sync>,
    bytes: u64,
    hurries: u64,
    /// Where it is not in order.
    fault: Option<TableStatus>,
}

impl FileCache {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next look at this file is its first.
    pub(super) fn forget(&self, relative: &Path) {
        self.lock().remove(relative);
    }

    /// The next look at each file is its first.
    pub(super) fn forget_all(&self) {
        self.lock().clear();
    }

    /// The next look at each file takes it even if it looks half-written.
    pub(super) fn hurry(&self) {
        self.lock().hurries += 1;
    }

    /// The files that are not in order, by name.
    pub(super) fn faulty(&self) -> Vec<TableStatus> {
        let mut found: Vec<_> =
            self.lock().entries.values().filter_map(|entry| entry.fault.clone()).collect();
        found.sort_by(|a, b| a.file.cmp(&b.file));
        found
    }

    pub(super) fn get<T: Table>(&self, root: &MailRoot, relative: &Path) -> Loaded<T> {
        let (known, haste, hurries) = self.known::<T>(relative);
        let found = match &known {
            Some(known) => known.next(root, relative, haste),
            None => Some(Loaded::first(root, relative)),
        };
        let Some(Found { loaded, accepted }) = found else {
            return known.map_or_else(Loaded::empty, |known| (*known).clone());
        };
        // What is read for the first time has not changed.
        if let (Some(observer), Some(_), Some(taken)) = (self.observer.get(), &known, &accepted) {
            observer.accepted(relative, &taken.before, &taken.bytes);
        }
        let mut kept = self.lock();
        // An absent file costs one failing stat at the next look; remembering it would only fill the cache.
        if loaded.exists() || loaded.is_unsettled() || !loaded.problems().is_empty() {
            report(&kept, relative, &loaded);
            kept.insert(relative, Entry::of(&loaded, relative, hurries));
        } else {
            kept.remove(relative);
        }
        loaded
    }

    fn known<T: Table>(&self, relative: &Path) -> (Option<Arc<Loaded<T>>>, Haste, u64) {
        let kept = self.lock();
        let entry = kept.entries.get(relative);
        let is_hurried = entry.is_some_and(|entry| entry.hurries != kept.hurries);
        let haste = if is_hurried { Haste::Now } else { Haste::WaitForQuiet };
        (entry.and_then(|entry| Arc::clone(&entry.loaded).downcast().ok()), haste, kept.hurries)
    }
}

impl Kept {
    fn insert(&mut self, relative: &Path, entry: Entry) {
        self.remove(relative);
        if self.entries.len() >= CACHED_FILES_MAX || self.bytes.saturating_add(entry.bytes) > CACHED_BYTES_MAX
        {
            // Dropping all at once keeps the bounds without the bookkeeping of an eviction order.
            self.clear();
        }
        self.bytes = self.bytes.saturating_add(entry.bytes);
        self.entries.insert(relative.to_owned(), entry);
    }

    fn remove(&mut self, relative: &Path) {
        if let Some(entry) = self.entries.remove(relative) {
            self.bytes -= entry.bytes;
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}

impl Entry {
    fn of<T: Table>(loaded: &Loaded<T>, relative: &Path, hurries: u64) -> Self {
        let status = (loaded.is_rejected() || !loaded.problems().is_empty()).then(|| loaded.status(relative));
        Self { bytes: loaded.bytes(), hurries, fault: status, loaded: Arc::new(loaded.clone()) }
    }
}

/// Says once in the log that a version of a file is not taken.
fn report<T: Table>(kept: &Kept, relative: &Path, loaded: &Loaded<T>) {
    let before = kept.entries.get(relative).and_then(|entry| entry.fault.as_ref());
    let is_known =
        before.is_some_and(|before| before.state.is_kept() && before.problems == loaded.problems());
    if loaded.is_rejected() && !is_known {
        tracing::error!("{}: the new content is not taken; the old stays in use", relative.display());
        super::log(loaded.problems().iter());
    }
}

impl TableStatus {
    /// Whether there is something to tell about it.
    pub fn is_in_order(&self) -> bool {
        self.state == TableState::Live && self.problems.is_empty()
    }
}
