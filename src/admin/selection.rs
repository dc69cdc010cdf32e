//! What is done to many accounts at once (`jdmail.md` JD-43): one change, shown and made as a whole.

use std::sync::Arc;

use super::{Admin, AdminError};
use crate::mailroot::schema::user as variables;
use crate::mailroot::schema::{Flag, Variable};
use crate::mailroot::{Account, MailRoot, Snapshot};

/// What of an account is switched off and on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switched {
    /// All of it: receiving and the three ways to log in.
    Account,
    /// Log-in for sending.
    Smtp,
    /// Log-in with POP3.
    Pop3,
    /// Log-in with IMAP.
    Imap,
}

impl Switched {
    fn switches(self) -> Vec<&'static Flag> {
        match self {
            Self::Account => vec![
                &variables::RECEIVE_ENABLE,
                &variables::SMTP_ENABLE,
                &variables::POP_ENABLE,
                &variables::IMAP_ENABLE,
            ],
            Self::Smtp => vec![&variables::SMTP_ENABLE],
            Self::Pop3 => vec![&variables::POP_ENABLE],
            Self::Imap => vec![&variables::IMAP_ENABLE],
        }
    }
}

impl Admin {
    /// Switches accounts off, or one way to log in to them. A whole account that is off receives no mail and nobody
    /// can log in to it; its mail stays.
    ///
    /// # Errors
    /// `UserNotFound` for the first name that is no account of the domain, `Edit`.
    pub fn disable_users(&self, domain: &str, names: &[String], what: Switched) -> Result<(), AdminError> {
        let off: Vec<(&Variable, _)> =
            what.switches().into_iter().map(|switch| (&**switch, Some("0"))).collect();
        self.set_variables_of(domain, names, &off)
    }

    /// Switches accounts on again: their own rows that switch them off go; where a group still does, a row of their own
    /// goes over it.
    ///
    /// # Errors
    /// As [`Admin::disable_users`].
    pub fn enable_users(&self, domain: &str, names: &[String], what: Switched) -> Result<(), AdminError> {
        let _changing = self.changing();
        let tables = self.snapshot();
        for account in accounts_of(&tables, domain, names)? {
            let settings = tables.user_settings(&account);
            let mut edit = self.editor.begin(&MailRoot::user_tab(&account))?;
            for switch in what.switches() {
                let groups = settings.files().iter().filter(|file| file.group.is_some());
                let by_group = groups.map(|file| &file.variables).find(|variables| variables.has(switch));
                let is_off = by_group.is_some_and(|variables| !switch.read(variables.value(switch)));
                edit.set_variable(switch.name.as_bytes(), is_off.then_some(b"1"))?;
            }
            edit.commit()?;
        }
        Ok(())
    }

    /// Sets variables of accounts, or deletes those without a value.
    ///
    /// # Errors
    /// As [`Admin::disable_users`].
    pub fn set_variables_of(
        &self,
        domain: &str,
        names: &[String],
        values: &[(&Variable, Option<&str>)],
    ) -> Result<(), AdminError> {
        let _changing = self.changing();
        let tables = self.snapshot();
        for account in accounts_of(&tables, domain, names)? {
            let mut edit = self.editor.begin(&MailRoot::user_tab(&account))?;
            for (variable, value) in values {
                edit.set_variable(variable.name.as_bytes(), value.map(str::as_bytes))?;
            }
            edit.commit()?;
        }
        Ok(())
    }

    /// Removes accounts, as [`Admin::remove_user`]: each table is written once.
    ///
    /// # Errors
    /// `UserNotFound` before anything is removed; then as [`Admin::remove_user`].
    pub fn remove_users(&self, domain: &str, names: &[String]) -> Result<(), AdminError> {
        let _changing = self.changing();
        let tables = self.snapshot();
        self.remove_accounts(&tables, &accounts_of(&tables, domain, names)?)
    }

    /// Those of some names that are accounts of a domain now.
    pub fn still_accounts(&self, domain: &str, names: &[String]) -> Vec<String> {
        let tables = self.snapshot();
        names.iter().filter(|name| tables.users.get(domain, name).is_some()).cloned().collect()
    }
}

fn accounts_of(tables: &Snapshot, domain: &str, names: &[String]) -> Result<Vec<Arc<Account>>, AdminError> {
    let account = |name: &String| tables.users.get(domain, name).cloned().ok_or(AdminError::UserNotFound);
    names.iter().map(account).collect()
}
