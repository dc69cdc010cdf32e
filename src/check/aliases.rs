//! `aliasdomain.tab`, `aliases.tab`, `extaliases.tab`: where they lead, and which rows never count.

use std::collections::BTreeMap;

use super::access;
use super::code::{Fact, MoreDomains};
use super::finding::{Finding, Findings};
use super::pattern;
use super::site::Site;
use crate::mailroot::accounts::{AliasRow, DomainRow};
use crate::tab::wildcard;

const ALIASES: &str = "aliases.tab";
const ALIAS_DOMAINS: &str = "aliasdomain.tab";

pub(super) fn check(site: &Site<'_>, findings: &mut Findings) {
    if !site.knows_its_accounts() {
        return;
    }
    alias_domains(site, findings);
    for row in site.tables.aliases.rows() {
        target(site, row, findings);
        place(site, row, findings);
    }
    alias_patterns(site, findings);
    for row in site.tables.ext_aliases.rows() {
        if site.tables.resolve(&row.domain, &row.name).is_none() {
            let address = format!("{}@{}", row.name, row.domain);
            findings.add(Finding::of_field(
                "extaliases.tab",
                row.line,
                3,
                Fact::ExtAliasToNobody { address },
            ));
        }
    }
}

fn alias_domains(site: &Site<'_>, findings: &mut Findings) {
    let tables = site.tables;
    for row in tables.alias_domains.rows() {
        if tables.domains.get(&row.domain).is_none() {
            let domain = row.domain.to_string();
            let fact = match tables.alias_domains.get(&row.domain) {
                Some(other) if other.line != row.line => {
                    Fact::AliasDomainToAlias { domain, line: other.line }
                }
                _ => Fact::AliasDomainTargetMissing { domain },
            };
            findings.add(Finding::of_field(ALIAS_DOMAINS, row.line, 1, fact));
        }
        // Its own name in both columns keeps a domain out of patterns.
        let is_itself = row.alias.eq_ignore_ascii_case(&row.domain);
        if let Some(own) = tables.domains.get(&row.alias).filter(|_| !is_itself) {
            let fact = Fact::AliasDomainIsDomain { domain: row.alias.to_string(), line: own.line };
            findings.add(Finding::of_field(ALIAS_DOMAINS, row.line, 0, fact));
        }
    }
    let patterns: Vec<_> = tables
        .alias_domains
        .rows()
        .iter()
        .filter(|row| wildcard::is_pattern(row.alias.as_bytes()))
        .map(|row| (row.line, row.alias.as_bytes()))
        .collect();
    access::shadowed_patterns(ALIAS_DOMAINS, &patterns, findings);
    caught_domains(site, findings);
}

/// Domains of their own that a pattern renames: an alias domain is resolved before the command aliases are looked for,
/// whether the domain is handled itself or not (`mailflow.md` 3.6); accounts and aliases of the domain as asked for go
/// first. An exact row stands before all patterns.
fn caught_domains(site: &Site<'_>, findings: &mut Findings) {
    let tables = site.tables;
    let mut caught: BTreeMap<u32, Vec<&DomainRow>> = BTreeMap::new();
    for own in tables.domains.rows() {
        if let Some(row) = tables.alias_domains.get(&own.domain)
            && wildcard::is_pattern(row.alias.as_bytes())
            && !row.domain.eq_ignore_ascii_case(&own.domain)
        {
            caught.entry(row.line).or_default().push(own);
        }
    }
    for (line, domains) in caught {
        let Some((first, others)) = domains.split_first() else { continue };
        let more = MoreDomains(others.len());
        let fact =
            Fact::AliasPatternCatchesDomain { domain: first.domain.to_string(), line: first.line, more };
        findings.add(Finding::of_field(ALIAS_DOMAINS, line, 0, fact));
    }
}

/// Whether the third column leads to an account (`mailroot.md` 7.4, decision 26).
fn target(site: &Site<'_>, row: &AliasRow, findings: &mut Findings) {
    let tables = site.tables;
    let (name, domain) = match row.target.split_once('@') {
        Some((name, domain)) => (name, domain),
        // A bare name is looked for in the domain that was asked for: with a pattern any domain will do.
        None if wildcard::is_pattern(row.domain.as_bytes()) => return bare_target(site, row, findings),
        // Such a row is never looked at, which is reported for its first column.
        None if !tables.handles(&row.domain) => return,
        None => (&*row.target, &*row.domain),
    };
    if tables.users.get(domain, name).is_some() {
        return;
    }
    let target = format!("{name}@{domain}");
    let fact = match tables.aliases.get(domain, name) {
        _ if !tables.handles(domain) => Fact::AliasToOutside { target },
        Some(other) if other.line != row.line => Fact::AliasToAlias { target, line: other.line },
        _ => Fact::AliasTargetMissing { target },
    };
    findings.add(Finding::of_field(ALIASES, row.line, 2, fact));
}

fn bare_target(site: &Site<'_>, row: &AliasRow, findings: &mut Findings) {
    let matches = |domain: &str| wildcard::matches(row.domain.as_bytes(), domain.as_bytes());
    let leads_somewhere = site.tables.domains.rows().iter().any(|domain| {
        matches(&domain.domain) && site.tables.users.get(&domain.domain, &row.target).is_some()
    });
    if !leads_somewhere {
        let target = format!("{} in any domain {}", row.target, row.domain);
        findings.add(Finding::of_field(ALIASES, row.line, 2, Fact::AliasTargetMissing { target }));
    }
}

/// Whether the row is ever looked at.
fn place(site: &Site<'_>, row: &AliasRow, findings: &mut Findings) {
    let tables = site.tables;
    let is_pattern = |text: &str| wildcard::is_pattern(text.as_bytes());
    if !is_pattern(&row.domain) && !tables.handles(&row.domain) {
        let fact = Fact::AliasDomainMissing { domain: row.domain.to_string() };
        findings.add(Finding::of_field(ALIASES, row.line, 0, fact));
    } else if !is_pattern(&row.domain)
        && !is_pattern(&row.alias)
        && let Some(account) = tables.users.get(&row.domain, &row.alias)
    {
        let fact = Fact::AliasHiddenByAccount { address: account.address(), line: account.line };
        findings.add(Finding::of_field(ALIASES, row.line, 1, fact));
    }
}

/// The longest matching pattern wins, the first of equally long ones: a row is hidden by one that covers both columns
/// and is longer, or as long and earlier.
fn alias_patterns(site: &Site<'_>, findings: &mut Findings) {
    let is_pattern = |row: &&AliasRow| {
        wildcard::is_pattern(row.domain.as_bytes()) || wildcard::is_pattern(row.alias.as_bytes())
    };
    let rows: Vec<_> =
        site.tables.aliases.rows().iter().filter(is_pattern).take(access::COMPARED_ROWS_MAX).collect();
    let length = |row: &AliasRow| row.domain.len() + row.alias.len();
    for row in &rows {
        let hides = |by: &&&AliasRow| {
            let goes_first = length(by) > length(row) || (length(by) == length(row) && by.line < row.line);
            goes_first
                && pattern::covers(by.domain.as_bytes(), row.domain.as_bytes())
                && pattern::covers(by.alias.as_bytes(), row.alias.as_bytes())
        };
        if let Some(by) = rows.iter().find(hides) {
            let pattern = format!("{} {}", by.domain, by.alias);
            findings.add(Finding::of_field(ALIASES, row.line, 1, Fact::ShadowedRow { by: by.line, pattern }));
        }
    }
}
