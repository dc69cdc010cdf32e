//! Groups of accounts: members, and what holds for all of them (`jdmail.md` JD-45, JD-68).

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::profile::{self, Owner, Submitted};
use super::users::ticked;
use super::{Paging, domains};
use crate::mailroot::MailRoot;
use crate::mailroot::groups::MEMBERS_TAB;
use crate::tab::TabFile;
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::form::Field;
use crate::web::sessions::Kept;
use crate::web::templates::context;
use crate::web::visit::{Visit, segment};

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    link: String,
    members: usize,
    settings: usize,
}

fn link(domain: &str, group: &str) -> String {
    format!("{}/groups/{}", domains::link(domain), segment(group))
}

/// The groups of a domain.
pub(in crate::web) fn list(visit: &Visit) -> Result<Response, WebError> {
    let (domain, tables) = (visit.domain()?, visit.tables());
    let groups = tables.groups(&domain);
    let base = domains::link(&domain);
    let (paging, range) = Paging::of(visit, &format!("{base}/groups"), groups.len());
    let row = |group: &str| Row {
        name: group.to_string(),
        link: link(&domain, group),
        members: tables.group_members(&domain, group).rows().len(),
        settings: tables
            .file::<crate::mailroot::UserTab>(&MailRoot::group_directory(&domain, group).join("user.tab"))
            .rows()
            .len(),
    };
    let rows: Vec<Row> = groups[range].iter().map(|group| row(group)).collect();
    visit.page("groups.html", context! { domain, base, rows, paging, tab => "groups" })
}

/// Adds a group.
pub(in crate::web) fn add(visit: &Visit) -> Result<Response, WebError> {
    let (domain, group) = (visit.domain()?, visit.field("group").to_owned());
    let back = link(&domain, &group.to_lowercase());
    let within = domain.clone();
    let deed = Deed::new("deed.add_group", move |admin| admin.add_group(&domain, &group));
    visit.propose(deed.within(within), &back)
}

/// Domain and name of the group in the path.
fn group(visit: &Visit) -> Result<(String, String), WebError> {
    let (domain, tables) = (visit.domain()?, visit.tables());
    let groups = tables.groups(&domain);
    let found = groups.iter().find(|known| known.eq_ignore_ascii_case(visit.param("group")));
    Ok((domain, found.ok_or(WebError::NotFound)?.to_string()))
}

fn user_tab(domain: &str, group: &str) -> PathBuf {
    MailRoot::group_directory(domain, group).join("user.tab")
}

/// One group.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let (domain, group) = group(visit)?;
    let bytes = visit.app.services.admin.table_text(&user_tab(&domain, &group))?;
    let fields = profile::fields(visit, Owner::Group, &TabFile::parse(&bytes), None);
    page(visit, StatusCode::OK, &domain, &group, fields, bytes)
}

#[derive(Debug, Serialize)]
struct Member {
    name: String,
    link: String,
    is_gone: bool,
}

fn page(
    visit: &Visit,
    status: StatusCode,
    domain: &str,
    group: &str,
    fields: Vec<Field>,
    bytes: Vec<u8>,
) -> Result<Response, WebError> {
    let tables = visit.tables();
    let members = tables.group_members(domain, group);
    let wanted = visit.query("q").to_ascii_lowercase();
    let found: Vec<_> =
        members.rows().iter().filter(|row| row.name.to_ascii_lowercase().contains(&wanted)).collect();
    let action = link(domain, group);
    visit.shows(MailRoot::group_directory(domain, group).join(MEMBERS_TAB))?;
    let (paging, range) = Paging::of(visit, &action, found.len());
    let base = domains::link(domain);
    let rows: Vec<Member> = found[range]
        .iter()
        .map(|row| Member {
            name: row.name.to_string(),
            link: format!("{base}/users/{}", segment(&row.name)),
            is_gone: tables.users.get(domain, &row.name).is_none(),
        })
        .collect();
    let path = user_tab(domain, group);
    let file = path.display().to_string();
    let base_id = visit.keep(Kept::Base(path, Arc::new(bytes)))?;
    let context = context! {
        domain, group, base, action, rows, paging, fields, file, base_id,
        tab => "groups",
        q => visit.query("q"),
    };
    visit.page_with(status, "group.html", context)
}

/// Saves what holds for the members.
pub(in crate::web) fn save(visit: &Visit) -> Result<Response, WebError> {
    let (domain, group) = group(visit)?;
    let path = user_tab(&domain, &group);
    let base = visit.base(&path)?;
    match profile::submitted(visit, Owner::Group, &path, &base, None)? {
        Submitted::Content(content) => {
            let deed = Deed::save_table(path, base, content).called("deed.save_group").within(&*domain);
            visit.propose(deed, &link(&domain, &group))
        }
        Submitted::Refused(fields) => {
            page(visit, StatusCode::UNPROCESSABLE_ENTITY, &domain, &group, fields, base.to_vec())
        }
    }
}

/// Adds members, one name a line, or takes ticked ones out.
pub(in crate::web) fn members(visit: &Visit) -> Result<Response, WebError> {
    let (domain, group) = group(visit)?;
    let (back, within) = (link(&domain, &group), domain.clone());
    let deed = if visit.field("act") == "remove" {
        let names = ticked(visit, "name");
        Deed::new("deed.leave_group", move |admin| admin.remove_from_group(&domain, &group, &names))
    } else {
        let names = names(visit.field("names"), &domain);
        Deed::new("deed.join_group", move |admin| admin.add_to_group(&domain, &group, &names))
    };
    visit.propose(deed.within(within), &back)
}

/// Names separated by blanks, commas or line ends; the domain may stand behind them.
fn names(text: &str, domain: &str) -> Vec<String> {
    let words = text.split([' ', ',', ';', '\t', '\r', '\n']).filter(|word| !word.is_empty());
    words
        .map(|word| match word.rsplit_once('@') {
            Some((name, of)) if of.eq_ignore_ascii_case(domain) => name.to_owned(),
            _ => word.to_owned(),
        })
        .collect()
}

/// Removes a group.
pub(in crate::web) fn remove(visit: &Visit) -> Result<Response, WebError> {
    let (domain, group) = group(visit)?;
    let (back, within) = (format!("{}/groups", domains::link(&domain)), domain.clone());
    let deed = Deed::new("deed.remove_group", move |admin| admin.remove_group(&domain, &group));
    visit.propose(deed.within(within), &back)
}
