//! How much mail the accounts hold, as last measured (`jdmail.md` JD-40): no page looks at all mailboxes.
//!
//! Shape: `.tabmail/usage/<domain>.tab`, one file per domain, replaced as a whole by [`Admin::measure_domain`]:
//!
//! ```text
//! "" TAB unix seconds TAB bytes TAB messages       the domain, first
//! "account" TAB bytes TAB messages                 each user
//! ```
//!
//! The file may be deleted at any time. What cannot be read counts as nothing.

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::ByteSlice as _;

use super::{Admin, AdminError};
use crate::mailroot::accounts::is_plain_name;
use crate::mailroot::{Account, AccountKind};
use crate::tab::{Record, fields, lines};

/// Where the figures are, in the MailRoot.
const DIRECTORY: &str = ".tabmail/usage";

/// The first line has at most three numbers.
const FIRST_LINE_BYTES: u64 = 256;

/// How deep directories of a mailbox are looked into: `Maildir/.folder/cur`, and some more. Ours.
const DEPTH_MAX: usize = 6;

/// What a domain's accounts held together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DomainUsage {
    /// When it was measured.
    pub unix_secs: i64,
    /// Bytes of all messages.
    pub bytes: u64,
    /// Their number.
    pub messages: u64,
}

/// What an account held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct AccountUsage {
    /// Bytes of its messages, folders included.
    pub bytes: u64,
    /// Their number.
    pub messages: u64,
}

impl Admin {
    /// What a domain's accounts held when they were last measured; `None`: they never were.
    pub fn domain_usage(&self, domain: &str) -> Option<DomainUsage> {
        let mut bytes = Vec::new();
        let file = fs::File::open(self.usage_path(domain)?).ok()?;
        file.take(FIRST_LINE_BYTES).read_to_end(&mut bytes).ok()?;
        let row = fields(lines(&bytes).next()?.content());
        let number = |index: usize| row.get(index)?.value.to_str().ok()?.parse::<u64>().ok();
        let unix_secs = i64::try_from(number(1)?).ok()?;
        Some(DomainUsage { unix_secs, bytes: number(2)?, messages: number(3)? })
    }

    /// What some of its accounts held then, by name in lower case.
    pub fn account_usage(&self, domain: &str, names: &[&str]) -> HashMap<String, AccountUsage> {
        let mut wanted: HashMap<String, AccountUsage> = HashMap::new();
        let names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let bytes = self.usage_bytes(domain).unwrap_or_default();
        for line in lines(&bytes).skip(1) {
            let row = fields(line.content());
            let text = |index: usize| row.get(index).and_then(|field| field.value.to_str().ok());
            let Some(name) = text(0).map(str::to_ascii_lowercase) else { continue };
            if names.contains(&name) {
                let number = |index: usize| text(index).and_then(|text| text.parse().ok()).unwrap_or(0);
                wanted.insert(name, AccountUsage { bytes: number(1), messages: number(2) });
            }
        }
        wanted
    }

    /// Measures all accounts of a domain. This takes as long as the disk needs to list all their messages.
    ///
    /// # Errors
    /// `DomainNotHandled`, `Disk`: the figures cannot be written.
    pub fn measure_domain(&self, domain: &str) -> Result<(), AdminError> {
        let tables = self.snapshot();
        let domain = &*tables.domains.get(domain).ok_or(AdminError::DomainNotHandled)?.domain;
        let users = tables.users.rows().iter().filter(|account| {
            account.kind == AccountKind::User && account.domain.eq_ignore_ascii_case(domain)
        });
        let (mut sum, mut rows) = (AccountUsage::default(), Vec::new());
        for account in users {
            let usage = self.measure(account);
            sum.bytes += usage.bytes;
            sum.messages += usage.messages;
            rows.extend(row(&[&account.name, &usage.bytes.to_string(), &usage.messages.to_string()]));
        }
        let now = self.clock.unix_secs().to_string();
        let mut bytes = row(&["", &now, &sum.bytes.to_string(), &sum.messages.to_string()]);
        bytes.extend(rows);
        let path = self.usage_path(domain).ok_or(AdminError::BadPath)?;
        let failed = |source| AdminError::Disk { action: "write", path: path.clone(), source };
        self.disk.create_dir_all(&self.root().path().join(DIRECTORY)).map_err(failed)?;
        self.disk.replace(&path, &bytes).map_err(failed)
    }

