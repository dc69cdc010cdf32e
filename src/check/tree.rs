//! `domains/`: directories without rows, rows without directories, and the files of every account.
//!
//! Domains are looked at by a few threads side by side: a MailRoot of 100,000 accounts has some 300,000 directories,
//! and each costs a wait for the disk. The findings come in the order of the domains all the same.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::access;
use super::code::Fact;
use super::commands::{self, Owner};
use super::finding::{Finding, Findings, Fix};
use super::names::misspelt;
use super::site::{Entry, File, Site, entries};
use super::{OnProgress, Progress};
use crate::mailroot::access::IpMap;
use crate::mailroot::accounts::is_plain_name;
use crate::mailroot::address_book::{ADDRESSBOOK_TAB, AddressBook};
use crate::mailroot::folders::{ImapFlags, ImapFolders, ImapKeywords, ImapMetadata};
use crate::mailroot::lists::ListMembers;
use crate::mailroot::routing::SmtpFwd;
use crate::mailroot::rules::{RULES_TAB, Rules};
use crate::mailroot::{Account, AccountKind, MailRoot, UserTab};
use crate::tab::wildcard;

/// Threads that look at domains. Ours: enough to keep a disk busy.
const READERS: usize = 8;

/// How many domains one thread takes at a time. Ours.
const DOMAINS_AT_ONCE: usize = 8;

/// Progress is told after so many accounts.
const TOLD_EVERY: usize = 500;

/// The tables of a domain's directory, and those of an account's.
const OF_DOMAIN: &[&str] = &["userdef.tab", "mailproc.tab", "smtpfwd.tab", ADDRESSBOOK_TAB, RULES_TAB];
const OF_ACCOUNT: &[&str] = &[
    "user.tab",
    "mlusers.tab",
    "mailproc.tab",
    "smtpfwd.tab",
    "pop3.ipmap.tab",
    "imap.ipmap.tab",
    "imapfolders.tab",
    "imapflags.tab",
    "imapmetadata.tab",
];

/// The tables of an IMAP folder's directory.
const OF_FOLDER: &[&str] = &["imapkeywords.tab"];

/// The accounts of the domains, by the name of the domain's directory.
type ByDomain = BTreeMap<String, Vec<Arc<Account>>>;

pub(super) fn check(site: &Site<'_>, progress: OnProgress<'_>, findings: &mut Findings) {
    let mut by_domain: ByDomain = BTreeMap::new();
    let domains = site.tables.domains.rows().iter();
    // A pattern in domains.tab means nothing, and has no directory.
    for row in
        domains.filter(|row| is_plain_name(&row.domain) && !wildcard::is_pattern(row.domain.as_bytes()))
    {
        by_domain.entry(row.domain.to_ascii_lowercase()).or_default();
    }
    for account in site.tables.users.rows() {
        by_domain.entry(account.domain.to_ascii_lowercase()).or_default().push(Arc::clone(account));
    }
    top(site, &by_domain, findings);
    let total = site.tables.users.rows().len();
    let domains: Vec<_> = by_domain.into_iter().collect();
    let chunks: Vec<_> = domains.chunks(DOMAINS_AT_ONCE).collect();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let empty = &*findings;
    let worker = || {
        let mut found = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(chunk) = chunks.get(index) else { return found };
            let mut of_chunk = empty.sibling();
            for (domain, accounts) in *chunk {
                check_domain(site, domain, accounts, &mut of_chunk, &mut || {
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    if done.is_multiple_of(TOLD_EVERY) {
                        progress(Progress { stage: "accounts", done, total });
                    }
                });
            }
            found.push((index, of_chunk));
        }
    };
    let mut parts: Vec<(usize, Findings)> = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS.min(chunks.len())).map(|_| scope.spawn(worker)).collect();
        readers
            .into_iter()
            .flat_map(|reader| reader.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    parts.sort_unstable_by_key(|(index, _)| *index);
    parts.into_iter().for_each(|(_, part)| findings.append(part));
}

