//! Any root table as text, with what the loaders say about each line under it.

use std::path::Path;
use std::sync::Arc;

use crate::web::templates::context;
use axum::http::StatusCode;
use axum::response::Response;
use bstr::ByteSlice as _;
use serde::Serialize;

use super::dashboard::severity_key;
use super::rows::table;
use crate::mailroot::schema::table::of_file;
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::schema_text;
use crate::web::sessions::Kept;
use crate::web::visit::Visit;

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
    let source = |line: u32| {
        let line = (line as usize).checked_sub(1).and_then(|index| lines.get(index));
        line.map(|line| line.to_str_lossy().chars().take(400).collect()).unwrap_or_default()
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

/// The editor.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let (path, _) = table(visit)?;
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
    let context = context! { file, base, text, is_editable, problems, columns, summary, is_editor => true };
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
    let (path, _) = table(visit)?;
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
    let (path, _) = table(visit)?;
    let base = visit.base(path)?;
    let content = typed(visit, &base);
    let deed = Deed::save_table(path.to_owned(), base, content);
    visit.propose(deed, &format!("/jdwa/raw/{}", path.display()))
}
