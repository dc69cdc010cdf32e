//! The log files by kind and day, with search and follow mode (`jdmail.md` JD-60).
//!
//! Files are read from their ends ([`crate::logs::read`]): one page of hits, at most [`LOOK`] of a file at once; the next page goes
//! on where that ended. Follow mode is a reload every few seconds; with JavaScript only what is new is fetched. Passwords,
//! which `ctrl`, `pop3` and `imap` logs may hold (`mailflow.md` 15), are neither shown nor searched.

use std::path::PathBuf;

use axum::http::{HeaderValue, header};
use axum::response::Response;
use bstr::ByteSlice as _;
use serde::Serialize;

use crate::logs::read::{self, LogFile, Look};
use crate::web::error::WebError;
use crate::web::templates::context;
use crate::web::visit::Visit;

const PATH: &str = "/jdwa/logs";

/// Lines on a page, and what is read of a file for one. Ours: read in a moment.
const LOOK: Look = Look { lines_max: 100, bytes_max: 64 << 20 };

/// What is read at once of what was written since. Ours.
const FOLLOWED: Look = Look { lines_max: 200, bytes_max: 1 << 20 };

/// Days that can be chosen. Ours; older ones are reached by their address.
const DAYS_MAX: usize = 400;

/// How often a page that follows is loaded anew without JavaScript, in seconds.
const RELOAD_SECS: &str = "5";

/// What one kind of log holds (`mailflow.md` 15).
struct Kind {
    name: &'static str,
    /// The texts of its columns.
    columns: &'static [&'static str],
    sender: Option<usize>,
    recipient: Option<usize>,
    /// A column with passwords.
    secret: Option<usize>,
}

const fn kind(name: &'static str, columns: &'static [&'static str]) -> Kind {
    Kind { name, columns, sender: None, recipient: None, secret: None }
}

const LOG_IN: &[&str] = &[
    "logs.server",
    "logs.domain",
    "logs.peer",
    "logs.date",
    "logs.user",
    "logs.password",
    "logs.status",
    "logs.count_or_mechanism",
    "logs.bytes",
];

/// What is known of each kind; of others lines are shown as they are.
static KINDS: &[Kind] = &[
    Kind {
        sender: Some(6),
        recipient: Some(7),
        ..kind(
            "smtp",
            &[
                "logs.server",
                "logs.domain",
                "logs.peer",
                "logs.date",
                "logs.helo",
                "logs.recipient_domain",
                "logs.sender",
                "logs.recipient",
                "logs.number",
                "logs.status",
                "logs.user",
                "logs.bytes",
                "logs.peer_name",
            ],
        )
    },
    Kind {
        sender: Some(3),
        recipient: Some(4),
        ..kind(
            "smail",
            &[
                "logs.domain",
                "logs.spool_name",
                "logs.number",
                "logs.sender",
                "logs.recipient",
                "logs.medium",
                "logs.parameter",
                "logs.date",
                "logs.remote_id",
            ],
        )
    },
    Kind { recipient: Some(4), secret: Some(5), ..kind("pop3", LOG_IN) },
    Kind { recipient: Some(4), secret: Some(5), ..kind("imap", LOG_IN) },
    Kind {
        sender: Some(0),
        recipient: Some(1),
        ..kind(
            "filters",
            &[
                "logs.sender",
                "logs.recipient",
                "logs.local",
                "logs.peer",
                "logs.date",
                "logs.stage",
                "logs.info",
                "logs.outcome",
                "logs.exit_code",
                "logs.program",
            ],
        )
    },
    Kind {
        secret: Some(2),
        ..kind(
            "ctrl",
            &["logs.peer", "logs.user", "logs.password", "logs.date", "logs.command", "logs.status"],
        )
    },
    kind("lmail", &["logs.domain", "logs.file", "logs.number", "logs.date"]),
    Kind {
        recipient: Some(2),
        ..kind(
            "psync",
            &[
                "logs.date",
                "logs.domain",
                "logs.user",
                "logs.remote",
                "logs.remote_user",
                "logs.options",
                "logs.status",
                "logs.messages",
                "logs.bytes",
                "logs.failed",
                "logs.failed_bytes",
            ],
        )
    },
    kind("finger", &["logs.peer_name", "logs.domain", "logs.peer", "logs.date", "logs.query"]),
    kind("webadmin", &["logs.date", "logs.user", "logs.peer", "logs.command", "logs.file", "logs.rows"]),
];

/// What is searched for.
struct Search {
    sender: String,
    recipient: String,
    text: String,
}

impl Search {
    fn of(visit: &Visit) -> Self {
        let wanted = |name| visit.query(name).to_lowercase();
        Self { sender: wanted("from"), recipient: wanted("to"), text: wanted("q") }
    }

    fn fits(&self, line: &[u8], kind: Option<&Kind>) -> bool {
        let row = columns(line, kind);
        let in_column = |wanted: &str, column: Option<usize>| {
            let value = column.and_then(|column| row.get(column));
            wanted.is_empty() || value.is_some_and(|value| value.to_lowercase().contains(wanted))
        };
        in_column(&self.sender, kind.and_then(|kind| kind.sender))
            && in_column(&self.recipient, kind.and_then(|kind| kind.recipient))
            && (self.text.is_empty() || row.iter().any(|value| value.to_lowercase().contains(&self.text)))
    }
}

/// The columns of a line, passwords left out.
fn columns(line: &[u8], kind: Option<&Kind>) -> Vec<String> {
    let text = line.to_str_lossy();
    if kind.is_none() {
        return vec![text.into_owned()];
    }
    let secret = kind.and_then(|kind| kind.secret);
    let column = |(index, column): (usize, &str)| {
        let value = column.trim_matches('\u{22}');
        if secret == Some(index) && !value.is_empty() { "***".to_owned() } else { value.to_owned() }
    };
    text.split('\t').enumerate().map(column).collect()
}

fn kind_of(file: &LogFile) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == file.kind)
}

