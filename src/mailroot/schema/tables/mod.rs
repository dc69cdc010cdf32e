//! The descriptions of all tables, one file for each chapter of `mailroot.md`.

pub mod access;
pub mod accounts;
pub mod authentication;
pub mod folders;
pub mod processing;
pub mod routing;
pub mod variables;

use std::path::Path;

use super::table::{Column, Example, RowKey, TableSchema};
use super::variable::Origin;
use crate::mailroot::Problem;
use crate::mailroot::table::{RowSpec, Table};

/// A description to begin with.
const BLANK: TableSchema = TableSchema {
    name: "",
    files: &[],
    summary: "",
    rows: RowSpec::at_least(1, 510),
    columns: &[],
    variables: &[],
    commands: &[],
    key: None,
    lookup: "",
    missing: "",
    written_by: "",
    notes: &[],
    load: |_, _| Vec::new(),
    examples: &[],
    origin: Origin::XMail,
    section: "",
};

fn problems_of<T: Table>(file: &Path, content: &[u8]) -> Vec<Problem> {
    T::load(file, content).1
}

/// Rows named by their first columns, in any case.
const fn key(columns: usize) -> Option<RowKey> {
    Some(RowKey { columns, folds_case: true })
}

const fn row(columns: &'static [&'static str], doc: &'static str) -> Example {
    Example { columns, doc }
}

/// All tables, in the order of the documentation.
pub static TABLES: &[&TableSchema] = &[
    &variables::SERVER,
    &accounts::DOMAINS,
    &accounts::ALIASDOMAIN,
    &accounts::MAILUSERS,
    &accounts::ALIASES,
    &accounts::EXTALIASES,
    &variables::USER,
    &variables::USERDEF,
    &folders::IMAPFOLDERS,
    &folders::IMAPFLAGS,
    &folders::IMAPKEYWORDS,
    &folders::IMAPMETADATA,
    &accounts::MLUSERS,
    &accounts::ADDRESSBOOK,
    &accounts::MEMBERS,
    &routing::SMTPGW,
    &routing::SMTPFWD,
    &routing::DNSROOTS,
    &routing::POP3LINKS,
    &access::IPMAP,
    &access::SMTPRELAY,
    &access::SPAMMERS,
    &access::SPAM_ADDRESS,
    &access::IPPROP,
    &access::HNPROP,
    &authentication::SMTPAUTH,
    &authentication::SMTPEXTAUTH,
    &authentication::CTRLACCOUNTS,
    &authentication::WEBADMIN,
    &authentication::USERAUTH_POP3,
    &authentication::USERAUTH_SMTP,
    &processing::MAILPROC,
    &processing::CMDALIASES,
    &processing::CUSTDOMAINS,
    &processing::FILTERS,
    &processing::RULES,
    &processing::FILTER_FILES,
];
