//! The mailbox lock of a POP3 session: `pop3locks/<name>@<domain>.lock` (`mailroot.md` 4).
//!
//! The file's existence is the lock; its content (a decimal number and a NUL) is never read. Stale locks are removed
//! when the POP3 service starts.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::{MailboxError, Mailboxes};
use crate::durable::{DIR_MODE, FILE_MODE};
use crate::mailroot::Account;
use crate::mailroot::accounts::is_plain_name;

/// A locked mailbox; dropping it gives the lock back.
#[derive(Debug)]
pub struct MailboxLock {
    path: PathBuf,
}

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
        let create = || OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&path);
        let opened = match create() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.disk.create_dir(&directory, DIR_MODE).map_err(MailboxError::on("create", &directory))?;
                create()
            }
            other => other,
        };
        match opened {
            Ok(mut file) => {
                let lock = MailboxLock { path };
                file.write_all(format!("{}\0", std::process::id()).as_bytes())
                    .map_err(MailboxError::on("write", &lock.path))?;
                Ok(Some(lock))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
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
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("{}: cannot be removed: {error}", self.path.display());
        }
    }
}
