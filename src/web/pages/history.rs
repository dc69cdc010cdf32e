//! The states of the tables, what each changed, and the way back (`tabmail log`, `show`, `rollback`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::web::templates::context;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;

use super::Paging;
use crate::mailroot::history::{History, State, Version};
use crate::mailroot::line_diff::unified;
use crate::web::deed::{Change, Deed, diff_lines};
use crate::web::error::WebError;
use crate::web::visit::Visit;

#[derive(Debug, Serialize)]
struct Row {
    number: u64,
    unix_secs: i64,
    origin: String,
    files: Vec<String>,
}

/// Who made a state: what the recorder writes of itself in words, names as they are.
fn origin(visit: &Visit, origin: &str) -> String {
    match origin {
        "on" => visit.say("origin.on", &[]),
        "start" => visit.say("origin.start", &[]),
        "hand" => visit.say("origin.hand", &[]),
        "tabmail" => visit.say("origin.tabmail", &[]),
        name => name.to_owned(),
    }
}

fn row(visit: &Visit, state: &State) -> Row {
    Row {
        number: state.number,
        unix_secs: state.time.parse::<Timestamp>().map_or(0, Timestamp::as_second),
        origin: origin(visit, &state.origin),
        files: state.files.iter().map(|file| file.display().to_string()).collect(),
    }
}

fn open(visit: &Visit) -> History {
    History::new(visit.tables().root(), visit.app.services.disk.clone())
}

/// The states, the newest first.
pub(in crate::web) fn list(visit: &Visit) -> Result<Response, WebError> {
    let states = open(visit).states()?;
    let wanted = visit.query("q");
    let found: Vec<&State> = (states.iter().rev())
        .filter(|state| state.files.iter().any(|file| file.display().to_string().contains(wanted)))
        .collect();
    let (paging, range) = Paging::of(visit, "/jdwa/history", found.len());
    let rows: Vec<Row> = found[range].iter().map(|state| row(visit, state)).collect();
    visit.page("history.html", context! { rows, paging, q => wanted })
}

fn state(visit: &Visit, history: &History) -> Result<State, WebError> {
    let number = visit.param("state").parse().map_err(|_| WebError::NotFound)?;
    history.state(number).map_err(|error| match error {
        crate::mailroot::history::HistoryError::NoSuchState { .. } => WebError::NotFound,
        error => error.into(),
    })
}

fn bytes(version: &Version) -> &[u8] {
    version.as_ref().map_or(b"", |bytes| bytes.as_slice())
}

/// What one state changed.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let history = open(visit);
    let state = state(visit, &history)?;
    let mut changes = Vec::new();
    for file in &state.files {
        changes.push(change(&history, &state, file)?);
    }
    visit.page("state.html", context! { state => row(visit, &state), changes })
}

fn change(history: &History, state: &State, file: &Path) -> Result<Change, WebError> {
    let after = history.version(file, state.number)?;
    let before = history.version_before(file, state.number)?;
    let (what, lines) = match &before {
        Some(before) => ("change.change", diff_lines(file, &unified(bytes(before), bytes(&after), 2))),
        None => ("change.first", Vec::new()),
    };
    Ok(Change { lines, ..Change::of(file, what) })
}

/// Makes one file what it was before or in a state; the diff is shown first.
pub(in crate::web) fn roll_back(visit: &Visit) -> Result<Response, WebError> {
    let history = open(visit);
    let state = state(visit, &history)?;
    let is_it = |file: &&PathBuf| file.display().to_string() == visit.field("file");
    let file = state.files.iter().find(is_it).ok_or(WebError::NotFound)?.clone();
    let version = match visit.field("to") {
        "before" => history.version_before(&file, state.number)?.ok_or(WebError::NotFound)?,
        _ => history.version(&file, state.number)?,
    };
    let content = version.ok_or(WebError::NotFound)?.to_vec();
    let base = Arc::new(visit.app.services.admin.table_text(&file)?);
    let back = format!("/jdwa/history/{}", state.number);
    visit.propose(Deed::save_table(file, base, content), &back)
}
