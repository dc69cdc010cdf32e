//! The one table of routes: method, path, who may use it, handler. What is not here does not exist.

use axum::response::Response;
use serde::Serialize;

use super::error::WebError;
use super::pages::{
    about, address_book, administrators, aliases, backup, certificates, dashboard, deeds, domains, explain,
    files, groups, history, import, links, lists, log_in, logs, queue, raw, rows, services, settings, users,
    welcome,
};
use super::visit::Visit;
use crate::mailroot::webadmin::WebAdmin;

/// Answers a visit.
pub(super) type Handler = fn(&Visit) -> Result<Response, WebError>;

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Shows, changes nothing.
    Get,
    /// Changes something; carries the CSRF token.
    Post,
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, also who is not logged in.
    Anyone,
    /// Who is logged in, even before a demanded change of the password.
    Password,
    /// Who is logged in.
    SignedIn,
    /// Who administers the domain in the path.
    Domain,
    /// The role system.
    System,
}

/// What a form may carry beside fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing.
    Fields,
    /// A file of any size, which goes to the disk ([`super::upload::receive`]).
    Archive,
    /// A small file ([`super::upload::receive_fields`]).
    TextFile,
}

/// One route.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with names in braces.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// Below which topic of the navigation its page is.
    pub topic: &'static str,
    /// What its form may carry beside fields.
    pub(super) takes: Takes,
    pub(super) handler: Handler,
    /// The page of the form: what is refused comes back there, as it was typed.
    pub(super) form: Option<Handler>,
}

const fn get(path: &'static str, access: Access, topic: &'static str, handler: Handler) -> Route {
    Route { method: Method::Get, path, access, topic, takes: Takes::Fields, handler, form: None }
}

const fn post(path: &'static str, access: Access, topic: &'static str, handler: Handler) -> Route {
    Route { method: Method::Post, path, access, topic, takes: Takes::Fields, handler, form: None }
}

/// A form that comes back, as it was typed, when its use-case refuses.
const fn form(
    path: &'static str,
    access: Access,
    topic: &'static str,
    handler: Handler,
    page: Handler,
) -> Route {
    Route { form: Some(page), ..post(path, access, topic, handler) }
}

/// A form with an archive.
const fn upload(path: &'static str, access: Access, topic: &'static str, handler: Handler) -> Route {
    Route { takes: Takes::Archive, ..post(path, access, topic, handler) }
}

/// A form with a text file among its fields.
const fn text_upload(path: &'static str, access: Access, topic: &'static str, handler: Handler) -> Route {
    Route { takes: Takes::TextFile, ..post(path, access, topic, handler) }
}

use Access::{Anyone, Domain, Password, SignedIn, System};

