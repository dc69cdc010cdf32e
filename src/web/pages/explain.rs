//! "What happens to mail to this address?"

use crate::web::templates::context;
use axum::response::Response;

use crate::web::Question;
use crate::web::error::WebError;
use crate::web::visit::Visit;

/// The form, and the answer once something is asked.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let (recipient, sender) = (visit.query("recipient"), visit.query("sender"));
    let (ip, login) = (visit.query("ip"), visit.query("login"));
    let (mut told, mut problem) = (None, None);
    if !recipient.is_empty() {
        match ip.parse() {
            Err(_) if !ip.is_empty() => problem = Some(visit.say("explain.bad_ip", &[])),
            address => {
                let question = Question { recipient, sender, ip: address.ok(), login };
                match visit.app.services.roof.explain(&question) {
                    Ok(text) => told = Some(text),
                    Err(error) => problem = Some(error),
                }
            }
        }
    }
    visit.page("explain.html", context! { recipient, sender, ip, login, told, problem })
}
