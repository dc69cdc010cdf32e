//! Accounts: `mailusers.tab`, the account's directory, `user.tab` (`mailroot.md` 7.3, 9).

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::{BString, ByteSlice as _};

use super::aliases::fits;
use super::new_users::{NewUser, NewUsers};
use super::passwords::Scheme;
use super::{AccountChange, Admin, AdminError, account, is_directory_name};
use crate::address::is_rfc822_name;
use crate::auth;
use crate::mailbox::LastLogin;
use crate::mailroot::{Account, AccountKind, MailRoot, Snapshot};

/// An account as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedUser {
    /// The domain, as written in the table.
    pub domain: Box<str>,
    /// The account name, as written.
    pub name: Box<str>,
    /// The clear password, where it may be shown (decision 17).
    pub password: BString,
    /// The type, as written.
    pub kind: Box<str>,
}

/// What `userstat` tells of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountStatus {
    /// The account's own address.
    pub address: String,
    /// Bytes in its mailbox.
    pub mailbox_bytes: u64,
    /// Messages in its mailbox.
    pub mailbox_messages: u64,
    /// The last POP3 log-in and the peer's address, if there ever was one.
    pub last_login: Option<LastLogin>,
}

/// Names of files that stand beside the account directories of a domain.
const FILES_OF_A_DOMAIN: [&str; 2] = ["userdef.tab", "mailproc.tab"];

pub(super) const MAIL_USERS: &str = "mailusers.tab";

impl Admin {
    /// Adds an account (`useradd`): a list for a type that begins with `M`, else a user (golden `ctrl_commands`), who gets
    /// the welcome mail where there is one (JD-62; XMail knows none).
    ///
    /// # Errors
    /// `DomainNotHandled`, `BadUserName`, `UserExists`, `AliasExists`, `PasswordTooLong`, `MakeDirectory` when the
    /// account's directory exists already, `Edit`, `Mailbox`. Nothing is left behind then.
    pub fn add_user(&self, domain: &str, name: &str, password: &[u8], kind: &str) -> Result<(), AdminError> {
        let kind = if kind.starts_with(['M', 'm']) { AccountKind::List } else { AccountKind::User };
        self.add_users(&NewUsers::new(vec![NewUser {
            domain: domain.into(),
            name: name.into(),
            password: password.into(),
            kind,
            variables: Vec::new(),
        }]))
    }

    /// Removes an account (`userdel`) with its aliases, links and directory.
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`, `Edit`, `RemoveDirectory`.
    pub fn remove_user(&self, domain: &str, name: &str) -> Result<(), AdminError> {
        let _changing = self.changing();
        let tables = self.snapshot();
        if !tables.handles(domain) {
            return Err(AdminError::DomainNotHandled);
        }
        let account = tables.users.get(domain, name).ok_or(AdminError::UserNotFound)?;
        self.remove_accounts(&tables, std::slice::from_ref(account))
    }

    /// Removes accounts: all of their rows with one edit of each table, then their directories.
    pub(super) fn remove_accounts(
        &self,
        tables: &Snapshot,
        accounts: &[Arc<Account>],
    ) -> Result<(), AdminError> {
        let dropped = self.drop_account_rows(tables, accounts);
        if dropped.is_err() {
            // An edit that failed in its last sync has taken place all the same.
            let now = self.snapshot();
            let stays = |account: &Arc<Account>| now.users.get(&account.domain, &account.name).is_some();
            if accounts.iter().any(stays) {
                return dropped;
            }
        }
        self.leave_groups(tables, accounts)?;
        let shared = directories_of_others(tables, accounts);
        for account in accounts {
            let (domain, name) = (&*account.domain, &*account.name);
            let directory = &MailRoot::account_directory(account);
            self.tell(AccountChange::UserRemoved { domain, name, directory });
            if !shared.contains(directory) {
                self.remove_directory(directory)?;
            }
        }
        dropped
    }

    /// Removes rows of `mailusers.tab` and all rows that hang on them; their own last, so that a removal that failed in
    /// the middle can be repeated.
    pub(super) fn drop_account_rows(
        &self,
        tables: &Snapshot,
        accounts: &[Arc<Account>],
    ) -> Result<(), AdminError> {
        let accounts = Addresses::of(accounts);
        self.remove_aliases_of(&accounts)?;
        self.remove_ext_aliases_of(&accounts)?;
        self.remove_links_of(tables, &accounts)?;
        self.editor.remove_rows(Path::new(MAIL_USERS), |row| accounts.hold(row.value(0), row.value(1)))?;
        Ok(())
    }

    /// Changes the password of an account (`userpasswd`).
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`, `PasswordTooLong`, `PasswordTooShort`, `Hash`, `Edit`.
    pub fn set_password(&self, domain: &str, name: &str, password: &[u8]) -> Result<(), AdminError> {
        let tables = self.snapshot();
        let known = account(&tables, domain, name)?;
        if known.kind == AccountKind::User || !password.is_empty() {
            Self::check_password_length(&tables, password)?;
        }
        let stored = self.stored_password(Scheme::of(&tables), password)?;
        let _changing = self.changing();
        let account = account(&self.snapshot(), domain, name)?;
        let (domain, name) = (&*account.domain, &*account.name);
        let mut edit = self.editor.begin(Path::new(MAIL_USERS))?;
        let row = edit.find(|row| row.has_key(&[domain, name])).ok_or(AdminError::UserNotFound)?;
        // Surplus columns are dropped, as XMail does (golden `tab_quoting`).
        let mut values: Vec<&[u8]> = (0..6).map(|column| row.value(column).as_bytes()).collect();
        values[2] = &stored;
        edit.set(row.index, &values)?;
        edit.commit()?;
        let directory = &MailRoot::account_directory(&account);
        self.tell(AccountChange::PasswordChanged { domain, name, password, directory });
        Ok(())
    }

