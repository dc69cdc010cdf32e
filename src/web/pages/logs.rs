//! The log files by kind and day, with search and follow mode (`jdmail.md` JD-60).
//!
//! Files are read from their ends ([`crate::logs::read`]): one page of hits, at most [`LOOK`] of a file at once; the next page goes
//! on where that ended. Follow mode is a reload every few seconds; with JavaScript only what is new is fetched. Passwords,
//! which `ctrl`, `pop3` and `imap` logs may hold (`mailflow.md` 15), are neither shown nor searched.
//!
//! All logs that can be are offered, those that nothing writes with the option that turns them on. JDMail's logs of reverse
//! DNS and of junk are rows of others here: [`VIEWS`].

use std::path::PathBuf;

use axum::http::{HeaderValue, header};
use axum::response::Response;
use bstr::ByteSlice as _;
use serde::Serialize;

use crate::logs::LogKind;
use crate::logs::read::{self, LogFile, Look};
use crate::web::error::WebError;
use crate::web::templates::context;
use crate::web::traffic::is_refusal;
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
    kind(WEBADMIN, &["logs.date", "logs.user", "logs.peer", "logs.command", "logs.file", "logs.rows"]),
];

/// The log of the pages, which nothing turns off.
const WEBADMIN: &str = "webadmin";

/// What the diagnostics of a server in the background are called here; they have no columns.
const DIAGNOSTICS: &str = "tabmail";

/// Some rows of a log, as JDMail has logs of their own for them.
struct View {
    /// What asks for it.
    name: &'static str,
    kind: &'static str,
    /// The key of its name.
    key: &'static str,
    /// The key of what stands there and what does not.
    note: &'static str,
    /// The column that decides, and how.
    column: usize,
    holds: fn(&str) -> bool,
}

/// What the server writes of them: the status of `smtp` rows, the way of `smail` rows.
static VIEWS: [View; 3] = [
    View {
        name: "refused",
        kind: "smtp",
        key: "logs.refused",
        note: "logs.refused_note",
        column: 9,
        holds: |status| is_refusal(status.as_bytes()),
    },
    View {
        name: "rdns",
        kind: "smtp",
        key: "logs.rdns",
        note: "logs.rdns_note",
        column: 9,
        holds: |status| status == "SNDRIP=ERDNS",
    },
    View {
        name: "rules",
        kind: "smail",
        key: "logs.rules",
        note: "logs.rules_note",
        column: 5,
        holds: |medium| medium == "RULE",
    },
];

/// What is searched for.
struct Search {
    sender: String,
    recipient: String,
    text: String,
    view: Option<&'static View>,
}

impl Search {
    fn of(visit: &Visit, kind: &str) -> Self {
        let wanted = |name| visit.query(name).to_lowercase();
        let view = VIEWS.iter().find(|view| view.name == visit.query("only") && view.kind == kind);
        Self { sender: wanted("from"), recipient: wanted("to"), text: wanted("q"), view }
    }

    fn fits(&self, line: &[u8], kind: Option<&Kind>) -> bool {
        let row = columns(line, kind);
        let in_column = |wanted: &str, column: Option<usize>| {
            let value = column.and_then(|column| row.get(column));
            wanted.is_empty() || value.is_some_and(|value| value.to_lowercase().contains(wanted))
        };
        let in_view = |view: &View| row.get(view.column).is_some_and(|value| (view.holds)(value));
        self.view.is_none_or(in_view)
            && in_column(&self.sender, kind.and_then(|kind| kind.sender))
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
        let value = unquoted(column);
        if secret == Some(index) && !value.is_empty() { "***".to_owned() } else { value.to_owned() }
    };
    text.split('\t').enumerate().map(column).collect()
}

/// Without the quotes around a column; those that stand in it stay.
fn unquoted(column: &str) -> &str {
    column.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(column)
}

