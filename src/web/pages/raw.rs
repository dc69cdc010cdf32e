//! Any table as text, with what the loaders say about each line under it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::web::templates::context;
use axum::http::StatusCode;
use axum::response::Response;
use bstr::ByteSlice as _;
use serde::Serialize;

use super::dashboard::severity_key;
use super::rows::table;
use crate::mailroot::Severity;
use crate::mailroot::schema::table::of_file;
use crate::mailroot::snapshot::ROOT_TABLES;
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::schema_text;
use crate::web::sessions::Kept;
use crate::web::visit::{ShownTable, Visit};

/// Problems shown under a text; the first ones. Ours.
const PROBLEMS_MAX: usize = 100;

/// The largest table that is edited as text, in bytes: beyond it browsers become slow. Ours.
const TEXT_BYTES_MAX: usize = 12 << 20;

/// Something that is wrong in a text.
#[derive(Clone, Debug, Serialize)]
pub(in crate::web) struct Shown {
    severity: &'static str,
    line: u32,
    column: u32,
    text: String,
    /// The line.
    source: String,
}

/// What is wrong with a text as the content of a file.
pub(in crate::web) fn problems(visit: &Visit, file: &Path, content: &[u8]) -> Vec<Shown> {
    let Some(table) = of_file(file) else { return Vec::new() };
    let mut found = (table.load)(file, content);
    found.sort_by_key(|problem| (problem.line, problem.column));
    let lines: Vec<&[u8]> = content.lines().collect();
    let line = |line: u32| (line as usize).checked_sub(1).and_then(|index| lines.get(index)).copied();
    found.retain(|problem| visit.may_see(file, line(problem.line).unwrap_or_default()));
    let source = |number: u32| {
        line(number).map(|line| line.to_str_lossy().chars().take(400).collect()).unwrap_or_default()
    };
    let shown = found.iter().take(PROBLEMS_MAX).map(|problem| Shown {
        severity: severity_key(problem.kind.severity()),
        line: problem.line,
        column: problem.column,
        text: schema_text::problem(&visit.app.catalogs, visit.language, &problem.kind),
        source: source(problem.line),
    });
    shown.collect()
}

/// What is wrong with a table that a page shows as fields.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Faults {
    file: String,
    /// The editor of its text, for who may use it.
    link: String,
    problems: Vec<Shown>,
    more: usize,
}

/// Problems of one table that a page shows above its fields. Ours: the editor shows the others.
const FAULTS_MAX: usize = 5;

/// Larger tables are not looked through once more for a page: lists of rows tell the problems of each row. Ours.
const FAULTS_BYTES_MAX: usize = 1 << 20;

/// What is wrong with the tables that a page shows, unless it is a page of problems itself.
pub(in crate::web) fn faults(visit: &Visit, template: &str, shown: &[ShownTable]) -> Vec<Faults> {
    if template == "raw.html" {
        return Vec::new();
    }
    let of = |table: &ShownTable| {
        let mut problems = problems(visit, &table.file, &table.bytes);
        problems.retain(|problem| problem.severity != severity_key(Severity::Note));
        let more = problems.len().saturating_sub(FAULTS_MAX);
        problems.truncate(FAULTS_MAX);
        let link = if visit.is_system() { link(visit, &table.file, &table.id) } else { String::new() };
        let file = table.file.display().to_string();
        (!problems.is_empty()).then_some(Faults { file, link, problems, more })
    };
    shown.iter().filter(|table| table.bytes.len() <= FAULTS_BYTES_MAX).filter_map(of).collect()
}

fn link(visit: &Visit, path: &Path, base: &str) -> String {
    match path.to_str().filter(|name| ROOT_TABLES.contains(name)) {
        Some(name) => format!("/jdwa/raw/{name}"),
        None => format!("/jdwa/text/{}", if base.is_empty() { visit.param("base") } else { base }),
    }
}

/// The table that the path names: a root table, or one that a page of this session has shown.
fn place(visit: &Visit) -> Result<PathBuf, WebError> {
    if visit.param("base").is_empty() {
        return table(visit).map(|(path, _)| path.to_owned());
    }
    match visit.kept(visit.param("base")) {
        Some(Kept::Base(path, _)) => Ok(path),
        _ => Err(WebError::Stale),
    }
}

/// The editor.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let path = place(visit)?;
    let path = path.as_path();
    let bytes = visit.app.services.admin.table_text(path)?;
    let (text, is_editable) = match bytes.to_str() {
        Ok(text) if bytes.len() <= TEXT_BYTES_MAX => (text.to_owned(), true),
        Ok(_) => (String::new(), false),
        Err(_) => (bytes.to_str_lossy().into_owned(), false),
    };
    let problems = problems(visit, path, &bytes);
    let base = visit.keep(Kept::Base(path.to_owned(), Arc::new(bytes)))?;
    editor(visit, path, &base, &text, is_editable, &problems)
}

fn editor(
    visit: &Visit,
    path: &Path,
    base: &str,
    text: &str,
    is_editable: bool,
    problems: &[Shown],
) -> Result<Response, WebError> {
    let table = of_file(path).ok_or(WebError::NotFound)?;
    let columns: Vec<_> = table.columns.iter().map(|column| column.name).collect();
    let file = path.display().to_string();
    let summary = visit.app.catalogs.schema(visit.language, table.name, table.summary).to_owned();
    let context = context! { file, action => link(visit, path, ""), base, text, is_editable, problems, columns, summary, is_editor => true };
    visit.page("raw.html", context)
}

/// The text of the form with the line ends of the file: browsers send CRLF.
fn typed(visit: &Visit, base: &[u8]) -> Vec<u8> {
    let text = visit.raw_field("text").replace("\r\n", "\n");
    let is_crlf = base.find(b"\r\n").is_some();
    if is_crlf { text.replace('\n', "\r\n") } else { text }.into_bytes()
}

/// Looks at the text without saving it: the whole page, or for the script only the list.
pub(in crate::web) fn check(visit: &Visit) -> Result<Response, WebError> {
    let path = place(visit)?;
    let path = path.as_path();
    let base = visit.base(path)?;
    let text = typed(visit, &base);
    let problems = problems(visit, path, &text);
    if visit.query("part").is_empty() {
        return editor(visit, path, visit.field("base"), &text.to_str_lossy(), true, &problems);
    }
    let context = context! { lang => visit.language.tag(), problems, is_editor => true };
    let html = visit.app.templates.render("_problems.html", context)?;
    Ok(crate::web::visit::answer(StatusCode::OK, "text/html; charset=utf-8", html.into()))
}

/// Saves the text.
pub(in crate::web) fn save(visit: &Visit) -> Result<Response, WebError> {
    let path = place(visit)?;
    let base = visit.base(&path)?;
    let content = typed(visit, &base);
    let back = link(visit, &path, "");
    visit.propose(Deed::save_table(path, base, content).typed(), &back)
}
