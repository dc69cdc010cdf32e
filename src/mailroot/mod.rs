//! The MailRoot: paths, one typed table per TAB file, the snapshot of all tables, lookups and edits.
//!
//! Shape: `mailroot.md` 1 (tree), 2 (grammar), 6 (all tables). Two steps, two types: [`crate::tab`] yields lines as
//! written, this room yields what they mean. Loading never fails; it returns the table and its [`Problem`]s, and one
//! bad line does not hide its neighbours. Everyone reads through a [`Snapshot`]; everyone writes through [`edit`].

pub mod access;
pub mod accounts;
pub mod address_book;
pub mod authentication;
mod client_tls;
pub mod command_file;
pub mod directory;
pub mod dnsroots;
pub mod edit;
pub mod filters;
pub mod folders;
pub mod groups;
pub mod history;
mod index;
pub mod line_diff;
pub mod links;
pub mod lists;
#[cfg(test)]
pub(crate) mod made;
pub mod option_list;
pub mod problem;
pub mod profile;
pub mod revision;
pub mod routing;
pub mod rules;
pub mod schema;
pub mod server_tab;
pub mod snapshot;
pub mod tabindex;
pub mod table;
pub mod trail;
pub mod watch;
pub mod webadmin;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use accounts::{Account, AccountKind};
pub use directory::Resolved;
pub use groups::UserSettings;
pub use problem::{Problem, ProblemKind, Severity};
pub use profile::UserTab;
pub use server_tab::ServerTab;
pub use snapshot::{Loaded, Snapshot, Tables};
pub use table::Table;
pub use trail::{Citation, Fact, Miss, Step, Trail};

/// A MailRoot directory: the only place where paths inside it are built.
///
/// Every name that comes from a table or a peer is checked to be one plain component before it becomes part of a
/// path (see [`accounts::is_plain_name`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailRoot {
    path: Arc<Path>,
}

/// The directories that the stock archive ships and that are created where missing (decision 31).
const DIRECTORIES: &[&str] = &[
    "bin",
    "cmdaliases",
    "custdomains",
    "dnscache/mx",
    "dnscache/ns",
    "domains",
    "filters",
    "logs",
    "msgsync",
    "pop3linklocks",
    "pop3links",
    "pop3locks",
    "spool/local",
    "spool/temp",
    "tabindex",
    "tmp",
    "userauth/pop3",
    "userauth/smtp",
];

impl MailRoot {
    /// The MailRoot at `path`; nothing is touched.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into().into() }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directories every MailRoot has, relative to it.
    pub fn directories() -> &'static [&'static str] {
        DIRECTORIES
    }

    /// `domains/<domain>` in lower case, relative to the MailRoot. The domain must be a plain name.
    pub fn domain_directory(domain: &str) -> PathBuf {
        debug_assert!(accounts::is_plain_name(domain));
        Path::new("domains").join(domain.to_ascii_lowercase())
    }

    /// `domains/<domain>/<directory>` of an account, relative to the MailRoot. Both parts were checked when the row
    /// was loaded.
    pub fn account_directory(account: &Account) -> PathBuf {
        Self::domain_directory(&account.domain).join(&*account.directory)
    }

    /// `user.tab` of an account, relative to the MailRoot.
    pub fn user_tab(account: &Account) -> PathBuf {
        Self::account_directory(account).join("user.tab")
    }

    /// Where internal temporary files go for a mailbox that has no directory of its own for them: `domains/<domain>/.tmp`
    /// where it exists, else `tmp` (`mailroot.md` 15). Absolute.
    pub fn temporary_directory(&self, domain: &str) -> PathBuf {
        let own = self.path.join(Self::domain_directory(domain)).join(".tmp");
        if own.is_dir() { own } else { self.path.join("tmp") }
    }
}
