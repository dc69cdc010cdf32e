//! What `server.tab` and the files of defaults name: domains and addresses that should be ours.

use std::path::Path;

use super::code::Fact;
use super::finding::{Finding, Findings};
use super::site::Site;
use crate::mailroot::UserTab;
use crate::mailroot::schema::{Text, server};

const FILE: &str = "server.tab";

pub(super) fn check(site: &Site<'_>, findings: &mut Findings) {
    site.load::<UserTab>(Path::new("userdef.tab"), findings);
    let table = &site.tables.server;
    if !table.exists() || table.is_unreadable() {
        return;
    }
    for required in [&server::ROOT_DOMAIN, &server::POST_MASTER] {
        if table.text(required).is_none() {
            findings.add(Finding::of_file(FILE, Fact::RequiredVariable { name: required.name }));
        }
    }
    if !site.knows_its_accounts() {
        return;
    }
    for variable in [&server::ROOT_DOMAIN, &server::POP3_DOMAIN] {
        if let Some(domain) = table.text(variable)
            && !site.tables.handles(domain)
        {
            let fact = Fact::NotOurDomain { variable: variable.name, domain: domain.to_owned() };
            add(site, variable, fact, findings);
        }
    }
    for variable in [
        &server::POST_MASTER,
        &server::ERRORS_ADMIN,
        &server::TEMP_ERRORS_ADMIN,
        &server::POP3_SYNC_ERROR_ACCOUNT,
    ] {
        if let Some(address) = table.text(variable)
            && site.receives(address) == Some(false)
        {
            let fact = Fact::AddressGone { variable: variable.name, address: address.to_owned() };
            add(site, variable, fact, findings);
        }
    }
}

fn add(site: &Site<'_>, variable: &Text, fact: Fact, findings: &mut Findings) {
    let line = site.tables.server.variable(variable.name).map_or(0, |found| found.line);
    findings.add(Finding::of_field(FILE, line, 1, fact));
}
