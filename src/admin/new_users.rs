//! Accounts that come, one or a thousand: directories, profiles, rows (`mailroot.md` 7.3, 9; `jdmail.md` JD-43, JD-44).
//!
//! Order: everything is checked; then each account's directory with mailbox and `user.tab`; then all rows in one edit of
//! `mailusers.tab`. A crash before the rows leaves directories that no row names: `check` reports them, and nothing
//! receives mail half-made. A failure takes the directories away again.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bstr::{BString, ByteSlice};

use super::password_lists::PasswordList;
use super::passwords::Scheme;
use super::users::{MAIL_USERS, check_new_user};
use super::{AccountChange, Admin, AdminError};
use crate::mailroot::{Account, AccountKind, MailRoot, Snapshot};

/// An account to be made.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUser {
    /// Its domain.
    pub domain: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// The password in clear.
    pub password: BString,
    /// A user or a list.
    pub kind: AccountKind,
    /// Variables of its `user.tab`, over those of `userdef.tab`.
    pub variables: Vec<(&'static str, BString)>,
}

/// Without the password.
impl std::fmt::Debug for NewUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewUser")
            .field("domain", &self.domain)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Accounts to be made as one change. What was hashed for one attempt serves the next one.
#[derive(Debug)]
pub struct NewUsers {
    users: Vec<NewUser>,
    greets: bool,
    list: Option<PasswordList>,
    hashed: Mutex<Option<(Scheme, Vec<BString>)>>,
}

impl NewUsers {
    /// These, who get the welcome mail where there is one ([`Admin::has_welcome`]).
    pub fn new(users: Vec<NewUser>) -> Self {
        Self { users, greets: true, list: None, hashed: Mutex::default() }
    }

    /// The same; `greets`: whether they get the welcome mail.
    #[must_use]
    pub fn greeted(self, greets: bool) -> Self {
        Self { greets, ..self }
    }

    /// The same, with the list of the passwords that nobody has chosen; it is written before the accounts are made.
    #[must_use]
    pub fn listed(self, list: PasswordList) -> Self {
        Self { list: Some(list).filter(|list| !list.is_empty()), ..self }
    }

    /// Bytes in memory, roughly, with what will be stored.
    pub fn bytes(&self) -> usize {
        let of_user = |user: &NewUser| {
            let values: usize =
                user.variables.iter().map(|(_, value)| value.len() + size_of::<BString>()).sum();
            size_of::<NewUser>() + user.domain.len() + user.name.len() + user.password.len() + values
        };
        let of_list = self.list.as_ref().map_or(0, PasswordList::bytes);
        self.users.iter().map(of_user).sum::<usize>() + self.users.len() * HASH_BYTES + of_list
    }
}

/// A PHC string of argon2id with its frame, in bytes: for counting what is held.
const HASH_BYTES: usize = 128;

impl NewUser {
    fn account(&self, stored_password: BString) -> Account {
        let is_list = self.kind != AccountKind::User;
        Account {
            line: 0,
            domain: (*self.domain).into(),
            name: (*self.name).into(),
            password: stored_password,
            id: 0,
            directory: (*self.name).into(),
            kind: if is_list { AccountKind::List } else { AccountKind::User },
            kind_text: if is_list { "M".into() } else { "U".into() },
        }
    }
}

/// The rows of a `userdef.tab`.
type Profile = Vec<[BString; 2]>;

impl Admin {
    /// Adds accounts, all or none, and greets them. Other changes go on while passwords are hashed; what was checked
    /// before is checked again after.
    ///
    /// # Errors
    /// Of the first account that cannot be: `DomainNotHandled`, `BadUserName`, `UserExists`, `AliasExists`,
    /// `PasswordTooLong`, `PasswordTooShort`, `MakeDirectory` when its directory exists already; `Hash`, `Edit`,
    /// `Mailbox`. Nothing is left behind then.
    pub fn add_users(&self, new: &NewUsers) -> Result<(), AdminError> {
        let tables = self.snapshot();
        self.check_new_users(&tables, &new.users)?;
        let passwords = self.passwords_of(new, Scheme::of(&tables))?;
        self.add_hashed(new, passwords)?;
        self.greet(new);
        Ok(())
    }

    fn add_hashed(&self, new: &NewUsers, passwords: Vec<BString>) -> Result<(), AdminError> {
        let _changing = self.changing();
        self.check_new_users(&self.snapshot(), &new.users)?;
        let users = &new.users;
        let accounts: Vec<Account> =
            users.iter().zip(passwords).map(|(user, password)| user.account(password)).collect();
        let list = new.list.as_ref().map(|list| self.write_password_list(list)).transpose()?;
        if let Err(error) = self.make_all(users, &accounts) {
            if let Some(path) = list.filter(|_| !self.have_rows(&accounts)) {
                self.withdraw_password_list(&path);
            }
            return Err(error);
        }
        for (user, account) in users.iter().zip(&accounts) {
            let directory = &MailRoot::account_directory(account);
            let (domain, name, password) = (&*account.domain, &*account.name, &*user.password);
            self.tell(AccountChange::UserAdded { domain, name, password, directory });
        }
        Ok(())
    }

    /// Whether accounts are in the table: an edit that failed in its last sync has taken place all the same.
    fn have_rows(&self, accounts: &[Account]) -> bool {
        let now = self.snapshot();
        accounts.iter().any(|account| now.users.get(&account.domain, &account.name).is_some())
    }

