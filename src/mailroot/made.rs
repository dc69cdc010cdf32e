//! MailRoots of tests: made of their files.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{MailRoot, Snapshot};

/// Writes a file, and makes the directories above it.
pub(crate) fn write(root: &Path, name: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A MailRoot of these files, names and texts; of equal names the last counts.
pub(crate) fn mail_root<'a>(files: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(root.path(), name, text);
    }
    root
}

/// The same, and its tables.
pub(crate) fn snapshot<'a>(files: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> (TempDir, Snapshot) {
    let root = mail_root(files);
    let snapshot = Snapshot::load(&MailRoot::new(root.path()));
    (root, snapshot)
}
