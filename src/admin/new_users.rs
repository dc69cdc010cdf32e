//! Accounts that come, one or a thousand: directories, profiles, rows (`mailroot.md` 7.3, 9; `jdmail.md` JD-43, JD-44).
//!
//! Order: everything is checked; then each account's directory with mailbox and `user.tab`; then all rows in one edit of
//! `mailusers.tab`. A crash before the rows leaves directories that no row names: `check` reports them, and nothing
//! receives mail half-made. A failure takes the directories away again.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::thread;

use bstr::{BString, ByteSlice};

use super::users::{MAIL_USERS, check_new_user};
use super::{AccountChange, Admin, AdminError};
use crate::mailroot::{Account, AccountKind, MailRoot, Snapshot};

/// An account to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Adds accounts, all or none.
    ///
    /// # Errors
    /// Of the first account that cannot be: `DomainNotHandled`, `BadUserName`, `UserExists`, `AliasExists`,
    /// `PasswordTooLong`, `MakeDirectory` when its directory exists already; `Edit`, `Mailbox`. Nothing is left behind then.
    pub fn add_users(&self, users: &[NewUser]) -> Result<(), AdminError> {
        let _changing = self.changing();
        let tables = self.snapshot();
        self.check_new_users(&tables, users)?;
        let passwords = self.stored_passwords(&tables, users)?;
        let accounts: Vec<Account> =
            users.iter().zip(passwords).map(|(user, password)| user.account(password)).collect();
        let mut begun = 0;
        let made = self.make_accounts(users, &accounts, &mut begun).and_then(|()| self.add_rows(&accounts));
        if made.is_err() {
            let now = self.snapshot();
            // An edit that failed in its last sync has taken place all the same. Directories without rows are ours, made a
            // moment ago.
            let rowless = |account: &&Account| now.users.get(&account.domain, &account.name).is_none();
            for account in accounts[..begun].iter().filter(rowless) {
                self.remove_directory(&MailRoot::account_directory(account))?;
            }
        }
        made?;
        for (user, account) in users.iter().zip(&accounts) {
            let directory = &MailRoot::account_directory(account);
            let (domain, name, password) = (&*account.domain, &*account.name, &*user.password);
            self.tell(AccountChange::UserAdded { domain, name, password, directory });
        }
        Ok(())
    }

    fn check_new_users(&self, tables: &Snapshot, users: &[NewUser]) -> Result<(), AdminError> {
        let mut keys = HashSet::new();
        for user in users {
            check_new_user(tables, &user.domain, &user.name)?;
            Self::check_password_length(&user.password)?;
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

    /// The passwords as the table will hold them; hashes are made side by side, and not for a rehearsal, which hides them.
    fn stored_passwords(&self, tables: &Snapshot, users: &[NewUser]) -> Result<Vec<BString>, AdminError> {
        if self.editor.rehearsal().is_some() {
            return Ok(users.iter().map(|user| crate::auth::xmail_encode(&user.password).into()).collect());
        }
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let share = users.len().div_ceil(threads).max(1);
        let of_share = |share: &[NewUser]| {
            share.iter().map(|user| Self::stored_password(tables, &user.password)).collect::<Vec<_>>()
        };
        thread::scope(|scope| {
            let workers: Vec<_> =
                users.chunks(share).map(|share| scope.spawn(move || of_share(share))).collect();
            let joined = workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.collect()
        })
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