/// All routes.
pub static ROUTES: &[Route] = &[
    get("/jdwa/", SignedIn, "nav.dashboard", dashboard::show),
    get("/jdwa/static/{file}", Anyone, "", log_in::asset),
    post("/jdwa/preferences", Anyone, "", log_in::prefer),
    get("/jdwa/login", Anyone, "", log_in::show),
    post("/jdwa/login", Anyone, "", log_in::log_in),
    post("/jdwa/logout", Password, "", log_in::log_out),
    get("/jdwa/password", Password, "", log_in::show_password),
    post("/jdwa/password", Password, "", log_in::change_password),
    post("/jdwa/confirm", SignedIn, "", deeds::confirm),
    get("/jdwa/domains", SignedIn, "nav.domains", domains::list),
    form("/jdwa/domains", System, "nav.domains", domains::add, domains::list),
    get("/jdwa/domains/{domain}", Domain, "nav.domains", domains::show),
    post("/jdwa/domains/{domain}/delete", System, "nav.domains", domains::remove),
    post("/jdwa/domains/{domain}/measure", Domain, "nav.domains", domains::measure),
    post("/jdwa/domains/{domain}/scan-mark", Domain, "nav.domains", domains::mark),
    form("/jdwa/domains/{domain}/relay", Domain, "nav.domains", domains::relay, domains::show),
    form("/jdwa/domains/{domain}/outgoing", Domain, "nav.domains", domains::outgoing_relay, domains::show),
    get("/jdwa/defaults", System, "nav.defaults", domains::defaults),
    post("/jdwa/defaults", System, "nav.defaults", domains::save_defaults),
    get("/jdwa/domains/{domain}/defaults", Domain, "nav.domains", domains::defaults),
    post("/jdwa/domains/{domain}/defaults", Domain, "nav.domains", domains::save_defaults),
    post("/jdwa/domains/{domain}/defaults/delete", Domain, "nav.domains", domains::remove_defaults),
    get("/jdwa/users", SignedIn, "nav.users", users::search),
    get("/jdwa/domains/{domain}/users", Domain, "nav.domains", users::list),
    form("/jdwa/domains/{domain}/users", Domain, "nav.domains", users::add, users::list_of_kind),
    get("/jdwa/domains/{domain}/users/{name}", Domain, "nav.domains", users::show),
    post("/jdwa/domains/{domain}/users/{name}", Domain, "nav.domains", users::save),
    form(
        "/jdwa/domains/{domain}/users/{name}/password",
        Domain,
        "nav.domains",
        users::set_password,
        users::show,
    ),
    post("/jdwa/domains/{domain}/users/{name}/delete", Domain, "nav.domains", users::remove),
    form(
        "/jdwa/domains/{domain}/users/{name}/rename",
        Domain,
        "nav.domains",
        users::rename,
        users::show_of_kind,
    ),
    form("/jdwa/domains/{domain}/users/{name}/groups", Domain, "nav.domains", users::set_groups, users::show),
    form("/jdwa/domains/{domain}/users/{name}/relay", Domain, "nav.domains", users::relay, users::show),
    form(
        "/jdwa/domains/{domain}/users/{name}/outgoing",
        Domain,
        "nav.domains",
        users::outgoing_relay,
        users::show,
    ),
    post("/jdwa/domains/{domain}/users/{name}/old-mail", Domain, "nav.domains", users::remove_old_mail),
    post("/jdwa/domains/{domain}/selection", Domain, "nav.domains", users::selection),
    get("/jdwa/domains/{domain}/work", Domain, "nav.domains", users::work),
    get("/jdwa/domains/{domain}/import", Domain, "nav.domains", import::show),
    text_upload("/jdwa/domains/{domain}/import", Domain, "nav.domains", import::submit),
    post("/jdwa/domains/{domain}/import/passwords", Domain, "nav.domains", import::passwords),
    get("/jdwa/domains/{domain}/lists", Domain, "nav.domains", lists::list),
    get("/jdwa/domains/{domain}/lists/{list}", Domain, "nav.domains", lists::show),
    post("/jdwa/domains/{domain}/lists/{list}", Domain, "nav.domains", lists::save),
    form("/jdwa/domains/{domain}/lists/{list}/members", Domain, "nav.domains", lists::members, lists::show),
    get("/jdwa/domains/{domain}/groups", Domain, "nav.domains", groups::list),
    form("/jdwa/domains/{domain}/groups", Domain, "nav.domains", groups::add, groups::list),
    get("/jdwa/domains/{domain}/groups/{group}", Domain, "nav.domains", groups::show),
    post("/jdwa/domains/{domain}/groups/{group}", Domain, "nav.domains", groups::save),
    form(
        "/jdwa/domains/{domain}/groups/{group}/members",
        Domain,
        "nav.domains",
        groups::members,
        groups::show,
    ),
    post("/jdwa/domains/{domain}/groups/{group}/delete", Domain, "nav.domains", groups::remove),
    get("/jdwa/domains/{domain}/welcome", Domain, "nav.domains", welcome::show),
    post("/jdwa/domains/{domain}/welcome", Domain, "nav.domains", welcome::save),
    get("/jdwa/welcome", System, "nav.welcome", welcome::show),
    post("/jdwa/welcome", System, "nav.welcome", welcome::save),
    get("/jdwa/domains/{domain}/aliases", Domain, "nav.domains", aliases::list),
    form("/jdwa/domains/{domain}/aliases", Domain, "nav.domains", aliases::add, aliases::list),
    form("/jdwa/domains/{domain}/aliases/change", Domain, "nav.domains", aliases::change, aliases::list),
    post("/jdwa/domains/{domain}/aliases/delete", Domain, "nav.domains", aliases::remove),
    form("/jdwa/domains/{domain}/other-names", System, "nav.domains", aliases::add_domain, aliases::list),
    post("/jdwa/domains/{domain}/other-names/delete", System, "nav.domains", aliases::remove_domain),
    get("/jdwa/settings", System, "nav.settings", settings::show),
    post("/jdwa/settings", System, "nav.settings", settings::save),
    get("/jdwa/addressbook", SignedIn, "nav.addressbook", address_book::list),
    get("/jdwa/domains/{domain}/addressbook", Domain, "nav.addressbook", address_book::show),
    form(
        "/jdwa/domains/{domain}/addressbook",
        Domain,
        "nav.addressbook",
        address_book::change,
        address_book::show,
    ),
    get("/jdwa/access", System, "nav.access", rows::family),
    get("/jdwa/spam", System, "nav.spammers", rows::family),
    get("/jdwa/routing", System, "nav.forwarding", rows::family),
    get("/jdwa/pop3-links", System, "nav.pulls", rows::family),
    post("/jdwa/pop3-links/switch", System, "nav.pulls", links::switch),
    get("/jdwa/other-names", System, "nav.aliases", rows::family),
    get("/jdwa/log-ins", System, "nav.smtpauth", rows::family),
    get("/jdwa/filters", System, "nav.filters", rows::family),
    get("/jdwa/domains/{domain}/users/{name}/rows/{table}", Domain, "nav.domains", rows::list),
    get("/jdwa/domains/{domain}/users/{name}/rows/{table}/row", Domain, "nav.domains", rows::show),
    post("/jdwa/domains/{domain}/users/{name}/rows/{table}/row", Domain, "nav.domains", rows::save),
    post("/jdwa/domains/{domain}/users/{name}/rows/{table}/move", Domain, "nav.domains", rows::shift),
    get("/jdwa/domains/{domain}/rows/{table}", Domain, "nav.domains", rows::list),
    get("/jdwa/domains/{domain}/rows/{table}/row", Domain, "nav.domains", rows::show),
    post("/jdwa/domains/{domain}/rows/{table}/row", Domain, "nav.domains", rows::save),
    post("/jdwa/domains/{domain}/rows/{table}/move", Domain, "nav.domains", rows::shift),
    post("/jdwa/domains/{domain}/pop3-links/switch", Domain, "nav.domains", links::switch),
    get("/jdwa/domains/{domain}/commands", Domain, "nav.domains", files::list_commands),
    post("/jdwa/domains/{domain}/commands", Domain, "nav.domains", files::open_commands),
    get("/jdwa/domains/{domain}/commands/{file}", Domain, "nav.domains", rows::list),
    get("/jdwa/domains/{domain}/commands/{file}/row", Domain, "nav.domains", rows::show),
    post("/jdwa/domains/{domain}/commands/{file}/row", Domain, "nav.domains", rows::save),
    post("/jdwa/domains/{domain}/commands/{file}/move", Domain, "nav.domains", rows::shift),
    get("/jdwa/files/{directory}", System, "nav.tables", files::list),
    post("/jdwa/files/{directory}", System, "nav.tables", files::open),
    get("/jdwa/files/{directory}/{file}", System, "nav.tables", rows::list),
    get("/jdwa/files/{directory}/{file}/row", System, "nav.tables", rows::show),
    post("/jdwa/files/{directory}/{file}/row", System, "nav.tables", rows::save),
    post("/jdwa/files/{directory}/{file}/move", System, "nav.tables", rows::shift),
    get("/jdwa/passwords", System, "nav.passwords", settings::passwords),
    post("/jdwa/settings/bans", System, "nav.settings", settings::lift_ban),
    get("/jdwa/tables", System, "nav.tables", rows::tables),
    get("/jdwa/tables/{table}", System, "nav.tables", rows::list),
    get("/jdwa/tables/{table}/row", System, "nav.tables", rows::show),
    post("/jdwa/tables/{table}/row", System, "nav.tables", rows::save),
    post("/jdwa/tables/{table}/move", System, "nav.tables", rows::shift),
    get("/jdwa/raw/{table}", System, "nav.tables", raw::show),
    form("/jdwa/raw/{table}", System, "nav.tables", raw::save, raw::check),
    post("/jdwa/raw/{table}/check", System, "nav.tables", raw::check),
    get("/jdwa/text/{base}", System, "nav.tables", raw::show),
    post("/jdwa/text/{base}", System, "nav.tables", raw::save),
    post("/jdwa/text/{base}/check", System, "nav.tables", raw::check),
    get("/jdwa/check", System, "nav.dashboard", dashboard::problems),
    post("/jdwa/check", System, "nav.dashboard", dashboard::check),
    get("/jdwa/services", System, "nav.services", services::show),
    post("/jdwa/services", System, "nav.services", services::act),
    get("/jdwa/queue", System, "nav.queue", queue::list),
    post("/jdwa/queue", System, "nav.queue", queue::act),
    get("/jdwa/queue/{level1}/{level2}/{name}", System, "nav.queue", queue::log),
    get("/jdwa/logs", System, "nav.logs", logs::show),
    get("/jdwa/logs/tail", System, "nav.logs", logs::tail),
    get("/jdwa/history", System, "nav.history", history::list),
    get("/jdwa/history/{state}", System, "nav.history", history::show),
    post("/jdwa/history/{state}", System, "nav.history", history::roll_back),
    get("/jdwa/explain", SignedIn, "nav.explain", explain::show),
    post("/jdwa/explain", SignedIn, "nav.explain", explain::paste),
    get("/jdwa/backup", System, "nav.backup", backup::list),
    post("/jdwa/backup", System, "nav.backup", backup::act),
    upload("/jdwa/backup/upload", System, "nav.backup", backup::receive),
    get("/jdwa/backup/{name}", System, "nav.backup", backup::show),
    post("/jdwa/backup/{name}", System, "nav.backup", backup::restore),
    get("/jdwa/backup/{name}/download", System, "nav.backup", backup::download),
    get("/jdwa/certificates", System, "nav.certificates", certificates::show),
    post("/jdwa/certificates", System, "nav.certificates", certificates::replace),
    get("/jdwa/administrators", System, "nav.administrators", administrators::list),
    form("/jdwa/administrators", System, "nav.administrators", administrators::add, administrators::list),
    post("/jdwa/administrators/delete", System, "nav.administrators", administrators::remove),
    form(
        "/jdwa/administrators/password",
        System,
        "nav.administrators",
        administrators::reset_password,
        administrators::list,
    ),
    form(
        "/jdwa/administrators/role",
        System,
        "nav.administrators",
        administrators::set_role,
        administrators::list,
    ),
    get("/jdwa/about", SignedIn, "nav.about", about::show),
];

