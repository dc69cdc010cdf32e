//! What edits would do, without doing it: for showing a change before it is made.
//!
//! The same code runs for the rehearsal and for the deed, so what is shown is what happens, unless the files change
//! in between; then the deed merges or is refused as always.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Edit, EditError, merge};

/// One thing that would be done. Paths are relative to the MailRoot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    /// A file would hold `after` instead of `before`; `None`: there is no file.
    File {
        /// The file.
        file: PathBuf,
        /// What it holds.
        before: Option<Vec<u8>>,
        /// What it would hold.
        after: Option<Vec<u8>>,
    },
    /// A file that is no table would be made; what it holds is not shown.
    MakeFile(PathBuf),
    /// A directory would be made.
    MakeDirectory(PathBuf),
    /// A directory would be removed with all that is in it.
    RemoveDirectory(PathBuf),
    /// A file that is no table would be removed.
    RemoveFile(PathBuf),
    /// A directory would get another name.
    MoveDirectory {
        /// The name it has.
        from: PathBuf,
        /// The name it gets.
        to: PathBuf,
    },
    /// Messages would be removed.
    RemoveMessages {
        /// From the mailbox in this directory.
        directory: PathBuf,
        /// How many.
        messages: u64,
        /// Their size.
        bytes: u64,
    },
    /// A message would be sent to each of so many accounts.
    SendMail {
        /// How many.
        recipients: usize,
    },
}

/// Collects what would be done. Clones collect together.
#[derive(Clone, Debug, Default)]
pub struct Rehearsal(Arc<Mutex<Vec<Planned>>>);

impl Rehearsal {
    /// Notes something that is no edit of a table.
    pub fn plan(&self, planned: Planned) {
        self.all().push(planned);
    }

    /// What would be done, in the order of the first touch of each file.
    pub fn planned(&self) -> Vec<Planned> {
        self.all().clone()
    }

    /// What a file would hold by now; `None`: it is untouched.
    pub(super) fn content(&self, wanted: &Path) -> Option<Option<Vec<u8>>> {
        self.all().iter().find_map(|planned| match planned {
            Planned::File { file, after, .. } if file == wanted => Some(after.clone()),
            _ => None,
        })
    }

    pub(super) fn save(&self, edit: &Edit, mine: &[u8]) -> Result<(), EditError> {
        let theirs = edit.editor.read(&edit.file)?;
        if theirs.is_none() && edit.original.is_some() {
            return Err(EditError::ChangedMeanwhile { file: edit.file.clone() });
        }
        let base = edit.original.as_deref().unwrap_or_default();
        let merged = merge(&edit.file, base, mine, theirs.as_deref().unwrap_or_default())?;
        self.note(&edit.file, theirs, Some(merged));
        Ok(())
    }

    pub(super) fn note(&self, wanted: &Path, before: Option<Vec<u8>>, now: Option<Vec<u8>>) {
        let mut all = self.all();
        for planned in all.iter_mut() {
            if let Planned::File { file, after, .. } = planned
                && file == wanted
            {
                *after = now;
                return;
            }
        }
        all.push(Planned::File { file: wanted.to_owned(), before, after: now });
    }

    fn all(&self) -> MutexGuard<'_, Vec<Planned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
