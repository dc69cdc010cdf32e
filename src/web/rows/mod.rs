//! Tables row by row: which file ([`place`]), its lines and remarks ([`lines`]), a row as a form ([`slots`],
//! [`controls`]), a row in words ([`words`]), and what the server makes of an address ([`ask`]).
//!
//! One code for all tables: what differs comes from `mailroot::schema`. The pages are in `pages::rows`.

pub(super) mod ask;
pub(super) mod controls;
pub(super) mod lines;
pub(super) mod place;
pub(super) mod slots;
pub(super) mod words;

use serde::Serialize;

use super::visit::Visit;

/// Tables that belong together: a topic of the navigation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    /// The key of its name.
    pub(super) topic: &'static str,
    /// The tables, with the keys of their names.
    pub(super) tables: &'static [(&'static str, &'static str)],
    /// The directories of tables that belong to it.
    pub(super) directories: &'static [&'static str],
}

/// All of them, in the order of the navigation.
pub(super) const FAMILIES: [Family; 7] = [
    Family {
        topic: "nav.access",
        tables: &[
            ("smtp.ipprop.tab", "family.allow_list"),
            ("smtp.ipmap.tab", "family.smtp_access"),
            ("pop3.ipmap.tab", "family.pop_access"),
            ("imap.ipmap.tab", "family.imap_access"),
            ("smtprelay.tab", "family.relay"),
            ("smtp.hnprop.tab", "family.host_names"),
            ("ctrl.ipmap.tab", "family.ctrl_access"),
            ("finger.ipmap.tab", "family.finger_access"),
        ],
        directories: &[],
    },
    Family {
        topic: "nav.spammers",
        tables: &[
            ("spammers.tab", "family.spammers"),
            ("spam-address.tab", "family.spam_addresses"),
            ("rules.tab", "family.rules"),
        ],
        directories: &[],
    },
    Family {
        topic: "nav.forwarding",
        tables: &[("smtpfwd.tab", "family.forwarding"), ("smtpgw.tab", "family.gateways")],
        directories: &["custdomains", "smtp-client"],
    },
    Family { topic: "nav.pulls", tables: &[("pop3links.tab", "family.links")], directories: &[] },
    Family {
        topic: "nav.aliases",
        tables: &[
            ("aliases.tab", "family.aliases"),
            ("aliasdomain.tab", "family.alias_domains"),
            ("extaliases.tab", "family.ext_aliases"),
        ],
        directories: &[],
    },
    Family {
        topic: "nav.smtpauth",
        tables: &[
            ("smtpauth.tab", "family.smtp_users"),
            ("smtpextauth.tab", "family.smtp_programs"),
            ("ctrlaccounts.tab", "family.ctrl_accounts"),
        ],
        directories: &["pop3-programs"],
    },
    Family {
        topic: "nav.filters",
        tables: &[
            ("filters.in.tab", "family.filters_in"),
            ("filters.out.tab", "family.filters_out"),
            ("filters.post-rcpt.tab", "family.filters_rcpt"),
            ("filters.pre-data.tab", "family.filters_before"),
            ("filters.post-data.tab", "family.filters_after"),
        ],
        directories: &["filters"],
    },
];

/// A page beside the one that is shown.
#[derive(Debug, Serialize)]
pub(super) struct Tab {
    pub(super) label: String,
    pub(super) href: String,
    pub(super) is_here: bool,
}

/// The family of the table, or of the directory, that the path names.
pub(super) fn family(visit: &Visit) -> Option<&'static Family> {
    let (table, directory) = (visit.param("table"), visit.param("directory"));
    let is_root = visit.param("domain").is_empty();
    FAMILIES.iter().filter(|_| is_root).find(|family| {
        family.topic == visit.topic
            || family.tables.iter().any(|(name, _)| *name == table)
            || family.directories.contains(&directory)
    })
}

/// Below which topic of the navigation a page is.
pub(super) fn topic(visit: &Visit) -> &'static str {
    family(visit).map_or(visit.topic, |family| family.topic)
}

/// The pages of the family.
pub(super) fn tabs(visit: &Visit) -> Vec<Tab> {
    let Some(family) = family(visit) else { return Vec::new() };
    let tables = family.tables.iter().map(|(name, key)| Tab {
        label: visit.say(key, &[]),
        href: format!("/jdwa/tables/{name}"),
        is_here: *name == visit.param("table"),
    });
    let directories = place::DIRECTORIES.iter().filter(|one| family.directories.contains(&one.name));
    let directories = directories.map(|one| Tab {
        label: visit.say(one.key, &[]),
        href: format!("/jdwa/files/{}", one.name),
        is_here: one.name == visit.param("directory"),
    });
    tables.chain(directories).collect()
}
