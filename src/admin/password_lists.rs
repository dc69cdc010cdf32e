//! Lists of random passwords (`jdmail.md` JD-44): for the administrator whose import made them, to be fetched once.
//!
//! Shape: `.tabmail/passwords/<32 hex digits>`, mode 0600 in a directory of mode 0700:
//!
//! ```text
//! "<administrator>" TAB "<domain of the page>" TAB "<unix seconds>" TAB "<accounts>" LF
//! *( address TAB password CRLF )
//! ```
//!
//! A list is on the disk before the first of its accounts, so that no crash makes accounts whose passwords nobody knows;
//! an import that fails takes its list away again. It is removed when it is fetched, after
//! [`KEPT_DAYS`], and with its domain or its administrator. Backups and the history of tables
//! do not hold it. Names are compared with what is in the directory, never made a path.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bstr::ByteSlice as _;

use super::{Admin, AdminError};
use crate::durable::FILE_MODE;
use crate::mailroot::edit::Planned;
use crate::tab::{Record, fields};

const DIRECTORY: &str = ".tabmail/passwords";

/// Random bytes in a name.
const NAME_BYTES: usize = 16;

/// How long a list waits to be fetched, in days. Ours: whoever needs the passwords has them by then, or gives others.
const KEPT_DAYS: i64 = 30;

const DAY_SECS: i64 = 86_400;

/// Random passwords, for one administrator.
#[derive(Clone)]
pub struct PasswordList {
    owner: Box<str>,
    domain: Box<str>,
    rows: String,
    accounts: usize,
}

/// A list that waits to be fetched.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WaitingList {
    /// The file's name.
    pub name: String,
    /// When it was made.
    pub unix_secs: i64,
    /// Accounts in it.
    pub accounts: u64,
}

impl PasswordList {
    /// An empty one. `domain` is that of the page where it is fetched.
    pub fn new(owner: &str, domain: &str) -> Self {
        Self { owner: owner.into(), domain: domain.into(), rows: String::new(), accounts: 0 }
    }

    /// Takes in an account.
    pub fn push(&mut self, address: &str, password: &str) {
        self.rows.push_str(&format!("{address}\t{password}\r\n"));
        self.accounts += 1;
    }

    /// Whether no account is in it.
    pub fn is_empty(&self) -> bool {
        self.accounts == 0
    }

    /// Bytes of it.
    pub(super) fn bytes(&self) -> usize {
        self.rows.len()
    }
}

/// The first row of a list.
pub(super) struct Head {
    pub(super) owner: String,
    pub(super) domain: String,
    unix_secs: i64,
    accounts: u64,
}

impl Head {
    fn of(list: &[u8]) -> Option<Self> {
        let (head, _) = list.split_once_str("\n")?;
        let row = fields(head);
        let text = |at: usize| row.get(at).and_then(|field| field.value.to_str().ok());
        let (unix_secs, accounts) = (text(2)?.parse().ok()?, text(3)?.parse().ok()?);
        Some(Self { owner: text(0)?.to_owned(), domain: text(1)?.to_owned(), unix_secs, accounts })
    }
}

/// Without the passwords.
impl std::fmt::Debug for PasswordList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordList").field("accounts", &self.accounts).finish_non_exhaustive()
    }
}

impl Admin {
    /// Writes a list, durably; its path. A rehearsal notes where.
    pub(super) fn write_password_list(&self, list: &PasswordList) -> Result<PathBuf, AdminError> {
        if let Some(rehearsal) = self.editor.rehearsal() {
            rehearsal.plan(Planned::MakeFile(DIRECTORY.into()));
            return Ok(PathBuf::new());
        }
        let mut name = [0; NAME_BYTES];
        getrandom::fill(&mut name)?;
        let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
        let (secs, accounts) = (self.clock.unix_secs().to_string(), list.accounts.to_string());
        // Neither a name of webadmin.tab nor of domains.tab holds what a row cannot.
        let head = Record::quoted(&[&*list.owner, &*list.domain, &secs, &accounts])
            .map_err(|_| AdminError::BadUserName)?;
        let directory = self.root().path().join(DIRECTORY);
        let path = directory.join(name);
        let write = || {
            self.disk.create_dir_all(&directory)?;
            let mut file = self.disk.create_new(&path, FILE_MODE)?;
            file.write_all(head.as_bytes())?;
            file.write_all(b"\n")?;
            file.write_all(list.rows.as_bytes())?;
            file.sync()?;
            self.disk.sync_dir(&directory)
        };
        match write() {
            Ok(()) => Ok(path),
            Err(source) => {
                let _ = fs::remove_file(&path);
                Err(AdminError::Disk { action: "write", path, source })
            }
        }
    }