/// The directories in `domains/` that belong to no domain.
fn top(site: &Site<'_>, by_domain: &ByDomain, findings: &mut Findings) {
    if !site.knows_its_accounts() {
        return;
    }
    for entry in entries(&site.path("domains")) {
        let directory = Path::new("domains").join(&entry.name);
        let lower = entry.name.to_ascii_lowercase();
        if entry.is_broken_link {
            findings.add(Finding::of_file(directory, Fact::LinkLoop {}));
        } else if entry.is_directory && by_domain.contains_key(&lower) && lower != entry.name {
            findings.add(Finding::of_file(directory, Fact::UpperCaseName { lower }));
        } else if entry.is_directory && !entry.name.starts_with('.') && !by_domain.contains_key(&lower) {
            findings.add(Finding::of_file(directory, Fact::DomainRowMissing {}));
        }
    }
}

fn check_domain(
    site: &Site<'_>,
    domain: &str,
    accounts: &[Arc<Account>],
    findings: &mut Findings,
    told: &mut dyn FnMut(),
) {
    let directory = Path::new("domains").join(domain);
    let Ok(data) = fs::metadata(site.path(&directory)) else {
        // A broken link is reported once, for the link.
        if fs::symlink_metadata(site.path(&directory)).is_err() {
            missing_domain(site, domain, &directory, accounts, findings);
        }
        return;
    };
    site.check_owner(&directory, data.uid(), findings);
    let entries = entries(&site.path(&directory));
    for entry in &entries {
        misspelt(&directory, entry, OF_DOMAIN, findings);
    }
    if has(&entries, ADDRESSBOOK_TAB) {
        site.load::<AddressBook>(&directory.join(ADDRESSBOOK_TAB), findings);
    }
    if has(&entries, RULES_TAB) {
        site.load::<Rules>(&directory.join(RULES_TAB), findings);
    }
    if has(&entries, "userdef.tab") {
        site.load::<UserTab>(&directory.join("userdef.tab"), findings);
    }
    if has(&entries, "mailproc.tab") {
        commands::load(site, &directory.join("mailproc.tab"), Owner::Domain, findings);
    }
    if has(&entries, "smtpfwd.tab") {
        site.load::<SmtpFwd>(&directory.join("smtpfwd.tab"), findings);
    }
    let present: HashSet<&str> =
        entries.iter().filter(|entry| entry.is_directory).map(|entry| entry.name.as_str()).collect();
    let mut named: HashSet<&str> = HashSet::new();
    for account in accounts {
        told();
        named.insert(&account.directory);
        if present.contains(&*account.directory) {
            check_account(site, account, findings);
        } else if !entries.iter().any(|entry| entry.is_broken_link && entry.name == *account.directory) {
            missing_account(account, findings);
        }
    }
    for name in present.iter().filter(|name| !name.starts_with('.') && !named.contains(*name)) {
        if site.knows_its_accounts() {
            findings.add(Finding::of_file(directory.join(name), Fact::AccountRowMissing {}));
        }
    }
}

fn has(entries: &[Entry], name: &str) -> bool {
    entries.binary_search_by(|entry| entry.name.as_str().cmp(name)).is_ok()
}

fn missing_domain(
    site: &Site<'_>,
    domain: &str,
    directory: &Path,
    accounts: &[Arc<Account>],
    findings: &mut Findings,
) {
    if let Some(row) = site.tables.domains.get(domain) {
        let fact = Fact::DomainDirectoryMissing { domain: domain.to_owned() };
        let fix = Fix::MakeDirectories(vec![directory.to_owned()]);
        findings.add(Finding::of_field("domains.tab", row.line, 0, fact).with_fix(fix));
    }
    accounts.iter().for_each(|account| missing_account(account, findings));
}

fn missing_account(account: &Account, findings: &mut Findings) {
    let directory = MailRoot::account_directory(account);
    let fact = Fact::AccountDirectoryMissing { directory: directory.display().to_string() };
    let finding = Finding::of_field("mailusers.tab", account.line, 4, fact);
    let fix = match account.kind {
        AccountKind::User => Some(Fix::MakeDirectories(maildir(&directory))),
        AccountKind::List | AccountKind::Other => None,
    };
    findings.add(Finding { fix, ..finding });
}

fn maildir(directory: &Path) -> Vec<PathBuf> {
    ["tmp", "new", "cur"].map(|name| directory.join("Maildir").join(name)).into()
}

