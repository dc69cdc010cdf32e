//! Which file a page is about: found from the names in a path, none of which is used before it is looked up or checked.

use std::path::{Path, PathBuf};

use crate::mailroot::MailRoot;
use crate::mailroot::accounts::is_plain_name;
use crate::mailroot::rules::RULES_TAB;
use crate::mailroot::schema::TableSchema;
use crate::mailroot::schema::table::of_file;
use crate::mailroot::snapshot::ROOT_TABLES;
use crate::web::error::WebError;
use crate::web::pages::domains;
use crate::web::visit::{Visit, segment};

/// A table that pages show and change row by row.
#[derive(Clone, Debug)]
pub(in crate::web) struct Place {
    /// Relative to the MailRoot.
    pub(in crate::web) path: PathBuf,
    pub(in crate::web) table: &'static TableSchema,
    /// The path of its page.
    pub(in crate::web) link: String,
    /// Whose administrators may change it; `None`: it takes the role system.
    pub(in crate::web) domain: Option<String>,
    /// Of a table that all domains share: the domain in the first column, whose rows are the only ones that the page has.
    pub(in crate::web) rows_of: Option<String>,
    /// The page above it: what it is called, and its path.
    pub(in crate::web) above: (String, String),
}

/// Tables whose rows hang together with directories, or with pages of their own: here only as text.
pub(in crate::web) const TEXT_ONLY: [&str; 4] =
    ["server.tab", "domains.tab", "mailusers.tab", "webadmin.tab"];

/// The tables of an account that are edited by rows.
pub(in crate::web) const OF_ACCOUNT: [&str; 3] = ["mailproc.tab", "pop3.ipmap.tab", "imap.ipmap.tab"];

/// The tables of a domain that are edited by rows.
pub(in crate::web) const OF_DOMAIN: [&str; 3] = ["mailproc.tab", "addressbook.tab", RULES_TAB];

/// The table of all domains of which each has a page of its rows (JD-57).
pub(in crate::web) const SHARED: &str = "pop3links.tab";

/// A directory of tables: its name in paths of pages, where it is, and the key of its name.
#[derive(Clone, Copy, Debug)]
pub(in crate::web) struct Directory {
    pub(in crate::web) name: &'static str,
    pub(in crate::web) path: &'static str,
    pub(in crate::web) key: &'static str,
    /// The key of what it is for.
    pub(in crate::web) help: &'static str,
    /// The key of what a file in it is named after.
    pub(in crate::web) names: &'static str,
}

/// The directories of tables that the role system edits.
pub(in crate::web) const DIRECTORIES: [Directory; 4] = [
    Directory {
        name: "custdomains",
        path: "custdomains",
        key: "files.custdomains",
        help: "files.custdomains_help",
        names: "files.custdomains_names",
    },
    Directory {
        name: "smtp-client",
        path: "userauth/smtp",
        key: "files.smtp_client",
        help: "files.smtp_client_help",
        names: "files.smtp_client_names",
    },
    Directory {
        name: "pop3-programs",
        path: "userauth/pop3",
        key: "files.pop_programs",
        help: "files.pop_programs_help",
        names: "files.pop_programs_names",
    },
    Directory {
        name: "filters",
        path: "filters",
        key: "files.filters",
        help: "files.filters_help",
        names: "files.filters_names",
    },
];

/// The directory that the path names.
///
/// # Errors
/// `NotFound`.
pub(in crate::web) fn directory(visit: &Visit) -> Result<&'static Directory, WebError> {
    let name = visit.param("directory");
    DIRECTORIES.iter().find(|directory| directory.name == name).ok_or(WebError::NotFound)
}

impl Place {
    /// The table that the path names.
    ///
    /// # Errors
    /// `NotFound`.
    pub(in crate::web) fn of(visit: &Visit) -> Result<Self, WebError> {
        match (visit.param("domain"), visit.param("name"), visit.param("directory"), visit.param("file")) {
            ("", _, "", _) => Self::of_root(visit),
            ("", _, _, file) => Self::of_directory(visit, file),
            (_, "", _, "") => Self::of_domain(visit),
            (_, "", _, file) => Self::of_command_alias(visit, file),
            _ => Self::of_account(visit),
        }
    }

    fn of_root(visit: &Visit) -> Result<Self, WebError> {
        let wanted = visit.param("table");
        let name = ROOT_TABLES.iter().find(|name| **name == wanted).ok_or(WebError::NotFound)?;
        let above = (visit.say("nav.tables", &[]), "/jdwa/tables".to_owned());
        Self::at(PathBuf::from(name), format!("/jdwa/tables/{name}"), None, above)
    }

    fn of_directory(visit: &Visit, file: &str) -> Result<Self, WebError> {
        let directory = directory(visit)?;
        let list = format!("/jdwa/files/{}", directory.name);
        let path = Path::new(directory.path).join(file_name(file)?);
        Self::at(path, format!("{list}/{}", segment(file)), None, (visit.say(directory.key, &[]), list))
    }

