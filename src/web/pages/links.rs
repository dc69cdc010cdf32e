//! Links of `pop3links.tab` that rest, and those that are worked; those of a domain for who administers it (`jdmail.md` JD-57).

use std::collections::HashMap;

use axum::response::Response;
use serde::Serialize;

use super::domains;
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::rows::place::{Place, SHARED};
use crate::web::visit::Visit;

const PATH: &str = "/jdwa/tables/pop3links.tab";

/// Where the form goes that lets a link of this page rest.
pub(in crate::web) fn link(place: &Place) -> String {
    match &place.rows_of {
        Some(domain) => format!("{}/pop3-links/switch", domains::link(domain)),
        None => "/jdwa/pop3-links/switch".to_owned(),
    }
}

/// Says at the field of the local name that there is no such account: who administers a domain has links of its accounts.
pub(in crate::web) fn refuse_without_account(
    visit: &Visit,
    domain: &str,
    parts: &[Vec<String>],
    problems: &mut [Option<String>],
) {
    let name = parts.first().map(|part| part.concat()).unwrap_or_default();
    if let Some(problem @ None) = problems.first_mut()
        && visit.tables().users.get(domain, &name).is_none()
    {
        *problem = Some(visit.say("links.no_account", &[("domain", domain)]));
    }
}

/// Whether a link is worked, and what names it.
#[derive(Clone, Debug, Serialize)]
pub(in crate::web) struct Switch {
    is_on: bool,
    domain: String,
    name: String,
    host: String,
    user: String,
}

/// The links by their lines; of other tables none.
pub(in crate::web) fn switches(visit: &Visit, place: &Place) -> HashMap<usize, Switch> {
    if place.table.name != "pop3links.tab" {
        return HashMap::new();
    }
    let links = visit.app.services.admin.links(None, None);
    let switch = |link: &crate::admin::ListedLink| Switch {
        is_on: link.is_on,
        domain: link.local_domain.to_string(),
        name: link.local_name.to_string(),
        host: link.remote_host.to_string(),
        user: link.remote_user.to_string(),
    };
    links.iter().map(|link| (link.line as usize, switch(link))).collect()
}

/// Lets a link rest, or wakes it.
pub(in crate::web) fn switch(visit: &Visit) -> Result<Response, WebError> {
    let [of_form, name, host, user] =
        ["domain", "name", "host", "user"].map(|one| visit.field(one).to_owned());
    let held = if visit.param("domain").is_empty() { None } else { Some(visit.domain()?) };
    let domain = held.clone().unwrap_or(of_form);
    let wakes = visit.field("to") == "on";
    let key = if wakes { "deed.wake_link" } else { "deed.rest_link" };
    let deed =
        Deed::new(key, move |admin| admin.enable_links(wakes, [&domain, &name], Some(&host), Some(&user)));
    match held {
        Some(domain) => {
            let back = format!("{}/rows/{SHARED}", domains::link(&domain));
            visit.propose(deed.within(domain), &back)
        }
        None => visit.propose(deed, PATH),
    }
}
