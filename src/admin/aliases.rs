//! `aliases.tab` and `extaliases.tab` (`mailroot.md` 7.4, 7.5).

use std::path::Path;

use super::users::Addresses;
use super::{Admin, AdminError};
use crate::address::Mailbox;
use crate::mailroot::accounts::{AliasRow, ExtAliasRow};
use crate::tab::wildcard;

const ALIASES: &str = "aliases.tab";
const EXT_ALIASES: &str = "extaliases.tab";

impl Admin {
    /// Adds an alias of a real account (`aliasadd`). `target` is a name in `domain` or a full address; domain and
    /// alias may be patterns.
    ///
    /// # Errors
    /// `UserNotFound` for the target, `UserExists` when the alias is an account's name, `AliasExists`, `Edit`.
    pub fn add_alias(&self, domain: &str, alias: &str, target: &str) -> Result<(), AdminError> {
        let _changing = self.changing();
        self.check_alias(domain, alias, target)?;
        let mut edit = self.editor.begin(Path::new(ALIASES))?;
        if edit.find(|row| row.has_key(&[domain, alias])).is_some() {
            return Err(AdminError::AliasExists);
        }
        edit.push(&[domain, alias, target])?;
        Ok(edit.commit()?)
    }

    /// Gives an alias, given as it is written, another name or target; its row stays where it is.
    ///
    /// # Errors
    /// `AliasNotFound`, and as [`Admin::add_alias`].
    pub fn change_alias(&self, domain: &str, old: &str, alias: &str, target: &str) -> Result<(), AdminError> {
        let _changing = self.changing();
        self.check_alias(domain, alias, target)?;
        let mut edit = self.editor.begin(Path::new(ALIASES))?;
        let row = edit.find(|row| row.has_key(&[domain, old])).ok_or(AdminError::AliasNotFound)?;
        let is_taken = |other: &crate::mailroot::edit::EditRow| {
            other.index != row.index && other.has_key(&[domain, alias])
        };
        if edit.find(is_taken).is_some() {
            return Err(AdminError::AliasExists);
        }
        edit.set(row.index, &[domain, alias, target])?;
        Ok(edit.commit()?)
    }

    /// `target` must be a real account's, and the alias no account's.
    fn check_alias(&self, domain: &str, alias: &str, target: &str) -> Result<(), AdminError> {
        let tables = self.snapshot();
        let (name, target_domain) = target.split_once('@').unwrap_or((target, domain));
        tables.account(target_domain, name).ok_or(AdminError::UserNotFound)?;
        match tables.users.get(domain, alias) {
            Some(_) => Err(AdminError::UserExists),
            None => Ok(()),
        }
    }

    /// Removes an alias, given as it is written (`aliasdel`).
    ///
    /// # Errors
    /// `AliasNotFound`, `Edit`.
    pub fn remove_alias(&self, domain: &str, alias: &str) -> Result<(), AdminError> {
        let _changing = self.changing();
        match self.editor.remove_rows(Path::new(ALIASES), |row| row.has_key(&[domain, alias]))? {
            0 => Err(AdminError::AliasNotFound),
            _ => Ok(()),
        }
    }

    /// The rows whose columns match the patterns, in file order (`aliaslist`). A missing pattern matches all.
    pub fn aliases(&self, domain: Option<&str>, alias: Option<&str>, target: Option<&str>) -> Vec<AliasRow> {
        let tables = self.snapshot();
        let rows = tables.aliases.rows().iter();
        rows.filter(|row| fits(domain, &row.domain) && fits(alias, &row.alias) && fits(target, &row.target))
            .cloned()
            .collect()
    }

    /// The aliases that lead to one of the accounts, in its domain or as its full address.
    pub(super) fn remove_aliases_of(&self, accounts: &Addresses) -> Result<(), AdminError> {
        self.editor.remove_rows(Path::new(ALIASES), |row| {
            let (domain, target) = (row.value(0), row.value(2));
            accounts.hold_address(target) || accounts.hold(domain, target)
        })?;
        Ok(())
    }

    /// Shows a local address instead of an outside one (`exaliasadd`). The local one need not exist.
    ///
    /// # Errors
    /// `Address`, `ExternalAliasExists`, `Edit`.
    pub fn add_ext_alias(&self, local: &str, remote: &str) -> Result<(), AdminError> {
        let _changing = self.changing();
        let local = Mailbox::parse(local.as_bytes())?;
        let remote = Mailbox::parse(remote.as_bytes())?;
        let [remote_domain, remote_name] = [remote.domain.as_str(), remote.local_part.as_str()];
        let mut edit = self.editor.begin(Path::new(EXT_ALIASES))?;
        if edit.find(|row| row.has_key(&[remote_domain, remote_name])).is_some() {
            return Err(AdminError::ExternalAliasExists);
        }
        edit.push(&[remote_domain, remote_name, local.domain.as_str(), local.local_part.as_str()])?;
        Ok(edit.commit()?)
    }

    /// Removes the row of an outside address (`exaliasdel`).
    ///
    /// # Errors
    /// `Address`, `ExternalAliasNotFound`, `Edit`.
    pub fn remove_ext_alias(&self, remote: &str) -> Result<(), AdminError> {
        let _changing = self.changing();
        let remote = Mailbox::parse(remote.as_bytes())?;
        let key = [remote.domain.as_str(), remote.local_part.as_str()];
        match self.editor.remove_rows(Path::new(EXT_ALIASES), |row| row.has_key(&key))? {
            0 => Err(AdminError::ExternalAliasNotFound),
            _ => Ok(()),
        }
    }

    /// The rows whose addresses match the patterns, in file order (`exaliaslist`). Patterns are addresses.
    ///
    /// # Errors
    /// `Address`: a pattern has no `@`, or uses more than `*` and `?`.
    pub fn ext_aliases(
        &self,
        local: Option<&str>,
        remote: Option<&str>,
    ) -> Result<Vec<ExtAliasRow>, AdminError> {
        let pattern = |text: Option<&str>| text.map(|text| Mailbox::parse(text.as_bytes())).transpose();
        let (local, remote) = (pattern(local)?, pattern(remote)?);
        let matches = |pattern: &Option<Mailbox>, name: &str, domain: &str| {
            pattern.as_ref().is_none_or(|pattern| {
                fits(Some(pattern.local_part.as_str()), name) && fits(Some(pattern.domain.as_str()), domain)
            })
        };
        let tables = self.snapshot();
        let rows = tables.ext_aliases.rows().iter();
        Ok(rows
            .filter(|row| {
                matches(&local, &row.name, &row.domain)
                    && matches(&remote, &row.remote_name, &row.remote_domain)
            })
            .cloned()
            .collect())
    }

    /// The outside addresses for which the address of one of the accounts is shown.
    pub(super) fn remove_ext_aliases_of(&self, accounts: &Addresses) -> Result<(), AdminError> {
        self.editor.remove_rows(Path::new(EXT_ALIASES), |row| accounts.hold(row.value(2), row.value(3)))?;
        Ok(())
    }
}

/// Whether a text matches a pattern; no pattern matches all.
pub(super) fn fits(pattern: Option<&str>, text: &str) -> bool {
    pattern.is_none_or(|pattern| wildcard::matches(pattern.as_bytes(), text.as_bytes()))
}