/// What is not in the table: a page that says so.
pub(super) static NOWHERE: Route = get("", Anyone, "", |_| Err(WebError::NotFound));

impl Route {
    /// Whether the path can be opened as a page.
    pub(super) fn is_shown(&self) -> bool {
        let has_page = |path| ROUTES.iter().any(|route| route.method == Method::Get && route.path == path);
        self.method == Method::Get || has_page(self.path)
    }

    /// Whether it is a page of a topic that stands for itself: the navigation may lead there.
    pub(super) fn is_entry(&self) -> bool {
        self.method == Method::Get && !self.path.contains('{') && !self.topic.is_empty()
    }
}

/// What becomes of a request before its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    LogIn,
    ChangePassword,
    Forbidden,
}

impl Access {
    /// Whether somebody may use a route about this domain.
    pub(super) fn verdict(self, who: Option<&WebAdmin>, domain: &str) -> Verdict {
        let Some(who) = who else {
            return if self == Anyone { Verdict::Allowed } else { Verdict::LogIn };
        };
        let allowed = match self {
            Anyone | Password => return Verdict::Allowed,
            SignedIn => true,
            Domain => who.holds(domain),
            System => who.is_system(),
        };
        match allowed {
            _ if who.must_change => Verdict::ChangePassword,
            true => Verdict::Allowed,
            false => Verdict::Forbidden,
        }
    }
}

