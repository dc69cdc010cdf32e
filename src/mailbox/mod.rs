//! Mailboxes: the `Maildir` and `mailbox` directories of accounts, as XMail keeps them (`mailroot.md` 15).
//!
//! | | mailbox | Maildir |
//! | --- | --- | --- |
//! | directory | `<account>/mailbox/` | `<account>/Maildir/{tmp,new,cur}/` |
//! | delivered file | `mailbox/<spool name>` | `Maildir/new/<spool name>` |
//! | POP3 lists | plain files not starting with `.` | the same in `new`, then `cur` if `Pop3ScanCur` > 0 |
//! | quota counts | all files below, names not starting with `.` | the same, `cur` and `tmp` too |
//!
//! The kind is one for the whole server (`-MM`, `-Mm`). The file name is the message's UIDL; any name is taken as it
//! is. Delivery writes a temporary file (in `domains/<domain>/.tmp` or `tmp`), syncs it, renames it into place and
//! syncs the directory: a message is in the mailbox completely or not at all, and needs no lock.
//!
//! Calls block; callers on async threads use `spawn_blocking`.

mod delivered;
mod last_login;
mod listing;
mod lock;
mod wire_size;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use delivered::{Delivered, Delivery};
pub use last_login::LastLogin;
pub use listing::{StoredMessage, Usage};
pub use lock::MailboxLock;

use crate::durable::Disk;
use crate::mailroot::{Account, MailRoot};
use wire_size::WireSizes;

/// Which of XMail's two layouts all mailboxes have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// `-MM`, the default on Unix.
    #[default]
    Maildir,
    /// `-Mm`.
    Mailbox,
}

/// All mailboxes of a MailRoot.
#[derive(Clone, Debug)]
pub struct Mailboxes {
    root: MailRoot,
    kind: Kind,
    disk: Disk,
    wire_sizes: Arc<WireSizes>,
}

/// What the disk did to a mailbox.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot {action}: {source}", path.display())]
pub struct MailboxError {
    /// What was tried.
    pub action: &'static str,
    /// On which file or directory.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

impl MailboxError {
    fn on(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { action, path: path.to_owned(), source }
    }
}

impl Mailboxes {
    /// The mailboxes below `root`.
    pub fn new(root: MailRoot, kind: Kind, disk: Disk) -> Self {
        Self { root, kind, disk, wire_sizes: Arc::default() }
    }

    /// The layout in use.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// `<account>/Maildir` or `<account>/mailbox`, absolute.
    pub fn directory(&self, account: &Account) -> PathBuf {
        let name = match self.kind {
            Kind::Maildir => "Maildir",
            Kind::Mailbox => "mailbox",
        };
        self.root.path().join(MailRoot::account_directory(account)).join(name)
    }

    /// Where new messages go, absolute.
    fn inbox(&self, account: &Account) -> PathBuf {
        match self.kind {
            Kind::Maildir => self.directory(account).join("new"),
            Kind::Mailbox => self.directory(account),
        }
    }

    /// Makes the directories of an account's mailbox where they are missing.
    ///
    /// # Errors
    /// The disk's.
    pub fn create(&self, account: &Account) -> Result<(), MailboxError> {
        let top = self.directory(account);
        let all: Vec<PathBuf> = match self.kind {
            Kind::Maildir => ["tmp", "new", "cur"].iter().map(|name| top.join(name)).collect(),
            Kind::Mailbox => vec![top],
        };
        all.iter()
            .try_for_each(|path| self.disk.create_dir_all(path).map_err(MailboxError::on("create", path)))
    }

    /// The directories that POP3 lists.
    fn listed(&self, account: &Account, scan_cur: bool) -> Vec<PathBuf> {
        let mut directories = vec![self.inbox(account)];
        if self.kind == Kind::Maildir && scan_cur {
            directories.push(self.directory(account).join("cur"));
        }
        directories
    }

    /// The directory with a message file of this delivery name: under the name itself, or in `cur` with Maildir flags
    /// behind it.
    fn arrived(&self, account: &Account, name: &str) -> Option<PathBuf> {
        let inbox = self.inbox(account);
        if inbox.join(name).exists() {
            return Some(inbox);
        }
        if self.kind == Kind::Mailbox {
            return None;
        }
        let cur = self.directory(account).join("cur");
        let flagged = format!("{name}:");
        let is_there = fs::read_dir(&cur).is_ok_and(|entries| {
            entries.flatten().any(|entry| {
                let file = entry.file_name();
                file.to_str().is_some_and(|file| file == name || file.starts_with(&flagged))
            })
        });
        is_there.then_some(cur)
    }
}

#[cfg(test)]
mod tests;
