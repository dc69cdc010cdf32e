//! The way in: what happens to every request before and after its handler.
//!
//! In this order: session, role, body (bounded by who sends it), CSRF token, handler on a blocking thread, headers.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts as _, RawPathParams, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::error::WebError;
use super::i18n::Language;
use super::routes::{self, Method, ROUTES, Route, Takes, Verdict};
use super::sessions::{hex, token};
use super::visit::{Pairs, Refused, Visit, answer, redirect, with_cookie};
use super::{App, HOME, cookies, upload};
use crate::mailroot::schema::server as variables;
use crate::mailroot::webadmin::WebAdmin;

/// The other end of the connection, put into a request by [`super::serve`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// The largest form of somebody who is not logged in, in bytes. Ours.
const GUEST_FORM_BYTES_MAX: usize = 16 << 10;

/// The largest form of an administrator, in bytes: a percent-encoded table of 100,000 accounts. Ours.
const FORM_BYTES_MAX: usize = 48 << 20;

/// Nothing from elsewhere, no inline script or style, nobody frames us.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The routes of the table, and what everything else becomes.
pub(super) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let app = Arc::clone(&app);
        let handler = move |request: Request| enter(Arc::clone(&app), route, request);
        let method: MethodRouter = match route.method {
            Method::Get => get(handler),
            Method::Post => post(handler),
        };
        router = router.route(route.path, method);
    }
    let home = || async { finish(redirect(HOME), false) };
    let nowhere = move |request: Request| enter(app, &routes::NOWHERE, request);
    let router = router.route("/", get(home)).route("/jdwa", get(home));
    router.fallback(nowhere.clone()).method_not_allowed_fallback(nowhere)
}

async fn enter(app: Arc<App>, route: &'static Route, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let is_tls = app.services.is_tls;
    let params = RawPathParams::from_request_parts(&mut parts, &()).await;
    let params: Pairs = params
        .map(|params| params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
        .unwrap_or_default();
    let is_asset = route.path.starts_with("/jdwa/static/");
    let (mut visit, new_guest) = match prepare(app, route, &parts, params) {
        Ok(prepared) => prepared,
        Err(error) => {
            tracing::error!("web administration: {error}");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return finish(answer(status, "text/plain; charset=utf-8", "500\n".into()), is_tls);
        }
    };
    let mut response = match route.access.verdict(visit.who.as_ref(), visit.param("domain")) {
        Verdict::LogIn => redirect("/jdwa/login"),
        Verdict::ChangePassword => redirect("/jdwa/password"),
        Verdict::Forbidden => visit.error_page(&WebError::Forbidden),
        Verdict::Allowed => match read_form(&mut visit, route, &parts.headers, body).await {
            Err(error) => visit.error_page(&error),
            Ok(()) => run(visit, route).await,
        },
    };
    if let Some(guest) = new_guest.filter(|_| !is_asset) {
        response = with_cookie(response, &cookies::set(cookies::GUEST, &guest, None, is_tls));
    }
    finish(response, is_tls)
}

/// Who asks, and how. A visitor without a cookie gets one, for the token of the log-in form.
fn prepare(
    app: Arc<App>,
    route: &'static Route,
    parts: &Parts,
    params: Pairs,
) -> Result<(Visit, Option<String>), getrandom::Error> {
    let cookies = text_of(&parts.headers, header::COOKIE);
    let cookie = |name| cookies::find(cookies, name);
    let session = cookie(cookies::SESSION).map(str::to_owned);
    let signed_in = session.as_deref().and_then(|id| who_is(&app, id));
    let (guest, new_guest) = match cookie(cookies::GUEST) {
        Some(guest) => (guest.to_owned(), None),
        None => {
            let guest = token()?;
            (guest.clone(), Some(guest))
        }
    };
    let csrf = signed_in.as_ref().map_or_else(|| guest_token(&app.secret, &guest), |(_, csrf)| csrf.clone());
    let chosen = cookie(cookies::LANGUAGE).and_then(Language::of_tag);
    let browser = || Language::of_browser(text_of(&parts.headers, header::ACCEPT_LANGUAGE));
    let visit = Visit {
        params,
        query: pairs(parts.uri.query().unwrap_or_default().as_bytes()),
        form: Pairs::new(),
        shown: Mutex::default(),
        upload: Mutex::default(),
        text_file: None,
        session: session.filter(|_| signed_in.is_some()),
        who: signed_in.map(|(who, _)| who),
        csrf,
        language: chosen.unwrap_or_else(browser),
        theme: theme(cookie(cookies::THEME)),
        peer: parts.extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0),
        here: here(route, parts),
        path: parts.uri.path().to_owned(),
        refused: None,
        topic: route.topic,
        app,
    };
    Ok((visit, new_guest))
}