/// The groups of the navigation: the heading's key (empty: none) and the topics below it without their `nav.`, in the
/// order in which they are shown. A topic that is not here comes last in the last group.
const GROUPS: &[(&str, &[&str])] = &[
    ("", &["dashboard"]),
    ("topics.accounts", &["domains", "defaults", "users", "addressbook", "welcome", "administrators"]),
    ("topics.mail", &["queue", "explain", "aliases", "forwarding", "smtpauth", "pulls"]),
    ("topics.protection", &["access", "spammers", "filters", "passwords"]),
    (
        "topics.system",
        &["services", "settings", "certificates", "logs", "backup", "tables", "history", "about"],
    ),
];

/// All topics that have a place, without their `nav.`.
#[cfg(test)]
pub(super) fn placed() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().flat_map(|(_, topics)| topics.iter().copied())
}

/// A group of the navigation.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Group {
    /// Of its heading; empty: it has none.
    key: &'static str,
    entries: Vec<Entry>,
}

/// An entry of the navigation.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Entry {
    key: &'static str,
    href: &'static str,
    is_here: bool,
}

/// The group of a topic and its place there.
fn place(topic: &str) -> (usize, usize) {
    let name = topic.trim_start_matches("nav.");
    let found = GROUPS.iter().enumerate().find_map(|(group, (_, topics))| {
        topics.iter().position(|known| *known == name).map(|place| (group, place))
    });
    found.unwrap_or((GROUPS.len() - 1, usize::MAX))
}

/// The topics that somebody may open, by group: the first page of each.
pub(super) fn navigation(who: Option<&WebAdmin>, here: &str) -> Vec<Group> {
    if who.is_none() {
        return Vec::new();
    }
    let mut pages: Vec<&Route> = Vec::new();
    for route in ROUTES {
        let is_known = pages.iter().any(|known| known.topic == route.topic);
        if route.is_entry() && !is_known && route.access.verdict(who, "") == Verdict::Allowed {
            pages.push(route);
        }
    }
    // Stable: topics without a place stay in the order of the routes.
    pages.sort_by_key(|route| place(route.topic));
    let groups = GROUPS.iter().enumerate().map(|(index, &(key, _))| Group {
        key,
        entries: (pages.iter().filter(|route| place(route.topic).0 == index))
            .map(|route| Entry { key: route.topic, href: route.path, is_here: route.topic == here })
            .collect(),
    });
    groups.filter(|group| !group.entries.is_empty()).collect()
}
