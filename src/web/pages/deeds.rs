//! The second half of every change: confirmed, done, noted.

use std::sync::Arc;

use crate::web::templates::context;
use axum::http::StatusCode;
use axum::response::Response;
use bstr::ByteSlice as _;
use serde::Serialize;

use super::domains;
use crate::admin::AdminError;
use crate::mailroot::edit::{Conflict, EditError, LineVersion};
use crate::mailroot::history::with_origin;
use crate::web::audit::{self, Note};
use crate::web::bulk::{Bulk, Outcome};
use crate::web::deed::{self, Deed, Draft};
use crate::web::error::WebError;
use crate::web::jobs::{Jobs, Task};
use crate::web::sessions::Kept;
use crate::web::visit::{Visit, redirect};

/// Does what was shown.
pub(in crate::web) fn confirm(visit: &Visit) -> Result<Response, WebError> {
    let id = visit.field("draft");
    let Some(Kept::Draft(draft)) = visit.kept(id) else { return Err(WebError::Stale) };
    allow(visit, &draft.deed)?;
    if let Some(bulk) = draft.deed.bulk() {
        return begin(visit, id, &draft, Arc::clone(bulk));
    }
    if let Some(session) = &visit.session {
        // First of all: a second click must not do it twice.
        visit.app.sessions.peek(session, |session| session.drop_kept(id));
    }
    match carry_out(visit, &draft) {
        Ok(()) => {
            visit.flash("good", visit.say("confirm.done", &[("deed", &visit.say(draft.deed.key(), &[]))]));
            Ok(redirect(&draft.back))
        }
        Err(AdminError::Edit(EditError::Conflict(conflict))) => {
            show_conflict(visit, &draft.deed, &draft.back, &conflict)
        }
        Err(error) => {
            if is_passing(&error)
                && let Some(session) = &visit.session
            {
                // The page behind can be confirmed once more, and what was hashed for it is not hashed again.
                let kept = Kept::Draft(Arc::clone(&draft));
                visit.app.sessions.peek(session, |session| session.put_back(id, kept));
            }
            Err(error.into())
        }
    }
}

/// Whether nothing was done because somebody else works on a table, which passes.
fn is_passing(error: &AdminError) -> bool {
    matches!(error, AdminError::Edit(EditError::Busy { .. } | EditError::OpenForWriting { .. }))
}

/// Begins what takes too long for a page; a draft that must wait for other work stays.
fn begin(visit: &Visit, id: &str, draft: &Draft, bulk: Arc<Bulk>) -> Result<Response, WebError> {
    let (name, peer, said) =
        (visit.administrator()?.name.to_string(), visit.peer, visit.say("bulk.ended", &[]));
    let deed = draft.deed.key().trim_start_matches("deed.");
    let task =
        Task { what: draft.deed.key(), domain: Some(bulk.domain.clone()), total: bulk.names.len() as u64 };
    let back = format!("{}/work", domains::link(&bulk.domain));
    let has_begun = Jobs::begin(&visit.app, task, move |app, tell| {
        let note = Note { name: &name, peer, deed };
        let outcome = bulk.run_all(app, &note, tell);
        let text = ended(&said, &outcome);
        if outcome.failed == 0 { Ok(text) } else { Err(format!("{text} {}", outcome.first)) }
    });
    if has_begun && let Some(session) = &visit.session {
        visit.app.sessions.peek(session, |session| session.drop_kept(id));
    }
    visit.flash_begun(has_begun);
    Ok(redirect(&back))
}

fn ended(text: &str, outcome: &Outcome) -> String {
    let counts = [
        ("{done}", outcome.done),
        ("{gone}", outcome.gone),
        ("{failed}", outcome.failed),
        ("{left}", outcome.left),
    ];
    counts.iter().fold(text.to_owned(), |text, (hole, count)| text.replace(hole, &count.to_string()))
}

/// Whether the administrator may still do it.
fn allow(visit: &Visit, deed: &Deed) -> Result<(), WebError> {
    let who = visit.administrator()?;
    let allowed = deed.domain().map_or(who.is_system(), |domain| who.holds(domain));
    if allowed { Ok(()) } else { Err(WebError::Forbidden) }
}

fn carry_out(visit: &Visit, draft: &Arc<Draft>) -> Result<(), AdminError> {
    let (app, deed) = (&visit.app, &draft.deed);
    let name = visit.who.as_ref().map_or("", |who| &who.name);
    let admin = &app.services.admin;
    // What is noted is what changes now; the tables may have changed since the page was shown.
    let planned = admin.rehearse(|admin| deed.run(admin))?;
    with_origin(&format!("web {name}"), || deed.run(admin))?;
    let note = Note { name, peer: visit.peer, deed: deed.key().trim_start_matches("deed.") };
    audit::write(app, &note, &deed::changes(&planned, 0));
    Ok(())
}

/// One row in three versions, as text.
#[derive(Debug, Serialize)]
struct Row {
    line: usize,
    base: Option<String>,
    mine: Option<String>,
    theirs: Option<String>,
}

/// What stands for a row of another domain.
const UNSEEN: &str = "***";

/// The rows that were changed here and elsewhere; `back` leads to where the change is made anew. A text that was typed as a
/// whole stands below them, to be saved in the place of the file as it is now.
pub(in crate::web) fn show_conflict(
    visit: &Visit,
    deed: &Deed,
    back: &str,
    conflict: &Conflict,
) -> Result<Response, WebError> {
    let text = |version: &Option<LineVersion>| {
        let version = version.as_ref()?;
        if !visit.may_see(&conflict.file, version.text.as_bytes()) {
            return Some(UNSEEN.to_owned());
        }
        let line = format!(" {}", version.text);
        deed::diff_lines(&conflict.file, &line).pop().map(|line| line.text)
    };
    let rows: Vec<Row> = conflict
        .rows
        .iter()
        .map(|row| Row {
            line: [&row.theirs, &row.mine, &row.base].into_iter().flatten().next().map_or(0, |one| one.line),
            base: text(&row.base),
            mine: text(&row.mine),
            theirs: text(&row.theirs),
        })
        .collect();
    let file = conflict.file.display().to_string();
    let typed = deed.typed_text(&conflict.file).map(|text| text.to_str_lossy().into_owned());
    let base = match typed {
        Some(_) => {
            let now = visit.app.services.admin.table_text(&conflict.file)?;
            visit.keep(Kept::Base(conflict.file.clone(), Arc::new(now)))?
        }
        None => String::new(),
    };
    let context = context! { file, rows, back, typed, base };
    visit.page_with(StatusCode::CONFLICT, "conflict.html", context)
}
