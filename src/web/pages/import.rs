//! Accounts in bulk, one a line (`jdmail.md` JD-44): text, preview with faults by line, one change for all.

use axum::http::{StatusCode, header};
use axum::response::Response;
use bstr::BString;
use serde::Serialize;

use super::domains;
use crate::admin::import::{self, Import, ImportFault, ImportRow, Known};
use crate::admin::text_file::{NotText, decode};
use crate::admin::{AdminError, NewUser, NewUsers, PasswordList, RANDOM_PASSWORD_CHARS};
use crate::mailroot::schema::user as variables;
use crate::mailroot::{AccountKind, Snapshot};
use crate::web::audit::{self, Note};
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::templates::context;
use crate::web::upload::{TEXT_FILE_BYTES_MAX, TextFile};
use crate::web::visit::{Visit, answer};

/// Lines that one import takes. Ours: the confirmation holds them all in memory.
const LINES_MAX: usize = 20_000;

/// Lines that a preview shows of each kind. Ours.
const SHOWN_MAX: usize = 200;

/// The form.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    page(visit, StatusCode::OK, &visit.domain()?, &Sent::default(), None)
}

#[derive(Debug, Serialize)]
struct GoodLine {
    line: usize,
    account: String,
    name: String,
    phone: String,
    has_password: bool,
}

#[derive(Debug, Serialize)]
struct BadLine {
    line: usize,
    text: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Preview {
    good: Vec<GoodLine>,
    good_count: usize,
    bad: Vec<BadLine>,
    bad_count: usize,
    without_password: usize,
}

impl Preview {
    fn of(visit: &Visit, text: &str, import: &Import) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let good = import.rows.iter().take(SHOWN_MAX).map(|row| GoodLine {
            line: row.line,
            account: format!("{}@{}", row.name, row.domain),
            name: row.real_name.clone(),
            phone: row.phone.clone(),
            has_password: !row.password.is_empty(),
        });
        let bad = import.faults.iter().take(SHOWN_MAX).map(|faulty| BadLine {
            line: faulty.line,
            text: lines.get(faulty.line - 1).copied().unwrap_or_default().to_owned(),
            reason: reason(visit, &faulty.fault),
        });
        Self {
            good: good.collect(),
            good_count: import.rows.len(),
            bad: bad.collect(),
            bad_count: import.faults.len(),
            without_password: import.rows.iter().filter(|row| row.password.is_empty()).count(),
        }
    }
}

/// The text that a form holds, typed or as a file.
#[derive(Debug, Default, Serialize)]
struct Sent {
    text: String,
    /// How the file was written; empty: none was sent.
    encoding: &'static str,
    /// Why the file cannot be read; then it is not.
    problem: String,
}

impl Sent {
    /// A file goes before what was typed.
    fn of(visit: &Visit) -> Self {
        let typed = || Self { text: unmarked(visit.raw_field("text")), ..Self::default() };
        let bytes = match &visit.text_file {
            None => return typed(),
            Some(TextFile::TooLarge) => {
                return Self { problem: visit.say("import.file_too_large", &[]), ..typed() };
            }
            Some(TextFile::Bytes(bytes)) => bytes,
        };
        match decode(bytes) {
            Ok((text, encoding)) => {
                Self { text: unmarked(&text), encoding: encoding.name(), ..Self::default() }
            }
            Err(NotText) => Self { problem: visit.say("import.file_no_text", &[]), ..typed() },
        }
    }
}

/// Without the byte order mark that comes along when a file is pasted.
fn unmarked(text: &str) -> String {
    text.trim_start_matches('\u{feff}').to_owned()
}

fn reason(visit: &Visit, fault: &ImportFault) -> String {
    match fault {
        ImportFault::Quote => visit.say("import.quote", &[]),
        ImportFault::TooManyColumns { found } => {
            visit.say("import.columns", &[("found", &found.to_string())])
        }
        ImportFault::BadName { name } => visit.say("import.bad_name", &[("name", name)]),
        ImportFault::BadDomain { domain } => visit.say("import.bad_domain", &[("domain", domain)]),
        ImportFault::Exists => visit.say("error.user_exists", &[]),
        ImportFault::Alias => visit.say("error.alias_exists", &[]),
        ImportFault::Twice { first } => visit.say("import.twice", &[("line", &first.to_string())]),
        ImportFault::Password(fault) => visit.password_fault(*fault),
    }
}

fn page(
    visit: &Visit,
    status: StatusCode,
    domain: &str,
    sent: &Sent,
    preview: Option<Preview>,
) -> Result<Response, WebError> {
    let admin = &visit.app.services.admin;
    let context = context! {
        domain, sent, preview,
        limit => TEXT_FILE_BYTES_MAX,
        lists => admin.password_lists(&visit.administrator()?.name, domain),
        base => domains::link(domain),
        tab => "import",
        greets => visit.field("welcome") == "1",
        has_welcome => admin.has_welcome(domain),
        is_shared => admin.default_password().is_some(),
    };
    visit.page_with(status, "import.html", context)
}

