//! The queue: waiting and frozen messages (`jdmail.md` JD-61). Read from the files, whether a server runs or not; what is
//! done with messages is done by the server that has the spool open.
//!
//! A page costs the names of all messages, and two small reads for each one shown; a search costs these for each message
//! of the part, once for all pages of what it finds. What is done to all that match is done to those that matched when the question was asked.

use std::sync::{Arc, PoisonError};

use axum::response::Response;
use bstr::ByteSlice as _;
use serde::Serialize;

use super::Paging;
use crate::admin::AdminError;
use crate::spool::Name;
use crate::spool::inspect::{self, Found, Glance, Part, Standing};
use crate::web::audit::{self, Note};
use crate::web::error::WebError;
use crate::web::sessions::Kept;
use crate::web::templates::context;
use crate::web::visit::{Visit, redirect, segment};

const PATH: &str = "/jdwa/queue";

/// Messages named in one command to the server: their names fit into a line of CTRL. Ours.
const MESSAGES_IN_A_COMMAND: usize = 20;

/// Messages shown where all of them are asked about. Ours.
const SHOWN_MAX: usize = 20;

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// `level1/level2/name`: what forms send.
    path: String,
    link: String,
    from: String,
    to: String,
    attempts: usize,
    came_unix_secs: Option<i64>,
    last_unix_secs: Option<i64>,
    reason: String,
    bytes: u64,
}

/// What may be done with messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Try,
    Freeze,
    Delete,
}

impl Act {
    fn of(visit: &Visit) -> Result<Self, WebError> {
        match visit.field("act") {
            "resubmit" => Ok(Self::Try),
            "freeze" => Ok(Self::Freeze),
            "delete" => Ok(Self::Delete),
            _ => Err(WebError::BadForm),
        }
    }

    /// The CTRL command.
    fn command(self) -> &'static str {
        match self {
            Self::Try => "queuetry",
            Self::Freeze => "queuefrz",
            Self::Delete => "queuedel",
        }
    }

    /// The text when it is done.
    fn done(self) -> &'static str {
        match self {
            Self::Try => "queue.resubmitted",
            Self::Freeze => "queue.was_frozen",
            Self::Delete => "queue.deleted",
        }
    }

    /// What the form calls it.
    fn word(self) -> &'static str {
        match self {
            Self::Try => "resubmit",
            Self::Freeze => "freeze",
            Self::Delete => "delete",
        }
    }
}

fn part(name: &str) -> (Part, &'static str) {
    match name {
        "frozen" => (Part::Frozen, "frozen"),
        _ => (Part::Waiting, "waiting"),
    }
}

/// A search in sender, recipient, reason and name, in any case.
fn fits(wanted: &str) -> impl Fn(&Glance) -> bool {
    let wanted = wanted.to_lowercase();
    move |message: &Glance| {
        let reason = message.reason.as_deref().unwrap_or_default();
        let texts = [&message.from, &message.to, reason, message.name.file_name()];
        texts.iter().any(|text| text.to_lowercase().contains(&wanted))
    }
}

/// What the last search found, so that its other pages need not read all messages again.
#[derive(Debug)]
pub(in crate::web) struct Search {
    part: Part,
    q: String,
    unix_secs: i64,
    found: Vec<Found>,
}

/// How long the pages of a search show what it found, in seconds. Ours: the page says when that was.
const SEARCH_FRESH_SECS: i64 = 60;

/// What the search finds, or found a moment ago. The first page always searches.
fn search(visit: &Visit, part: Part, q: &str) -> Result<Arc<Search>, WebError> {
    let now = visit.app.services.clock.unix_secs();
    let kept = || visit.app.queue_search.lock().unwrap_or_else(PoisonError::into_inner);
    let is_this = |search: &&Arc<Search>| {
        (search.part, search.q.as_str()) == (part, q)
            && (0..SEARCH_FRESH_SECS).contains(&(now - search.unix_secs))
    };
    let is_later_page = visit.query("page").parse().is_ok_and(|page: usize| page > 1);
    if let Some(known) = kept().as_ref().filter(is_this).filter(|_| is_later_page) {
        return Ok(Arc::clone(known));
    }
    let fits = fits(q);
    let found = inspect::matching(visit.tables().root(), part, Some(&fits)).map_err(AdminError::from)?;
    let search = Arc::new(Search { part, q: q.to_owned(), unix_secs: now, found });
    *kept() = Some(Arc::clone(&search));
    Ok(search)
}

/// Lists a part of it.
pub(in crate::web) fn list(visit: &Visit) -> Result<Response, WebError> {
    let ((part, key), q) = (part(visit.query("part")), visit.query("q"));
    let (tables, mut paging, mut searched) = (visit.tables(), None, None);
    let mut range_of = |total: usize| {
        let (found, range) = Paging::of(visit, PATH, total);
        paging = Some(found);
        range
    };
    let (total, messages) = if q.is_empty() {
        inspect::list(tables.root(), part, range_of).map_err(AdminError::from)?
    } else {
        let search = search(visit, part, q)?;
        searched = Some(search.unix_secs);
        let shown = &search.found[range_of(search.found.len())];
        (search.found.len(), inspect::glances(tables.root(), shown))
    };
    let rows: Vec<Row> = messages.iter().map(row).collect();
    // What was listed need not be counted again.
    let count = |other: Part| match other == part && q.is_empty() {
        true => total,
        false => inspect::count(tables.root(), other).unwrap_or_default(),
    };
    let (waiting, frozen) = (count(Part::Waiting), count(Part::Frozen));
    visit.page("queue.html", context! { rows, paging, part => key, q, total, waiting, frozen, searched })
}

