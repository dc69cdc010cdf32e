//! Other names: of the accounts of a domain, and of the domain (`jdmail.md` JD-48).

use crate::web::templates::context;
use axum::response::Response;
use serde::Serialize;

use super::{Paging, domains};
use crate::address::is_rfc822_name;
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::visit::Visit;

#[derive(Debug, Serialize)]
struct Row {
    alias: String,
    target: String,
}

/// Lists the aliases whose domain is this one, and the other names of the domain.
pub(in crate::web) fn list(visit: &Visit) -> Result<Response, WebError> {
    let (domain, tables) = (visit.domain()?, visit.tables());
    let wanted = visit.query("q").to_ascii_lowercase();
    let found: Vec<Row> = (tables.aliases.rows().iter())
        .filter(|row| row.domain.eq_ignore_ascii_case(&domain))
        .filter(|row| format!("{} {}", row.alias, row.target).to_ascii_lowercase().contains(&wanted))
        .map(|row| Row { alias: row.alias.to_string(), target: row.target.to_string() })
        .collect();
    let others = tables.alias_domains.rows().iter();
    let others: Vec<String> = others
        .filter(|row| row.domain.eq_ignore_ascii_case(&domain))
        .map(|row| row.alias.to_string())
        .collect();
    let base = domains::link(&domain);
    let (paging, range) = Paging::of(visit, &format!("{base}/aliases"), found.len());
    let rows = &found[range];
    visit.page("aliases.html", context! { domain, base, rows, others, paging, q => visit.query("q") })
}

/// The alias of a form, a name or a pattern: what no RCPT can name is none (`mailflow.md` 3.1).
fn typed_alias(visit: &Visit) -> Result<String, WebError> {
    let alias = visit.field("alias").to_owned();
    if is_rfc822_name(alias.as_bytes()) { Ok(alias) } else { Err(WebError::BadAlias) }
}

fn back(domain: &str) -> String {
    format!("{}/aliases", domains::link(domain))
}

/// Adds an alias. Of a domain's administrator it leads to accounts of the same domain only.
pub(in crate::web) fn add(visit: &Visit) -> Result<Response, WebError> {
    let domain = visit.domain()?;
    let target = visit.field("target").to_owned();
    let who = visit.administrator()?;
    if target.split_once('@').is_some_and(|(_, elsewhere)| !who.holds(elsewhere)) {
        return Err(WebError::Forbidden);
    }
    let alias = typed_alias(visit)?;
    let back = back(&domain);
    let within = domain.clone();
    let deed = Deed::new("deed.add_alias", move |admin| admin.add_alias(&domain, &alias, &target));
    visit.propose(deed.within(within), &back)
}

/// Gives an alias another name or account, under the same rule.
pub(in crate::web) fn change(visit: &Visit) -> Result<Response, WebError> {
    let domain = visit.domain()?;
    let [old, target] = ["old", "target"].map(|field| visit.field(field).to_owned());
    // What a shell wrote may keep its name.
    let is_kept = visit.field("alias") == old;
    let alias = if is_kept { old.clone() } else { typed_alias(visit)? };
    let who = visit.administrator()?;
    if target.split_once('@').is_some_and(|(_, elsewhere)| !who.holds(elsewhere)) {
        return Err(WebError::Forbidden);
    }
    let (back, within) = (back(&domain), domain.clone());
    let deed =
        Deed::new("deed.change_alias", move |admin| admin.change_alias(&domain, &old, &alias, &target));
    visit.propose(deed.within(within), &back)
}

/// Removes an alias.
pub(in crate::web) fn remove(visit: &Visit) -> Result<Response, WebError> {
    let domain = visit.domain()?;
    let alias = visit.field("alias").to_owned();
    let back = back(&domain);
    let within = domain.clone();
    let deed = Deed::new("deed.remove_alias", move |admin| admin.remove_alias(&domain, &alias));
    visit.propose(deed.within(within), &back)
}

/// Adds another name of the domain.
pub(in crate::web) fn add_domain(visit: &Visit) -> Result<Response, WebError> {
    let domain = visit.domain()?;
    let alias = visit.field("alias").to_owned();
    let back = back(&domain);
    let deed = Deed::new("deed.add_alias_domain", move |admin| admin.add_alias_domain(&domain, &alias));
    visit.propose(deed, &back)
}

/// Removes another name of the domain; of other domains it removes none.
pub(in crate::web) fn remove_domain(visit: &Visit) -> Result<Response, WebError> {
    let (domain, tables) = (visit.domain()?, visit.tables());
    let alias = visit.field("alias");
    let is_its = |row: &&crate::mailroot::accounts::AliasDomainRow| {
        row.domain.eq_ignore_ascii_case(&domain) && row.alias.eq_ignore_ascii_case(alias)
    };
    let row = tables.alias_domains.rows().iter().find(is_its).ok_or(WebError::NotFound)?;
    let alias = row.alias.to_string();
    let deed = Deed::new("deed.remove_alias_domain", move |admin| admin.remove_alias_domain(&alias));
    visit.propose(deed, &back(&domain))
}
