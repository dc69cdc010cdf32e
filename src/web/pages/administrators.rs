//! Who may use these pages (`jdmail.md` JD-63).

use crate::web::templates::context;
use axum::response::Response;
use serde::Serialize;

use crate::auth;
use crate::mailroot::webadmin::WebRole;
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::visit::Visit;

const PATH: &str = "/jdwa/administrators";

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    is_system: bool,
    domains: Vec<String>,
    must_change: bool,
    is_self: bool,
}

/// Lists them.
pub(in crate::web) fn list(visit: &Visit) -> Result<Response, WebError> {
    let (tables, own) = (visit.tables(), visit.administrator()?);
    let row = |who: &crate::mailroot::webadmin::WebAdmin| Row {
        name: who.name.to_string(),
        is_system: who.is_system(),
        domains: match &who.role {
            WebRole::System => Vec::new(),
            WebRole::Domains(domains) => domains.iter().map(ToString::to_string).collect(),
        },
        must_change: who.must_change,
        is_self: who.name.eq_ignore_ascii_case(&own.name),
    };
    let rows: Vec<Row> = tables.web_admins.rows().iter().map(row).collect();
    let domains: Vec<String> =
        tables.domains.rows().iter().take(500).map(|row| row.domain.to_string()).collect();
    visit.page("administrators.html", context! { rows, domains, suggested => auth::random_password()? })
}

/// The role that a form means. Domains are those that exist.
fn role(visit: &Visit) -> Result<WebRole, WebError> {
    if visit.field("role") == "system" {
        return Ok(WebRole::System);
    }
    let tables = visit.tables();
    let named = visit.field("domains").split([',', ' ', ';']).map(str::trim).filter(|name| !name.is_empty());
    let known = |name: &str| {
        let row = tables.domains.get(name);
        row.map(|row| row.domain.clone()).ok_or(crate::admin::AdminError::DomainNotHandled)
    };
    Ok(WebRole::Domains(named.map(known).collect::<Result<_, _>>()?))
}

/// Adds one.
pub(in crate::web) fn add(visit: &Visit) -> Result<Response, WebError> {
    let role = role(visit)?;
    let (name, password) = (visit.field("name").to_owned(), visit.raw_field("password").to_owned());
    let deed =
        Deed::new("deed.add_administrator", move |admin| admin.add_administrator(&name, &password, &role));
    visit.propose(deed, PATH)
}

/// Removes one.
pub(in crate::web) fn remove(visit: &Visit) -> Result<Response, WebError> {
    let name = visit.field("name").to_owned();
    let deed = Deed::new("deed.remove_administrator", move |admin| admin.remove_administrator(&name));
    visit.propose(deed, PATH)
}

/// Gives one who has forgotten it a password for the next log-in.
pub(in crate::web) fn reset_password(visit: &Visit) -> Result<Response, WebError> {
    let (name, password) = (visit.field("name").to_owned(), visit.raw_field("password").to_owned());
    let deed = Deed::new("deed.reset_administrator_password", move |admin| {
        admin.reset_administrator_password(&name, &password)
    });
    visit.propose(deed, PATH)
}

/// Gives one another role.
pub(in crate::web) fn set_role(visit: &Visit) -> Result<Response, WebError> {
    let (name, role) = (visit.field("name").to_owned(), role(visit)?);
    let deed =
        Deed::new("deed.set_administrator_role", move |admin| admin.set_administrator_role(&name, &role));
    visit.propose(deed, PATH)
}
