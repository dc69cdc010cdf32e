//! `domains.tab`, `aliasdomain.tab` and `custdomains/` (`mailroot.md` 7.1, 7.2, 13.1).

use std::fs;
use std::path::{Path, PathBuf};

use super::aliases::fits;
use super::{AccountChange, Admin, AdminError, is_directory_name};
use crate::address::{Domain, PathError};
use crate::mailroot::MailRoot;
use crate::mailroot::accounts::AliasDomainRow;
use crate::mailroot::directory::{CUSTDOMAINS, custdomain_files};

const DOMAINS: &str = "domains.tab";
const ALIAS_DOMAINS: &str = "aliasdomain.tab";
const ALIASES: &str = "aliases.tab";
const EXT_ALIASES: &str = "extaliases.tab";

impl Admin {
    /// Adds a domain in lower case with its two directories (`domainadd`).
    ///
    /// # Errors
    /// `Address`, `DomainExists`, `MakeDirectory`, `Edit`.
    pub fn add_domain(&self, domain: &str) -> Result<(), AdminError> {
        let _changing = self.changing();
        let domain = checked_domain(domain)?;
        let tables = self.snapshot();
        let alias = tables.alias_domains.rows().iter().any(|row| row.alias.eq_ignore_ascii_case(&domain));
        if alias || tables.domains.get(&domain).is_some() {
            return Err(AdminError::DomainExists);
        }
        self.make_directory(&MailRoot::domain_directory(&domain))?;
        self.make_directory(&Path::new("cmdaliases").join(&domain))?;
        let mut edit = self.editor.begin(Path::new(DOMAINS))?;
        if edit.find(|row| row.has_key(&[&domain])).is_some() {
            return Err(AdminError::DomainExists);
        }
        edit.push(&[&domain])?;
        Ok(edit.commit()?)
    }

    /// Removes a domain with its accounts, aliases, links, alias domains and directories (`domaindel`). Its own row
    /// goes last but for the directories, so that a removal that failed in the middle can be repeated.
    ///
    /// # Errors
    /// `DomainNotHandled`, `Edit`, `RemoveDirectory`.
    pub fn remove_domain(&self, domain: &str) -> Result<(), AdminError> {
        let _changing = self.changing();
        let tables = self.snapshot();
        let domain = &*tables.domains.get(domain).ok_or(AdminError::DomainNotHandled)?.domain.clone();
        let accounts = tables.users.rows().iter();
        let accounts: Vec<_> =
            accounts.filter(|account| account.domain.eq_ignore_ascii_case(domain)).cloned().collect();
        self.drop_account_rows(&tables, &accounts)?;
        self.editor.remove_rows(Path::new(ALIASES), |row| row.has_key(&[domain]))?;
        self.editor.remove_rows(Path::new(EXT_ALIASES), |row| {
            row.value(2).eq_ignore_ascii_case(domain.as_bytes())
        })?;
        self.remove_links_of_domain(&tables, domain)?;
        self.editor.remove_rows(Path::new(ALIAS_DOMAINS), |row| {
            row.value(1).eq_ignore_ascii_case(domain.as_bytes())
        })?;
        let dropped = self.editor.remove_rows(Path::new(DOMAINS), |row| row.has_key(&[domain]));
        // An edit that failed in its last sync has taken place all the same: then the directories go as well.
        if dropped.is_err() && self.snapshot().domains.get(domain).is_some() {
            return dropped.map(drop).map_err(Into::into);
        }
        self.remove_password_lists(|head| head.domain.eq_ignore_ascii_case(domain));
        // The accounts are not told of one by one (golden `pop3_extauth`).
        self.tell(AccountChange::DomainRemoved { domain });
        for account in &accounts {
            self.remove_directory(&MailRoot::account_directory(account))?;
        }
        if is_directory_name(domain) {
            self.remove_directory(&MailRoot::domain_directory(domain))?;
            self.remove_directory(&Path::new("cmdaliases").join(domain.to_ascii_lowercase()))?;
            self.remove_directory(&MailRoot::groups_directory(domain))?;
        }
        dropped.map(drop).map_err(Into::into)
    }

