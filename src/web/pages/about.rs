//! What this program is, and under which licence (`jdmail.md` JD-67). There are no licence codes and no user limit.

use axum::response::Response;

use crate::web::error::WebError;
use crate::web::templates::context;
use crate::web::visit::Visit;

/// The texts of both licences.
const MIT: &str = include_str!("../../../LICENSE-MIT");
const APACHE: &str = include_str!("../../../LICENSE-APACHE");

/// Shows it.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let tables = visit.tables();
    visit.page(
        "about.html",
        context! {
            version => env!("CARGO_PKG_VERSION"), mit => MIT, apache => APACHE,
            root => tables.root().path().display().to_string(),
            domains => tables.domains.rows().len(), accounts => tables.users.rows().len(),
        },
    )
}