fn kind_of(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

#[derive(Debug, Serialize)]
struct Tab {
    name: String,
    has_lines: bool,
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

/// What is shown: a log, and its file, where something was written.
struct Chosen<'a> {
    kind: &'a str,
    file: Option<&'a LogFile>,
    /// The step that is asked for, or of the file; empty: the newest.
    step: &'a str,
}

impl<'a> Chosen<'a> {
    /// The file that is asked for by name, else that of the log and day that are asked for, else the newest of `smtp`, else any.
    fn of(visit: &'a Visit, files: &'a [LogFile]) -> Self {
        let of_file = |file: &'a LogFile| Self { kind: &file.kind, file: Some(file), step: &file.step };
        if let Some(file) = files.iter().find(|file| file.name == visit.query("file")) {
            return of_file(file);
        }
        let (kind, step) = (visit.query("kind"), visit.query("day"));
        let is_known = names(files).contains(&kind);
        let of_kind = |kind: &str| files.iter().find(|file| file.kind == kind);
        if !is_known {
            let any = of_kind("smtp").or(files.first());
            return any.map_or(Self { kind: "smtp", file: None, step: "" }, of_file);
        }
        let same = || files.iter().filter(|file| file.kind == kind);
        // The diagnostics have one file for all days.
        let fits = |file: &&LogFile| step.is_empty() || file.step.is_empty() || file.step == step;
        let day = |step: &str| step.get(..8).map(str::to_owned);
        let file = same().find(fits).or_else(|| same().find(|file| day(&file.step) == day(step)));
        Self { kind, file, step }
    }
}

/// All logs: those that can be, and others of which there are files.
fn names(files: &[LogFile]) -> Vec<&str> {
    let mut names: Vec<&str> = LogKind::ALL.iter().map(|kind| kind.name()).collect();
    names.extend([WEBADMIN, DIAGNOSTICS]);
    for file in files {
        if !names.contains(&file.kind.as_str()) {
            names.push(&file.kind);
        }
    }
    names
}

/// What has a log written.
fn turned_on_by(visit: &Visit, kind: &str) -> String {
    match LogKind::ALL.iter().find(|known| known.name() == kind) {
        Some(kind) => visit.say("logs.option", &[("option", kind.option())]),
        None if kind == WEBADMIN => visit.say("logs.always", &[]),
        None if kind == DIAGNOSTICS => visit.say("logs.in_background", &[]),
        None => String::new(),
    }
}

fn address(visit: &Visit, changes: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let is_changed = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
    query.extend_pairs(visit.query.iter().filter(|(name, _)| !is_changed(name)));
    query.extend_pairs(changes.iter().filter(|(_, value)| !value.is_empty()));
    format!("{PATH}?{}", query.finish())
}

/// Shows a log. Its file is one of those that are there: its name is looked up, not joined.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let directory = visit.tables().root().path().join("logs");
    let files = read::files(&directory);
    let chosen = Chosen::of(visit, &files);
    let search = Search::of(visit, chosen.kind);
    let shown = context! {
        kind => chosen.kind, tabs => tabs(visit, &files, &chosen, search.view), days => days(&files, &chosen),
        only => search.view.map(|view| view.name), note => search.view.map(|view| visit.say(view.note, &[])),
        turned_on => turned_on_by(visit, chosen.kind),
        from => visit.query("from"), to => visit.query("to"), q => visit.query("q"),
    };
    let Some(file) = chosen.file else {
        let step = (!chosen.step.is_empty()).then(|| when(chosen.step));
        let context = context! { file => Option::<String>::None, step };
        return visit.page("logs.html", minijinja::context! { ..context, ..shown });
    };
    let (kind, path) = (kind_of(&file.kind), directory.join(&file.name));
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
    let context = context! {
        file => &file.name, columns => kind.map_or(&[][..], |kind| kind.columns), rows, older, newest,
        has_sender => kind.is_some_and(|kind| kind.sender.is_some()),
        has_recipient => kind.is_some_and(|kind| kind.recipient.is_some()),
        is_following, follow, tail, end => found.end, bytes => file.bytes,
    };
    let mut response = visit.page("logs.html", minijinja::context! { ..context, ..shown })?;
    if is_following {
        response.headers_mut().insert(header::REFRESH, HeaderValue::from_static(RELOAD_SECS));
    }
    Ok(response)
}

/// The logs, then those of their rows that JDMail has logs for. All stay at the day that is shown.
fn tabs(visit: &Visit, files: &[LogFile], here: &Chosen<'_>, view: Option<&View>) -> Vec<Tab> {
    let link = |kind: &str, only: &str| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("kind", kind);
        let more = [("only", only), ("day", here.step)];
        query.extend_pairs(more.iter().filter(|(_, value)| !value.is_empty()));
        format!("{PATH}?{}", query.finish())
    };
    let has_lines = |kind: &str| files.iter().any(|file| file.kind == kind);
    let log = |kind: &str| Tab {
        name: kind.to_owned(),
        has_lines: has_lines(kind),
        link: link(kind, ""),
        is_here: here.kind == kind && view.is_none(),
    };
    let part = |one: &View| Tab {
        name: visit.say(one.key, &[]),
        has_lines: has_lines(one.kind),
        link: link(one.kind, one.name),
        is_here: view.is_some_and(|view| view.name == one.name),
    };
    names(files).into_iter().map(log).chain(VIEWS.iter().map(part)).collect()
}

fn days(files: &[LogFile], here: &Chosen<'_>) -> Vec<Day> {
    let same = files.iter().filter(|file| file.kind == here.kind && !file.step.is_empty());
    let day = |file: &LogFile| Day {
        name: file.name.clone(),
        when: when(&file.step),
        bytes: file.bytes,
        is_here: here.file.is_some_and(|here| here.name == file.name),
    };
    same.take(DAYS_MAX).map(day).collect()
}

/// The rows that came since a place in a file: a part of a page.
pub(in crate::web) fn tail(visit: &Visit) -> Result<Response, WebError> {
    let directory = visit.tables().root().path().join("logs");
    let found: Option<(LogFile, PathBuf)> = read::find(&directory, visit.query("file"));
    let (file, path) = found.ok_or(WebError::NotFound)?;
    let (kind, search) = (kind_of(&file.kind), Search::of(visit, &file.kind));
    let from = visit.query("place").parse().map_err(|_| WebError::BadForm)?;
    let (lines, end) = read::since(&path, from, FOLLOWED, |line| search.fits(line, kind))
        .map_err(|source| WebError::Disk { path, source })?;
    let rows: Vec<Vec<String>> = lines.iter().rev().map(|line| columns(line, kind)).collect();
    visit.page("_log_rows.html", context! { rows, end })
}
