//! `mlusers.tab`: members of mailing lists (`mailroot.md` 7.6).

use std::path::PathBuf;
use std::sync::Arc;

use bstr::{BString, ByteSlice};

use super::{Admin, AdminError, account};
use crate::address::Mailbox;
use crate::mailroot::{Account, AccountKind, MailRoot, Snapshot};
use crate::tab::TabFile;

/// What a member may do when nothing is said.
const DEFAULT_PERMS: &str = "RW";

impl Admin {
    /// Adds a member (`mluseradd`); permissions are stored as given, `RW` when absent.
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`, `NotAList`, `Address`, `MemberExists`, `Edit`.
    pub fn add_member(
        &self,
        domain: &str,
        list: &str,
        address: &str,
        perms: Option<&str>,
    ) -> Result<(), AdminError> {
        let _changing = self.changing();
        let list = list_of(&self.snapshot(), domain, list)?;
        Mailbox::parse(address.as_bytes())?;
        let mut edit = self.editor.begin(&members_file(&list))?;
        if edit.find(|row| row.has_key(&[address])).is_some() {
            return Err(AdminError::MemberExists);
        }
        edit.push(&[address, perms.unwrap_or(DEFAULT_PERMS)])?;
        Ok(edit.commit()?)
    }

    /// Removes a member (`mluserdel`).
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`, `NotAList`, `MemberNotFound`, `Edit`.
    pub fn remove_member(&self, domain: &str, list: &str, address: &str) -> Result<(), AdminError> {
        let _changing = self.changing();
        let list = list_of(&self.snapshot(), domain, list)?;
        match self.editor.remove_rows(&members_file(&list), |row| row.has_key(&[address]))? {
            0 => Err(AdminError::MemberNotFound),
            _ => Ok(()),
        }
    }

    /// Addresses and permissions as written, in file order (`mluserlist`).
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`, `NotAList`, `Disk`.
    pub fn members(&self, domain: &str, list: &str) -> Result<Vec<(BString, BString)>, AdminError> {
        let list = list_of(&self.snapshot(), domain, list)?;
        let file = TabFile::parse(&self.read(&members_file(&list))?.unwrap_or_default());
        let rows = file.lines().iter().map(|line| line.fields()).filter(|fields| !fields.is_empty());
        Ok(rows
            .map(|fields| {
                let mut values = fields.into_iter().map(|field| field.value);
                let address = values.next().unwrap_or_default();
                (address, values.next().unwrap_or_else(|| DEFAULT_PERMS.into()))
            })
            .filter(|(address, _)| !address.trim().is_empty())
            .collect())
    }
}

fn members_file(list: &Account) -> PathBuf {
    MailRoot::account_directory(list).join("mlusers.tab")
}

fn list_of(tables: &Snapshot, domain: &str, name: &str) -> Result<Arc<Account>, AdminError> {
    let account = account(tables, domain, name)?;
    if account.kind == AccountKind::List { Ok(account) } else { Err(AdminError::NotAList) }
}
