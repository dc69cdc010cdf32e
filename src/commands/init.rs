//! `tabmail init DIR`: a new MailRoot from `mailroot-template/`, with one domain and one account if wanted.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::address::{Domain, Mailbox};
use crate::auth::{HashError, hash_password};
use crate::durable::{DIR_MODE, Disk};
use crate::mailroot::MailRoot;
use crate::tab::{Cell, Record, Unrepresentable};

/// `tabmail init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The directory; made if it is missing, must be empty if it is not
    pub directory: PathBuf,
    /// The primary domain
    #[arg(long, default_value = "localhost.localdomain")]
    pub domain: String,
    /// A first account in that domain; its random password is printed once
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
}

/// What was made.
#[derive(Debug, PartialEq, Eq)]
pub struct Made {
    /// The first account's address and password.
    pub account: Option<(String, String)>,
}

/// Why there is no new MailRoot.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Something is there already.
    #[error("{path}: is not empty; an existing MailRoot needs no init: tabmail serve -Ms {path}", path = .0.display())]
    NotEmpty(PathBuf),
    /// The name is not a domain.
    #[error("{0:?} is not a domain name")]
    BadDomain(String),
    /// The name is not an account name.
    #[error("{0:?} is not an account name")]
    BadAccount(String),
    /// The disk refused.
    #[error("{}: {source}", path.display())]
    Disk {
        /// On which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A value that a table cannot hold.
    #[error(transparent)]
    Value(#[from] Unrepresentable),
    /// The password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// No random numbers.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
}

/// The files of `mailroot-template/`, carried inside the program.
const TEMPLATE: &[(&str, &str)] = &[
    ("server.tab", include_str!("../../mailroot-template/server.tab")),
    ("userdef.tab", include_str!("../../mailroot-template/userdef.tab")),
    ("smtp.ipmap.tab", include_str!("../../mailroot-template/smtp.ipmap.tab")),
    ("pop3.ipmap.tab", include_str!("../../mailroot-template/pop3.ipmap.tab")),
    ("imap.ipmap.tab", include_str!("../../mailroot-template/imap.ipmap.tab")),
    ("ctrl.ipmap.tab", include_str!("../../mailroot-template/ctrl.ipmap.tab")),
    ("finger.ipmap.tab", include_str!("../../mailroot-template/finger.ipmap.tab")),
    ("smtprelay.tab", include_str!("../../mailroot-template/smtprelay.tab")),
    ("spammers.tab", include_str!("../../mailroot-template/spammers.tab")),
    ("smtpfwd.tab", include_str!("../../mailroot-template/smtpfwd.tab")),
    ("ctrlaccounts.tab", include_str!("../../mailroot-template/ctrlaccounts.tab")),
    ("message.id", "1\r\n"),
];

/// Tables that XMail expects to exist and that begin empty.
const EMPTY: &[&str] = &[
    "aliasdomain.tab",
    "aliases.tab",
    "extaliases.tab",
    "pop3links.tab",
    "smtpgw.tab",
    "spam-address.tab",
    "smtp.ipprop.tab",
    "smtpauth.tab",
    "smtpextauth.tab",
    "filters.in.tab",
    "filters.out.tab",
];

/// The placeholder in the template that becomes the primary domain.
const DOMAIN_PLACEHOLDER: &str = "example.invalid";

/// Letters of random passwords: none that look alike.
const PASSWORD_LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Letters in a random password: 16 of 32 letters are 80 bits.
const PASSWORD_LENGTH: usize = 16;

impl Init {
    /// Makes the MailRoot.
    ///
    /// # Errors
    /// [`InitError`]; what was made so far stays.
    pub fn run(&self) -> Result<Made, InitError> {
        let domain = Domain::parse(self.domain.as_bytes()).ok().filter(|domain| !domain.is_literal());
        let domain = domain.ok_or_else(|| InitError::BadDomain(self.domain.clone()))?.to_ascii_lowercase();
        self.refuse_existing()?;
        let layout = Layout { root: &self.directory, disk: Disk::default() };
        layout.directories(&domain)?;
        for (name, content) in TEMPLATE {
            layout.file(name, content.replace(DOMAIN_PLACEHOLDER, &domain).as_bytes())?;
        }
        for name in EMPTY {
            layout.file(name, b"")?;
        }
        layout.file("domains.tab", &row(&[Cell::Text(domain.as_bytes())])?)?;
        let account = self.account.as_deref().map(|name| layout.account(&domain, name)).transpose()?;
        if account.is_none() {
            layout.file("mailusers.tab", b"")?;
        }
        Ok(Made { account })
    }

    fn refuse_existing(&self) -> Result<(), InitError> {
        match fs::read_dir(&self.directory) {
            Ok(mut entries) => match entries.next() {
                Some(_) => Err(InitError::NotEmpty(self.directory.clone())),
                None => Ok(()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(InitError::Disk { path: self.directory.clone(), source }),
        }
    }
}

struct Layout<'a> {
    root: &'a Path,
    disk: Disk,
}

impl Layout<'_> {
    fn directories(&self, domain: &str) -> Result<(), InitError> {
        // The root itself may lie below directories that others need to enter.
        let made = DirBuilder::new().recursive(true).mode(DIR_MODE).create(self.root);
        made.map_err(|source| InitError::Disk { path: self.root.to_owned(), source })?;
        for name in MailRoot::directories() {
            self.directory(name)?;
        }
        self.directory(&format!("domains/{domain}"))?;
        self.directory(&format!("cmdaliases/{domain}"))
    }

    fn directory(&self, relative: &str) -> Result<(), InitError> {
        let path = self.root.join(relative);
        self.disk.create_dir_all(&path).map_err(|source| InitError::Disk { path, source })
    }

    fn file(&self, relative: &str, content: &[u8]) -> Result<(), InitError> {
        let path = self.root.join(relative);
        self.disk.replace(&path, content).map_err(|source| InitError::Disk { path, source })
    }

    /// The first account, who is postmaster as well.
    fn account(&self, domain: &str, name: &str) -> Result<(String, String), InitError> {
        let address = format!("{name}@{domain}");
        let plain = crate::mailroot::accounts::is_plain_name(name);
        if !plain || Mailbox::parse(address.as_bytes()).is_err() {
            return Err(InitError::BadAccount(name.to_owned()));
        }
        let password = random_password().map_err(InitError::Random)?;
        let stored = hash_password(password.as_bytes())?;
        let text = |text: &str| text.as_bytes().to_vec();
        let cells = [text(domain), text(name), text(&stored)];
        let mut user: Vec<Cell<'_>> = cells.iter().map(|cell| Cell::Text(cell)).collect();
        user.extend([Cell::Number(1), Cell::Text(name.as_bytes()), Cell::Text(b"U")]);
        for directory in ["Maildir/tmp", "Maildir/new", "Maildir/cur"] {
            self.directory(&format!("domains/{domain}/{name}/{directory}"))?;
        }
        let profile = include_str!("../../mailroot-template/userdef.tab");
        self.file(&format!("domains/{domain}/{name}/user.tab"), profile.as_bytes())?;
        self.file("mailusers.tab", &row(&user)?)?;
        if !name.eq_ignore_ascii_case("postmaster") {
            let alias =
                [Cell::Text(domain.as_bytes()), Cell::Text(b"postmaster"), Cell::Text(name.as_bytes())];
            self.file("aliases.tab", &row(&alias)?)?;
        }
        Ok((address, password))
    }
}

fn row(cells: &[Cell<'_>]) -> Result<Vec<u8>, InitError> {
    let mut line = Record::new(cells)?.as_bytes().to_vec();
    line.push(b'\n');
    Ok(line)
}

/// A password to be printed once and typed by a person.
pub fn random_password() -> Result<String, getrandom::Error> {
    let mut bytes = [0; PASSWORD_LENGTH];
    getrandom::fill(&mut bytes)?;
    // 32 letters: every byte value picks each letter equally often.
    Ok(bytes
        .iter()
        .map(|byte| char::from(PASSWORD_LETTERS[usize::from(*byte) % PASSWORD_LETTERS.len()]))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Proof, check_account};
    use crate::mailroot::Snapshot;

    fn init(directory: &Path) -> Init {
        Init { directory: directory.to_owned(), domain: "Home.test".into(), account: Some("anna".into()) }
    }

    #[test]
    fn a_new_mailroot_has_no_problems_and_its_account_can_log_in() {
        let dir = tempfile::tempdir().unwrap();
        let made = init(&dir.path().join("MailRoot")).run().unwrap();
        let (address, password) = made.account.unwrap();
        assert_eq!(address, "anna@home.test");
        let snapshot = Snapshot::load(&MailRoot::new(dir.path().join("MailRoot")));
        assert_eq!(snapshot.problems().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
        assert_eq!(snapshot.server.root_domain(), Some("home.test"));
        assert!(
            check_account(&snapshot, "home.test", "anna", &Proof::Password(password.as_bytes())).is_some()
        );
        assert!(snapshot.resolve("home.test", "postmaster").is_some());
    }

    #[test]
    fn nothing_is_overwritten_and_names_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("MailRoot");
        for (domain, account) in [("a b", "anna"), ("home.test", "../x"), ("home.test", "a b")] {
            let init = Init { directory: root.clone(), domain: domain.into(), account: Some(account.into()) };
            assert!(
                matches!(init.run(), Err(InitError::BadDomain(_) | InitError::BadAccount(_))),
                "{account}"
            );
            let _ = fs::remove_dir_all(&root);
        }
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("mine"), "x").unwrap();
        assert!(matches!(init(&root).run(), Err(InitError::NotEmpty(_))));
    }
}
