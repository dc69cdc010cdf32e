//! The template of welcome mail, of the server and of a domain (`jdmail.md` JD-62).

use axum::http::StatusCode;
use axum::response::Response;
use bstr::ByteSlice as _;

use super::domains;
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::templates::context;
use crate::web::visit::Visit;

/// The domain of the path; `None`: the server's template is meant.
fn domain(visit: &Visit) -> Result<Option<String>, WebError> {
    if visit.param("domain").is_empty() { Ok(None) } else { visit.domain().map(Some) }
}

fn link(domain: Option<&str>) -> String {
    domain.map_or_else(|| "/jdwa/welcome".to_owned(), |domain| format!("{}/welcome", domains::link(domain)))
}

/// Shows it.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let domain = domain(visit)?;
    let admin = &visit.app.services.admin;
    let own = admin.welcome(domain.as_deref())?;
    let is_own = own.is_some();
    let shown = match own {
        Some(own) => own,
        None => admin.welcome(None)?.unwrap_or_default(),
    };
    let text = match shown.is_empty() {
        true => visit.say("welcome.example", &[]).replace("\\n", "\n"),
        false => shown.to_str_lossy().into_owned(),
    };
    page(visit, StatusCode::OK, domain.as_deref(), &text, is_own, false)
}

fn page(
    visit: &Visit,
    status: StatusCode,
    domain: Option<&str>,
    text: &str,
    is_own: bool,
    is_refused: bool,
) -> Result<Response, WebError> {
    let context = context! {
        domain, text, is_own, is_refused,
        action => link(domain),
        base => domain.map(domains::link).unwrap_or_default(),
        tab => "welcome",
    };
    visit.page_with(status, "welcome.html", context)
}

/// Saves it; empty, or with `remove`, there is none any more.
pub(in crate::web) fn save(visit: &Visit) -> Result<Response, WebError> {
    let domain = domain(visit)?;
    let text = if visit.field("act") == "remove" { "" } else { visit.raw_field("text") };
    let (of, text) = (domain.clone(), text.to_owned());
    let checked = visit.app.services.admin.rehearse(|admin| admin.set_welcome(of.as_deref(), &text));
    if matches!(checked, Err(crate::admin::AdminError::BadWelcome)) {
        return page(visit, StatusCode::UNPROCESSABLE_ENTITY, domain.as_deref(), &text, false, true);
    }
    let back = link(domain.as_deref());
    let deed = Deed::new("deed.set_welcome", move |admin| admin.set_welcome(of.as_deref(), &text));
    let deed = match domain {
        Some(domain) => deed.within(domain),
        None => deed,
    };
    visit.propose(deed, &back)
}
