//! `domains.tab` and `mailusers.tab`: what their rows say about each other.

use std::collections::HashMap;
use std::sync::Arc;

use super::code::Fact;
use super::finding::{Finding, Findings};
use super::site::Site;
use crate::mailroot::{Account, AccountKind, ProblemKind};
use crate::tab::wildcard;

/// The tables without which XMail does not start (`mailroot.md` 1).
const REQUIRED: [&str; 6] =
    ["server.tab", "domains.tab", "aliasdomain.tab", "mailusers.tab", "aliases.tab", "extaliases.tab"];

pub(super) fn check(site: &Site<'_>, findings: &mut Findings) {
    for name in crate::mailroot::snapshot::ROOT_TABLES {
        site.check_end(name, findings);
    }
    for name in REQUIRED {
        if std::fs::symlink_metadata(site.path(name)).is_err() {
            findings.add(Finding::of_file(name, Fact::Table(ProblemKind::Missing)));
        }
    }
    domains(site, findings);
    let mut seen = Seen::default();
    for account in site.tables.users.rows() {
        seen.check(account, findings);
        row(site, account, findings);
    }
}

fn domains(site: &Site<'_>, findings: &mut Findings) {
    for row in site.tables.domains.rows() {
        if wildcard::is_pattern(row.domain.as_bytes()) {
            findings.add(Finding::of_field("domains.tab", row.line, 0, Fact::PatternInExactTable {}));
        } else if site.knows_its_accounts()
            && site.receives(&format!("postmaster@{}", row.domain)) == Some(false)
        {
            let fact = Fact::NoPostmaster { domain: row.domain.to_string() };
            findings.add(Finding::of_field("domains.tab", row.line, 0, fact));
        }
    }
}

/// What must be there once only, and the line that has it.
#[derive(Default)]
struct Seen {
    ids: HashMap<u64, u32>,
    directories: HashMap<(String, Arc<str>), u32>,
}

impl Seen {
    fn check(&mut self, account: &Account, findings: &mut Findings) {
        let first = *self.ids.entry(account.id).or_insert(account.line);
        if first != account.line && account.id != 0 {
            let fact = Fact::DuplicateId { id: account.id, first };
            findings.add(Finding::of_field("mailusers.tab", account.line, 3, fact));
        }
        let key = (account.domain.to_ascii_lowercase(), account.directory.clone());
        let first = *self.directories.entry(key).or_insert(account.line);
        if first != account.line {
            let fact = Fact::SharedDirectory { first, directory: account.directory.to_string() };
            findings.add(Finding::of_field("mailusers.tab", account.line, 4, fact));
        }
    }
}

fn row(site: &Site<'_>, account: &Account, findings: &mut Findings) {
    let mut add = |field, fact| findings.add(Finding::of_field("mailusers.tab", account.line, field, fact));
    if account.id == 0 && !has_problem(site, account.line) {
        add(3, Fact::ZeroId {});
    }
    if account.password.is_empty() && account.kind == AccountKind::User {
        add(2, Fact::EmptyPassword {});
    }
    if site.knows_its_accounts() && site.tables.domains.get(&account.domain).is_none() {
        add(0, Fact::AccountDomainMissing { domain: account.domain.to_string() });
    }
}

/// Whether loading found something on this line; an id that is no number counts as 0.
fn has_problem(site: &Site<'_>, line: u32) -> bool {
    let is_number = |kind: &ProblemKind| matches!(kind, ProblemKind::NotANumber(_));
    site.tables.users.problems().iter().any(|problem| problem.line == line && is_number(&problem.kind))
}
