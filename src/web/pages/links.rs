//! Links of `pop3links.tab` that rest, and those that are worked (`jdmail.md` JD-57).

use std::collections::HashMap;

use axum::response::Response;
use serde::Serialize;

use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::rows::place::Place;
use crate::web::visit::Visit;

const PATH: &str = "/jdwa/tables/pop3links.tab";

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
    let [domain, name, host, user] =
        ["domain", "name", "host", "user"].map(|one| visit.field(one).to_owned());
    let wakes = visit.field("to") == "on";
    let key = if wakes { "deed.wake_link" } else { "deed.rest_link" };
    let deed =
        Deed::new(key, move |admin| admin.enable_links(wakes, [&domain, &name], Some(&host), Some(&user)));
    visit.propose(deed, PATH)
}
