//! The queue: waiting and frozen messages (`jdmail.md` JD-61). Read from the files, whether a server runs or not.

use crate::web::templates::context;
use axum::response::Response;
use bstr::ByteSlice as _;
use serde::Serialize;

use super::Paging;
use crate::admin::AdminError;
use crate::spool::inspect::{self, Part, Standing};
use crate::web::audit::{self, Note};
use crate::web::error::WebError;
use crate::web::visit::{Visit, redirect};

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    link: String,
    from: String,
    to: String,
    attempts: usize,
    last_unix_secs: Option<i64>,
    reason: String,
    bytes: u64,
}

fn part(visit: &Visit) -> (Part, &'static str) {
    match visit.query("part") {
        "frozen" => (Part::Frozen, "frozen"),
        _ => (Part::Waiting, "waiting"),
    }
}

/// Lists a part of it.
pub(in crate::web) fn list(visit: &Visit) -> Result<Response, WebError> {
    let (part, key) = part(visit);
    let mut paging = None;
    let found = inspect::list(visit.tables().root(), part, |total| {
        let (found, range) = Paging::of(visit, "/jdwa/queue", total);
        paging = Some(found);
        range
    });
    let (_, messages) = found.map_err(AdminError::from)?;
    let rows: Vec<Row> = messages.iter().map(row).collect();
    visit.page("queue.html", context! { rows, paging, part => key })
}

fn row(message: &Standing) -> Row {
    let place = message.name.place();
    let attempts = &message.slog.1.attempts;
    let last = attempts.last();
    let (from, to, bytes) = match &message.envelope {
        Ok(file) => (
            file.reverse_path.path().map(ToString::to_string).unwrap_or_default(),
            file.forward_path.path().to_string(),
            file.data_bytes(),
        ),
        Err(_) => (String::new(), String::new(), 0),
    };
    Row {
        name: message.name.file_name().to_owned(),
        link: format!(
            "/jdwa/queue/{}/{}/{}",
            place.level1,
            place.level2,
            crate::web::visit::segment(message.name.file_name())
        ),
        from,
        to,
        attempts: attempts.len(),
        last_unix_secs: last.map(|attempt| attempt.unix_secs),
        reason: last.and_then(|attempt| attempt.error.clone()).unwrap_or_default(),
        bytes,
    }
}

/// The frozen or waiting message of the path, looked up by its file name.
fn named(visit: &Visit) -> Result<Standing, WebError> {
    let [level1, level2] = ["level1", "level2"].map(|level| visit.param(level).parse::<u32>().ok());
    let found = inspect::find(visit.tables().root(), visit.param("name")).map_err(AdminError::from)?;
    let is_it = |message: &Standing| {
        let place = message.name.place();
        message.name.file_name() == visit.param("name")
            && Some(place.level1) == level1
            && Some(place.level2) == level2
    };
    found.into_iter().find(is_it).ok_or(WebError::NotFound)
}

/// One message: its head, and the log of its attempts.
pub(in crate::web) fn log(visit: &Visit) -> Result<Response, WebError> {
    let message = named(visit)?;
    let path = visit.tables().root().path().join(&message.slog.0);
    let log = match std::fs::read(&path) {
        Ok(bytes) => bytes.to_str_lossy().into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(WebError::Disk { path, source }),
    };
    let head = message.head.to_str_lossy();
    let head: String =
        head.lines().take_while(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect();
    let is_frozen = message.state == "froz";
    visit.page("queue.html", context! { message => row(&message), log, head, is_frozen })
}

/// Resubmits or deletes a frozen message: with our own spool, else through the server that has it open.
pub(in crate::web) fn act(visit: &Visit) -> Result<Response, WebError> {
    let message = named(visit)?;
    let place = message.name.place();
    let levels = [place.level1.to_string(), place.level2.to_string()];
    let (levels, name) = ([levels[0].as_str(), levels[1].as_str()], message.name.file_name());
    let services = &visit.app.services;
    let (command, text, done) = match visit.field("act") {
        "resubmit" => ("frozsubmit", "queue.resubmitted", services.admin.submit_frozen(levels, name)),
        "delete" => ("frozdel", "queue.deleted", services.admin.remove_frozen(levels, name)),
        _ => return Err(WebError::BadForm),
    };
    match done {
        Err(AdminError::NoSpool) => {
            services.roof.control(&[command, levels[0], levels[1], name]).map_err(|_| AdminError::NoSpool)?
        }
        done => done?,
    }
    let who = visit.administrator()?;
    let deed = format!("{command} {name}");
    audit::write(&visit.app, &Note { name: &who.name, peer: visit.peer, deed: &deed }, &[]);
    visit.flash("good", visit.say(text, &[]));
    Ok(redirect("/jdwa/queue?part=frozen"))
}
