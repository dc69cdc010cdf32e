//! `mailproc.tab` of accounts and domains (`mailroot.md` 13.1).

use std::path::PathBuf;

use super::{Admin, AdminError, account};
use crate::mailroot::{Account, MailRoot};

/// Whose `mailproc.tab`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailProcFile {
    /// The domain's, for all its accounts.
    Domain,
    /// The account's own.
    User,
}

impl MailProcFile {
    fn path(self, account: &Account) -> PathBuf {
        match self {
            Self::Domain => MailRoot::domain_directory(&account.domain).join("mailproc.tab"),
            Self::User => MailRoot::account_directory(account).join("mailproc.tab"),
        }
    }
}

impl Admin {
    /// The named files one after the other (`usergetmproc`).
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`; `NoMailProc` when none of them exists; `Disk`.
    pub fn mailproc(&self, domain: &str, name: &str, files: &[MailProcFile]) -> Result<Vec<u8>, AdminError> {
        let tables = self.snapshot();
        let account = account(&tables, domain, name)?;
        let mut found = None;
        for file in files {
            let Some(bytes) = self.read(&file.path(&account))? else { continue };
            let all: &mut Vec<u8> = found.get_or_insert_default();
            if all.last().is_some_and(|&last| last != b'\n') {
                all.push(b'\n');
            }
            all.extend(bytes);
        }
        found.ok_or(AdminError::NoMailProc)
    }

    /// Whether [`Admin::set_mailproc`] would find the account.
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`.
    pub fn may_set_mailproc(&self, domain: &str, name: &str) -> Result<(), AdminError> {
        account(&self.snapshot(), domain, name).map(drop)
    }

    /// Replaces the file; an empty one is deleted (`usersetmproc`).
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`, `Edit`.
    pub fn set_mailproc(
        &self,
        domain: &str,
        name: &str,
        file: MailProcFile,
        bytes: &[u8],
    ) -> Result<(), AdminError> {
        let _changing = self.changing();
        let tables = self.snapshot();
        let account = account(&tables, domain, name)?;
        self.store(&file.path(&account), bytes)
    }
}