    fn measure(&self, account: &Arc<Account>) -> AccountUsage {
        let mut usage = AccountUsage::default();
        add(&self.mailboxes.directory(account), DEPTH_MAX, &mut usage);
        usage
    }

    fn usage_path(&self, domain: &str) -> Option<PathBuf> {
        let name = format!("{}.tab", domain.to_ascii_lowercase());
        is_plain_name(&name).then(|| self.root().path().join(DIRECTORY).join(name))
    }

    fn usage_bytes(&self, domain: &str) -> Option<Vec<u8>> {
        fs::read(self.usage_path(domain)?).ok()
    }
}

fn row(values: &[&str]) -> Vec<u8> {
    // Names of accounts hold nothing that a table cannot.
    let record = Record::quoted(values).map(|record| [record.as_bytes(), b"\n"].concat());
    record.unwrap_or_default()
}

/// Plain files below a directory whose names do not begin with a dot.
fn add(directory: &Path, depth: usize, usage: &mut AccountUsage) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth > 0 {
            add(&entry.path(), depth - 1, usage);
        } else if kind.is_file() && !entry.file_name().as_encoded_bytes().starts_with(b".") {
            // Our own tables stand in a folder's directory, messages never do end so.
            let is_message = !matches!(
                entry.file_name().to_str(),
                Some("imapcache" | "imapkeywords.tab" | "maildirfolder")
            );
            if is_message && let Ok(metadata) = entry.metadata() {
                usage.bytes += metadata.len();
                usage.messages += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::durable::Disk;
    use crate::mailbox::{Kind, Mailboxes};
    use crate::mailroot::{MailRoot, Tables};

    /// JD-40: figures are as old as they say.
    #[test]
    fn usage_is_what_was_measured_and_when() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path();
        fs::write(top.join("domains.tab"), "\"a.test\"\n").unwrap();
        let rows =
            "\"a.test\"\t\"Anna\"\t\"\"\t1\t\"anna\"\t\"U\"\n\"a.test\"\t\"l\"\t\"\"\t2\t\"l\"\t\"M\"\n";
        fs::write(top.join("mailusers.tab"), rows).unwrap();
        for file in ["new/1", "cur/2:2,S", ".Sent/cur/3", ".Sent/imapcache", "cur/.hidden"] {
            let path = top.join("domains/a.test/anna/Maildir").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "12345").unwrap();
        }
        let root = MailRoot::new(top);
        let boxes = Mailboxes::new(root.clone(), Kind::Maildir, Disk::default());
        let clock = Clock::manual("2026-11-23T10:00:00Z".parse().unwrap());
        let admin = Admin::new(Tables::open(&root), boxes, None, clock.clone(), Disk::default());
        assert_eq!(admin.domain_usage("a.test"), None);
        admin.measure_domain("A.test").unwrap();
        let expected = DomainUsage { unix_secs: clock.unix_secs(), bytes: 15, messages: 3 };
        assert_eq!(admin.domain_usage("a.test"), Some(expected));
        fs::write(top.join("domains/a.test/anna/Maildir/new/4"), "x").unwrap();
        assert_eq!(admin.domain_usage("a.test"), Some(expected), "as old as it says");
        let of_users = admin.account_usage("a.test", &["ANNA", "nobody"]);
        assert_eq!(of_users.len(), 1);
        assert_eq!(of_users["anna"], AccountUsage { bytes: 15, messages: 3 });
    }
}
