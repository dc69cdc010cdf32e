//! `mlusers.tab`: members of mailing lists (`mailroot.md` 7.6).

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use bstr::{BString, ByteSlice};

use super::{Admin, AdminError, account};
use crate::address::Mailbox;
use crate::mailroot::{Account, AccountKind, MailRoot, Snapshot};
use crate::tab::TabFile;

/// A member to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedMember {
    /// The address.
    pub address: String,
    /// The permission letters.
    pub perms: String,
}

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

    /// Adds members, or gives those that are members already these permissions, in one edit.
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`, `NotAList`, `Address` of the first address that is none, `Edit`.
    pub fn import_members(
        &self,
        domain: &str,
        list: &str,
        members: &[ImportedMember],
    ) -> Result<(), AdminError> {
        let _changing = self.changing();
        let list = list_of(&self.snapshot(), domain, list)?;
        let mut edit = self.editor.begin(&members_file(&list))?;
        let key = |address: &[u8]| address.to_ascii_lowercase();
        let mut rows: HashMap<Vec<u8>, (usize, BString)> = HashMap::new();
        for row in edit.rows() {
            let perms = row.fields.get(1).map_or_else(|| DEFAULT_PERMS.into(), |field| field.value.clone());
            rows.entry(key(row.value(0))).or_insert((row.index, perms));
        }
        // Of an address that is named twice the last one counts.
        let mut wanted: Vec<&ImportedMember> = Vec::new();
        let mut seen = HashSet::new();
        for member in members.iter().rev() {
            Mailbox::parse(member.address.as_bytes())?;
            if seen.insert(key(member.address.as_bytes())) {
                wanted.push(member);
            }
        }
        for member in wanted.into_iter().rev() {
            match rows.get(&key(member.address.as_bytes())) {
                Some((_, perms)) if *perms == member.perms => {}
                Some((index, _)) => edit.set(*index, &[&member.address, &member.perms])?,
                None => edit.push(&[&member.address, &member.perms])?,
            }
        }
        Ok(edit.commit()?)
    }

    /// Removes members in one edit; addresses that are no members are passed.
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`, `NotAList`, `Edit`.
    pub fn remove_members(&self, domain: &str, list: &str, addresses: &[String]) -> Result<(), AdminError> {
        let _changing = self.changing();
        let list = list_of(&self.snapshot(), domain, list)?;
        let gone: HashSet<Vec<u8>> =
            addresses.iter().map(|address| address.to_ascii_lowercase().into_bytes()).collect();
        self.editor
            .remove_rows(&members_file(&list), |row| gone.contains(&row.value(0).to_ascii_lowercase()))?;
        Ok(())
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
