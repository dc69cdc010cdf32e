//! The domains (`jdmail.md` JD-40). Figures of used space are as old as they say: no page measures mailboxes.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::Paging;
use super::profile::{self, Owner, Submitted};
use super::users::{RelayView, typed_relay};
use crate::admin::{DomainUsage, RelayOf};
use crate::mailroot::{AccountKind, MailRoot, Snapshot};
use crate::tab::TabFile;
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::form::Field;
use crate::web::sessions::Kept;
use crate::web::templates::context;
use crate::web::visit::{Visit, redirect, segment};

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    link: String,
    users: usize,
    lists: usize,
    aliases: usize,
    other_names: Vec<String>,
    administrators: Vec<String>,
    usage: Option<DomainUsage>,
    /// Whether JDMail's mark for a virus scan lies there.
    is_marked: bool,
    /// Where the mail of the whole domain goes on to.
    forward: String,
}

const PATH: &str = "/jdwa/domains";

/// The domains that the administrator holds.
pub(in crate::web) fn list(visit: &Visit) -> Result<Response, WebError> {
    let (tables, who) = (visit.tables(), visit.administrator()?);
    let wanted = visit.query("q").to_ascii_lowercase();
    let held: Vec<&str> = (tables.domains.rows().iter().map(|row| &*row.domain))
        .filter(|domain| who.holds(domain) && domain.to_ascii_lowercase().contains(&wanted))
        .collect();
    let (paging, range) = Paging::of(visit, PATH, held.len());
    let rows = rows(visit, &tables, &held[range]);
    visit.page("domains.html", context! { rows, paging, q => visit.query("q") })
}

#[derive(Clone, Copy, Default)]
struct Counts {
    users: usize,
    lists: usize,
    aliases: usize,
}

fn rows(visit: &Visit, tables: &Snapshot, shown: &[&str]) -> Vec<Row> {
    let mut counts: HashMap<String, Counts> =
        shown.iter().map(|domain| (domain.to_ascii_lowercase(), Counts::default())).collect();
    for account in tables.users.rows() {
        if let Some(count) = counts.get_mut(&account.domain.to_ascii_lowercase()) {
            match account.kind {
                AccountKind::User => count.users += 1,
                _ => count.lists += 1,
            }
        }
    }
    for alias in tables.aliases.rows() {
        if let Some(count) = counts.get_mut(&alias.domain.to_ascii_lowercase()) {
            count.aliases += 1;
        }
    }
    let count = |domain: &str| counts.get(&domain.to_ascii_lowercase()).copied().unwrap_or_default();
    shown.iter().map(|domain| row(visit, tables, domain, count(domain))).collect()
}

fn row(visit: &Visit, tables: &Snapshot, domain: &str, count: Counts) -> Row {
    let admin = &visit.app.services.admin;
    let others = tables.alias_domains.rows().iter().filter(|row| row.domain.eq_ignore_ascii_case(domain));
    let administrators = tables.web_admins.rows().iter().filter(|one| !one.is_system() && one.holds(domain));
    let relay = admin.incoming_relay(domain, RelayOf::Domain).ok().flatten();
    Row {
        name: domain.to_owned(),
        link: link(domain),
        users: count.users,
        lists: count.lists,
        aliases: count.aliases,
        other_names: others.map(|row| row.alias.to_string()).collect(),
        administrators: administrators.map(|one| one.name.to_string()).collect(),
        usage: admin.domain_usage(domain),
        is_marked: admin.has_scan_mark(domain).unwrap_or(false),
        forward: relay.map(|relay| relay.hosts).unwrap_or_default(),
    }
}

/// Below which path the pages of a domain are.
pub(in crate::web) fn link(domain: &str) -> String {
    format!("{PATH}/{}", segment(domain))
}

/// One domain.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let (domain, tables) = (visit.domain()?, visit.tables());
    let row = rows(visit, &tables, &[&domain]).into_iter().next();
    let context = context! {
        row,
        base => link(&domain),
        tab => "overview",
        is_measured => is_measured(visit, &domain),
        filters => tables.filters_in.rows().len(),
        incoming => RelayView::of(visit.app.services.admin.incoming_relay(&domain, RelayOf::Domain)?),
        outgoing => RelayView::of(visit.app.services.admin.outgoing_relay(&domain, RelayOf::Domain)?),
        domain,
    };
    visit.page("domain.html", context)
}

/// Adds a domain.
pub(in crate::web) fn add(visit: &Visit) -> Result<Response, WebError> {
    let domain = visit.field("domain").to_owned();
    visit.propose(Deed::new("deed.add_domain", move |admin| admin.add_domain(&domain)), PATH)
}

/// Removes a domain with all that is in it.
pub(in crate::web) fn remove(visit: &Visit) -> Result<Response, WebError> {
    let domain = visit.domain()?;
    visit.propose(Deed::new("deed.remove_domain", move |admin| admin.remove_domain(&domain)).grave(), PATH)
}

/// The domains that are being measured, by MailRoot and name.
static MEASURED: Mutex<BTreeSet<(PathBuf, String)>> = Mutex::new(BTreeSet::new());

fn measured_key(visit: &Visit, domain: &str) -> (PathBuf, String) {
    (visit.app.root().path().to_owned(), domain.to_ascii_lowercase())
}

fn is_measured(visit: &Visit, domain: &str) -> bool {
    let key = measured_key(visit, domain);
    MEASURED.lock().unwrap_or_else(PoisonError::into_inner).contains(&key)
}

