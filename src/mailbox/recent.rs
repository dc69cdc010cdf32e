//! What is remembered about directories, with a bound on the files in them.
//!
//! When there is more, the directories go that nobody has asked for longest; the one asked for last never does, however
//! many files it has: a mailbox beyond the bound is known as long as its owner is the last to look.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Values by directory, each with a number of files.
#[derive(Debug)]
pub(super) struct Recent<T> {
    directories: HashMap<PathBuf, Entry<T>>,
    /// Paths by when they were asked for last.
    order: BTreeMap<u64, PathBuf>,
    turn: u64,
    files: usize,
    files_max: usize,
}

#[derive(Debug)]
struct Entry<T> {
    value: T,
    turn: u64,
    files: usize,
}

impl<T> Recent<T> {
    /// An empty directory counts as one file.
    pub(super) fn new(files_max: usize) -> Self {
        Self { directories: HashMap::new(), order: BTreeMap::new(), turn: 0, files: 0, files_max }
    }

    /// The value of a directory, which was asked for last from now on.
    pub(super) fn get(&mut self, directory: &Path) -> Option<&mut T> {
        let entry = self.directories.get_mut(directory)?;
        // A log-in asks for one directory as often as there are messages.
        if entry.turn != self.turn {
            self.turn += 1;
            let path = self.order.remove(&entry.turn).unwrap_or_else(|| directory.to_owned());
            entry.turn = self.turn;
            self.order.insert(self.turn, path);
        }
        Some(&mut entry.value)
    }

    /// Sets the value of a directory with so many files.
    pub(super) fn insert(&mut self, directory: &Path, value: T, files: usize) {
        self.remove(directory);
        self.turn += 1;
        self.files += files.max(1);
        self.directories.insert(directory.to_owned(), Entry { value, turn: self.turn, files: files.max(1) });
        self.order.insert(self.turn, directory.to_owned());
        self.trim();
    }

    /// The directory asked for last has this many files more.
    pub(super) fn grown(&mut self, directory: &Path, files: usize) {
        let Some(entry) = self.directories.get_mut(directory) else { return };
        entry.files += files;
        self.files += files;
        self.trim();
    }

    /// So many files less.
    pub(super) fn shrunk(&mut self, directory: &Path, files: usize) {
        let Some(entry) = self.directories.get_mut(directory) else { return };
        // The directory itself stays counted.
        let files = files.min(entry.files.saturating_sub(1));
        entry.files -= files;
        self.files -= files;
    }

    /// Forgets a directory.
    pub(super) fn remove(&mut self, directory: &Path) {
        if let Some(entry) = self.directories.remove(directory) {
            self.files -= entry.files;
            self.order.remove(&entry.turn);
        }
    }

    fn trim(&mut self) {
        while self.files > self.files_max && self.order.len() > 1 {
            let Some((_, oldest)) = self.order.pop_first() else { return };
            if let Some(entry) = self.directories.remove(&oldest) {
                self.files -= entry.files;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(recent: &mut Recent<u32>, names: &[&str]) -> Vec<bool> {
        names.iter().map(|name| recent.directories.contains_key(Path::new(name))).collect()
    }

    #[test]
    fn the_directory_that_nobody_asked_for_longest_goes_first() {
        let mut recent = Recent::new(10);
        for (name, files) in [("a", 4), ("b", 4), ("empty", 0)] {
            recent.insert(Path::new(name), 7, files);
        }
        assert_eq!(recent.get(Path::new("a")), Some(&mut 7));
        recent.insert(Path::new("c"), 7, 3);
        assert_eq!(known(&mut recent, &["a", "b", "empty", "c"]), [true, false, true, true]);
        recent.grown(Path::new("c"), 3);
        assert_eq!(known(&mut recent, &["a", "empty", "c"]), [true, false, true]);
        recent.remove(Path::new("a"));
        assert_eq!((recent.files, recent.order.len()), (6, 1));
    }

    #[test]
    fn one_directory_beyond_the_bound_is_known_until_another_is_asked_for() {
        let mut recent = Recent::new(10);
        recent.insert(Path::new("huge"), 1, 11);
        assert_eq!(known(&mut recent, &["huge"]), [true]);
        recent.insert(Path::new("small"), 2, 1);
        assert_eq!(known(&mut recent, &["huge", "small"]), [false, true]);
    }
}