    /// The domains that match any of the patterns, in file order; all of them for none (`domainlist`).
    pub fn domains(&self, patterns: &[&str]) -> Vec<Box<str>> {
        let tables = self.snapshot();
        let rows = tables.domains.rows().iter();
        rows.filter(|row| {
            patterns.is_empty() || patterns.iter().any(|pattern| fits(Some(pattern), &row.domain))
        })
        .map(|row| row.domain.clone())
        .collect()
    }

    /// Adds an alias domain, a name or a pattern, in lower case (`aliasdomainadd`).
    ///
    /// # Errors
    /// `DomainNotHandled`, `Address`, `AliasDomainExists`, `Edit`.
    pub fn add_alias_domain(&self, domain: &str, alias: &str) -> Result<(), AdminError> {
        let _changing = self.changing();
        let tables = self.snapshot();
        tables.domains.get(domain).ok_or(AdminError::DomainNotHandled)?;
        let alias = checked_domain(alias)?;
        let mut edit = self.editor.begin(Path::new(ALIAS_DOMAINS))?;
        if tables.domains.get(&alias).is_some() || edit.find(|row| row.has_key(&[&alias])).is_some() {
            return Err(AdminError::AliasDomainExists);
        }
        edit.push(&[&*alias, domain])?;
        Ok(edit.commit()?)
    }

    /// Removes an alias domain, given as it is written (`aliasdomaindel`).
    ///
    /// # Errors
    /// `AliasDomainNotFound`, `Edit`.
    pub fn remove_alias_domain(&self, alias: &str) -> Result<(), AdminError> {
        let _changing = self.changing();
        match self.editor.remove_rows(Path::new(ALIAS_DOMAINS), |row| row.has_key(&[alias]))? {
            0 => Err(AdminError::AliasDomainNotFound),
            _ => Ok(()),
        }
    }

    /// The rows whose columns match the patterns, in file order (`aliasdomainlist`).
    pub fn alias_domains(&self, domain: Option<&str>, alias: Option<&str>) -> Vec<AliasDomainRow> {
        let tables = self.snapshot();
        let rows = tables.alias_domains.rows().iter();
        rows.filter(|row| fits(domain, &row.domain) && fits(alias, &row.alias)).cloned().collect()
    }

    /// The command file that applies to a custom domain, its own or a parent's (`custdomget`, `mailflow.md` 4.3).
    ///
    /// # Errors
    /// `Address`, `NotACustomDomain`, `Disk`.
    pub fn custom_domain(&self, domain: &str) -> Result<Vec<u8>, AdminError> {
        let domain = checked_domain(domain)?;
        for file in custdomain_files(&domain) {
            if let Some(bytes) = self.read(&Path::new(CUSTDOMAINS).join(file))? {
                return Ok(bytes);
            }
        }
        Err(AdminError::NotACustomDomain)
    }

    /// Whether [`Admin::set_custom_domain`] would take the domain.
    ///
    /// # Errors
    /// `Address`.
    pub fn may_set_custom_domain(&self, domain: &str) -> Result<(), AdminError> {
        checked_domain(domain).map(drop)
    }

    /// Replaces the command file of a domain; an empty one is deleted (`custdomset`).
    ///
    /// # Errors
    /// `Address`, `Edit`.
    pub fn set_custom_domain(&self, domain: &str, bytes: &[u8]) -> Result<(), AdminError> {
        let _changing = self.changing();
        let file = custom_domain_file(&checked_domain(domain)?);
        self.store(&file, bytes)
    }

    /// The files in `custdomains/` without `.tab`, sorted (`custdomlist`).
    ///
    /// # Errors
    /// `Disk`.
    pub fn custom_domains(&self) -> Result<Vec<String>, AdminError> {
        let path = self.root().path().join(CUSTDOMAINS);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(AdminError::Disk { action: "list", path, source }),
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut stems: Vec<String> =
            names.filter_map(|name| name.strip_suffix(".tab").map(ToOwned::to_owned)).collect();
        stems.sort();
        Ok(stems)
    }
}

fn custom_domain_file(stem: &str) -> PathBuf {
    Path::new(CUSTDOMAINS).join(format!("{stem}.tab"))
}

/// The domain in lower case, if it follows the grammar and can name a directory.
fn checked_domain(domain: &str) -> Result<String, AdminError> {
    let domain = Domain::parse(domain.as_bytes())?.to_ascii_lowercase();
    // The grammar lets `/` through (decision 16).
    if is_directory_name(&domain) { Ok(domain) } else { Err(PathError::Grammar.into()) }
}