    fn make_all(&self, users: &[NewUser], accounts: &[Account]) -> Result<(), AdminError> {
        let mut begun = 0;
        let made = self.make_accounts(users, accounts, &mut begun).and_then(|()| self.add_rows(accounts));
        if made.is_err() {
            let now = self.snapshot();
            // Directories without rows are ours, made a moment ago.
            let rowless = |account: &&Account| now.users.get(&account.domain, &account.name).is_none();
            for account in accounts[..begun].iter().filter(rowless) {
                self.remove_directory(&MailRoot::account_directory(account))?;
            }
        }
        made
    }

    /// The welcome mail (JD-62). Lists read none.
    fn greet(&self, new: &NewUsers) {
        if new.greets {
            let users = new.users.iter().filter(|user| user.kind == AccountKind::User);
            let names: Vec<(&str, &str)> = users.map(|user| (&*user.domain, &*user.name)).collect();
            self.send_welcome(&names);
        }
    }

    fn check_new_users(&self, tables: &Snapshot, users: &[NewUser]) -> Result<(), AdminError> {
        let mut keys = HashSet::new();
        for user in users {
            check_new_user(tables, &user.domain, &user.name)?;
            let is_silent_list = user.kind != AccountKind::User && user.password.is_empty();
            if !is_silent_list {
                Self::check_password_length(tables, &user.password)?;
            }
            if !keys.insert((user.domain.to_ascii_lowercase(), user.name.to_ascii_lowercase())) {
                return Err(AdminError::UserExists);
            }
            let directory = MailRoot::domain_directory(&user.domain).join(&*user.name);
            let path = self.root().path().join(directory);
            if path.symlink_metadata().is_ok() {
                // It may hold somebody's mail (`mailroot.md` 7.3: must not exist).
                let source = std::io::ErrorKind::AlreadyExists.into();
                return Err(AdminError::MakeDirectory { path, source });
            }
        }
        Ok(())
    }

    /// The passwords as the table will hold them. Whoever asks at the same time waits: nothing is hashed twice.
    fn passwords_of(&self, new: &NewUsers, scheme: Scheme) -> Result<Vec<BString>, AdminError> {
        let clear: Vec<&[u8]> = new.users.iter().map(|user| &**user.password).collect();
        if self.editor.rehearsal().is_some() {
            return self.stored_passwords(scheme, &clear);
        }
        let mut hashed = new.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, passwords)) = &*hashed
            && *known == scheme
        {
            return Ok(passwords.clone());
        }
        let passwords = self.stored_passwords(scheme, &clear)?;
        *hashed = Some((scheme, passwords.clone()));
        Ok(passwords)
    }

    fn make_accounts(
        &self,
        users: &[NewUser],
        accounts: &[Account],
        begun: &mut usize,
    ) -> Result<(), AdminError> {
        let mut profiles: HashMap<&str, Profile> = HashMap::new();
        for (user, account) in users.iter().zip(accounts) {
            let profile = match profiles.get(&*user.domain) {
                Some(profile) => profile,
                None => {
                    let profile = self.profile_of_new_accounts(&account.domain)?;
                    profiles.entry(&user.domain).or_insert(profile)
                }
            };
            self.make_directory(&MailRoot::account_directory(account))?;
            *begun += 1;
            self.fill_account_directory(account, profile, &user.variables)?;
        }
        Ok(())
    }

    fn fill_account_directory(
        &self,
        account: &Account,
        profile: &Profile,
        variables: &[(&'static str, BString)],
    ) -> Result<(), AdminError> {
        match account.kind {
            AccountKind::User if self.editor.rehearsal().is_some() => {}
            AccountKind::User => self.mailboxes.create(account)?,
            _ => {
                self.editor.begin(&MailRoot::account_directory(account).join("mlusers.tab"))?.commit()?;
            }
        }
        let mut edit = self.editor.begin(&MailRoot::user_tab(account))?;
        for [name, value] in profile {
            edit.push(&[name, value])?;
        }
        for (name, value) in variables {
            edit.set_variable(name.as_bytes(), Some(value))?;
        }
        Ok(edit.commit()?)
    }

    /// The rows of the domain's `userdef.tab`, else of the global one (`mailroot.md` 9).
    fn profile_of_new_accounts(&self, domain: &str) -> Result<Profile, AdminError> {
        let own = MailRoot::domain_directory(domain).join("userdef.tab");
        let bytes = match self.read(&own)? {
            Some(bytes) => Some(bytes),
            None => self.read(Path::new("userdef.tab"))?,
        };
        let file = crate::tab::TabFile::parse(&bytes.unwrap_or_default());
        let rows = file.lines().iter().map(|line| line.fields());
        Ok(rows
            .filter_map(|fields| <[_; 2]>::try_from(fields).ok())
            .map(|pair| pair.map(|field| field.value))
            .collect())
    }

    fn add_rows(&self, accounts: &[Account]) -> Result<(), AdminError> {
        let mut edit = self.editor.begin(Path::new(MAIL_USERS))?;
        let key = |domain: &[u8], name: &[u8]| (domain.to_ascii_lowercase(), name.to_ascii_lowercase());
        let wanted: HashSet<_> =
            accounts.iter().map(|account| key(account.domain.as_bytes(), account.name.as_bytes())).collect();
        let mut highest = 0;
        for row in edit.rows() {
            if wanted.contains(&key(row.value(0), row.value(1))) {
                return Err(AdminError::UserExists);
            }
            let id = row.value(3).to_str().ok().and_then(|id| id.parse::<u64>().ok());
            highest = highest.max(id.unwrap_or(0));
        }
        for account in accounts {
            highest = highest.saturating_add(1);
            let id = highest.to_string();
            let values: [&[u8]; 6] = [
                account.domain.as_bytes(),
                account.name.as_bytes(),
                &account.password,
                id.as_bytes(),
                account.directory.as_bytes(),
                account.kind_text.as_bytes(),
            ];
            edit.push(&values)?;
        }
        Ok(edit.commit()?)
    }
}
