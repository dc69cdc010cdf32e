//! Domains, patterns, ways elsewhere, log-ins and variables.

use std::collections::BTreeSet;

use super::addresses::{destination, way, with_rows};
use super::{Change, Side, Subject, secret};
use crate::address::{ForwardPath, Mailbox};
use crate::mailroot::{Citation, Snapshot};
use crate::policy::route::{Route, route, routed};
use crate::tab::wildcard;

pub(super) fn compare(old: &Snapshot, new: &Snapshot) -> Vec<Change> {
    let mut changes = Vec::new();
    each(old, new, domains, domain_side, Subject::Domain, &mut changes);
    each(old, new, alias_patterns, alias_pattern_side, Subject::AliasPattern, &mut changes);
    each(old, new, elsewhere, way_side, Subject::Way, &mut changes);
    each(old, new, way_patterns, way_pattern_side, Subject::Way, &mut changes);
    each(old, new, smtp_logins, smtp_login_side, Subject::SmtpLogin, &mut changes);
    each(old, new, ctrl_logins, ctrl_login_side, Subject::CtrlLogin, &mut changes);
    each(old, new, variables, variable_side, Subject::Variable, &mut changes);
    changes
}

/// Asks both sides about every name that either knows.
fn each(
    old: &Snapshot,
    new: &Snapshot,
    names: fn(&Snapshot) -> Vec<String>,
    side: fn(&Snapshot, &str) -> Side,
    subject: fn(String) -> Subject,
    changes: &mut Vec<Change>,
) {
    let all: BTreeSet<String> = names(old).into_iter().chain(names(new)).collect();
    for name in all {
        let (before, after) = (side(old, &name), side(new, &name));
        changes.extend(Change::between(subject(name), before, after));
    }
}

fn domains(snapshot: &Snapshot) -> Vec<String> {
    let own = snapshot.domains.rows().iter().map(|row| row.domain.to_ascii_lowercase());
    own.chain(snapshot.alias_domains.rows().iter().map(|row| row.alias.to_ascii_lowercase())).collect()
}

fn domain_side(snapshot: &Snapshot, domain: &str) -> Side {
    if wildcard::is_pattern(domain.as_bytes()) {
        let mut rows = snapshot.alias_domains.rows().iter();
        let row = rows.find(|row| row.alias.eq_ignore_ascii_case(domain));
        let fact = row.map(|row| format!("other names of {}", row.domain.to_ascii_lowercase()));
        let row = row.map(|row| Citation::new("aliasdomain.tab", row.line));
        return Side {
            facts: fact.into_iter().collect(),
            rows: row.into_iter().collect(),
            ..Side::default()
        };
    }
    with_rows(|trail| match snapshot.handles_noting(domain, trail) {
        true => vec![match snapshot.domains.get(domain) {
            Some(_) => "ours".to_owned(),
            None => format!("another name of {}", snapshot.real_domain(domain).to_ascii_lowercase()),
        }],
        false => Vec::new(),
    })
}

fn alias_patterns(snapshot: &Snapshot) -> Vec<String> {
    let patterns = snapshot.aliases.rows().iter().filter(|row| row.is_pattern());
    patterns.map(|row| format!("{}@{}", row.alias, row.domain).to_ascii_lowercase()).collect()
}

fn alias_pattern_side(snapshot: &Snapshot, pattern: &str) -> Side {
    let (alias, domain) = pattern.rsplit_once('@').unwrap_or((pattern, ""));
    let row = snapshot.aliases.row(domain, alias);
    let fact = row.map(|row| format!("aliases of {}", row.target.to_ascii_lowercase()));
    let row = row.map(|row| Citation::new("aliases.tab", row.line));
    Side { facts: fact.into_iter().collect(), rows: row.into_iter().collect(), ..Side::default() }
}

/// Domains that a table of ways names, and one that none does, for the defaults.
fn elsewhere(snapshot: &Snapshot) -> Vec<String> {
    let patterns = snapshot.smtp_fwd.rows().iter().map(|row| row.pattern.to_string());
    let patterns = patterns.chain(snapshot.smtp_gw.rows().iter().map(|row| row.pattern.to_string()));
    let domains = patterns.filter(|pattern| !wildcard::is_pattern(pattern.as_bytes()));
    let all = domains.chain(custom_domains(snapshot)).chain([EVERYWHERE_ELSE.to_owned()]);
    all.map(|domain| domain.to_ascii_lowercase()).collect()
}

/// Nobody's domain (RFC 2606 section 2).
const EVERYWHERE_ELSE: &str = "elsewhere.invalid";

