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
//! is. Delivery writes a temporary file (in `Maildir/tmp`; without Maildir in `domains/<domain>/.tmp` or `tmp`), syncs it,
//! renames it into place and syncs the directory: a message is in the mailbox completely or not at all, and needs no
//! lock. Who keeps the message elsewhere meanwhile may leave the syncs out ([`Safety::Later`]); after a crash of the
//! machine a part of the file may then be found, which the next delivery under that name replaces.
//!
//! Calls block; callers on async threads use `spawn_blocking`.

mod delivered;
pub mod folder;
mod from_memory;
mod known;
mod last_login;
mod listing;
mod lock;
mod recent;
mod removed;
mod wire_size;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use delivered::{Delivered, Delivery, Safety, StoredFile};
pub use last_login::LastLogin;
pub use listing::{StoredMessage, Usage};
pub use lock::MailboxLock;

use crate::durable::Disk;
use crate::mailroot::{Account, MailRoot};
use known::KnownDirectories;
use removed::Removed;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
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
#[derive(Clone)]
pub struct Mailboxes {
    root: MailRoot,
    kind: Kind,
    disk: Disk,
    wire_sizes: Arc<WireSizes>,
    known: Arc<KnownDirectories>,
    removed: Arc<Removed>,
    on_removal: Option<OnRemoval>,
    open_folders: folder::OpenFolders,
    watcher: folder::Watcher,
    abandoned: lock::Abandoned,
}

/// Told the delivery names of messages that their owner has removed for good.
type OnRemoval = Arc<dyn Fn(&[String]) + Send + Sync>;

impl std::fmt::Debug for Mailboxes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailboxes")
            .field("root", &self.root)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
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

/// Opens a message's file. What is there no longer, or is no plain file any more, is not found: opening a FIFO would wait
/// for somebody who writes to it, and a link may lead out of the mailbox.
fn open_plain(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        // A link; a socket.
        Err(Errno::LOOP | Errno::NXIO) => return Err(io::ErrorKind::NotFound.into()),
        Err(error) => return Err(error.into()),
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
}

impl Mailboxes {
    /// The mailboxes below `root`.
    pub fn new(root: MailRoot, kind: Kind, disk: Disk) -> Self {
        Self {
            root,
            kind,
            disk,
            wire_sizes: Arc::default(),
            known: Arc::default(),
            removed: Arc::default(),
            on_removal: None,
            open_folders: folder::OpenFolders::default(),
            watcher: folder::Watcher::default(),
            abandoned: lock::Abandoned::default(),
        }
    }

    /// The same mailboxes; `tell` gets the delivery names of messages whose removal by their owner is durable. Who keeps messages that
    /// were delivered with [`Safety::Later`] must not bring those back.
    pub fn on_removal(mut self, tell: impl Fn(&[String]) + Send + Sync + 'static) -> Self {
        self.on_removal = Some(Arc::new(tell));
        self
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

    /// Notes that a message's owner takes it away, so that no delivery of it puts it back.
    fn note_removal(&self, file: &Path) {
        let (Some(directory), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str()))
        else {
            return;
        };
        let mailbox = match self.kind {
            Kind::Maildir => directory.parent().unwrap_or(directory),
            Kind::Mailbox => directory,
        };
        self.removed.note(mailbox.join(delivery_name(name)));
    }

    /// The directory of a folder with its `new` and `cur`; of INBOX for `None`.
    fn top_of(&self, account: &Account, folder: Option<&folder::FolderName>) -> PathBuf {
        let top = self.directory(account);
        folder.and_then(folder::FolderName::directory_name).map_or_else(|| top.clone(), |name| top.join(name))
    }

    /// Where new messages of a folder go, absolute.
    fn new_of(&self, account: &Account, folder: Option<&folder::FolderName>) -> PathBuf {
        match folder.filter(|folder| !folder.is_inbox()) {
            Some(folder) => self.top_of(account, Some(folder)).join("new"),
            None => self.inbox(account),
        }
    }

    /// The message file of this delivery name in a folder: under the name itself, or in `cur` with Maildir flags behind it.
    fn arrived(&self, account: &Account, folder: Option<&folder::FolderName>, name: &str) -> Option<PathBuf> {
        let new = self.new_of(account, folder);
        let path = new.join(name);
        if path.exists() {
            return Some(path);
        }
        if !new.ends_with("new") {
            return None;
        }
        let cur = self.top_of(account, folder).join("cur");
        let flagged = format!("{name}:");
        let found = fs::read_dir(&cur).ok()?.flatten().find(|entry| {
            let file = entry.file_name();
            file.to_str().is_some_and(|file| file == name || file.starts_with(&flagged))
        });
        found.map(|entry| entry.path())
    }
}

/// The name without the Maildir flags behind it.
fn delivery_name(file_name: &str) -> &str {
    file_name.split(':').next().unwrap_or(file_name)
}

#[cfg(test)]
mod tests;
