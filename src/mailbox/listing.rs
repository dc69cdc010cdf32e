//! What is in a mailbox.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::known::Directory;
use super::{MailboxError, Mailboxes, delivery_name, open_plain};
use crate::mailroot::Account;

/// A message file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// The file name: the UIDL.
    pub file_name: String,
    /// The file, absolute.
    pub path: PathBuf,
    /// Bytes in the file.
    pub bytes: u64,
    /// When the file was written.
    pub modified: SystemTime,
}

/// What counts against the quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all files.
    pub bytes: u64,
    /// Number of files.
    pub messages: u64,
}

impl Mailboxes {
    /// The messages that POP3 shows, by delivery time, then name (decision 22). A missing directory is empty.
    /// File names that are not UTF-8 are left out: no UIDL could name them.
    ///
    /// # Errors
    /// The disk's, other than a missing directory.
    pub fn list(&self, account: &Account, scan_cur: bool) -> Result<Vec<Arc<StoredMessage>>, MailboxError> {
        let mut messages = Vec::new();
        for directory in self.listed(account, scan_cur) {
            let read = self.known.read(&directory).map_err(MailboxError::on("read", &directory))?;
            self.wire_sizes.listed(&directory, read.as_ref().map_or(0, |read| read.files.len()));
            messages.extend(read.iter().flat_map(|read| &read.files).map(|file| Arc::clone(&file.message)));
        }
        messages.sort_by(|a, b| (a.modified, &a.file_name).cmp(&(b.modified, &b.file_name)));
        Ok(messages)
    }

    /// All messages of an account, those of its IMAP folders as well, in no order. A missing directory is empty.
    ///
    /// # Errors
    /// The disk's, other than a missing directory.
    pub fn list_everything(&self, account: &Account) -> Result<Vec<Arc<StoredMessage>>, MailboxError> {
        let mut messages = self.list(account, true)?;
        let top = self.directory(account);
        let read = self.known.read(&top).map_err(MailboxError::on("read", &top))?;
        let folders = read.iter().flat_map(|read| &read.folders);
        for directory in folders.flat_map(|folder| [folder.join("new"), folder.join("cur")]) {
            let read = self.known.read(&directory).map_err(MailboxError::on("read", &directory))?;
            messages.extend(read.iter().flat_map(|read| &read.files).map(|file| Arc::clone(&file.message)));
        }
        Ok(messages)
    }

    /// What the account's mailbox holds, for quotas and `userstat`: all files below it whose names do not begin with
    /// a dot. A missing directory is empty.
    ///
    /// # Errors
    /// The disk's, other than a missing directory.
    pub fn usage(&self, account: &Account) -> Result<Usage, MailboxError> {
        let mut usage = Usage::default();
        self.add_usage(&self.directory(account), &mut usage)?;
        Ok(usage)
    }

    /// What counts against the quota of an account: what its mailbox holds, and its IMAP folders, which [`Mailboxes::usage`]
    /// leaves out as XMail does.
    ///
    /// # Errors
    /// The disk's, other than a missing directory.
    pub fn quota_usage(&self, account: &Account) -> Result<Usage, MailboxError> {
        let mut usage = Usage::default();
        let Some(top) = self.add_usage(&self.directory(account), &mut usage)? else { return Ok(usage) };
        for directory in top.folders.iter().flat_map(|folder| [folder.join("new"), folder.join("cur")]) {
            self.add_usage(&directory, &mut usage)?;
        }
        Ok(usage)
    }

    /// Adds what is in a directory and below it; returns what is known of it, `None` when there is none.
    fn add_usage(&self, directory: &Path, usage: &mut Usage) -> Result<Option<Arc<Directory>>, MailboxError> {
        let read = self.known.measure(directory).map_err(MailboxError::on("read", directory))?;
        let Some(known) = &read else { return Ok(None) };
        usage.bytes += known.bytes;
        usage.messages += known.count;
        for below in &known.below {
            self.add_usage(below, usage)?;
        }
        Ok(read)
    }

    /// Removes a message that POP3 deleted. One that is gone already is fine.
    ///
    /// # Errors
    /// The disk's.
    pub fn remove(&self, message: &StoredMessage) -> Result<(), MailboxError> {
        self.wire_sizes.forget(message);
        // First: a delivery that comes in between must find either the file or this.
        self.note_removal(&message.path);
        match self.disk.remove(&message.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(MailboxError::on("remove", &message.path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Makes the removal of these messages durable: a power cut does not bring them back. Only then whoever keeps them
    /// elsewhere hears of it ([`Mailboxes::on_removal`]): the other way round a power cut could leave a name whose content
    /// nobody has any more.
    ///
    /// # Errors
    /// The disk's; the messages are gone, but may come back with a power cut.
    pub fn sync_removals<'a>(
        &self,
        messages: impl Iterator<Item = &'a StoredMessage>,
    ) -> Result<(), MailboxError> {
        let messages: Vec<&StoredMessage> = messages.collect();
        // What was moved away is no less gone.
        messages.iter().for_each(|message| self.note_removal(&message.path));
        let directories: BTreeSet<&Path> =
            messages.iter().filter_map(|message| message.path.parent()).collect();
        directories.into_iter().try_for_each(|directory| {
            self.disk.sync_dir(directory).map_err(MailboxError::on("sync", directory))
        })?;
        if let Some(tell) = &self.on_removal {
            let name = |message: &&StoredMessage| delivery_name(&message.file_name).to_owned();
            tell(&messages.iter().map(name).collect::<Vec<String>>());
        }
        Ok(())
    }

    /// Opens a message for reading.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(&self, message: &StoredMessage) -> Result<File, MailboxError> {
        let file = open_plain(&message.path).map_err(MailboxError::on("open", &message.path))?;
        if file.metadata().is_ok_and(|meta| meta.len() != message.bytes) {
            self.was_written_to(message);
        }
        Ok(file)
    }

    /// The file is not what it was when the directory was read: log-ins from now on look again.
    pub(super) fn was_written_to(&self, message: &StoredMessage) {
        if let Some(directory) = message.path.parent() {
            self.known.forget(directory);
        }
    }
}