    /// Whether the password is that of the account (`userauth`); only the stored one is looked at.
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`.
    pub fn check_password(&self, domain: &str, name: &str, password: &[u8]) -> Result<bool, AdminError> {
        let tables = self.snapshot();
        let account = account(&tables, domain, name)?;
        Ok(auth::password_matches(&account.password, password).unwrap_or(false))
    }

    /// The accounts whose domain and name match both patterns, in file order (`userlist`).
    pub fn users(&self, domain: Option<&str>, name: Option<&str>) -> Vec<ListedUser> {
        let tables = self.snapshot();
        let rows = tables.users.rows().iter();
        rows.filter(|row| fits(domain, &row.domain) && fits(name, &row.name))
            .map(|row| ListedUser {
                domain: (*row.domain).into(),
                name: (*row.name).into(),
                password: Self::shown_password(&tables, &row.password),
                kind: (*row.kind_text).into(),
            })
            .collect()
    }

    /// Mailbox and last log-in of the account that an address means, aliases included (`userstat`).
    ///
    /// # Errors
    /// `UserNotFound`, `NoMailbox` for lists, `Mailbox`.
    pub fn user_status(&self, domain: &str, name: &str) -> Result<AccountStatus, AdminError> {
        let tables = self.snapshot();
        let account = tables.resolve(domain, name).ok_or(AdminError::UserNotFound)?.account;
        if account.kind != AccountKind::User {
            return Err(AdminError::NoMailbox);
        }
        let usage = self.mailboxes.usage(&account)?;
        Ok(AccountStatus {
            address: account.address(),
            mailbox_bytes: usage.bytes,
            mailbox_messages: usage.messages,
            last_login: self.mailboxes.last_login(&account)?,
        })
    }

    /// The variables of an account in file order (`uservars`). Of equal names each shows the first's value, the one
    /// that counts (golden `tab_quoting`).
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`.
    pub fn user_variables(&self, domain: &str, name: &str) -> Result<Vec<(BString, BString)>, AdminError> {
        let tables = self.snapshot();
        let account = account(&tables, domain, name)?;
        let profile = tables.own_user_tab(&account);
        let first = |name: &BString| profile.rows().iter().find(|row| row.name == *name);
        let counting = |name: &BString| first(name).map(|row| row.value.clone()).unwrap_or_default();
        Ok(profile.rows().iter().map(|row| (row.name.clone(), counting(&row.name))).collect())
    }

    /// Sets variables of an account, or deletes those without a value (`uservarsset`), all or none. Comments and order
    /// stay (decision 21); deleting a missing one is fine.
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`, `Edit`.
    pub fn set_user_variables(
        &self,
        domain: &str,
        name: &str,
        variables: &[(&str, Option<&str>)],
    ) -> Result<(), AdminError> {
        let _changing = self.changing();
        let tables = self.snapshot();
        let account = account(&tables, domain, name)?;
        let mut edit = self.editor.begin(&MailRoot::user_tab(&account))?;
        for (name, value) in variables {
            edit.set_variable(name.as_bytes(), value.map(str::as_bytes))?;
        }
        Ok(edit.commit()?)
    }
}

/// Names of accounts, for looking at all rows of a table once.
#[derive(Debug)]
pub(super) struct Addresses(HashSet<Vec<u8>>);

impl Addresses {
    fn of(accounts: &[Arc<Account>]) -> Self {
        Self(accounts.iter().map(|account| account.address().to_ascii_lowercase().into_bytes()).collect())
    }

    /// Whether one of them is of this domain and has this name, in any case.
    pub(super) fn hold(&self, domain: &[u8], name: &[u8]) -> bool {
        self.hold_address(&[name, b"@", domain].concat())
    }

    /// Whether one of them has this address.
    pub(super) fn hold_address(&self, address: &[u8]) -> bool {
        self.0.contains(&address.to_ascii_lowercase())
    }
}

/// Directories of these accounts that are others' as well: a hand-edited table.
fn directories_of_others(tables: &Snapshot, accounts: &[Arc<Account>]) -> HashSet<PathBuf> {
    let gone: HashSet<*const Account> = accounts.iter().map(Arc::as_ptr).collect();
    let theirs: HashSet<PathBuf> =
        accounts.iter().map(|account| MailRoot::account_directory(account)).collect();
    let others = tables.users.rows().iter().filter(|other| !gone.contains(&Arc::as_ptr(other)));
    others
        .map(|other| MailRoot::account_directory(other))
        .filter(|directory| theirs.contains(directory))
        .collect()
}

pub(super) fn check_new_user(tables: &Snapshot, domain: &str, name: &str) -> Result<(), AdminError> {
    if tables.domains.get(domain).is_none() {
        return Err(AdminError::DomainNotHandled);
    }
    let is_file_name = FILES_OF_A_DOMAIN.iter().any(|file| file.eq_ignore_ascii_case(name));
    if !is_rfc822_name(name.as_bytes()) || !is_directory_name(name) || is_file_name {
        return Err(AdminError::BadUserName);
    }
    if !is_directory_name(domain) {
        return Err(AdminError::BadPath);
    }
    if tables.aliases.row(domain, name).is_some() {
        return Err(AdminError::AliasExists);
    }
    if tables.users.get(domain, name).is_some() {
        return Err(AdminError::UserExists);
    }
    Ok(())
}