/// `.b.c.tab` is for the domains below `b.c`, of which one is asked for.
fn custom_domains(snapshot: &Snapshot) -> Vec<String> {
    let top = snapshot.root().path().join(crate::mailroot::directory::CUSTDOMAINS);
    let files = std::fs::read_dir(top).into_iter().flatten().flatten();
    let names = files.filter_map(|entry| entry.file_name().into_string().ok());
    let stems = names.filter_map(|name| name.strip_suffix(".tab").map(str::to_owned));
    let domain = |stem: String| if stem.starts_with('.') { format!("any{stem}") } else { stem };
    stems.filter(|stem| !stem.is_empty()).map(domain).collect()
}

fn way_side(snapshot: &Snapshot, domain: &str) -> Side {
    let Ok(mailbox) = Mailbox::parse(format!("somebody@{domain}").as_bytes()) else { return Side::default() };
    with_rows(|trail| {
        if snapshot.custdomain(domain).is_some() || snapshot.handles(domain) {
            return destination(snapshot, &mailbox, trail);
        }
        let path: ForwardPath = routed(snapshot, &mailbox, trail);
        vec![way(&route(snapshot, &path, trail))]
    })
}

fn way_patterns(snapshot: &Snapshot) -> Vec<String> {
    let fwd = snapshot.smtp_fwd.rows().iter().map(|row| row.pattern.to_string());
    let patterns = fwd.chain(snapshot.smtp_gw.rows().iter().map(|row| row.pattern.to_string()));
    let patterns = patterns.filter(|pattern| wildcard::is_pattern(pattern.as_bytes()));
    patterns.map(|pattern| pattern.to_ascii_lowercase()).collect()
}

/// The first rows of exactly this pattern.
fn way_pattern_side(snapshot: &Snapshot, pattern: &str) -> Side {
    let is_meant = |text: &[u8]| text.eq_ignore_ascii_case(pattern.as_bytes());
    let mut side = Side::default();
    if let Some(row) = snapshot.smtp_gw.rows().iter().find(|row| is_meant(&row.pattern)) {
        side.facts.push(format!("through {}", row.route));
        side.rows.push(Citation::new("smtpgw.tab", row.line));
    }
    if let Some(row) = snapshot.smtp_fwd.rows().iter().find(|row| is_meant(&row.pattern)) {
        let list =
            crate::policy::route::HostList::of_gateways("FWD", "FWD", &row.gateways, row.gateways.clone());
        side.facts.push(way(&Route::Hosts(list)));
        side.rows.push(Citation::new("smtpfwd.tab", row.line));
    }
    side
}

fn smtp_logins(snapshot: &Snapshot) -> Vec<String> {
    snapshot.smtp_auth.rows().iter().map(|row| row.user.to_string()).collect()
}

/// All rows of a user count, by their passwords; of a changed password is told that it changed.
fn smtp_login_side(snapshot: &Snapshot, user: &str) -> Side {
    let mut side = Side::default();
    for row in snapshot.smtp_auth.find(user.as_bytes()) {
        side.facts.push(format!("permissions \"{}\"", row.perms));
        side.rows.push(Citation::new("smtpauth.tab", row.line));
    }
    side.secret = secret(snapshot.smtp_auth.find(user.as_bytes()).map(|row| row.password.as_slice()));
    side
}

fn ctrl_logins(snapshot: &Snapshot) -> Vec<String> {
    snapshot.ctrl_accounts.rows().iter().map(|row| row.user.to_string().to_ascii_lowercase()).collect()
}

fn ctrl_login_side(snapshot: &Snapshot, user: &str) -> Side {
    let Some(row) = snapshot.ctrl_accounts.get(user.as_bytes()) else { return Side::default() };
    let fact = if row.password.is_some() { "may administer" } else { "cannot log in" };
    let rows = vec![Citation::new("ctrlaccounts.tab", row.line)];
    Side { facts: vec![fact.to_owned()], rows, secret: secret(row.password.as_deref().map(Vec::as_slice)) }
}

fn variables(snapshot: &Snapshot) -> Vec<String> {
    snapshot.server.variables().map(|(name, _)| name.to_owned()).collect()
}

fn variable_side(snapshot: &Snapshot, name: &str) -> Side {
    let Some(row) = snapshot.server.variable(name) else { return Side::default() };
    let rows = vec![Citation::new("server.tab", row.line)];
    Side { facts: vec![format!("\"{}\"", row.value)], rows, ..Side::default() }
}
