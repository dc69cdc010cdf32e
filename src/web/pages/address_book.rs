//! The public address books of domains: a tree of departments with entries (`jdmail.md` JD-46).

use crate::web::templates::context;
use axum::response::Response;
use serde::Serialize;

use super::{Paging, domains};
use crate::admin::Admin;
use crate::mailroot::MailRoot;
use crate::mailroot::address_book::{BookRow, Department, SEPARATOR};
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::visit::{Visit, redirect};

/// A domain with a book.
#[derive(Debug, Serialize)]
struct Listed {
    domain: String,
    link: String,
}

/// A department as a page shows it.
#[derive(Debug, Serialize)]
struct Shown {
    path: String,
    name: String,
    above: String,
    order: i64,
    /// The form for an entry in it.
    add: String,
    entries: Vec<Entry>,
    departments: Vec<Shown>,
}

/// An entry.
#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    address: String,
    phone: String,
    edit: String,
}

fn link(domain: &str) -> String {
    format!("{}/addressbook", domains::link(domain))
}

/// The books of the domains that the visitor administers; with one only, that.
pub(in crate::web) fn list(visit: &Visit) -> Result<Response, WebError> {
    let (tables, who) = (visit.tables(), visit.administrator()?);
    let wanted = visit.query("q").to_ascii_lowercase();
    let held: Vec<&str> =
        tables.domains.rows().iter().map(|row| &*row.domain).filter(|one| who.holds(one)).collect();
    if let [domain] = held[..] {
        return Ok(redirect(&link(domain)));
    }
    let found: Vec<&str> =
        held.into_iter().filter(|domain| domain.to_ascii_lowercase().contains(&wanted)).collect();
    let (paging, range) = Paging::of(visit, "/jdwa/addressbook", found.len());
    let books: Vec<Listed> = found[range]
        .iter()
        .map(|domain| Listed { domain: (*domain).to_owned(), link: link(domain) })
        .collect();
    visit.page("addressbooks.html", context! { books, paging, q => visit.query("q") })
}

/// The tree of one domain.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let domain = visit.domain()?;
    let book = visit.app.services.admin.address_book(&domain)?;
    visit.shows(MailRoot::domain_directory(&domain).join("addressbook.tab"))?;
    let tree = book.tree();
    let rows = format!("{}/rows/addressbook.tab", domains::link(&domain));
    let mut paths = Vec::new();
    collect(&tree, &mut paths);
    let wanted = visit.query("q").to_lowercase();
    let count = book.rows().iter().filter(|row| !row.is_department()).count();
    let top = shown(&tree, &rows, &wanted).unwrap_or_else(|| empty(&rows));
    visit.page(
        "addressbook.html",
        context! { domain, link => link(&domain), domain_link => domains::link(&domain), rows, top, paths, count, q => visit.query("q") },
    )
}

fn collect(department: &Department, paths: &mut Vec<String>) {
    for inner in &department.departments {
        paths.push(inner.path.clone());
        collect(inner, paths);
    }
}

fn empty(rows: &str) -> Shown {
    Shown {
        path: String::new(),
        name: String::new(),
        above: String::new(),
        order: 0,
        add: format!("{rows}/row"),
        entries: Vec::new(),
        departments: Vec::new(),
    }
}

/// A department with what holds the text that is searched for; `None` where nothing does.
fn shown(department: &Department, rows: &str, wanted: &str) -> Option<Shown> {
    let holds = |row: &&BookRow| {
        wanted.is_empty()
            || format!("{} {} {}", row.name, row.address, row.phone).to_lowercase().contains(wanted)
    };
    let is_named = department.path.to_lowercase().contains(wanted);
    let entry = |row: &BookRow| Entry {
        name: row.name.to_string(),
        address: row.address.to_string(),
        phone: row.phone.to_string(),
        edit: format!("{rows}/row?line={}", row.line),
    };
    let entries: Vec<Entry> = department
        .entries
        .iter()
        .filter(|row| is_named && !wanted.is_empty() || holds(row))
        .map(entry)
        .collect();
    let departments: Vec<Shown> =
        department.departments.iter().filter_map(|inner| shown(inner, rows, wanted)).collect();
    let is_kept = is_named || !entries.is_empty() || !departments.is_empty();
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("c0", &department.path).finish();
    is_kept.then(|| Shown {
        path: department.path.clone(),
        name: department.name.clone(),
        above: department.path.rsplit_once(SEPARATOR).map_or("", |(above, _)| above).to_owned(),
        order: department.order,
        add: format!("{rows}/row?{query}"),
        entries,
        departments,
    })
}

/// Adds, moves or removes a department.
pub(in crate::web) fn change(visit: &Visit) -> Result<Response, WebError> {
    let domain = visit.domain()?;
    let of = domain.clone();
    let [path, above, name] = ["path", "above", "name"].map(|field| visit.field(field).to_owned());
    let deed = match visit.field("act") {
        "add" => {
            let order = visit.field("order").parse().unwrap_or(0);
            Deed::new("deed.add_department", move |admin: &Admin| admin.add_department(&of, &path, order))
        }
        "move" => Deed::new("deed.move_department", move |admin: &Admin| {
            admin.move_department(&of, &path, &above, &name)
        }),
        "remove" => {
            Deed::new("deed.remove_department", move |admin: &Admin| admin.remove_department(&of, &path))
        }
        _ => return Err(WebError::BadForm),
    };
    visit.propose(deed.within(domain.clone()), &link(&domain))
}