/// Where a choice of language or theme leads back to: a page, also from what a form answered.
fn here(route: &Route, parts: &Parts) -> String {
    if route.is_shown() {
        return parts.uri.path_and_query().map_or_else(|| HOME.to_owned(), ToString::to_string);
    }
    let page = ROUTES.iter().find(|page| page.is_entry() && page.topic == route.topic);
    page.map_or(HOME, |page| page.path).to_owned()
}

/// The administrator of a session that is alive, as the table has him now, and the session's token.
fn who_is(app: &App, id: &str) -> Option<(WebAdmin, String)> {
    let tables = app.tables();
    let idle_secs = tables.server.integer(&variables::WEB_SESSION_IDLE);
    let now = app.services.clock.unix_secs();
    let found = app.sessions.with(id, now, idle_secs, |session| {
        (session.name.clone(), session.password.clone(), session.csrf.clone())
    });
    let (name, password, csrf) = found?;
    let who = tables.web_admins.get(&name).filter(|who| who.password == password);
    if who.is_none() {
        app.sessions.end(id);
    }
    let max_days = tables.server.integer(&variables::WEB_PASSWORD_MAX_AGE);
    let mut who = who?.clone();
    who.must_change |= who.is_too_old(app.services.clock.zoned().date(), max_days);
    Some((who, csrf))
}

/// The token of a visitor: only we can make it from the cookie.
fn guest_token(secret: &[u8; 32], guest: &str) -> String {
    // A key of any length is valid for HMAC.
    Hmac::<Sha256>::new_from_slice(secret).map_or_else(
        |_| String::new(),
        |mut mac| {
            mac.update(guest.as_bytes());
            hex(&mac.finalize().into_bytes())
        },
    )
}

pub(super) fn theme(word: Option<&str>) -> &'static str {
    match word {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "auto",
    }
}

async fn read_form(
    visit: &mut Visit,
    route: &Route,
    headers: &HeaderMap,
    body: Body,
) -> Result<(), WebError> {
    if route.method == Method::Get {
        return Ok(());
    }
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return Err(WebError::BadToken);
    }
    let content_type = text_of(headers, header::CONTENT_TYPE);
    match content_type.split(';').next() {
        Some("application/x-www-form-urlencoded") => {}
        Some("multipart/form-data") if route.takes == Takes::Archive => {
            let bytes = text_of(headers, header::CONTENT_LENGTH).parse().unwrap_or(0);
            return upload::receive(visit, content_type, bytes, body).await;
        }
        Some("multipart/form-data") if route.takes == Takes::TextFile => {
            return upload::receive_fields(visit, content_type, FORM_BYTES_MAX as u64, body).await;
        }
        _ => return Err(WebError::BadForm),
    }
    let limit = if visit.who.is_some() { FORM_BYTES_MAX } else { GUEST_FORM_BYTES_MAX };
    let bytes = to_bytes(body, limit).await.map_err(|_| WebError::BadForm)?;
    visit.form = pairs(&bytes);
    if visit.has_token() { Ok(()) } else { Err(WebError::BadToken) }
}

async fn run(visit: Visit, route: &'static Route) -> Response {
    let done = tokio::task::spawn_blocking(move || handle(visit, route));
    done.await.unwrap_or_else(|error| {
        tracing::error!("web administration: {}: {error}", route.path);
        answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", "500\n".into())
    })
}

/// What the use-case refuses comes back with the page of the form, where there is one.
fn handle(mut visit: Visit, route: &Route) -> Response {
    let error = match (route.handler)(&visit) {
        Ok(response) => return response,
        Err(error) => error,
    };
    if let Some(page) = route.form.filter(|_| error.status() == StatusCode::UNPROCESSABLE_ENTITY) {
        visit.refused = Some(Refused { text: visit.error_text(&error), field: error.field() });
        if let Ok(response) = page(&visit) {
            return response;
        }
    }
    visit.error_page(&error)
}

/// Headers of every answer.
fn finish(mut response: Response, is_tls: bool) -> Response {
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: &'static str| {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    };
    set("content-security-policy", CONTENT_SECURITY_POLICY);
    set("x-content-type-options", "nosniff");
    set("x-frame-options", "DENY");
    set("referrer-policy", "same-origin");
    set("cross-origin-opener-policy", "same-origin");
    set("permissions-policy", "camera=(), geolocation=(), microphone=()");
    if is_tls {
        set("strict-transport-security", "max-age=31536000");
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn pairs(encoded: &[u8]) -> Pairs {
    form_urlencoded::parse(encoded).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
