//! `pop3links.tab`: where fetched mail goes, and the files that disable links.

use std::collections::HashSet;
use std::path::Path;

use super::code::Fact;
use super::finding::{Finding, Findings};
use super::site::{Site, entries};
use crate::mailroot::links::LinkTarget;

const FILE: &str = "pop3links.tab";

/// The end of the names of files that disable a link (`mailroot.md` 14.2).
const DISABLED: &str = ".disabled";

pub(super) fn check(site: &Site<'_>, findings: &mut Findings) {
    if site.knows_its_accounts() {
        targets(site, findings);
    }
    let outside: HashSet<String> = names_disabling(site, |target| !target.is_local()).collect();
    for entry in entries(&site.path("pop3links")) {
        if entry.name.ends_with(DISABLED) && !outside.contains(&entry.name.to_ascii_lowercase()) {
            let file = Path::new("pop3links").join(entry.name);
            findings.add(Finding::of_file(file, Fact::DisabledLinkMissing {}));
        }
    }
}

fn targets(site: &Site<'_>, findings: &mut Findings) {
    for link in site.tables.pop3_links.rows() {
        match &link.target {
            LinkTarget::Account { domain } => {
                if site.tables.account(domain, &link.local_name).is_none() {
                    let address = format!("{}@{domain}", link.local_name);
                    findings.add(Finding::of_field(
                        FILE,
                        link.line,
                        1,
                        Fact::LinkToMissingAccount { address },
                    ));
                }
            }
            LinkTarget::Spool { domain } | LinkTarget::Replace { domain, .. } => {
                if !site.tables.handles(domain) {
                    let fact = Fact::LinkToMissingDomain { domain: domain.to_string() };
                    findings.add(Finding::of_field(FILE, link.line, 0, fact).within(domain));
                }
            }
            LinkTarget::Append { .. } => {}
        }
    }
}

fn names_disabling<'a>(
    site: &'a Site<'_>,
    wanted: impl Fn(&LinkTarget) -> bool + 'a,
) -> impl Iterator<Item = String> + 'a {
    let links = site.tables.pop3_links.rows().iter().filter(move |link| wanted(&link.target));
    links.map(|link| format!("{}@{}{DISABLED}", link.remote_user, link.remote_host).to_ascii_lowercase())
}
