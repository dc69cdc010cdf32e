//! Files that keep a link from being worked: its lock, and its disable file (`mailroot.md` 4, 14.2).
//!
//! ```text
//! pop3linklocks/<rmtuser>@<rmthost>.lock       exists = being worked; `:` `/` `\` in names become `_`
//! <account directory>/<rmtuser>@<rmthost>.disabled    links of an account
//! pop3links/<rmtuser>@<rmthost>.disabled              other links; no character is replaced
//! ```

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::error::SyncError;
use super::seen::Unsaved;
use crate::durable::{DIR_MODE, Disk, FILE_MODE};
use crate::mailroot::accounts::is_plain_name;
use crate::mailroot::links::{LinkTarget, Pop3Link};
use crate::mailroot::{MailRoot, Snapshot};

/// The directory of the locks, relative to the MailRoot.
const LOCKS: &str = "pop3linklocks";

/// A link that nobody else works; dropping it gives the link back.
#[derive(Debug)]
pub(super) struct LinkLock {
    path: PathBuf,
    disk: Disk,
    unsaved: Unsaved,
}

impl LinkLock {
    /// Takes the lock of a link; `None` when somebody has it. Blocks. One that an earlier session of ours could not
    /// remove is taken over.
    pub(super) fn take(
        root: &MailRoot,
        link: &Pop3Link,
        disk: &Disk,
        unsaved: &Unsaved,
    ) -> Result<Option<Self>, SyncError> {
        let name = plain(&format!("{}@{}.lock", link.remote_user, link.remote_host));
        if !is_plain_name(&name) {
            return Err(SyncError::BadName);
        }
        let directory = root.path().join(LOCKS);
        let path = directory.join(name);
        let failed = |source| SyncError::Disk { path: path.clone(), source };
        disk.create_dir(&directory, DIR_MODE).map_err(failed)?;
        let lock = || Self { path: path.clone(), disk: disk.clone(), unsaved: unsaved.clone() };
        match disk.create_new(&path, FILE_MODE) {
            Ok(mut file) => {
                let lock = lock();
                file.write_all(format!("{}\0", std::process::id()).as_bytes()).map_err(failed)?;
                Ok(Some(lock))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let is_ours = unsaved.lock().locks.remove(&path);
                Ok(is_ours.then(lock))
            }
            Err(error) => Err(failed(error)),
        }
    }
}

impl Drop for LinkLock {
    fn drop(&mut self) {
        if let Err(error) = self.disk.remove(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("{}: cannot be removed: {error}", self.path.display());
            self.unsaved.lock().locks.insert(self.path.clone());
        }
    }
}

/// Removes the locks that an earlier run of the server has left: only before the first run.
pub(super) fn remove_stale(root: &MailRoot) {
    let Ok(entries) = fs::read_dir(root.path().join(LOCKS)) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir())) {
        if let Err(error) = fs::remove_file(entry.path()) {
            tracing::warn!("{}: cannot be removed: {error}", entry.path().display());
        }
    }
}

/// Whether the disable file of a link exists. Where the names make no file name there cannot be one.
pub(super) fn is_disabled(snapshot: &Snapshot, link: &Pop3Link) -> bool {
    let name = format!("{}@{}.disabled", link.remote_user, link.remote_host);
    if !is_plain_name(&name) {
        return false;
    }
    let directory = match &link.target {
        LinkTarget::Account { domain } => {
            let Some(account) = snapshot.account(domain, &link.local_name) else { return true };
            MailRoot::account_directory(account)
        }
        _ => Path::new("pop3links").to_owned(),
    };
    // A link that cannot be looked up is taken for disabled: its owner may have asked for it.
    snapshot.root().path().join(directory).join(name).try_exists().unwrap_or(true)
}

/// `:` `/` `\` become `_`.
pub(super) fn plain(name: &str) -> String {
    name.replace([':', '/', '\\'], "_")
}