fn check_account(site: &Site<'_>, account: &Account, findings: &mut Findings) {
    let directory = MailRoot::account_directory(account);
    let entries = entries(&site.path(&directory));
    for entry in &entries {
        misspelt(&directory, entry, OF_ACCOUNT, findings);
    }
    if has(&entries, "user.tab") {
        site.load::<UserTab>(&directory.join("user.tab"), findings);
    }
    for name in ["pop3.ipmap.tab", "imap.ipmap.tab"].into_iter().filter(|name| has(&entries, name)) {
        let file = directory.join(name);
        if let File::Table(map) = site.load::<IpMap>(&file, findings) {
            access::ip_map(&file.display().to_string(), &map, findings);
        }
    }
    if has(&entries, "smtpfwd.tab") {
        site.load::<SmtpFwd>(&directory.join("smtpfwd.tab"), findings);
    }
    if has(&entries, "imapfolders.tab") {
        site.load::<ImapFolders>(&directory.join("imapfolders.tab"), findings);
    }
    if has(&entries, "imapflags.tab") {
        site.load::<ImapFlags>(&directory.join("imapflags.tab"), findings);
    }
    if has(&entries, "imapmetadata.tab") {
        site.load::<ImapMetadata>(&directory.join("imapmetadata.tab"), findings);
    }
    if has(&entries, "mailproc.tab") {
        let address = account.address();
        commands::load(site, &directory.join("mailproc.tab"), Owner::Address(&address), findings);
    }
    match account.kind {
        AccountKind::User => mailbox(site, &directory, &entries, findings),
        AccountKind::List | AccountKind::Other => members(site, account, &directory, &entries, findings),
    }
}

fn mailbox(site: &Site<'_>, directory: &Path, entries: &[Entry], findings: &mut Findings) {
    let is_maildir = has(entries, "Maildir");
    // Without that table nobody has made folders by IMAP, and one directory less is read.
    if has(entries, "imapfolders.tab") {
        folders(site, &directory.join(if is_maildir { "Maildir" } else { "mailbox" }), findings);
    }
    match (is_maildir, has(entries, "mailbox")) {
        (false, false) => {
            let fix = Fix::MakeDirectories(maildir(directory));
            findings.add(Finding::of_file(directory, Fact::NoMailbox {}).with_fix(fix));
        }
        (true, true) => {
            let inside = super::site::entries(&site.path(directory.join("mailbox")));
            let waiting =
                inside.iter().filter(|entry| !entry.is_directory && !entry.name.starts_with('.')).count();
            if waiting > 0 {
                findings.add(Finding::of_file(directory, Fact::TwoMailboxes { waiting }));
            }
        }
        _ => {}
    }
}

/// The tables of IMAP folders.
fn folders(site: &Site<'_>, mailbox: &Path, findings: &mut Findings) {
    let inside = entries(&site.path(mailbox));
    for folder in inside.iter().filter(|entry| entry.is_directory && entry.name.starts_with('.')) {
        let directory = mailbox.join(&folder.name);
        let of_folder = entries(&site.path(&directory));
        for entry in &of_folder {
            misspelt(&directory, entry, OF_FOLDER, findings);
        }
        if has(&of_folder, "imapkeywords.tab") {
            site.load::<ImapKeywords>(&directory.join("imapkeywords.tab"), findings);
        }
    }
}

fn members(site: &Site<'_>, account: &Account, directory: &Path, entries: &[Entry], findings: &mut Findings) {
    let file = directory.join("mlusers.tab");
    if !has(entries, "mlusers.tab") {
        let fact = Fact::ListWithoutMembers {};
        return findings.add(Finding::of_field("mailusers.tab", account.line, 5, fact));
    }
    let File::Table(list) = site.load::<ListMembers>(&file, findings) else { return };
    let mut lines: std::collections::HashMap<String, u32> = std::collections::HashMap::new();
    for member in list.rows() {
        let first = *lines.entry(member.address.to_ascii_lowercase()).or_insert(member.line);
        if first != member.line {
            findings.add(Finding::of_field(&file, member.line, 0, Fact::DuplicateMember { first }));
        } else if site.knows_its_accounts() && site.receives(&member.address) == Some(false) {
            let fact = Fact::MemberGone { address: member.address.to_string() };
            findings.add(Finding::of_field(&file, member.line, 0, fact));
        }
    }
}
