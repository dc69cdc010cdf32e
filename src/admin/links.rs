//! `pop3links.tab` and the disable files of links (`mailroot.md` 14).

use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};

use super::users::Addresses;
use super::{Admin, AdminError, is_directory_name};
use crate::address::PathError;
use crate::auth;
use crate::durable::FILE_MODE;
use crate::mailroot::edit::Planned;
use crate::mailroot::links::{LinkTarget, Pop3Link};
use crate::mailroot::routing::HostPort;
use crate::mailroot::{MailRoot, Snapshot};

const POP3_LINKS: &str = "pop3links.tab";

/// The four columns that name a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkKey<'a> {
    /// Column 1: the local domain, or one of the forms of `mailroot.md` 14.1.
    pub local_domain: &'a str,
    /// Column 2.
    pub local_name: &'a str,
    /// Column 3: `host` or `host:port`.
    pub remote_host: &'a str,
    /// Column 4.
    pub remote_user: &'a str,
}

/// A link as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedLink {
    /// Column 1.
    pub local_domain: Box<str>,
    /// Column 2.
    pub local_name: Box<str>,
    /// Column 3.
    pub remote_host: Box<str>,
    /// Column 4.
    pub remote_user: Box<str>,
    /// The line in the file, from 1.
    pub line: u32,
    /// The clear password, where it may be shown (decision 17).
    pub password: BString,
    /// Column 6 as written.
    pub options: BString,
    /// Whether it is worked: not disabled, and of an account that exists.
    pub is_on: bool,
}

impl Admin {
    /// Adds a link (`poplnkadd`). The local account need not exist; the password is stored in XMail's encoding, as we
    /// have to send it.
    ///
    /// # Errors
    /// `Address` for a remote host that cannot be one, `BadPath` for a remote user that cannot name a disable file,
    /// `LinkExists`, `PasswordTooLong`, `Edit`.
    pub fn add_link(&self, key: LinkKey<'_>, password: &[u8], options: &str) -> Result<(), AdminError> {
        let _changing = self.changing();
        HostPort::parse(key.remote_host).ok_or(PathError::Host)?;
        disable_file_name(key.remote_user, key.remote_host).ok_or(AdminError::BadPath)?;
        if password.len() > auth::PASSWORD_BYTES_MAX {
            return Err(AdminError::PasswordTooLong { length: password.len() });
        }
        let columns = key.columns();
        let mut edit = self.editor.begin(Path::new(POP3_LINKS))?;
        if edit.find(|row| row.has_key(&columns)).is_some() {
            return Err(AdminError::LinkExists);
        }
        let [domain, name, host, user] = columns;
        edit.push(&[domain, name, host, user, &auth::xmail_encode(password), options])?;
        Ok(edit.commit()?)
    }

    /// Removes a link with its disable file and the list of messages left on the server (`poplnkdel`).
    ///
    /// # Errors
    /// `LinkNotFound`, `Edit`, `Disk`.
    pub fn remove_link(&self, key: LinkKey<'_>) -> Result<(), AdminError> {
        let _changing = self.changing();
        let tables = self.snapshot();
        let columns = key.columns();
        if self.editor.remove_rows(Path::new(POP3_LINKS), |row| row.has_key(&columns))? == 0 {
            return Err(AdminError::LinkNotFound);
        }
        let links = tables.pop3_links.rows().iter();
        links.filter(|link| key.names(link)).try_for_each(|link| self.forget_link(&tables, link))
    }

    fn forget_link(&self, tables: &Snapshot, link: &Pop3Link) -> Result<(), AdminError> {
        if let Some(file) = disable_file(tables, link) {
            self.remove_file(&file)?;
        }
        match seen_file(link) {
            Some(file) => self.remove_file(&file),
            None => Ok(()),
        }
    }

    /// The links of a domain and account, compared without case, in file order (`poplnklist`).
    pub fn links(&self, domain: Option<&str>, name: Option<&str>) -> Vec<ListedLink> {
        let tables = self.snapshot();
        let is = |wanted: Option<&str>, text: &str| wanted.is_none_or(|w| w.eq_ignore_ascii_case(text));
        let rows = tables.pop3_links.rows().iter();
        rows.filter(|link| is(domain, &link.local_domain) && is(name, &link.local_name))
            .map(|link| ListedLink {
                line: link.line,
                local_domain: link.local_domain.clone(),
                local_name: link.local_name.clone(),
                remote_host: link.remote_host.clone(),
                remote_user: link.remote_user.clone(),
                password: Self::shown_password(&tables, &link.password),
                options: link.options_text.clone(),
                is_on: self.is_on(&tables, link),
            })
            .collect()
    }

    fn is_on(&self, tables: &Snapshot, link: &Pop3Link) -> bool {
        disable_file(tables, link).is_some_and(|file| !self.root().path().join(file).exists())
    }

