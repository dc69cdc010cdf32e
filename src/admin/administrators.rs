//! `webadmin.tab`: the administrators of the web pages (`jdmail.md` JD-63).
//!
//! Passwords are stored as argon2id hashes whatever `PasswordScheme` says: nothing here needs them in clear.

use std::path::Path;

use bstr::ByteSlice as _;

use super::{Admin, AdminError};
use crate::auth;
use crate::mailroot::edit::{Edit, EditRow};
use crate::mailroot::schema::server as variables;
use crate::mailroot::schema::tables::authentication::{
    CHANGED, MUST_CHANGE, WEB_ROLE_DOMAIN, WEB_ROLE_SYSTEM,
};
use crate::mailroot::webadmin::WebRole;

/// The table.
pub const WEBADMIN_TAB: &str = "webadmin.tab";

/// The first administrator's name (`jdmail.md` JD-22).
pub const FIRST_ADMINISTRATOR: &str = "admin";

const COLUMNS: usize = 5;
const PASSWORD: usize = 1;
const ROLE: usize = 2;
const DOMAINS: usize = 3;
const FLAGS: usize = 4;

impl Admin {
    /// Makes the first administrator where `webadmin.tab` has nobody of the role system (who has lost the password removes
    /// the row), and returns the random password, which is stored nowhere in clear.
    ///
    /// # Errors
    /// `Hash`, `Random`, `Edit`.
    pub fn ensure_administrator(&self) -> Result<Option<String>, AdminError> {
        let _changing = self.changing();
        let mut edit = self.editor.begin(Path::new(WEBADMIN_TAB))?;
        let is_there = |row: &EditRow| is_system(row) || row.has_key(&[FIRST_ADMINISTRATOR]);
        if edit.rows().any(|row| is_there(&row)) {
            return Ok(None);
        }
        let password = auth::random_password()?;
        let hash = auth::hash_password(password.as_bytes())?;
        edit.push(&[FIRST_ADMINISTRATOR, &hash, WEB_ROLE_SYSTEM, "", MUST_CHANGE])?;
        edit.commit()?;
        Ok(Some(password))
    }

    /// Adds an administrator, who has to choose another password at the first log-in.
    ///
    /// # Errors
    /// `AdministratorExists`, `BadUserName` for a name that is empty or has control characters, `PasswordTooShort`,
    /// `PasswordTooLong`, `Hash`, `Edit`.
    pub fn add_administrator(&self, name: &str, password: &str, role: &WebRole) -> Result<(), AdminError> {
        if name.trim() != name || name.is_empty() || name.chars().any(char::is_control) {
            return Err(AdminError::BadUserName);
        }
        let hash = self.administrator_hash(password)?;
        let _changing = self.changing();
        let (role, domains) = role_columns(role);
        let mut edit = self.editor.begin(Path::new(WEBADMIN_TAB))?;
        if row_of(&edit, name).is_some() {
            return Err(AdminError::AdministratorExists);
        }
        edit.push(&[name, &hash, role, &domains, MUST_CHANGE])?;
        Ok(edit.commit()?)
    }

    /// Gives an administrator another password.
    ///
    /// # Errors
    /// `AdministratorNotFound`, `PasswordTooShort`, `PasswordTooLong`, `Hash`, `Edit`.
    pub fn set_administrator_password(&self, name: &str, password: &str) -> Result<(), AdminError> {
        let today = format!("{CHANGED}{}", self.clock.zoned().date());
        self.write_administrator_password(name, password, &today)
    }

    /// Gives an administrator a password for one log-in, at which another one has to be chosen.
    ///
    /// # Errors
    /// `AdministratorNotFound`, `PasswordTooShort`, `PasswordTooLong`, `Hash`, `Edit`.
    pub fn reset_administrator_password(&self, name: &str, password: &str) -> Result<(), AdminError> {
        self.write_administrator_password(name, password, MUST_CHANGE)
    }

