//! The use-cases of administration: add a user, remove a domain, list aliases, resubmit a frozen message.
//!
//! One implementation for every face that administers (CTRL, the web pages). A use-case takes names as text and gives back what
//! it found, or an [`AdminError`] with the facts; numbers and words on a wire are the face's business. Each one takes
//! a fresh snapshot, checks, then writes through [`Editor`]; the next snapshot shows the edit.
//!
//! Order of writes, so that a crash in the middle leaves nothing that receives mail half-made: an account's directory
//! and files are made before its row, and removed after it; a domain's row is the last row to go.
//!
//! Concurrency: changes of this process run one after the other (`Admin::changing`), so that what was checked still
//! holds when it is written. Passwords are hashed before, so that a thousand of them keep nobody waiting. Other programs are
//! kept out of single files by the edit lock, and re-checks inside the edit keep rows unique.
//!
//! Names: a domain or an account name becomes a directory, so each is one plain path component (decision 16). What
//! the manual calls an error keeps its error; see `mailflow.md` 11.2 and golden `ctrl_commands`.
//!
//! All methods block: call them off the async threads.

mod address_book;
mod administrators;
mod aliases;
pub mod backup;
mod certificate;
mod domains;
mod error;
mod files;
mod groups;
pub mod import;
mod links;
mod lists;
mod mailproc;
mod new_users;
mod old_mail;
mod password_lists;
mod passwords;
mod programs;
mod queue;
mod rehearsal;
mod relays;
mod rename;
mod scan_mark;
mod selection;
mod services;
mod tables;
pub mod text_file;
mod usage;
mod users;
mod welcome;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bstr::BString;

use crate::auth;
use crate::clock::Clock;
use crate::durable::Disk;
use crate::mailbox::Mailboxes;
use crate::mailroot::accounts::is_plain_name;
use crate::mailroot::edit::{Editor, Planned};
use crate::mailroot::schema::server as variables;
use crate::mailroot::{Account, MailRoot, Snapshot, Tables};
use crate::spool::Spool;

pub use administrators::{FIRST_ADMINISTRATOR, WEBADMIN_TAB};
pub use certificate::{CertificateFacts, CertificatePair, certificate_facts};
pub use error::AdminError;
pub use files::ListedFile;
pub use links::{LinkKey, ListedLink};
pub use lists::ImportedMember;
pub use mailproc::MailProcFile;
pub use new_users::{NewUser, NewUsers};
pub use password_lists::{PasswordList, WaitingList};
pub use passwords::{PasswordFault, RANDOM_PASSWORD_CHARS};
pub use programs::{AccountChange, AccountPrograms, ExternalPrograms};
pub use relays::{Relay, RelayOf};
pub use selection::Switched;
pub use services::{Board, ListenState, Listening};
pub use tables::{Reload, TableReport};
pub use usage::{AccountUsage, DomainUsage};
pub use users::{AccountStatus, ListedUser};
pub use welcome::{WELCOME_BYTES_MAX, WELCOME_FILE};

/// Makes a hash of a password; tests have one that they hold in their hands.
type Hash = dyn Fn(&[u8]) -> Result<String, auth::HashError> + Send + Sync;

/// Administration of one MailRoot.
pub struct Admin {
    tables: Tables,
    editor: Editor,
    mailboxes: Mailboxes,
    spool: Option<Spool>,
    clock: Clock,
    disk: Disk,
    programs: Option<Arc<dyn AccountPrograms>>,
    board: services::BoardSlot,
    hash: Arc<Hash>,
    one_change_at_a_time: Mutex<()>,
}

impl Admin {
    /// Administration of the MailRoot of `tables`. Without a `spool` the commands about frozen messages fail.
    pub fn new(tables: Tables, mailboxes: Mailboxes, spool: Option<Spool>, clock: Clock, disk: Disk) -> Self {
        let editor = Editor::with_tables(&tables, disk.clone());
        Self {
            tables,
            editor,
            mailboxes,
            spool,
            clock,
            disk,
            programs: None,
            board: services::BoardSlot::default(),
            hash: Arc::new(auth::hash_password),
            one_change_at_a_time: Mutex::new(()),
        }
    }

    /// The same, with programs that are told of changes.
    #[must_use]
    pub fn with_programs(self, programs: Arc<dyn AccountPrograms>) -> Self {
        Self { programs: Some(programs), ..self }
    }

