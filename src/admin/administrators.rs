//! `webadmin.tab`: the administrators of the web pages (`jdmail.md` JD-63).
//!
//! Passwords are stored as argon2id hashes whatever `PasswordScheme` says: nothing here needs them in clear.

use std::path::Path;

use bstr::ByteSlice as _;

use super::{Admin, AdminError};
use crate::auth;
use crate::mailroot::edit::{Edit, EditRow};
use crate::mailroot::schema::tables::authentication::{MUST_CHANGE, WEB_ROLE_DOMAIN, WEB_ROLE_SYSTEM};
use crate::mailroot::webadmin::WebRole;

/// The table.
pub const WEBADMIN_TAB: &str = "webadmin.tab";

/// The first administrator's name (`jdmail.md` JD-22).
pub const FIRST_ADMINISTRATOR: &str = "admin";

/// The shortest password that an administrator may choose, in characters. Ours (NIST SP 800-63B: at least 8).
pub const ADMINISTRATOR_PASSWORD_CHARS_MIN: usize = 10;

const COLUMNS: usize = 5;
const PASSWORD: usize = 1;
const FLAGS: usize = 4;

impl Admin {
    /// Makes the first administrator where `webadmin.tab` has no row, and returns the random password, which is stored
    /// nowhere in clear.
    ///
    /// # Errors
    /// `Hash`, `Random`, `Edit`.
    pub fn ensure_administrator(&self) -> Result<Option<String>, AdminError> {
        let _changing = self.changing();
        let mut edit = self.editor.begin(Path::new(WEBADMIN_TAB))?;
        if edit.rows().next().is_some() {
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
        let _changing = self.changing();
        if name.trim() != name || name.is_empty() || name.chars().any(char::is_control) {
            return Err(AdminError::BadUserName);
        }
        let hash = administrator_hash(password)?;
        let (role, domains) = match role {
            WebRole::System => (WEB_ROLE_SYSTEM, String::new()),
            WebRole::Domains(domains) => (WEB_ROLE_DOMAIN, domains.join(",")),
        };
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
        let _changing = self.changing();
        let hash = administrator_hash(password)?;
        let mut edit = self.editor.begin(Path::new(WEBADMIN_TAB))?;
        let row = row_of(&edit, name).ok_or(AdminError::AdministratorNotFound)?;
        let mut values: Vec<Vec<u8>> =
            (0..COLUMNS.max(row.fields.len())).map(|column| row.value(column).to_vec()).collect();
        values[PASSWORD] = hash.into_bytes();
        values[FLAGS] = without_flag(&values[FLAGS], MUST_CHANGE).into_bytes();
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
        let is_system = |row: &EditRow| row.value(2).eq_ignore_ascii_case(WEB_ROLE_SYSTEM.as_bytes());
        if is_system(&row) && edit.rows().filter(is_system).count() == 1 {
            return Err(AdminError::LastAdministrator);
        }
        edit.remove(row.index)?;
        Ok(edit.commit()?)
    }
}

fn row_of(edit: &Edit, name: &str) -> Option<EditRow> {
    edit.find(|row| row.has_key(&[name]))
}

fn administrator_hash(password: &str) -> Result<String, AdminError> {
    let chars = password.chars().count();
    if chars < ADMINISTRATOR_PASSWORD_CHARS_MIN {
        return Err(AdminError::PasswordTooShort { needed: ADMINISTRATOR_PASSWORD_CHARS_MIN });
    }
    if password.len() > auth::PASSWORD_BYTES_MAX {
        return Err(AdminError::PasswordTooLong { length: password.len() });
    }
    Ok(auth::hash_password(password.as_bytes())?)
}

fn without_flag(flags: &[u8], unwanted: &str) -> String {
    let text = flags.to_str_lossy();
    let kept = text.split(',').map(str::trim).filter(|flag| !flag.is_empty());
    kept.filter(|flag| !flag.eq_ignore_ascii_case(unwanted)).collect::<Vec<_>>().join(",")
}