    /// Removes a list whose accounts were not made.
    pub(super) fn withdraw_password_list(&self, path: &Path) {
        if self.editor.rehearsal().is_none()
            && let Err(error) = self.disk.remove(path)
        {
            tracing::error!("{}: the passwords of a failed import stay: {error}", path.display());
        }
    }

    /// Removes the lists that nobody may fetch any more: old ones, and those of administrators and domains that are gone.
    pub fn remove_stale_password_lists(&self) {
        if self.editor.rehearsal().is_some() {
            return;
        }
        let tables = self.snapshot();
        let is_administrator = |name: &str| {
            let mut rows = tables.web_admins.rows().iter();
            rows.any(|who| who.name.eq_ignore_ascii_case(name))
        };
        // A table without any row was not read, or is being written anew.
        let (knows_administrators, knows_domains) =
            (!tables.web_admins.rows().is_empty(), !tables.domains.rows().is_empty());
        let oldest = self.clock.unix_secs() - KEPT_DAYS * DAY_SECS;
        let is_stale = |head: &Head| {
            head.unix_secs < oldest
                || knows_administrators && !is_administrator(&head.owner)
                || knows_domains && tables.domains.get(&head.domain).is_none()
        };
        self.remove_password_lists(is_stale);
    }

    /// Removes the lists that are meant. One that cannot be removed is tried again next time.
    pub(super) fn remove_password_lists(&self, is_meant: impl Fn(&Head) -> bool) {
        if self.editor.rehearsal().is_some() {
            return;
        }
        for entry in fs::read_dir(self.root().path().join(DIRECTORY)).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_meant =
                fs::read(&path).is_ok_and(|bytes| Head::of(&bytes).is_some_and(|head| is_meant(&head)));
            if is_meant && let Err(error) = self.disk.remove(&path) {
                tracing::error!("{}: passwords that nobody may fetch stay: {error}", path.display());
            }
        }
    }

    /// The lists that wait for an administrator on the page of a domain, the latest first.
    pub fn password_lists(&self, owner: &str, domain: &str) -> Vec<WaitingList> {
        self.remove_stale_password_lists();
        let entries = fs::read_dir(self.root().path().join(DIRECTORY)).into_iter().flatten().flatten();
        let mut found: Vec<WaitingList> = entries
            .filter_map(|entry| {
                let bytes = fs::read(entry.path()).ok()?;
                let head = Head::of(&bytes)?;
                let is_meant =
                    head.owner.eq_ignore_ascii_case(owner) && head.domain.eq_ignore_ascii_case(domain);
                let name = entry.file_name().into_string().ok()?;
                let Head { unix_secs, accounts, .. } = head;
                is_meant.then_some(WaitingList { name, unix_secs, accounts })
            })
            .collect();
        found.sort_by(|a, b| (b.unix_secs, &b.name).cmp(&(a.unix_secs, &a.name)));
        found
    }

    /// The rows of a list that waits for an administrator on the page of a domain; then it is gone.
    ///
    /// # Errors
    /// `NoSuchFile`: there is none, it is somebody else's, or somebody was faster; `Disk`.
    pub fn take_password_list(&self, owner: &str, domain: &str, name: &str) -> Result<Vec<u8>, AdminError> {
        let waiting = self.password_lists(owner, domain);
        let found = waiting.iter().find(|list| list.name == name).ok_or(AdminError::NoSuchFile)?;
        let path = self.root().path().join(DIRECTORY).join(&found.name);
        let bytes = fs::read(&path).map_err(|_| AdminError::NoSuchFile)?;
        // Of two who ask at once only one removes it.
        match self.disk.remove(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(AdminError::NoSuchFile),
            Err(source) => return Err(AdminError::Disk { action: "remove", path, source }),
        }
        Ok(bytes.split_once_str("\n").map_or_else(Vec::new, |(_, rows)| rows.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{NewUser, NewUsers};
    use crate::clock::Clock;
    use crate::durable::Disk;
    use crate::mailbox::{Kind, Mailboxes};
    use crate::mailroot::{AccountKind, MailRoot, Tables};

    fn house() -> (tempfile::TempDir, Admin) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("domains.tab"), "\"a.test\"\n").unwrap();
        fs::write(directory.path().join("mailusers.tab"), "").unwrap();
        fs::create_dir(directory.path().join("domains")).unwrap();
        let root = MailRoot::new(directory.path());
        let boxes = Mailboxes::new(root.clone(), Kind::Maildir, Disk::default());
        let clock = Clock::manual("2026-11-23T10:00:00Z".parse().unwrap());
        let admin = Admin::new(Tables::open(&root), boxes, None, clock, Disk::default());
        (directory, admin)
    }

    fn anna() -> NewUsers {
        let mut list = PasswordList::new("root", "a.test");
        list.push("anna@a.test", "geheim23");
        assert!(!format!("{list:?}").contains("geheim23"));
        NewUsers::new(vec![NewUser {
            domain: "a.test".into(),
            name: "anna".into(),
            password: "geheim23".into(),
            kind: AccountKind::User,
            variables: Vec::new(),
        }])
        .listed(list)
    }

    /// JD-44.
    #[test]
    fn a_list_is_fetched_once_by_its_owner() {
        let (directory, admin) = house();
        fs::create_dir(directory.path().join("domains/a.test")).unwrap();
        admin.rehearse(|admin| admin.add_users(&anna())).unwrap();
        assert!(!directory.path().join(DIRECTORY).exists());
        admin.add_users(&anna()).unwrap();
        let lists = admin.password_lists("Root", "A.test");
        let [WaitingList { name, unix_secs: 1_795_428_000, accounts: 1 }] = &*lists else {
            panic!("{lists:?}")
        };
        for (owner, domain, name) in [
            ("other", "a.test", &**name),
            ("root", "b.test", name),
            ("root", "a.test", "../../mailusers.tab"),
        ] {
            let refused = admin.take_password_list(owner, domain, name);
            assert!(matches!(refused, Err(AdminError::NoSuchFile)), "{owner} {domain} {name}");
        }
        assert_eq!(admin.take_password_list("root", "a.test", name).unwrap(), b"anna@a.test\tgeheim23\r\n");
        assert!(admin.take_password_list("root", "a.test", name).is_err(), "once");
        assert_eq!(fs::read_dir(directory.path().join(DIRECTORY)).unwrap().count(), 0);
    }

    /// JD-44: whoever has not fetched it within thirty days gives other passwords.
    #[test]
    fn jd_44_a_list_does_not_outlive_its_days_its_domain_and_its_administrator() {
        let two_admins = "\"root\"\t\"\"\t\"system\"\n\"chef\"\t\"\"\t\"system\"\n";
        for (what, days, remains) in [
            ("nothing", 29, 1),
            ("nothing", 31, 0),
            ("administrator", 0, 0),
            ("administrator in a shell", 0, 0),
            ("domain", 0, 0),
            ("domain in a shell", 0, 0),
            ("all administrators in a shell", 0, 1),
        ] {
            let (directory, admin) = house();
            let put = |name: &str, text: &str| {
                fs::write(directory.path().join(name), text).unwrap();
                admin.reload_tables(crate::admin::Reload::Now);
            };
            put("webadmin.tab", two_admins);
            put("domains.tab", "\"a.test\"\n\"b.test\"\n");
            fs::create_dir_all(directory.path().join("domains/a.test")).unwrap();
            admin.add_users(&anna()).unwrap();
            let count = || fs::read_dir(directory.path().join(DIRECTORY)).unwrap().count();
            assert_eq!(count(), 1);
            admin.rehearse(|admin| admin.remove_domain("a.test")).unwrap();
            assert_eq!(count(), 1, "a rehearsal removes nothing");
            admin.clock.advance(std::time::Duration::from_secs(days * 86_400));
            match what {
                "administrator" => admin.remove_administrator("root").unwrap(),
                "administrator in a shell" => put("webadmin.tab", "\"chef\"\t\"\"\t\"system\"\n"),
                "all administrators in a shell" => put("webadmin.tab", ""),
                "domain" => admin.remove_domain("a.test").unwrap(),
                "domain in a shell" => put("domains.tab", "\"b.test\"\n"),
                _ => {}
            }
            if matches!(what, "administrator" | "domain") {
                assert_eq!(count(), 0, "{what}: it goes at once");
            }
            admin.remove_stale_password_lists();
            assert_eq!(count(), remains, "{what} {days}");
        }
    }

    #[test]
    fn an_import_that_fails_leaves_no_list() {
        let (directory, admin) = house();
        // No account can have a directory there.
        fs::write(directory.path().join("domains/a.test"), "").unwrap();
        admin.add_users(&anna()).unwrap_err();
        assert_eq!(fs::read_dir(directory.path().join(DIRECTORY)).unwrap().count(), 0);
    }
}
