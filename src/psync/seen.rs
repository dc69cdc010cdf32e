//! The memory of messages left on a server: `msgsync/<host>/<user>.uidb` (`mailroot.md` 14.3).
//!
//! ```text
//! uid LF uid LF ...       no order; `:` `/` `\` in the names become `_`
//! ```
//!
//! | step | a crash leaves |
//! | --- | --- |
//! | a message is in the queue, its UIDL is appended and synced | at worst one message that comes again |
//! | the session is over: UIDLs that are gone from the server are dropped, the file is replaced as a whole | the old or the new file |
//!
//! A session that breaks forgets nothing (XMail rewrites the file with what it has seen so far).

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bstr::{BString, ByteSlice};

use super::error::SyncError;
use super::lock::plain;
use crate::durable::{Disk, FILE_MODE};
use crate::mailroot::MailRoot;
use crate::mailroot::accounts::is_plain_name;
use crate::mailroot::links::Pop3Link;

/// The memory of one link. All calls block.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    path: PathBuf,
    disk: Disk,
    unsaved: Unsaved,
}

/// What the disk refused to take down. Forgotten at the end of the process.
#[derive(Clone, Debug, Default)]
pub struct Unsaved(Arc<Mutex<Facts>>);

#[derive(Debug, Default)]
pub(super) struct Facts {
    /// UIDLs of messages in the queue, by file. Without them a full disk, which may take the message but not its UIDL,
    /// would bring the same message at every run.
    uids: HashMap<PathBuf, HashSet<BString>>,
    /// Locks of sessions that are over whose files could not be removed.
    pub(super) locks: HashSet<PathBuf>,
}

impl Unsaved {
    pub(super) fn lock(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Where the memory of a link is.
    pub(super) fn of(
        root: &MailRoot,
        link: &Pop3Link,
        disk: &Disk,
        unsaved: &Unsaved,
    ) -> Result<Self, SyncError> {
        let (host, file) = (plain(&link.remote_host), format!("{}.uidb", plain(&link.remote_user)));
        if !is_plain_name(&host) || !is_plain_name(&file) {
            return Err(SyncError::BadName);
        }
        let path = root.path().join("msgsync").join(host).join(file);
        Ok(Self { path, disk: disk.clone(), unsaved: unsaved.clone() })
    }

    /// What is remembered; a file that is not there is an empty one. What could not be written before is, if possible.
    pub(super) fn load(&self) -> Result<HashSet<BString>, SyncError> {
        let mut uids = self.load_file()?;
        let unsaved = self.unsaved.lock().uids.remove(&self.path).unwrap_or_default();
        for uid in unsaved {
            if !uids.contains(&uid) && self.add(&uid).is_err() {
                tracing::warn!(
                    "{}: cannot be written; a UIDL is remembered in memory only",
                    self.path.display()
                );
            }
            uids.insert(uid);
        }
        Ok(uids)
    }

    fn load_file(&self) -> Result<HashSet<BString>, SyncError> {
        let content = match fs::read(&self.path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
            // Without the memory every message would come again.
            Err(error) => return Err(self.failed(error)),
        };
        let uids: HashSet<BString> =
            content.lines().map(|line| line.trim().into()).filter(|uid: &BString| !uid.is_empty()).collect();
        if content.last().is_some_and(|&last| last != b'\n') {
            // The next UIDL would be glued to the last line.
            self.replace(&uids)?;
        }
        Ok(uids)
    }

    /// Adds one message. After an error it is remembered until the process ends.
    pub(super) fn add(&self, uid: &BString) -> Result<(), SyncError> {
        self.append(uid).inspect_err(|_| {
            self.unsaved.lock().uids.entry(self.path.clone()).or_default().insert(uid.clone());
        })
    }

    fn append(&self, uid: &BString) -> Result<(), SyncError> {
        let line = [uid.as_slice(), b"\n"].concat();
        self.make_directory()?;
        self.disk.append(&self.path, FILE_MODE, &line, true).map_err(|error| self.failed(error))
    }

    /// Forgets what is not on the server any more.
    pub(super) fn keep(&self, present: &HashSet<BString>) -> Result<(), SyncError> {
        let seen = self.load()?;
        let kept: HashSet<BString> = seen.intersection(present).cloned().collect();
        if kept.len() == seen.len() { Ok(()) } else { self.replace(&kept) }
    }

    fn replace(&self, uids: &HashSet<BString>) -> Result<(), SyncError> {
        let mut lines: Vec<&BString> = uids.iter().collect();
        lines.sort_unstable();
        let content: Vec<u8> =
            lines.iter().flat_map(|uid| [uid.as_slice(), b"\n"]).flatten().copied().collect();
        self.make_directory()?;
        self.disk.replace(&self.path, &content).map_err(|error| self.failed(error))
    }

    fn make_directory(&self) -> Result<(), SyncError> {
        let Some(directory) = self.path.parent() else { return Ok(()) };
        self.disk.create_dir_all(directory).map_err(|error| self.failed(error))
    }

    fn failed(&self, source: io::Error) -> SyncError {
        SyncError::Disk { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(content: Option<&str>) -> (tempfile::TempDir, Seen) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("msgsync/pop.test_1110/anna.uidb");
        if let Some(content) = content {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
        }
        (dir, Seen { path, disk: Disk::default(), unsaved: Unsaved::default() })
    }

    fn set(uids: &str) -> HashSet<BString> {
        uids.split_whitespace().map(Into::into).collect()
    }

    #[test]
    fn messages_are_remembered_until_they_are_gone() {
        let (_dir, seen) = seen(None);
        assert_eq!(seen.load().unwrap(), set(""));
        for uid in ["c", "a", "b"] {
            seen.add(&uid.into()).unwrap();
        }
        assert_eq!(fs::read_to_string(&seen.path).unwrap(), "c\na\nb\n");
        seen.keep(&set("a b c d")).unwrap();
        assert_eq!(fs::read_to_string(&seen.path).unwrap(), "c\na\nb\n");
        seen.keep(&set("b c d")).unwrap();
        assert_eq!(fs::read_to_string(&seen.path).unwrap(), "b\nc\n");
    }

    #[test]
    fn files_of_other_hands_are_read() {
        let (_dir, seen) = seen(Some("uid-1\r\n\nuid-2"));
        assert_eq!(seen.load().unwrap(), set("uid-1 uid-2"));
        seen.add(&"uid-3".into()).unwrap();
        assert_eq!(seen.load().unwrap(), set("uid-1 uid-2 uid-3"));
    }

    #[test]
    fn a_memory_that_cannot_be_read_is_an_error() {
        let (_dir, seen) = seen(None);
        fs::create_dir_all(&seen.path).unwrap();
        assert!(matches!(seen.load(), Err(SyncError::Disk { .. })));
    }
}
