//! Groups of accounts (`jdmail.md` JD-45): `groups/<domain>/<group>/` with `members.tab` and `user.tab`.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::{Admin, AdminError, is_directory_name};
use crate::mailroot::groups::MEMBERS_TAB;
use crate::mailroot::{Account, MailRoot, Snapshot};

impl Admin {
    /// Adds a group without members; its name in lower case.
    ///
    /// # Errors
    /// `DomainNotHandled`, `BadGroupName`, `GroupExists`, `MakeDirectory`, `Edit`.
    pub fn add_group(&self, domain: &str, group: &str) -> Result<(), AdminError> {
        let _changing = self.changing();
        let tables = self.snapshot();
        tables.domains.get(domain).ok_or(AdminError::DomainNotHandled)?;
        let group = group.to_lowercase();
        if !is_directory_name(&group) || group.trim() != group || group.chars().count() > GROUP_CHARS_MAX {
            return Err(AdminError::BadGroupName);
        }
        if tables.groups(domain).iter().any(|known| known.eq_ignore_ascii_case(&group)) {
            return Err(AdminError::GroupExists);
        }
        let directory = MailRoot::group_directory(domain, &group);
        self.make_directory(&directory)?;
        self.editor.begin(&directory.join(MEMBERS_TAB))?.commit()?;
        Ok(self.editor.begin(&directory.join("user.tab"))?.commit()?)
    }

    /// Removes a group. Its members stay; what it set for them holds no longer.
    ///
    /// # Errors
    /// `GroupNotFound`, `Edit`, `RemoveDirectory`.
    pub fn remove_group(&self, domain: &str, group: &str) -> Result<(), AdminError> {
        let _changing = self.changing();
        let directory = group_directory(&self.snapshot(), domain, group)?;
        // The tables go first, and so into the history.
        for file in ["user.tab", MEMBERS_TAB] {
            self.editor.begin(&directory.join(file))?.delete()?;
        }
        self.remove_directory(&directory)
    }

    /// Adds accounts to a group; those that are members already stay so.
    ///
    /// # Errors
    /// `GroupNotFound`, `UserNotFound` for the first name that is no account of the domain, `Edit`.
    pub fn add_to_group(&self, domain: &str, group: &str, names: &[String]) -> Result<(), AdminError> {
        let _changing = self.changing();
        let tables = self.snapshot();
        let file = group_directory(&tables, domain, group)?.join(MEMBERS_TAB);
        let mut edit = self.editor.begin(&file)?;
        let mut known: HashSet<Vec<u8>> = edit.rows().map(|row| row.value(0).to_ascii_lowercase()).collect();
        for name in names {
            let account = tables.users.get(domain, name).ok_or(AdminError::UserNotFound)?;
            if known.insert(account.name.to_ascii_lowercase().into_bytes()) {
                edit.push(&[&*account.name])?;
            }
        }
        Ok(edit.commit()?)
    }

    /// Takes accounts out of a group; those that are no members are passed.
    ///
    /// # Errors
    /// `GroupNotFound`, `Edit`.
    pub fn remove_from_group(&self, domain: &str, group: &str, names: &[String]) -> Result<(), AdminError> {
        let _changing = self.changing();
        let file = group_directory(&self.snapshot(), domain, group)?.join(MEMBERS_TAB);
        let gone: HashSet<Vec<u8>> =
            names.iter().map(|name| name.to_ascii_lowercase().into_bytes()).collect();
        self.editor.remove_rows(&file, |row| gone.contains(&row.value(0).to_ascii_lowercase()))?;
        Ok(())
    }

    /// Takes accounts that go out of all groups.
    pub(super) fn leave_groups(
        &self,
        tables: &Snapshot,
        accounts: &[Arc<Account>],
    ) -> Result<(), AdminError> {
        let mut leaving: BTreeMap<PathBuf, HashSet<Vec<u8>>> = BTreeMap::new();
        for account in accounts {
            for file in member_files(tables, account) {
                leaving.entry(file).or_default().insert(account.name.to_ascii_lowercase().into_bytes());
            }
        }
        for (file, gone) in leaving {
            self.editor.remove_rows(&file, |row| gone.contains(&row.value(0).to_ascii_lowercase()))?;
        }
        Ok(())
    }

    /// Writes the new name of an account where groups name the old one.
    pub(super) fn rename_in_groups(
        &self,
        tables: &Snapshot,
        domain: &str,
        old: &str,
        new: &str,
    ) -> Result<(), AdminError> {
        for group in &*tables.groups(domain) {
            let file = MailRoot::group_directory(domain, group).join(MEMBERS_TAB);
            self.editor.replace_row(&file, |row| row.has_key(&[old]), &[new])?;
        }
        Ok(())
    }
}

fn member_files(tables: &Snapshot, account: &Account) -> Vec<PathBuf> {
    let directory = |group| MailRoot::group_directory(&account.domain, group);
    tables.groups_of(account).iter().map(|group| directory(group).join(MEMBERS_TAB)).collect()
}

/// The directory of a group that exists.
fn group_directory(tables: &Snapshot, domain: &str, group: &str) -> Result<PathBuf, AdminError> {
    let groups = tables.groups(domain);
    let found = groups.iter().find(|known| known.eq_ignore_ascii_case(group));
    found.map(|found| MailRoot::group_directory(domain, found)).ok_or(AdminError::GroupNotFound)
}

/// The longest name of a group, in characters. Ours: of four bytes each they make a file name.
const GROUP_CHARS_MAX: usize = 50;