/// The tables, and for whom.
struct Here<'a> {
    tables: &'a Snapshot,
    domain: &'a str,
    is_system: bool,
    password_chars_min: usize,
}

impl Known for Here<'_> {
    fn takes_domain(&self, domain: &str) -> bool {
        let is_allowed = self.is_system || domain.eq_ignore_ascii_case(self.domain);
        is_allowed && self.tables.domains.get(domain).is_some()
    }

    fn password_chars_min(&self) -> usize {
        self.password_chars_min
    }

    fn obstacle(&self, domain: &str, name: &str) -> Option<ImportFault> {
        if self.tables.users.get(domain, name).is_some() {
            return Some(ImportFault::Exists);
        }
        self.tables.aliases.row(domain, name).map(|_| ImportFault::Alias)
    }
}

/// Shows what the text would make, or makes the good lines of it.
pub(in crate::web) fn submit(visit: &Visit) -> Result<Response, WebError> {
    let (domain, tables) = (visit.domain()?, visit.tables());
    let sent = Sent::of(visit);
    if !sent.problem.is_empty() {
        let is_large = matches!(visit.text_file, Some(TextFile::TooLarge));
        let status = if is_large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::UNPROCESSABLE_ENTITY };
        return page(visit, status, &domain, &sent, None);
    }
    let here = Here {
        tables: &tables,
        domain: &domain,
        is_system: visit.is_system(),
        password_chars_min: visit.app.services.admin.password_chars_min(),
    };
    let import = import::read(&sent.text, &domain, &here);
    let is_small = import.rows.len() <= LINES_MAX;
    // What stands in a file was not seen yet.
    let is_asked = visit.field("act") == "import" && sent.encoding.is_empty();
    let is_sure = is_asked && (import.faults.is_empty() || visit.field("skip") == "1");
    if !is_sure || import.rows.is_empty() || !is_small {
        if !is_small {
            visit.flash("bad", visit.say("import.too_many", &[("max", &LINES_MAX.to_string())]));
        }
        let status = if is_asked { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let preview = Preview::of(visit, &sent.text, &import);
        return page(visit, status, &domain, &sent, Some(preview));
    }
    propose(visit, domain, import.rows)
}

fn propose(visit: &Visit, domain: String, rows: Vec<ImportRow>) -> Result<Response, WebError> {
    let mut list = PasswordList::new(&visit.administrator()?.name, &domain);
    let mut users = Vec::new();
    let is_within = rows.iter().all(|row| row.domain.eq_ignore_ascii_case(&domain));
    let admin = &visit.app.services.admin;
    let shared = admin.default_password();
    for row in rows {
        let password = match (row.password.is_empty(), &shared) {
            (false, _) => row.password.clone(),
            (true, Some(shared)) => shared.clone(),
            (true, None) => {
                let password = admin.random_password(RANDOM_PASSWORD_CHARS)?;
                list.push(&format!("{}@{}", row.name, row.domain), &password);
                password
            }
        };
        users.push(new_user(row, &password));
    }
    let back = format!("{}/import", domains::link(&domain));
    let greets = visit.field("welcome") == "1";
    let new = NewUsers::new(users).greeted(greets).listed(list);
    let held = new.bytes();
    let deed = Deed::new("deed.import_users", move |admin| admin.add_users(&new)).holding(held);
    visit.propose(if is_within { deed.within(domain) } else { deed }, &back)
}

fn new_user(row: ImportRow, password: &str) -> NewUser {
    let values = [(variables::REAL_NAME.name, row.real_name), (variables::TELEPHONE.name, row.phone)];
    let values = values.into_iter().filter(|(_, value)| !value.is_empty());
    NewUser {
        domain: row.domain.into(),
        name: row.name.into(),
        password: password.into(),
        kind: AccountKind::User,
        variables: values.map(|(name, value)| (name, BString::from(value))).collect(),
    }
}

/// Hands out the random passwords of an import to whom it concerns, once.
pub(in crate::web) fn passwords(visit: &Visit) -> Result<Response, WebError> {
    let (domain, who) = (visit.domain()?, visit.administrator()?);
    let taken = visit.app.services.admin.take_password_list(&who.name, &domain, visit.field("file"));
    let bytes = match taken {
        Err(AdminError::NoSuchFile) => return Err(WebError::Stale),
        taken => taken?,
    };
    let note = Note { name: &who.name, peer: visit.peer, deed: &format!("passwords fetched {domain}") };
    audit::write(&visit.app, &note, &[]);
    let mut found = answer(StatusCode::OK, "text/plain; charset=utf-8", bytes.into());
    let disposition = format!("attachment; filename=\"passwords-{}.txt\"", domain.replace(['"', '\\'], "_"));
    if let Ok(value) = disposition.parse() {
        found.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(found)
}
