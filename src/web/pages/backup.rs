//! Backups while the server works, and the way back (`jdmail.md` JD-64).
//!
//! Backups are made and read in one directory that the operator names on the command line; a backup is one of the files
//! there, looked up by name. Tables come back as a change like every other: shown as diff, confirmed, in the history.

use std::path::PathBuf;

use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde::Serialize;

use crate::admin::backup::{RECEIVED_BYTES_MAX, Scope, Within, backups, find_backup};
use crate::mailroot::history::with_origin;
use crate::web::audit::{self, Note};
use crate::web::deed::Deed;
use crate::web::download;
use crate::web::error::WebError;
use crate::web::jobs::{self, Jobs};
use crate::web::templates::context;
use crate::web::trouble;
use crate::web::visit::{Visit, answer, redirect, segment};

const PATH: &str = "/jdwa/backup";

/// Tables that are listed one by one. Ours.
const TABLES_SHOWN_MAX: usize = 200;

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    link: String,
    bytes: u64,
    unix_secs: i64,
}

fn directory(visit: &Visit) -> PathBuf {
    visit.app.services.backups.clone()
}

fn link(name: &str) -> String {
    format!("{PATH}/{}", segment(name))
}

/// The backups that are there, and what runs.
pub(in crate::web) fn list(visit: &Visit) -> Result<Response, WebError> {
    let directory = directory(visit);
    let row = |backup: crate::admin::backup::Backup| Row {
        link: link(&backup.name),
        name: backup.name,
        bytes: backup.bytes,
        unix_secs: backup.unix_secs,
    };
    let rows: Vec<Row> = backups(&directory).into_iter().map(row).collect();
    let job = visit.app.jobs.last();
    let is_running = job.as_ref().is_some_and(|job| job.is_running);
    let free_bytes = crate::durable::free_space(&directory).ok();
    let directory = directory.display().to_string();
    let page = visit.page(
        "backup.html",
        context! { rows, job, is_running, directory, free_bytes, received_bytes_max => RECEIVED_BYTES_MAX },
    )?;
    Ok(jobs::reloading(page, is_running))
}

fn note(visit: &Visit, deed: &str) -> Result<(), WebError> {
    let name = &visit.administrator()?.name;
    audit::write(&visit.app, &Note { name, peer: visit.peer, deed }, &[]);
    Ok(())
}

/// Makes one, or deletes one.
pub(in crate::web) fn act(visit: &Visit) -> Result<Response, WebError> {
    match visit.field("act") {
        "make" => make(visit),
        "delete" => delete(visit),
        _ => Err(WebError::BadForm),
    }
}

fn make(visit: &Visit) -> Result<Response, WebError> {
    let scope = if visit.field("scope") == "mail" { Scope::WithMail } else { Scope::System };
    let (directory, done) = (directory(visit), visit.say("backup.made", &[]));
    let language = visit.language;
    let has_begun = Jobs::begin(&visit.app, "backup.making", move |app, tell| {
        let made = app.services.admin.make_backup(&directory, scope, tell);
        let path = made.map_err(|error| trouble::of_admin(&app.catalogs, language, &error))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(done.replace("{name}", &name))
    });
    visit.flash_begun(has_begun);
    note(visit, "backup")?;
    Ok(redirect(PATH))
}

/// Takes one that a browser sent.
pub(in crate::web) fn receive(visit: &Visit) -> Result<Response, WebError> {
    let received = visit.take_upload().ok_or(WebError::BadForm)?;
    if received.bytes() == 0 {
        visit.flash("bad", visit.say("backup.no_file", &[]));
        return Ok(redirect(PATH));
    }
    note(visit, &format!("backup received {} bytes", received.bytes()))?;
    let done = visit.say("backup.received", &[]);
    let language = visit.language;
    let has_begun = Jobs::begin(&visit.app, "backup.receiving", move |app, tell| {
        let path = app.services.admin.accept_backup(received, tell);
        let path = path.map_err(|error| trouble::of_admin(&app.catalogs, language, &error))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(done.replace("{name}", &name))
    });
    visit.flash_begun(has_begun);
    Ok(redirect(PATH))
}

fn delete(visit: &Visit) -> Result<Response, WebError> {
    let path = find_backup(&directory(visit), visit.field("name")).ok_or(WebError::NotFound)?;
    visit.app.services.disk.remove(&path).map_err(|source| WebError::Disk { path: path.clone(), source })?;
    note(visit, &format!("backup deleted {}", path.display()))?;
    visit.flash("good", visit.say("backup.deleted", &[]));
    Ok(redirect(PATH))
}

