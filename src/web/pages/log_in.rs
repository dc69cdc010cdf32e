//! Log-in, log-out, the own password, language and theme, and the files that pages load.

use std::sync::Mutex;

use crate::web::templates::context;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::auth;
use crate::mailroot::Snapshot;
use crate::mailroot::webadmin::WebAdmin;
use crate::web::HOME;
use crate::web::audit::{self, Note};
use crate::web::cookies::{self, CHOICE_SECS};
use crate::web::enter::theme;
use crate::web::error::WebError;
use crate::web::i18n::Language;
use crate::web::visit::{Visit, answer, is_ours, redirect, with_cookie};

/// One password is checked at a time: argon2id takes memory and time, and guessers shall not have all of ours.
static CHECKING: Mutex<()> = Mutex::new(());

/// Longer names are nobody's: they shall not fill the log. Ours; an address has at most 254 (RFC 5321 4.5.3.1.3).
const NAME_CHARS_MAX: usize = 254;

/// The log-in form.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    if visit.who.is_some() {
        return Ok(redirect(HOME));
    }
    visit.page("login.html", context! { name => "", problem => "" })
}

/// Logs in.
pub(in crate::web) fn log_in(visit: &Visit) -> Result<Response, WebError> {
    let (app, name) = (&visit.app, visit.field("name"));
    if name.chars().count() > NAME_CHARS_MAX {
        return refuse(visit, "", "login.wrong", StatusCode::UNPROCESSABLE_ENTITY);
    }
    if app.bans.holds(app, visit.peer, name) {
        return refuse(visit, name, "login.banned", StatusCode::TOO_MANY_REQUESTS);
    }
    let tables = visit.tables();
    let Some(who) = check(visit, &tables, name, visit.raw_field("password")) else {
        app.bans.failed(app, visit.peer, name);
        audit::write(app, &Note { name, peer: visit.peer, deed: "log-in refused" }, &[]);
        return refuse(visit, name, "login.wrong", StatusCode::UNPROCESSABLE_ENTITY);
    };
    app.bans.succeeded(visit.peer, name);
    let id = app.sessions.begin(&who.name, &who.password, app.services.clock.unix_secs())?;
    audit::write(app, &Note { name: &who.name, peer: visit.peer, deed: "log-in" }, &[]);
    Ok(with_cookie(redirect(HOME), &cookies::set(cookies::SESSION, &id, None, app.services.is_tls)))
}

fn check<'a>(visit: &Visit, tables: &'a Snapshot, name: &str, password: &str) -> Option<&'a WebAdmin> {
    let who = tables.web_admins.get(name).filter(|who| !who.password.is_empty());
    let stored = who.map_or(visit.app.nobodys_hash.as_bytes(), |who| &who.password[..]);
    let matches = {
        let _one_at_a_time = CHECKING.lock();
        auth::password_matches(stored, password.as_bytes()).unwrap_or(false)
    };
    who.filter(|_| matches && !password.is_empty())
}

fn refuse(visit: &Visit, name: &str, key: &str, status: StatusCode) -> Result<Response, WebError> {
    visit.page_with(status, "login.html", context! { name, problem => visit.say(key, &[]) })
}

/// Logs out.
pub(in crate::web) fn log_out(visit: &Visit) -> Result<Response, WebError> {
    if let Some(id) = &visit.session {
        visit.app.sessions.end(id);
        let name = &visit.administrator()?.name;
        audit::write(&visit.app, &Note { name, peer: visit.peer, deed: "log-out" }, &[]);
    }
    let gone = cookies::set(cookies::SESSION, "", Some(0), visit.app.services.is_tls);
    Ok(with_cookie(redirect("/jdwa/login"), &gone))
}

/// The form for the own password.
pub(in crate::web) fn show_password(visit: &Visit) -> Result<Response, WebError> {
    password_page(visit, StatusCode::OK, "")
}

fn password_page(visit: &Visit, status: StatusCode, problem: &str) -> Result<Response, WebError> {
    let is_forced = visit.administrator()?.must_change;
    let at_least = visit.app.services.admin.administrator_password_chars_min();
    visit.page_with(status, "password.html", context! { is_forced, at_least, problem })
}

/// Changes the own password and logs all other sessions of the administrator out.
pub(in crate::web) fn change_password(visit: &Visit) -> Result<Response, WebError> {
    let (old, new) = (visit.raw_field("old"), visit.raw_field("new"));
    let name = visit.administrator()?.name.clone();
    let refused = |key: &str| password_page(visit, StatusCode::UNPROCESSABLE_ENTITY, &visit.say(key, &[]));
    let (app, tables) = (&visit.app, visit.tables());
    if app.bans.holds(app, visit.peer, &name) {
        return refused("login.banned");
    }
    if check(visit, &tables, &name, old).is_none() {
        app.bans.failed(app, visit.peer, &name);
        return refused("password.wrong");
    }
    if new != visit.raw_field("again") {
        return refused("password.differ");
    }
    if new == old {
        return refused("password.same");
    }
    if let Err(error) = app.services.admin.set_administrator_password(&name, new) {
        let text = visit.error_text(&error.into());
        return password_page(visit, StatusCode::UNPROCESSABLE_ENTITY, &text);
    }
    audit::write(app, &Note { name: &name, peer: visit.peer, deed: "own password" }, &[]);
    app.sessions.end_all_of(&name);
    let tables = visit.tables();
    let who = tables.web_admins.get(&name).ok_or(WebError::Forbidden)?;
    let id = app.sessions.begin(&who.name, &who.password, app.services.clock.unix_secs())?;
    Ok(with_cookie(redirect(HOME), &cookies::set(cookies::SESSION, &id, None, app.services.is_tls)))
}

/// Chooses language or theme.
pub(in crate::web) fn prefer(visit: &Visit) -> Result<Response, WebError> {
    let here = visit.field("here");
    let mut response = redirect(if is_ours(here) { here } else { HOME });
    let is_tls = visit.app.services.is_tls;
    if let Some(language) = Language::of_tag(visit.field("language")) {
        let cookie = cookies::set(cookies::LANGUAGE, language.tag(), Some(CHOICE_SECS), is_tls);
        response = with_cookie(response, &cookie);
    }
    if !visit.field("theme").is_empty() {
        let theme = theme(Some(visit.field("theme")));
        response = with_cookie(response, &cookies::set(cookies::THEME, theme, Some(CHOICE_SECS), is_tls));
    }
    Ok(response)
}

/// A style, script or picture.
pub(in crate::web) fn asset(visit: &Visit) -> Result<Response, WebError> {
    let (name, content_type) = match visit.param("file") {
        "admin.css" => ("static/admin.css", "text/css; charset=utf-8"),
        "admin.js" => ("static/admin.js", "text/javascript; charset=utf-8"),
        "tabmail.svg" => ("static/tabmail.svg", "image/svg+xml"),
        _ => return Err(WebError::NotFound),
    };
    let text = visit.app.services.assets.text(name).map_err(|_| WebError::NotFound)?.into_owned();
    let mut response = answer(StatusCode::OK, content_type, text.into());
    let cached = HeaderValue::from_static("public, max-age=300");
    response.headers_mut().insert(header::CACHE_CONTROL, cached);
    Ok(response)
}