    fn of_domain(visit: &Visit) -> Result<Self, WebError> {
        let domain = visit.domain()?;
        let wanted = visit.param("table");
        let base = domains::link(&domain);
        let above = (domain.clone(), format!("{base}/users"));
        if wanted == SHARED {
            let link = format!("{base}/rows/{SHARED}");
            let place = Self::at(PathBuf::from(SHARED), link, Some(domain.clone()), above)?;
            return Ok(Self { rows_of: Some(domain), ..place });
        }
        let name = OF_DOMAIN.iter().find(|name| **name == wanted).ok_or(WebError::NotFound)?;
        let path = MailRoot::domain_directory(plain(&domain)?).join(name);
        Self::at(path, format!("{base}/rows/{name}"), Some(domain), above)
    }

    fn of_command_alias(visit: &Visit, file: &str) -> Result<Self, WebError> {
        let domain = visit.domain()?;
        let directory = Path::new("cmdaliases").join(plain(&domain)?.to_ascii_lowercase());
        let list = format!("{}/commands", domains::link(&domain));
        let path = directory.join(file_name(file)?);
        let link = format!("{list}/{}", segment(file));
        Self::at(path, link, Some(domain), (visit.say("commands.title", &[]), list))
    }

    fn of_account(visit: &Visit) -> Result<Self, WebError> {
        let (domain, tables) = (visit.domain()?, visit.tables());
        let wanted = visit.param("table");
        let name = OF_ACCOUNT.iter().find(|name| **name == wanted).ok_or(WebError::NotFound)?;
        let account = tables.users.get(&domain, visit.param("name")).ok_or(WebError::NotFound)?;
        let path = MailRoot::account_directory(account).join(name);
        let page = format!("{}/users/{}", domains::link(&domain), segment(&account.name));
        let link = format!("{page}/rows/{name}");
        Self::at(path, link, Some(domain), (account.address(), page))
    }

    fn at(
        path: PathBuf,
        link: String,
        domain: Option<String>,
        above: (String, String),
    ) -> Result<Self, WebError> {
        let table = of_file(&path).ok_or(WebError::NotFound)?;
        Ok(Self { path, table, link, domain, rows_of: None, above })
    }

    /// Whether a row belongs to the page. Of a table that domains share no form of the first column but the domain itself
    /// does: the others reach beyond accounts.
    pub(in crate::web) fn holds(&self, values: &[String]) -> bool {
        let first = values.first().map_or("", String::as_str);
        self.rows_of.as_ref().is_none_or(|domain| domain.eq_ignore_ascii_case(first))
    }

    /// Whether rows are commands.
    pub(in crate::web) fn is_commands(&self) -> bool {
        !self.table.commands.is_empty()
    }

    /// Whether an empty file says something else than none, or nothing that is wanted: it goes with its last row.
    pub(in crate::web) fn goes_with_its_last_row(&self) -> bool {
        self.path.components().count() > 1
    }

    /// Whether the first row that fits decides, or rows are worked off in order, so that moving one means something.
    pub(in crate::web) fn has_order(&self) -> bool {
        const ORDERED: [&str; 14] = [
            "spammers.tab",
            "smtp.ipprop.tab",
            "smtp.hnprop.tab",
            "smtpgw.tab",
            "smtpfwd.tab",
            "smtpextauth.tab",
            "pop3links.tab",
            "filters",
            "filter files",
            "rules.tab",
            "mailproc.tab",
            "cmdaliases",
            "custdomains",
            "ipmap",
        ];
        // Between rows of one domain may be those of others, which would move with them.
        self.rows_of.is_none() && ORDERED.contains(&self.table.name)
    }

    /// Whether a comment may stand above a row: XMail takes one in `ctrlaccounts.tab` for an account.
    pub(in crate::web) fn has_remarks(&self) -> bool {
        self.table.name != "ctrlaccounts.tab"
    }
}

/// A domain that can be a directory; every domain of `domains.tab` should.
fn plain(domain: &str) -> Result<&str, WebError> {
    if is_plain_name(domain) { Ok(domain) } else { Err(WebError::NotFound) }
}

/// The name of a table in a directory of tables.
fn file_name(name: &str) -> Result<&str, WebError> {
    let is_good = is_plain_name(name)
        && name.ends_with(".tab")
        && !name.contains(['\\', ':'])
        && !name.contains("..")
        && !name.starts_with(".tabmail")
        && !name.chars().any(|c| c.is_control() || c.is_whitespace())
        && name.len() <= FILE_NAME_BYTES_MAX;
    if is_good { Ok(name) } else { Err(WebError::NotFound) }
}

/// The longest name, as for directories of accounts.
const FILE_NAME_BYTES_MAX: usize = 240;