    fn write_administrator_password(&self, name: &str, password: &str, flag: &str) -> Result<(), AdminError> {
        let hash = self.administrator_hash(password)?;
        let _changing = self.changing();
        let mut edit = self.editor.begin(Path::new(WEBADMIN_TAB))?;
        let row = row_of(&edit, name).ok_or(AdminError::AdministratorNotFound)?;
        let mut values: Vec<Vec<u8>> =
            (0..COLUMNS.max(row.fields.len())).map(|column| row.value(column).to_vec()).collect();
        values[PASSWORD] = hash.into_bytes();
        values[FLAGS] = with_flag(&values[FLAGS], flag).into_bytes();
        edit.set(row.index, &values)?;
        Ok(edit.commit()?)
    }

    /// Removes an administrator, but not the last one of the role system.
    ///
    /// # Errors
    /// `AdministratorNotFound`, `LastAdministrator`, `Edit`.
    pub fn remove_administrator(&self, name: &str) -> Result<(), AdminError> {
        let _changing = self.changing();
        let mut edit = self.editor.begin(Path::new(WEBADMIN_TAB))?;
        let row = row_of(&edit, name).ok_or(AdminError::AdministratorNotFound)?;
        if is_last(&edit, &row) {
            return Err(AdminError::LastAdministrator);
        }
        edit.remove(row.index)?;
        edit.commit()?;
        self.remove_password_lists(|head| head.owner.eq_ignore_ascii_case(name));
        Ok(())
    }

    /// Gives an administrator another role, but not to the last one of the role system.
    ///
    /// # Errors
    /// `AdministratorNotFound`, `LastAdministrator`, `Edit`.
    pub fn set_administrator_role(&self, name: &str, role: &WebRole) -> Result<(), AdminError> {
        let _changing = self.changing();
        let mut edit = self.editor.begin(Path::new(WEBADMIN_TAB))?;
        let row = row_of(&edit, name).ok_or(AdminError::AdministratorNotFound)?;
        if *role != WebRole::System && is_last(&edit, &row) {
            return Err(AdminError::LastAdministrator);
        }
        let (role, domains) = role_columns(role);
        let mut values: Vec<Vec<u8>> =
            (0..COLUMNS.max(row.fields.len())).map(|column| row.value(column).to_vec()).collect();
        (values[ROLE], values[DOMAINS]) = (role.into(), domains.into_bytes());
        edit.set(row.index, &values)?;
        Ok(edit.commit()?)
    }

    /// The shortest password that an administrator may choose, in characters.
    pub fn administrator_password_chars_min(&self) -> usize {
        usize::try_from(self.snapshot().server.integer(&variables::WEB_PASSWORD_MIN_LENGTH)).unwrap_or(0)
    }

    fn administrator_hash(&self, password: &str) -> Result<String, AdminError> {
        let needed = self.administrator_password_chars_min();
        if password.chars().count() < needed {
            return Err(AdminError::PasswordTooShort { needed });
        }
        if password.len() > auth::PASSWORD_BYTES_MAX {
            return Err(AdminError::PasswordTooLong { length: password.len() });
        }
        self.hashed(password.as_bytes())
    }
}

fn role_columns(role: &WebRole) -> (&'static str, String) {
    match role {
        WebRole::System => (WEB_ROLE_SYSTEM, String::new()),
        WebRole::Domains(domains) => (WEB_ROLE_DOMAIN, domains.join(",")),
    }
}

/// Whether nobody else has the role system.
fn is_last(edit: &Edit, row: &EditRow) -> bool {
    is_system(row) && edit.rows().filter(is_system).count() == 1
}

fn is_system(row: &EditRow) -> bool {
    row.value(ROLE).eq_ignore_ascii_case(WEB_ROLE_SYSTEM.as_bytes())
}

fn row_of(edit: &Edit, name: &str) -> Option<EditRow> {
    edit.find(|row| row.has_key(&[name]))
}

/// The flags with that of another password in the place of older ones, and without the demand to choose one.
fn with_flag(flags: &[u8], chosen: &str) -> String {
    let text = flags.to_str_lossy();
    let kept = text.split(',').map(str::trim).filter(|flag| !flag.is_empty());
    let kept = kept.filter(|flag| !flag.eq_ignore_ascii_case(MUST_CHANGE) && !flag.starts_with(CHANGED));
    kept.chain([chosen]).collect::<Vec<_>>().join(",")
}
