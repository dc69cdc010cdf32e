//! Who may read what: the MailRoot itself, files with passwords and keys, owners.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::code::Fact;
use super::finding::{Finding, Findings, Fix};
use super::site::{Site, entries};
use crate::durable::{DIR_MODE, FILE_MODE};

/// Root files with passwords or keys in them.
const SECRETS: [&str; 5] =
    ["mailusers.tab", "ctrlaccounts.tab", "smtpauth.tab", "pop3links.tab", "server.key"];

pub(super) fn check(site: &Site<'_>, findings: &mut Findings) {
    let Ok(root) = fs::metadata(site.path("")) else { return };
    let root_mode = root.permissions().mode() & 0o777;
    if root_mode & 0o066 != 0 {
        let fact = Fact::OpenRoot { mode: format!("{root_mode:04o}") };
        findings.add(Finding::of_file("", fact).with_fix(Fix::Mode(DIR_MODE)));
    }
    let is_open = root_mode & 0o011 != 0;
    for entry in entries(&site.path("")) {
        let file = Path::new(&entry.name);
        let Ok(data) = fs::metadata(site.path(file)) else { continue };
        site.check_owner(file, data.uid(), findings);
        if entry.is_directory || !entry.name.ends_with(".tab") {
            continue;
        }
        let mode = data.permissions().mode() & 0o777;
        if mode & FILE_MODE != FILE_MODE {
            let fact = Fact::NotForItsOwner { mode: format!("{mode:04o}") };
            findings.add(Finding::of_file(file, fact).with_fix(Fix::Mode(mode | FILE_MODE)));
        }
    }
    for file in secrets(site).filter(|_| is_open) {
        let Ok(data) = fs::metadata(site.path(&file)) else { continue };
        let mode = data.permissions().mode() & 0o777;
        if mode & 0o044 != 0 {
            let fact = Fact::ReadableSecret { mode: format!("{mode:04o}") };
            findings.add(Finding::of_file(file, fact).with_fix(Fix::Mode(FILE_MODE)));
        }
    }
}

fn secrets(site: &Site<'_>) -> impl Iterator<Item = PathBuf> {
    let client = Path::new("userauth/smtp");
    let of_client = entries(&site.path(client)).into_iter().map(move |entry| client.join(entry.name));
    SECRETS.iter().map(PathBuf::from).chain(of_client)
}