    /// Enables or disables the links of an account, all or those of one remote host and user (`poplnkenable`).
    ///
    /// # Errors
    /// `LinkNotFound`, `Disk`.
    pub fn enable_links(
        &self,
        enable: bool,
        [domain, name]: [&str; 2],
        remote_host: Option<&str>,
        remote_user: Option<&str>,
    ) -> Result<(), AdminError> {
        let _changing = self.changing();
        let tables = self.snapshot();
        let is = |wanted: Option<&str>, text: &str| wanted.is_none_or(|w| w.eq_ignore_ascii_case(text));
        let mut found = false;
        for link in tables.pop3_links.rows() {
            let wanted = is(Some(domain), &link.local_domain)
                && is(Some(name), &link.local_name)
                && is(remote_host, &link.remote_host)
                && is(remote_user, &link.remote_user);
            if wanted {
                found = true;
                // A link of an account that does not exist is off in any case.
                if let Some(file) = disable_file(&tables, link) {
                    self.enable_link(enable, &file)?;
                }
            }
        }
        if found { Ok(()) } else { Err(AdminError::LinkNotFound) }
    }

    fn enable_link(&self, enable: bool, file: &Path) -> Result<(), AdminError> {
        if enable {
            return self.remove_file(file);
        }
        let path = self.root().path().join(file);
        if path.exists() {
            return Ok(());
        }
        let since = format!("{}\n", self.clock.zoned().strftime("%-d %b %Y %H:%M:%S %Z"));
        if let Some(rehearsal) = self.editor.rehearsal() {
            let (file, after) = (file.to_owned(), Some(since.into_bytes()));
            rehearsal.plan(Planned::File { file, before: None, after });
            return Ok(());
        }
        if let Some(directory) = file.parent().filter(|_| file.starts_with("pop3links")) {
            self.make_directory(directory)?;
        }
        let written = self.disk.append(&path, FILE_MODE, since.as_bytes(), true);
        written.map_err(|source| AdminError::Disk { action: "write", path, source })
    }

    /// All links of accounts that go.
    pub(super) fn remove_links_of(&self, tables: &Snapshot, accounts: &Addresses) -> Result<(), AdminError> {
        self.drop_links(tables, |domain, name| accounts.hold(domain, name))
    }

    /// All links of a domain that goes.
    pub(super) fn remove_links_of_domain(&self, tables: &Snapshot, domain: &str) -> Result<(), AdminError> {
        self.drop_links(tables, |of, _| of.eq_ignore_ascii_case(domain.as_bytes()))
    }

    fn drop_links(
        &self,
        tables: &Snapshot,
        is_gone: impl Fn(&[u8], &[u8]) -> bool,
    ) -> Result<(), AdminError> {
        self.editor.remove_rows(Path::new(POP3_LINKS), |row| is_gone(row.value(0), row.value(1)))?;
        let links = tables.pop3_links.rows().iter();
        links
            .filter(|link| is_gone(link.local_domain.as_bytes(), link.local_name.as_bytes()))
            .try_for_each(|link| self.forget_link(tables, link))
    }
}

impl<'a> LinkKey<'a> {
    fn columns(self) -> [&'a str; 4] {
        [self.local_domain, self.local_name, self.remote_host, self.remote_user]
    }

    fn names(self, link: &Pop3Link) -> bool {
        let row = [&*link.local_domain, &*link.local_name, &*link.remote_host, &*link.remote_user];
        self.columns().iter().zip(row).all(|(want, column)| want.eq_ignore_ascii_case(column))
    }
}

/// `<rmtuser>@<rmthost>.disabled` in the account's directory, or in `pop3links` for links that are no account's.
/// `None` for a link of an account that does not exist, and for names that are no file name.
fn disable_file(tables: &Snapshot, link: &Pop3Link) -> Option<PathBuf> {
    let name = disable_file_name(&link.remote_user, &link.remote_host)?;
    match &link.target {
        LinkTarget::Account { domain } => {
            let account = tables.account(domain, &link.local_name)?;
            Some(MailRoot::account_directory(account).join(name))
        }
        _ => Some(Path::new("pop3links").join(name)),
    }
}

fn disable_file_name(remote_user: &str, remote_host: &str) -> Option<String> {
    let name = format!("{remote_user}@{remote_host}.disabled");
    is_directory_name(&name).then_some(name)
}

/// `msgsync/<host>/<user>.uidb`: the messages seen on the server (`mailroot.md` 14.3).
fn seen_file(link: &Pop3Link) -> Option<PathBuf> {
    let plain = |text: &str| text.as_bytes().replace(b":", b"_").replace(b"/", b"_").replace(b"\\", b"_");
    let host = String::from_utf8(plain(&link.remote_host)).ok()?;
    let file = format!("{}.uidb", String::from_utf8(plain(&link.remote_user)).ok()?);
    (is_directory_name(&host) && is_directory_name(&file)).then(|| Path::new("msgsync").join(host).join(file))
}
