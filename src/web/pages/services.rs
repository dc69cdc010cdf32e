//! The services of the mail server: where they listen, and starting and stopping them (`jdmail.md` JD-59).
//!
//! The server is asked and told through [`crate::admin`] where it runs in this process, else through its local CTRL socket. What is
//! started is a command that the operator has allowed (`tabmail web --may-start`); nothing of it comes from a form.

use std::time::{Duration, Instant};

use axum::response::Response;
use serde::Serialize;

use crate::admin::{AdminError, ListenState, Reload};
use crate::web::Start;
use crate::web::audit::{self, Note};
use crate::web::error::WebError;
use crate::web::templates::context;
use crate::web::visit::{Visit, redirect};

const PATH: &str = "/jdwa/services";

/// A listener as it is shown.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Listener {
    service: String,
    /// `SMTP`, `IMAPS`.
    name: String,
    address: String,
    /// The key of its text.
    state: &'static str,
    /// `good`, `bad`, or nothing.
    tone: &'static str,
    reason: String,
    /// The option that switches it off; empty when none does.
    off_by: String,
}

impl Listener {
    fn new(service: &str, address: &str, state: &str, reason: &str) -> Self {
        let (state, tone) = match state {
            "open" => ("services.open", "good"),
            "failed" => ("services.failed", "bad"),
            "off" => ("services.off", "off"),
            _ => ("services.closed", "off"),
        };
        let (reason, off_by) = if state == "services.off" { ("", reason) } else { (reason, "") };
        let [service, address, reason, off_by] = [service, address, reason, off_by].map(str::to_owned);
        Self { name: service.to_uppercase(), service, address, state, tone, reason, off_by }
    }
}

/// How the listeners of the running server stand; `None` when none runs.
pub(in crate::web) fn listeners(visit: &Visit) -> Option<Vec<Listener>> {
    let services = &visit.app.services;
    let reason = |english: &str| visit.phrase(english);
    if let Ok(found) = services.admin.listeners() {
        let listener = |one: &crate::admin::Listening| match &one.state {
            ListenState::Open => Listener::new(&one.service, &one.address, "open", ""),
            ListenState::Closed => Listener::new(&one.service, &one.address, "closed", ""),
            ListenState::Off(option) => Listener::new(&one.service, &one.address, "off", option),
            ListenState::Failed(why) => Listener::new(&one.service, &one.address, "failed", &reason(why)),
        };
        return Some(found.iter().map(listener).collect());
    }
    let rows = services.roof.list(&["srvlist"]).ok()?;
    let listener = |row: &Vec<String>| match &row[..] {
        [service, address, state, why, ..] => Some(Listener::new(service, address, state, &reason(why))),
        _ => None,
    };
    Some(rows.iter().filter_map(listener).collect())
}

/// Shows them.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let found = listeners(visit);
    let is_serving = found.is_some() || visit.app.services.roof.is_serving();
    let (start, command) = match visit.app.services.roof.start() {
        Start::Together => ("together", String::new()),
        Start::Here(command) => ("here", command),
        Start::Elsewhere(command) => ("elsewhere", command),
    };
    visit.page(
        "services.html",
        context! { listeners => found.unwrap_or_default(), is_serving, start, command },
    )
}

/// Starts, stops, reloads the server, or opens and closes a service.
pub(in crate::web) fn act(visit: &Visit) -> Result<Response, WebError> {
    let (act, service) = (visit.field("act"), visit.field("service"));
    let done = match act {
        "open" => tell(visit, |admin| admin.open_service(service), &["srvopen", service]),
        "close" => tell(visit, |admin| admin.close_service(service), &["srvclose", service]),
        "reopen" => tell(visit, |admin| admin.close_service(service), &["srvclose", service])
            .and_then(|()| tell(visit, |admin| admin.open_service(service), &["srvopen", service])),
        "reload" => reload(visit),
        "stop" => tell(visit, crate::admin::Admin::stop_server, &["srvstop"]),
        "start" => visit.app.services.roof.start_server(),
        "restart" => restart(visit),
        _ => return Err(WebError::BadForm),
    };
    let deed = format!("service {act} {service}");
    audit::write(
        &visit.app,
        &Note { name: &visit.administrator()?.name, peer: visit.peer, deed: deed.trim_end() },
        &[],
    );
    match done {
        Ok(()) => visit.flash("good", visit.say("services.done", &[])),
        Err(error) => visit.flash("bad", visit.say("services.refused", &[("reason", &visit.phrase(&error))])),
    }
    Ok(redirect(PATH))
}

/// How long a server may take to stop, for a restart: deliveries under way are ended first. Ours.
const STOP_TIME_MAX: Duration = Duration::from_secs(60);

/// How often it is asked whether it still runs. Ours.
const STOP_PACE: Duration = Duration::from_millis(100);

/// Stops the server that runs beside this process, and starts it with the command that the operator has allowed.
fn restart(visit: &Visit) -> Result<(), String> {
    let roof = &visit.app.services.roof;
    if !matches!(roof.start(), Start::Here(_)) {
        return Err(visit.say("services.no_restart", &[]));
    }
    tell(visit, crate::admin::Admin::stop_server, &["srvstop"])?;
    let begun = Instant::now();
    while roof.is_serving() {
        if begun.elapsed() > STOP_TIME_MAX {
            return Err(visit.say("services.still_runs", &[]));
        }
        std::thread::sleep(STOP_PACE);
    }
    roof.start_server()
}

fn reload(visit: &Visit) -> Result<(), String> {
    let services = &visit.app.services;
    match services.admin.listeners() {
        Ok(_) => {
            services.admin.reload_tables(Reload::Wait);
            Ok(())
        }
        Err(_) => services.roof.control(&["tabreload", "wait"]),
    }
}

/// Tells the server in this process, or the one that runs beside it.
fn tell(
    visit: &Visit,
    here: impl FnOnce(&crate::admin::Admin) -> Result<(), AdminError>,
    there: &[&str],
) -> Result<(), String> {
    match here(&visit.app.services.admin) {
        Err(AdminError::NoServer) => visit.app.services.roof.control(there),
        done => done.map_err(|error| visit.error_text(&error.into())),
    }
}
