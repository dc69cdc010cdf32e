//! Relays of one user and of one domain (`jdmail.md` JD-42, JD-43, JD-99). The whole system's are `smtpfwd.tab`,
//! `smtpgw.tab` and `DefaultSMTPGateways`.
//!
//! | | mail to the account | mail from it |
//! | --- | --- | --- |
//! | user | `smtprelay` in its `mailproc.tab`, with `mailbox` where it is delivered here as well | its `smtpfwd.tab` |
//! | domain | the same in the domain's | the domain's `smtpfwd.tab` |

use std::path::PathBuf;

use bstr::ByteSlice as _;

use super::{Admin, AdminError, account};
use crate::mailroot::schema::kind::Kind;
use crate::mailroot::{MailRoot, ProblemKind};
use crate::tab::{LineKind, TabFile};

/// A relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relay {
    /// `host[:port]` separated by `;`, in the order of trying; `#` in front: any order.
    pub hosts: String,
    /// Options for all hosts, such as `NeedTLS=1`; may be empty.
    pub options: String,
    /// Whether mail is delivered here as well. Of outgoing mail: false.
    pub delivers_too: bool,
}

/// Whose relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayOf<'a> {
    /// All accounts of the domain.
    Domain,
    /// The account of this name.
    User(&'a str),
}

const RELAY: &str = "smtprelay";
const MAILBOX: &str = "mailbox";

/// All destinations.
const EVERYWHERE: &str = "*";

impl Admin {
    /// Where mail to a domain's accounts, or to one, goes on to.
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`, `Disk`.
    pub fn incoming_relay(&self, domain: &str, of: RelayOf<'_>) -> Result<Option<Relay>, AdminError> {
        let file = self.directory_of(domain, of)?.join("mailproc.tab");
        let bytes = self.read(&file)?.unwrap_or_default();
        let found = TabFile::parse(&bytes);
        let commands = rows(&found);
        let relay = commands.iter().find(|row| is_command(row, RELAY));
        Ok(relay.map(|row| Relay {
            hosts: row.get(1).cloned().unwrap_or_default(),
            options: row.get(2).cloned().unwrap_or_default(),
            delivers_too: commands.iter().any(|row| is_command(row, MAILBOX)),
        }))
    }

    /// Sets it, or ends it (`None`). Other commands of the file stay.
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`, `BadRelay`, `Edit`.
    pub fn set_incoming_relay(
        &self,
        domain: &str,
        of: RelayOf<'_>,
        relay: Option<&Relay>,
    ) -> Result<(), AdminError> {
        let _changing = self.changing();
        let file = self.directory_of(domain, of)?.join("mailproc.tab");
        relay.map_or(Ok(()), Relay::check)?;
        let mut edit = self.editor.begin(&file)?;
        let is_one = |command: &'static str| {
            move |row: &crate::mailroot::edit::EditRow| row.value(0).eq_ignore_ascii_case(command.as_bytes())
        };
        let had_relay = edit.find(is_one(RELAY)).is_some();
        match relay {
            Some(relay) => {
                match edit.find(is_one(RELAY)) {
                    Some(row) => edit.set(row.index, &relay.row(RELAY))?,
                    None => edit.push(&relay.row(RELAY))?,
                }
                match (edit.find(is_one(MAILBOX)), relay.delivers_too) {
                    (None, true) => edit.push(&[MAILBOX])?,
                    (Some(_), false) => drop(edit.remove_where(is_one(MAILBOX))),
                    _ => {}
                }
            }
            None => {
                edit.remove_where(is_one(RELAY));
            }
        }
        let is_idle = relay.is_none() && edit.rows().all(|row| is_one(MAILBOX)(&row));
        if is_idle && had_relay && edit.existed() {
            // Nothing but "mailbox" is what happens without the file.
            edit.delete()?;
            return Ok(());
        }
        if relay.is_none() && !had_relay {
            return Ok(());
        }
        Ok(edit.commit()?)
    }

    /// Through which hosts mail from a domain's accounts, or from one, leaves.
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`, `Disk`.
    pub fn outgoing_relay(&self, domain: &str, of: RelayOf<'_>) -> Result<Option<Relay>, AdminError> {
        let file = self.directory_of(domain, of)?.join("smtpfwd.tab");
        let bytes = self.read(&file)?.unwrap_or_default();
        let found = rows(&TabFile::parse(&bytes));
        let everywhere = found.into_iter().find(|row| row.first().is_some_and(|first| first == EVERYWHERE));
        Ok(everywhere.map(|mut row| {
            row.resize(3, String::new());
            Relay { options: row.remove(2), hosts: row.remove(1), delivers_too: false }
        }))
    }

    /// Sets it, or ends it (`None`). Rows for single destinations stay, and go before it.
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`, `BadRelay`, `Edit`.
    pub fn set_outgoing_relay(
        &self,
        domain: &str,
        of: RelayOf<'_>,
        relay: Option<&Relay>,
    ) -> Result<(), AdminError> {
        let _changing = self.changing();
        let file = self.directory_of(domain, of)?.join("smtpfwd.tab");
        relay.map_or(Ok(()), Relay::check)?;
        let mut edit = self.editor.begin(&file)?;
        let row = edit.find(|row| row.has_key(&[EVERYWHERE]));
        match (row, relay) {
            (Some(row), Some(relay)) => edit.set(row.index, &relay.row(EVERYWHERE))?,
            (None, Some(relay)) => edit.push(&relay.row(EVERYWHERE))?,
            (Some(row), None) => edit.remove(row.index)?,
            (None, None) => return Ok(()),
        }
        if edit.rows().next().is_none() {
            edit.delete()?;
            return Ok(());
        }
        Ok(edit.commit()?)
    }

    fn directory_of(&self, domain: &str, of: RelayOf<'_>) -> Result<PathBuf, AdminError> {
        let tables = self.snapshot();
        match of {
            RelayOf::Domain => {
                let row = tables.domains.get(domain).ok_or(AdminError::DomainNotHandled)?;
                Ok(MailRoot::domain_directory(&row.domain))
            }
            RelayOf::User(name) => Ok(MailRoot::account_directory(&*account(&tables, domain, name)?)),
        }
    }
}

impl Relay {
    /// # Errors
    /// `BadRelay`.
    fn check(&self) -> Result<(), AdminError> {
        let refuse = |problem| Err(AdminError::BadRelay(problem));
        if self.hosts.trim().is_empty() {
            return refuse(ProblemKind::NoHost);
        }
        if let Some(problem) = Kind::Gateways.check(self.hosts.as_bytes()) {
            return refuse(problem);
        }
        match Kind::GatewayOptions.check(self.options.as_bytes()) {
            Some(problem) if !self.options.is_empty() => refuse(problem),
            _ => Ok(()),
        }
    }

    fn row<'a>(&'a self, first: &'a str) -> Vec<&'a str> {
        let mut row = vec![first, &*self.hosts];
        if !self.options.is_empty() {
            row.push(&self.options);
        }
        row
    }
}

fn rows(file: &TabFile) -> Vec<Vec<String>> {
    let records = file.lines().iter().filter(|line| line.kind() == LineKind::Record);
    let texts = |line: &crate::tab::Line| {
        line.fields().iter().map(|field| field.value.to_str_lossy().into_owned()).collect()
    };
    records.map(texts).collect()
}

fn is_command(row: &[String], command: &str) -> bool {
    row.first().is_some_and(|first| first.eq_ignore_ascii_case(command))
}