#[derive(Debug, Serialize)]
struct Tab {
    kind: String,
    link: String,
    is_here: bool,
}

#[derive(Debug, Serialize)]
struct Day {
    name: String,
    /// `2026-11-23 00:00`.
    when: String,
    bytes: u64,
    is_here: bool,
}

fn when(step: &str) -> String {
    let part = |range: std::ops::Range<usize>| step.get(range).unwrap_or_default();
    format!("{}-{}-{} {}:{}", part(0..4), part(4..6), part(6..8), part(8..10), part(10..12))
}

/// The file that is asked for by name, else the newest of the kind that is asked for, else the newest of `smtp`, else any.
fn chosen<'a>(visit: &Visit, files: &'a [LogFile]) -> Option<&'a LogFile> {
    let of_kind = |kind: &str| files.iter().find(|file| file.kind == kind);
    let by_name = files.iter().find(|file| file.name == visit.query("file"));
    by_name.or_else(|| of_kind(visit.query("kind"))).or_else(|| of_kind("smtp")).or(files.first())
}

fn address(visit: &Visit, changes: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let is_changed = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
    query.extend_pairs(visit.query.iter().filter(|(name, _)| !is_changed(name)));
    query.extend_pairs(changes.iter().filter(|(_, value)| !value.is_empty()));
    format!("{PATH}?{}", query.finish())
}

/// Shows a file. It is one of those that are there: its name is looked up, not joined.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let directory = visit.tables().root().path().join("logs");
    let files = read::files(&directory);
    let Some(file) = chosen(visit, &files) else {
        return visit.page("logs.html", context! { file => Option::<String>::None });
    };
    let (kind, search, path) = (kind_of(file), Search::of(visit), directory.join(&file.name));
    let before = visit.query("before").parse().ok();
    let found = read::page(&path, before, LOOK, |line| search.fits(line, kind))
        .map_err(|source| WebError::Disk { path: path.clone(), source })?;
    let rows: Vec<Vec<String>> = found.lines.iter().map(|line| columns(line, kind)).collect();
    let older = found.older.map(|place| address(visit, &[("before", &place.to_string()), ("follow", "")]));
    let newest = before.map(|_| address(visit, &[("before", "")]));
    let is_following = visit.query("follow") == "1" && before.is_none();
    let follow = address(visit, &[("follow", if is_following { "" } else { "1" }), ("before", "")]);
    let query = address(visit, &[("file", &file.name), ("follow", ""), ("before", "")]);
    let tail = query.replacen(PATH, "/jdwa/logs/tail", 1);
    let mut response = visit.page(
        "logs.html",
        context! {
            file => &file.name, tabs => tabs(&files, file), days => days(&files, file),
            columns => kind.map_or(&[][..], |kind| kind.columns), rows, older, newest,
            has_sender => kind.is_some_and(|kind| kind.sender.is_some()),
            has_recipient => kind.is_some_and(|kind| kind.recipient.is_some()),
            from => visit.query("from"), to => visit.query("to"), q => visit.query("q"),
            is_following, follow, tail, end => found.end, bytes => file.bytes,
        },
    )?;
    if is_following {
        response.headers_mut().insert(header::REFRESH, HeaderValue::from_static(RELOAD_SECS));
    }
    Ok(response)
}

fn tabs(files: &[LogFile], here: &LogFile) -> Vec<Tab> {
    let mut kinds: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    for file in files.iter().filter(|file| kind_of(file).is_none()) {
        if !kinds.contains(&file.kind.as_str()) {
            kinds.push(&file.kind);
        }
    }
    let is_there = |kind: &&str| files.iter().any(|file| file.kind == *kind);
    let tab = |kind: &str| {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("kind", kind).finish();
        Tab { kind: kind.to_owned(), link: format!("{PATH}?{query}"), is_here: here.kind == kind }
    };
    kinds.into_iter().filter(is_there).map(tab).collect()
}

fn days(files: &[LogFile], here: &LogFile) -> Vec<Day> {
    let same = files.iter().filter(|file| file.kind == here.kind && !file.step.is_empty());
    let day = |file: &LogFile| Day {
        name: file.name.clone(),
        when: when(&file.step),
        bytes: file.bytes,
        is_here: file.name == here.name,
    };
    same.take(DAYS_MAX).map(day).collect()
}

/// The rows that came since a place in a file: a part of a page.
pub(in crate::web) fn tail(visit: &Visit) -> Result<Response, WebError> {
    let directory = visit.tables().root().path().join("logs");
    let found: Option<(LogFile, PathBuf)> = read::find(&directory, visit.query("file"));
    let (file, path) = found.ok_or(WebError::NotFound)?;
    let (kind, search) = (kind_of(&file), Search::of(visit));
    let from = visit.query("place").parse().map_err(|_| WebError::BadForm)?;
    let (lines, end) = read::since(&path, from, FOLLOWED, |line| search.fits(line, kind))
        .map_err(|source| WebError::Disk { path, source })?;
    let rows: Vec<Vec<String>> = lines.iter().rev().map(|line| columns(line, kind)).collect();
    visit.page("_log_rows.html", context! { rows, end })
}