fn chosen(visit: &Visit) -> Result<(String, PathBuf), WebError> {
    let name = visit.param("name").to_owned();
    let path = find_backup(&directory(visit), &name).ok_or(WebError::NotFound)?;
    Ok((name, path))
}

/// The file itself.
pub(in crate::web) fn download(visit: &Visit) -> Result<Response, WebError> {
    let (name, path) = chosen(visit)?;
    let (body, bytes) = download::body(&path).map_err(|source| WebError::Disk { path, source })?;
    note(visit, &format!("backup downloaded {name}"))?;
    let mut response = answer(axum::http::StatusCode::OK, "application/gzip", body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    let shown = if is_plain { &name } else { "backup.tar.gz" };
    if let Ok(value) = format!("attachment; filename={shown}").parse() {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

#[derive(Debug, Serialize)]
struct Table {
    file: String,
    is_missing: bool,
}

/// What the tables of a backup would change, and what can be brought back.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let (name, path) = chosen(visit)?;
    let found = visit.app.services.admin.compare_backup(&path)?;
    let (of_system, of_domains): (Vec<_>, Vec<_>) =
        found.different.iter().partition(|table| !table.file.starts_with("domains"));
    let table = |table: &&crate::admin::backup::Difference| Table {
        file: table.file.display().to_string(),
        is_missing: table.is_missing,
    };
    let mut tables: Vec<Table> = of_system.iter().map(table).collect();
    tables.extend(of_domains.iter().take(TABLES_SHOWN_MAX).map(table));
    let hidden = (of_domains.len() + found.unlisted).saturating_sub(TABLES_SHOWN_MAX);
    visit.page(
        "restore.html",
        context! {
            link => link(&name), name, about => found.about, same => found.same, refused => found.refused,
            has_mail => found.has_mail, tables, hidden,
        },
    )
}

/// Brings tables back, or files that are missing.
pub(in crate::web) fn restore(visit: &Visit) -> Result<Response, WebError> {
    let (name, path) = chosen(visit)?;
    match visit.field("act") {
        "tables" => restore_tables(visit, &name, path),
        "files" => restore_files(visit, &name, path),
        _ => Err(WebError::BadForm),
    }
}

/// Tables are those that differ: what the form says is looked up among them.
fn restore_tables(visit: &Visit, name: &str, path: PathBuf) -> Result<Response, WebError> {
    let found = visit.app.services.admin.compare_backup(&path)?;
    let is_chosen = |file: &PathBuf| {
        let file = file.display().to_string();
        visit.form.iter().any(|(field, value)| field == "table" && *value == file)
    };
    let wanted: Vec<PathBuf> =
        found.different.into_iter().map(|table| table.file).filter(is_chosen).collect();
    if wanted.is_empty() {
        visit.flash("bad", visit.say("backup.none_chosen", &[]));
        return Ok(redirect(&link(name)));
    }
    let deed = Deed::new("deed.restore_tables", move |admin| admin.restore_tables(&path, &wanted));
    visit.propose(deed, &link(name))
}

/// What is typed is compared with names in the archive, never made a path.
fn within(text: &str) -> Within {
    match text.rsplit_once('@') {
        _ if text.is_empty() => Within::All,
        Some((account, domain)) => Within::Account(domain.to_owned(), account.to_owned()),
        None => Within::Domain(text.to_owned()),
    }
}

fn restore_files(visit: &Visit, name: &str, path: PathBuf) -> Result<Response, WebError> {
    let (within, done) = (within(visit.field("within")), visit.say("backup.restored", &[]));
    let origin = format!("web {}", visit.administrator()?.name);
    let language = visit.language;
    let has_begun = Jobs::begin(&visit.app, "backup.restoring", move |app, tell| {
        let restored = with_origin(&origin, || app.services.admin.restore_files(&path, &within, tell));
        let restored = restored.map_err(|error| trouble::of_admin(&app.catalogs, language, &error))?;
        let counts = [("{made}", restored.made), ("{kept}", restored.kept), ("{refused}", restored.refused)];
        Ok(counts.iter().fold(done, |text, (hole, count)| text.replace(hole, &count.to_string())))
    });
    visit.flash_begun(has_begun);
    note(visit, &format!("restore files {name} {}", visit.field("within")))?;
    Ok(redirect(PATH))
}
