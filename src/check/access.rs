//! Rows of the access tables that never decide, and networks that say something else than they seem to.

use super::code::Fact;
use super::finding::{Finding, Findings};
use super::pattern;
use super::site::Site;
use crate::mailroot::access::{AddressFilter, IpMap};
use crate::tab::wildcard;

/// How many rows are compared with each other. Ours: beyond, comparing all pairs would take minutes.
pub(super) const COMPARED_ROWS_MAX: usize = 3000;

pub(super) fn check(site: &Site<'_>, findings: &mut Findings) {
    let tables = site.tables;
    ip_map("smtp.ipmap.tab", &tables.smtp_ipmap, findings);
    ip_map("pop3.ipmap.tab", &tables.pop3_ipmap, findings);
    ip_map("imap.ipmap.tab", &tables.imap_ipmap, findings);
    ip_map("ctrl.ipmap.tab", &tables.ctrl_ipmap, findings);
    ip_map("finger.ipmap.tab", &tables.finger_ipmap, findings);
    relay(site, findings);
    let spammers: Vec<_> = tables.spammers.rows().iter().map(|row| (row.line, row.filter)).collect();
    first_match("spammers.tab", &spammers, findings);
    let properties: Vec<_> = tables.ip_properties.rows().iter().map(|row| (row.line, row.peers)).collect();
    first_match("smtp.ipprop.tab", &properties, findings);
    host_properties(site, findings);
    spam_addresses(site, findings);
}

/// The rows of an IP map: the highest precedence decides, the later row on a tie (decision 47).
pub(super) fn ip_map(file: &str, map: &IpMap, findings: &mut Findings) {
    let rows = map.rows();
    for row in rows {
        network(file, row.line, &row.filter, findings);
    }
    let deciding: Vec<_> = rows.iter().filter(|row| row.precedence >= 0).take(COMPARED_ROWS_MAX).collect();
    for row in &deciding {
        let wins = |other: &crate::mailroot::access::IpMapRow| {
            let later = other.precedence == row.precedence && other.line > row.line;
            (other.precedence > row.precedence || later) && other.filter.covers(&row.filter)
        };
        if let Some(by) = deciding.iter().find(|other| wins(other)) {
            let reason = if by.precedence > row.precedence {
                "with a higher precedence"
            } else {
                "with the same precedence, and comes later"
            };
            let fact = Fact::ShadowedNetwork { by: by.line, reason };
            findings.add(Finding::of_field(file, row.line, 0, fact));
        }
    }
}

fn relay(site: &Site<'_>, findings: &mut Findings) {
    let file = "smtprelay.tab";
    let rows = site.tables.smtp_relay.rows();
    for (index, row) in rows.iter().enumerate().take(COMPARED_ROWS_MAX) {
        network(file, row.line, &row.filter, findings);
        if row.filter.is_everything() {
            findings.add(Finding::of_field(file, row.line, 0, Fact::OpenRelay {}));
        }
        let others = rows.iter().enumerate().take(COMPARED_ROWS_MAX);
        let covers = |(other, by): &(usize, &crate::mailroot::access::SmtpRelayRow)| {
            // Of two equal networks the later adds nothing.
            *other != index
                && by.filter.covers(&row.filter)
                && (*other < index || !row.filter.covers(&by.filter))
        };
        if let Some((_, by)) = others.into_iter().find(covers) {
            findings.add(Finding::of_field(file, row.line, 0, Fact::RedundantNetwork { by: by.line }));
        }
    }
}

/// Tables where the first matching network decides.
fn first_match(file: &str, rows: &[(u32, AddressFilter)], findings: &mut Findings) {
    for (index, (line, filter)) in rows.iter().enumerate().take(COMPARED_ROWS_MAX) {
        network(file, *line, filter, findings);
        if let Some((by, _)) = rows[..index].iter().find(|(_, earlier)| earlier.covers(filter)) {
            let fact = Fact::ShadowedNetwork { by: *by, reason: "and comes first" };
            findings.add(Finding::of_field(file, *line, 0, fact));
        }
    }
}

/// What is odd about one network, wherever it stands.
pub(super) fn network(file: &str, line: u32, filter: &AddressFilter, findings: &mut Findings) {
    if !filter.is_contiguous() {
        findings.add(Finding::of_field(file, line, 1, Fact::OddMask {}));
    } else if let Some(canonical) = filter.canonical() {
        findings.add(Finding::of_field(file, line, 0, Fact::HostBitsSet { canonical }));
    }
}

fn host_properties(site: &Site<'_>, findings: &mut Findings) {
    let file = "smtp.hnprop.tab";
    let rows = site.tables.host_properties.rows();
    for (index, row) in rows.iter().enumerate().take(COMPARED_ROWS_MAX) {
        if wildcard::is_pattern(row.peers.text.as_bytes()) {
            findings.add(Finding::of_field(file, row.line, 0, Fact::PatternInExactTable {}));
        }
        if let Some(by) =
            rows[..index].iter().find(|earlier| covers_host(&earlier.peers.text, &row.peers.text))
        {
            let fact = Fact::ShadowedRow { by: by.line, pattern: by.peers.text.to_string() };
            findings.add(Finding::of_field(file, row.line, 0, fact));
        }
    }
}

/// `.a` means all names below `a`; `a` means itself.
fn covers_host(earlier: &str, later: &str) -> bool {
    let fold = |text: &str| text.trim_end_matches('.').to_ascii_lowercase();
    let (earlier, later) = (fold(earlier), fold(later));
    earlier == later || (earlier.starts_with('.') && later.ends_with(&earlier))
}

fn spam_addresses(site: &Site<'_>, findings: &mut Findings) {
    let rows = site.tables.spam_addresses.rows();
    let patterns: Vec<_> = rows.iter().map(|row| (row.line, row.pattern.as_slice())).collect();
    for (line, pattern) in &patterns {
        if !pattern.iter().any(|b| matches!(b, b'@' | b'*' | b'?' | b'[')) {
            findings.add(Finding::of_field("spam-address.tab", *line, 0, Fact::PatternWithoutAt {}));
        }
    }
    shadowed_patterns("spam-address.tab", &patterns, findings);
}

/// Tables where the first matching pattern decides.
pub(super) fn shadowed_patterns(file: &str, rows: &[(u32, &[u8])], findings: &mut Findings) {
    for (index, (line, later)) in rows.iter().enumerate().take(COMPARED_ROWS_MAX) {
        if let Some((by, earlier)) = rows[..index].iter().find(|(_, earlier)| pattern::covers(earlier, later))
        {
            let pattern = String::from_utf8_lossy(earlier).into_owned();
            findings.add(Finding::of_field(file, *line, 0, Fact::ShadowedRow { by: *by, pattern }));
        }
    }
}
