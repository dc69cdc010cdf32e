//! `smtpgw.tab`, `smtpfwd.tab`, `dnsroots`: rows that never decide.

use std::path::Path;

use super::access;
use super::code::Fact;
use super::finding::{Finding, Findings};
use super::site::Site;
use crate::mailroot::dnsroots::DnsRoots;

pub(super) fn check(site: &Site<'_>, findings: &mut Findings) {
    let tables = site.tables;
    let gateways: Vec<_> =
        tables.smtp_gw.rows().iter().map(|row| (row.line, row.pattern.as_slice())).collect();
    access::shadowed_patterns("smtpgw.tab", &gateways, findings);
    let forwards: Vec<_> =
        tables.smtp_fwd.rows().iter().map(|row| (row.line, row.pattern.as_slice())).collect();
    access::shadowed_patterns("smtpfwd.tab", &forwards, findings);
    for (line, pattern) in forwards {
        // A pattern may be meant for other domains as well.
        if let Ok(domain) = std::str::from_utf8(pattern)
            && tables.handles(domain)
        {
            let fact = Fact::ForwardOfLocalDomain { domain: domain.to_owned() };
            findings.add(Finding::of_field("smtpfwd.tab", line, 0, fact));
        }
    }
    site.load::<DnsRoots>(Path::new("dnsroots"), findings);
}
