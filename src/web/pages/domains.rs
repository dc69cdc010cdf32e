//! The domains (`jdmail.md` JD-40).

use std::collections::HashMap;

use crate::web::templates::context;
use axum::response::Response;
use serde::Serialize;

use super::Paging;
use crate::mailroot::AccountKind;
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::visit::{Visit, segment};

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    link: String,
    users: usize,
    lists: usize,
    other_names: Vec<String>,
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
    let shown = &held[range];
    let mut counts: HashMap<String, (usize, usize)> =
        shown.iter().map(|domain| (domain.to_ascii_lowercase(), (0, 0))).collect();
    for account in tables.users.rows() {
        if let Some(count) = counts.get_mut(&account.domain.to_ascii_lowercase()) {
            match account.kind {
                AccountKind::User => count.0 += 1,
                _ => count.1 += 1,
            }
        }
    }
    let row = |domain: &&str| {
        let (users, lists) = counts.get(&domain.to_ascii_lowercase()).copied().unwrap_or_default();
        let others = tables.alias_domains.rows().iter();
        let others = others.filter(|row| row.domain.eq_ignore_ascii_case(domain));
        Row {
            name: (*domain).to_owned(),
            link: link(domain),
            users,
            lists,
            other_names: others.map(|row| row.alias.to_string()).collect(),
        }
    };
    let rows: Vec<Row> = shown.iter().map(row).collect();
    visit.page("domains.html", context! { rows, paging, q => visit.query("q") })
}

/// Below which path the pages of a domain are.
pub(in crate::web) fn link(domain: &str) -> String {
    format!("{PATH}/{}", segment(domain))
}

/// Adds a domain.
pub(in crate::web) fn add(visit: &Visit) -> Result<Response, WebError> {
    let domain = visit.field("domain").to_owned();
    visit.propose(Deed::new("deed.add_domain", move |admin| admin.add_domain(&domain)), PATH)
}

/// Removes a domain with all that is in it.
pub(in crate::web) fn remove(visit: &Visit) -> Result<Response, WebError> {
    let domain = visit.domain()?;
    let deed = Deed::new("deed.remove_domain", move |admin| admin.remove_domain(&domain));
    visit.propose(deed.grave(), PATH)
}
