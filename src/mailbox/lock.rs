//! The mailbox lock of a POP3 session: `pop3locks/<name>@<domain>.lock` (`mailroot.md` 4).
//!
//! The file's existence is the lock; its content (a decimal number and a NUL) is never read, so a disk that is full does
//! not keep out who wants to delete mail. Stale locks are removed when the POP3 service starts; a lock that the disk did
//! not let us remove is taken over by the next session.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::{MailboxError, Mailboxes};
use crate::durable::{DIR_MODE, Disk, FILE_MODE};
use crate::mailroot::Account;
use crate::mailroot::accounts::is_plain_name;

/// A locked mailbox; dropping it gives the lock back.
#[derive(Debug)]
pub struct MailboxLock {
    path: PathBuf,
    disk: Disk,
    abandoned: Abandoned,
}

/// Locks of sessions that are over whose files could not be removed.
pub(super) type Abandoned = Arc<Mutex<HashSet<PathBuf>>>;

impl Mailboxes {
    /// Takes the lock of an account's mailbox; `None` when another session has it.
    ///
    /// # Errors
    /// The disk's.
    pub fn lock(&self, account: &Account) -> Result<Option<MailboxLock>, MailboxError> {
        let directory = self.root.path().join("pop3locks");
        let name = format!("{}.lock", account.address());
        let path = directory.join(&name);
        if !is_plain_name(&name) {
            return Err(MailboxError::on("lock", &path)(io::ErrorKind::InvalidInput.into()));
        }
        let lock =
            |path| MailboxLock { path, disk: self.disk.clone(), abandoned: Arc::clone(&self.abandoned) };
        let create = || self.disk.create_new(&path, FILE_MODE);
        let opened = match create() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.disk.create_dir(&directory, DIR_MODE).map_err(MailboxError::on("create", &directory))?;
                create()
            }
            other => other,
        };
        match opened {
            Ok(mut file) => {
                if let Err(error) = file.write_all(format!("{}\0", std::process::id()).as_bytes()) {
                    tracing::warn!("{}: is empty: {error}", path.display());
                }
                Ok(Some(lock(path)))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let is_ours = self.abandoned.lock().unwrap_or_else(PoisonError::into_inner).remove(&path);
                Ok(is_ours.then(|| lock(path)))
            }
            Err(error) => Err(MailboxError::on("lock", &path)(error)),
        }
    }

    /// Removes the locks that an earlier run of the server has left: only before the POP3 service starts.
    pub fn remove_stale_locks(&self) {
        let Ok(entries) = fs::read_dir(self.root.path().join("pop3locks")) else { return };
        for entry in entries.flatten() {
            if let Err(error) = fs::remove_file(entry.path()) {
                tracing::warn!("{}: cannot be removed: {error}", entry.path().display());
            }
        }
    }
}

impl Drop for MailboxLock {
    fn drop(&mut self) {
        if let Err(error) = self.disk.remove(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("{}: cannot be removed: {error}", self.path.display());
            self.abandoned.lock().unwrap_or_else(PoisonError::into_inner).insert(self.path.clone());
        }
    }
}