/// Begins to measure the domain's mailboxes, in the background.
pub(in crate::web) fn measure(visit: &Visit) -> Result<Response, WebError> {
    let domain = visit.domain()?;
    let key = measured_key(visit, &domain);
    if MEASURED.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone()) {
        let (app, of) = (Arc::clone(&visit.app), domain.clone());
        std::thread::spawn(move || {
            if let Err(error) = app.services.admin.measure_domain(&of) {
                tracing::error!(domain = of, %error, "used space is not measured");
            }
            MEASURED.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        });
    }
    visit.flash("good", visit.say("domain.measuring", &[]));
    Ok(redirect(&link(&domain)))
}

/// Gives it JDMail's mark for a virus scan, or takes the mark away.
pub(in crate::web) fn mark(visit: &Visit) -> Result<Response, WebError> {
    let (domain, is_on) = (visit.domain()?, visit.field("act") == "on");
    let (key, of) = (if is_on { "deed.mark_domain" } else { "deed.unmark_domain" }, domain.clone());
    let deed = Deed::new(key, move |admin| admin.set_scan_mark(&of, is_on));
    visit.propose(deed.within(&*domain), &link(&domain))
}

/// Sends the mail for all its users on to another server.
pub(in crate::web) fn relay(visit: &Visit) -> Result<Response, WebError> {
    let (domain, relay) = (visit.domain()?, typed_relay(visit));
    let of = domain.clone();
    let deed = Deed::new("deed.set_relay", move |admin| {
        admin.set_incoming_relay(&of, RelayOf::Domain, relay.as_ref())
    });
    visit.propose(deed.within(&*domain), &link(&domain))
}

/// Sends the mail that its users write through another server (JD-42).
pub(in crate::web) fn outgoing_relay(visit: &Visit) -> Result<Response, WebError> {
    let (domain, relay) = (visit.domain()?, typed_relay(visit));
    let of = domain.clone();
    let deed = Deed::new("deed.set_relay", move |admin| {
        admin.set_outgoing_relay(&of, RelayOf::Domain, relay.as_ref())
    });
    visit.propose(deed.within(&*domain), &link(&domain))
}

/// What new accounts begin with: of a domain, or where the path names none of the server (JD-41).
struct Defaults {
    domain: Option<String>,
    path: PathBuf,
    /// The page.
    link: String,
    /// The file as it is; empty where there is none.
    bytes: Vec<u8>,
    /// What the form begins with: a domain without a file of its own copies the server's, which then no longer counts.
    begins_with: Vec<u8>,
    is_own: bool,
}

const USERDEF: &str = "userdef.tab";

fn defaults_of(visit: &Visit) -> Result<Defaults, WebError> {
    let admin = &visit.app.services.admin;
    if visit.param("domain").is_empty() {
        let (path, link) = (PathBuf::from(USERDEF), "/jdwa/defaults".to_owned());
        let bytes = admin.table_text(&path)?;
        return Ok(Defaults { domain: None, path, link, begins_with: bytes.clone(), bytes, is_own: true });
    }
    let domain = visit.domain()?;
    let path = MailRoot::domain_directory(&domain).join(USERDEF);
    let bytes = admin.table_text(&path)?;
    let is_own = visit.app.root().path().join(&path).exists();
    let begins_with = if is_own { bytes.clone() } else { admin.table_text(&PathBuf::from(USERDEF))? };
    let link = format!("{}/defaults", link(&domain));
    Ok(Defaults { domain: Some(domain), path, link, bytes, begins_with, is_own })
}

/// The defaults of new accounts.
pub(in crate::web) fn defaults(visit: &Visit) -> Result<Response, WebError> {
    let found = defaults_of(visit)?;
    let fields = profile::fields(visit, Owner::User, &TabFile::parse(&found.begins_with), None);
    defaults_page(visit, StatusCode::OK, found, fields)
}

fn defaults_page(
    visit: &Visit,
    status: StatusCode,
    found: Defaults,
    fields: Vec<Field>,
) -> Result<Response, WebError> {
    let Defaults { domain, path, link: action, bytes, is_own, .. } = found;
    let file = path.display().to_string();
    let base_of_domain = domain.as_deref().map(link).unwrap_or_default();
    let base_id = visit.keep(Kept::Base(path, Arc::new(bytes)))?;
    let context = context! {
        domain, file, fields, is_own, action, base_id,
        base => base_of_domain,
        tab => "defaults",
    };
    visit.page_with(status, "defaults.html", context)
}

/// Saves them.
pub(in crate::web) fn save_defaults(visit: &Visit) -> Result<Response, WebError> {
    let found = defaults_of(visit)?;
    let base = visit.base(&found.path)?;
    let begins_with = if base.is_empty() { Arc::new(found.begins_with.clone()) } else { Arc::clone(&base) };
    match profile::submitted(visit, Owner::User, &found.path, &begins_with, None)? {
        Submitted::Refused(fields) => defaults_page(visit, StatusCode::UNPROCESSABLE_ENTITY, found, fields),
        Submitted::Content(content) => {
            let deed = Deed::save_table(found.path, base, content);
            let deed = match found.domain {
                Some(domain) => deed.within(domain),
                None => deed,
            };
            visit.propose(deed, &found.link)
        }
    }
}

/// Removes a domain's own defaults: those of the server count again.
pub(in crate::web) fn remove_defaults(visit: &Visit) -> Result<Response, WebError> {
    let found = defaults_of(visit)?;
    let domain = found.domain.ok_or(WebError::NotFound)?;
    let file = found.path.display().to_string();
    let deed = Deed::new("deed.remove_defaults", move |admin| admin.set_config_file(&file, b""));
    visit.propose(deed.within(domain), &found.link)
}
