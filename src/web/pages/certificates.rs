//! The server's certificate: what it says, and replacing it. The key is taken and never shown.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::admin::{AdminError, CertificateFacts, CertificatePair};
use crate::mailroot::schema::server as variables;
use crate::net::tls::{SERVER_CERT, SERVER_KEY};
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::templates::context;
use crate::web::trouble;
use crate::web::visit::Visit;

const PATH: &str = "/jdwa/certificates";

#[derive(Debug, Serialize)]
struct Shown {
    subject: String,
    issuer: String,
    names: Vec<String>,
    from_unix_secs: i64,
    until_unix_secs: i64,
    fingerprint: String,
    is_self_signed: bool,
    is_over: bool,
    chain: usize,
}

fn shown(facts: CertificateFacts, now: i64) -> Shown {
    Shown {
        is_over: facts.until_unix_secs < now || facts.from_unix_secs > now,
        subject: facts.subject,
        issuer: facts.issuer,
        names: facts.names,
        from_unix_secs: facts.from_unix_secs,
        until_unix_secs: facts.until_unix_secs,
        fingerprint: facts.fingerprint,
        is_self_signed: facts.is_self_signed,
        chain: facts.chain,
    }
}

/// Shows it.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    page(visit, StatusCode::OK, "")
}

fn page(visit: &Visit, status: StatusCode, refused: &str) -> Result<Response, WebError> {
    let (admin, now) = (&visit.app.services.admin, visit.app.services.clock.unix_secs());
    let (certificate, unreadable) = match admin.certificate() {
        Ok(facts) => (facts.map(|facts| shown(facts, now)), None),
        Err(error) => (None, Some(trouble::of_admin(&visit.app.catalogs, visit.language, &error))),
    };
    let problem = unreadable.or_else(|| certificate.as_ref().and_then(|_| admin.certificate_problem()));
    let problem = problem.map(|problem| visit.phrase(&problem));
    let (typed, names) = (visit.field("certificate"), typed_names(visit));
    let files = [SERVER_CERT, SERVER_KEY];
    visit.page_with(
        status,
        "certificates.html",
        context! { certificate, problem, refused, typed, names => names.join(", "), files },
    )
}

/// The names that were typed, else those that the server calls itself by.
fn typed_names(visit: &Visit) -> Vec<String> {
    let typed: Vec<String> = visit.field("names").split([',', ' ', ';']).map(str::to_owned).collect();
    let typed: Vec<String> = typed.into_iter().filter(|name| !name.is_empty()).collect();
    if !typed.is_empty() {
        return typed;
    }
    let tables = visit.tables();
    let variables = [&variables::SMTP_SERVER_DOMAIN, &variables::ROOT_DOMAIN, &variables::POP3_DOMAIN];
    let mut names: Vec<String> = variables
        .into_iter()
        .filter_map(|variable| tables.server.text(variable))
        .map(str::to_owned)
        .collect();
    names.dedup();
    names
}

/// Replaces it by what was pasted, or by one that nobody vouches for. A key that does not fit is refused.
pub(in crate::web) fn replace(visit: &Visit) -> Result<Response, WebError> {
    let pair = match visit.field("act") {
        "paste" => {
            let text = |name| format!("{}\n", visit.field(name).replace("\r\n", "\n"));
            Ok(CertificatePair { certificate: text("certificate"), key: text("key") })
        }
        "self_signed" => CertificatePair::self_signed(&typed_names(visit)),
        _ => return Err(WebError::BadForm),
    };
    let pair = match pair.and_then(|pair| pair.check().map(|_| pair)) {
        Ok(pair) => pair,
        Err(AdminError::Certificate(reason)) => {
            let refused = visit.say("certificates.refused", &[("reason", &visit.phrase(&reason))]);
            return page(visit, StatusCode::UNPROCESSABLE_ENTITY, &refused);
        }
        Err(error) => return Err(error.into()),
    };
    let deed = Deed::new("deed.replace_certificate", move |admin| admin.replace_certificate(&pair));
    visit.propose(deed, PATH)
}