    /// The same, with another way to hash passwords.
    #[cfg(test)]
    fn with_hash(self, hash: Arc<Hash>) -> Self {
        Self { hash, ..self }
    }

    /// The tables as they are now.
    fn snapshot(&self) -> Arc<Snapshot> {
        self.tables.fresh()
    }

    fn root(&self) -> &MailRoot {
        self.editor.root()
    }

    /// Held during a change, from its checks to its last write.
    fn changing(&self) -> MutexGuard<'_, ()> {
        self.one_change_at_a_time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: AccountChange<'_>) {
        if let Some(programs) = &self.programs {
            programs.tell(change);
        }
    }

    /// The clear password, where one may be shown (decision 17): empty for hashed ones, and always when
    /// `CtrlHidePasswords` is set.
    fn shown_password(tables: &Snapshot, stored: &[u8]) -> BString {
        if tables.server.flag(&variables::CTRL_HIDE_PASSWORDS) {
            return BString::default();
        }
        auth::clear_password(stored).unwrap_or_default().into()
    }

    /// The content of a file below the MailRoot; `None` when there is none.
    fn read(&self, relative: &Path) -> Result<Option<Vec<u8>>, AdminError> {
        let path = self.root().path().join(relative);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(AdminError::Disk { action: "read", path, source }),
        }
    }

    /// Replaces a whole file by an upload; an empty one deletes it.
    fn store(&self, relative: &Path, bytes: &[u8]) -> Result<(), AdminError> {
        let mut edit = self.editor.begin(relative)?;
        if bytes.is_empty() {
            edit.delete()?;
            return Ok(());
        }
        edit.replace_all(bytes)?;
        Ok(edit.commit()?)
    }

    /// Makes a directory below the MailRoot.
    fn make_directory(&self, relative: &Path) -> Result<(), AdminError> {
        if let Some(rehearsal) = self.editor.rehearsal() {
            rehearsal.plan(Planned::MakeDirectory(relative.to_owned()));
            return Ok(());
        }
        let path = self.root().path().join(relative);
        self.disk.create_dir_all(&path).map_err(|source| AdminError::MakeDirectory { path, source })
    }

    /// Removes a directory with all that is in it; a symbolic link is removed, not followed.
    fn remove_directory(&self, relative: &Path) -> Result<(), AdminError> {
        let path = self.root().path().join(relative);
        if let Some(rehearsal) = self.editor.rehearsal() {
            if path.exists() {
                rehearsal.plan(Planned::RemoveDirectory(relative.to_owned()));
            }
            return Ok(());
        }
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(AdminError::RemoveDirectory { path, source })
            }
            _ => Ok(()),
        }
    }

    /// Removes a file below the MailRoot; one that is gone already is fine.
    fn remove_file(&self, relative: &Path) -> Result<(), AdminError> {
        let path = self.root().path().join(relative);
        if let Some(rehearsal) = self.editor.rehearsal() {
            if path.exists() {
                rehearsal.plan(Planned::RemoveFile(relative.to_owned()));
            }
            return Ok(());
        }
        match self.disk.remove(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(AdminError::Disk { action: "remove", path, source })
            }
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("root", self.root()).finish_non_exhaustive()
    }
}

/// The account of exactly this name, or of the domain it is an alias of. Aliases are not looked at.
///
/// # Errors
/// [`AdminError::DomainNotHandled`], [`AdminError::UserNotFound`].
fn account(tables: &Snapshot, domain: &str, name: &str) -> Result<Arc<Account>, AdminError> {
    if !tables.handles(domain) {
        return Err(AdminError::DomainNotHandled);
    }
    tables.account(domain, name).cloned().ok_or(AdminError::UserNotFound)
}

/// Whether a name may become one directory entry: no separators of any system, not hidden, not too long.
fn is_directory_name(name: &str) -> bool {
    is_plain_name(name)
        && !name.starts_with('.')
        && !name.contains(['\\', '/'])
        && !name.chars().any(char::is_control)
        && name.len() <= FILE_NAME_BYTES_MAX
}

/// POSIX `NAME_MAX` on every file system we know, less the longest suffix that is put behind names (`.disabled`).
const FILE_NAME_BYTES_MAX: usize = 240;