fn path_of(name: &Name) -> String {
    let place = name.place();
    format!("{}/{}/{}", place.level1, place.level2, name.file_name())
}

fn link_of(name: &Name) -> String {
    let place = name.place();
    format!("{PATH}/{}/{}/{}", place.level1, place.level2, segment(name.file_name()))
}

fn row(message: &Glance) -> Row {
    Row {
        name: message.name.file_name().to_owned(),
        path: path_of(&message.name),
        link: link_of(&message.name),
        from: message.from.clone(),
        to: message.to.clone(),
        attempts: message.attempts,
        came_unix_secs: message.came_unix_secs(),
        last_unix_secs: message.last_unix_secs,
        reason: message.reason.clone().unwrap_or_default(),
        bytes: message.bytes,
    }
}

/// The message of the path, looked up by its file name.
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

fn row_of_standing(message: &Standing) -> Row {
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
    let glance = Glance {
        name: message.name.clone(),
        from,
        to,
        bytes,
        attempts: attempts.len(),
        last_unix_secs: last.map(|attempt| attempt.unix_secs),
        reason: last.and_then(|attempt| attempt.error.clone()),
    };
    row(&glance)
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
    let fault = message.envelope.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let (is_frozen, file) = (message.state == "froz", message.file.display().to_string());
    let explain = format!("/jdwa/explain?message={}", segment(message.name.file_name()));
    let has_file = message.state != inspect::JOURNALED;
    let shown = row_of_standing(&message);
    visit.page(
        "message.html",
        context! { message => shown, explain, log, head, is_frozen, file, has_file, fault },
    )
}

/// Tries messages again, freezes or deletes them: those selected, or all that the search finds. Deleting, and whatever concerns all,
/// is asked about first.
pub(in crate::web) fn act(visit: &Visit) -> Result<Response, WebError> {
    let (act, (part, key)) = (Act::of(visit)?, part(visit.field("part")));
    if let Some(Kept::Messages(paths)) = visit.kept(visit.field("messages")) {
        if let Some(session) = &visit.session {
            // A second click must not do it twice.
            visit.app.sessions.peek(session, |session| session.drop_kept(visit.field("messages")));
        }
        return carry_out(visit, act, key, &paths);
    }
    let (q, is_all) = (visit.field("q"), visit.field("scope") == "all");
    let paths: Vec<String> = if is_all {
        let fits = fits(q);
        let search: Option<&dyn Fn(&Glance) -> bool> = if q.is_empty() { None } else { Some(&fits) };
        let names = inspect::matching(visit.tables().root(), part, search).map_err(AdminError::from)?;
        names.iter().map(|found| path_of(&found.name)).collect()
    } else {
        let chosen = visit.form.iter().filter(|(name, _)| name == "m");
        chosen.map(|(_, path)| path.clone()).collect()
    };
    if paths.is_empty() {
        visit.flash("bad", visit.say("queue.none_chosen", &[]));
        return Ok(redirect(&back(key)));
    }
    if act != Act::Delete && !is_all {
        return carry_out(visit, act, key, &paths);
    }
    let count = paths.len();
    let shown: Vec<String> = paths.iter().take(SHOWN_MAX).cloned().collect();
    let messages = visit.keep(Kept::Messages(Arc::new(paths)))?;
    let is_grave = act == Act::Delete;
    visit.page(
        "queue_sure.html",
        context! { count, shown, messages, is_grave, act => act.word(), part => key, back => back(key), q },
    )
}

fn back(part: &str) -> String {
    format!("{PATH}?part={part}")
}

fn carry_out(visit: &Visit, act: Act, part: &str, paths: &[String]) -> Result<Response, WebError> {
    let (admin, words) = (&visit.app.services.admin, paths.iter().map(String::as_str).collect::<Vec<_>>());
    let done = match act {
        Act::Try => admin.try_messages(&words),
        Act::Freeze => admin.freeze_messages(&words),
        Act::Delete => admin.remove_messages(&words),
    };
    match done {
        // Another process has the spool open.
        Err(AdminError::NoSpool) => {
            for some in words.chunks(MESSAGES_IN_A_COMMAND) {
                let command: Vec<&str> = [act.command()].iter().chain(some).copied().collect();
                let asked = visit.app.services.roof.control(&command);
                asked.map_err(|_| AdminError::NoSpool)?;
            }
        }
        done => drop(done?),
    }
    let (who, count) = (visit.administrator()?, paths.len().to_string());
    let named: Vec<&str> = words.iter().take(SHOWN_MAX).copied().collect();
    let deed = format!("{} {count}: {}", act.command(), named.join(" "));
    audit::write(&visit.app, &Note { name: &who.name, peer: visit.peer, deed: &deed }, &[]);
    visit.flash("good", visit.say(act.done(), &[("count", &count)]));
    Ok(redirect(&back(part)))
}
