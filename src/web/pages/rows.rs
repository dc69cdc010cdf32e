//! Any root table as rows: a list, and a form for one row made from the description (`jdmail.md` JD-48 to JD-57).

use std::path::Path;
use std::sync::Arc;

use crate::web::templates::context;
use axum::response::Response;
use bstr::ByteSlice as _;
use serde::Serialize;

use super::Paging;
use crate::mailroot::schema::table::of_file;
use crate::mailroot::schema::{Kind, TableSchema};
use crate::mailroot::snapshot::ROOT_TABLES;
use crate::tab::{LineKind, TabFile};
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::form;
use crate::web::sessions::Kept;
use crate::web::visit::{Visit, redirect};

/// Tables whose rows hang together with directories or have pages of their own: here only as text.
const TEXT_ONLY: [&str; 4] = ["server.tab", "domains.tab", "mailusers.tab", "webadmin.tab"];

/// A root table by the name in the path: one of a fixed list.
///
/// # Errors
/// `NotFound`.
pub(in crate::web) fn table(visit: &Visit) -> Result<(&'static Path, &'static TableSchema), WebError> {
    let name = ROOT_TABLES.iter().find(|name| **name == visit.param("table")).ok_or(WebError::NotFound)?;
    let path = Path::new(*name);
    of_file(path).map(|table| (path, table)).ok_or(WebError::NotFound)
}

#[derive(Debug, Serialize)]
struct Listed {
    name: &'static str,
    summary: String,
    rows: usize,
    state: &'static str,
    has_rows: bool,
}

/// All root tables.
pub(in crate::web) fn tables(visit: &Visit) -> Result<Response, WebError> {
    visit.tables();
    let status = visit.app.services.tables.status();
    let listed = |name: &&'static str| {
        let known = status.iter().find(|table| table.file == Path::new(*name));
        let is_good = known.is_none_or(|table| table.problems.is_empty());
        let is_kept = known.is_some_and(|table| table.state.is_kept());
        let english = of_file(Path::new(*name)).map_or("", |table| table.summary);
        Listed {
            name,
            summary: visit.app.catalogs.schema(visit.language, name, english).to_owned(),
            rows: known.map_or(0, |table| table.rows),
            state: if is_kept {
                "tables.kept"
            } else if is_good {
                "tables.good"
            } else {
                "tables.odd"
            },
            has_rows: !TEXT_ONLY.contains(name),
        }
    };
    let tables: Vec<Listed> = ROOT_TABLES.iter().map(listed).collect();
    visit.page("tables.html", context! { tables })
}

#[derive(Debug, Serialize)]
struct Row {
    line: usize,
    values: Vec<String>,
}

fn values_of(line: &crate::tab::Line) -> Vec<String> {
    line.fields().iter().map(|field| field.value.to_str_lossy().into_owned()).collect()
}

/// The rows of one table.
pub(in crate::web) fn list(visit: &Visit) -> Result<Response, WebError> {
    let (path, table) = table(visit)?;
    if TEXT_ONLY.contains(&table.name) {
        return Ok(redirect(&format!("/jdwa/raw/{}", path.display())));
    }
    let bytes = visit.app.services.admin.table_text(path)?;
    let file = TabFile::parse(&bytes);
    let wanted = visit.query("q").to_ascii_lowercase();
    let found: Vec<Row> = (file.lines().iter().enumerate())
        .filter(|(_, line)| line.kind() == LineKind::Record)
        .map(|(index, line)| Row { line: index + 1, values: values_of(line) })
        .filter(|row| wanted.is_empty() || row.values.join(" ").to_ascii_lowercase().contains(&wanted))
        .collect();
    let link = format!("/jdwa/tables/{}", path.display());
    let (paging, range) = Paging::of(visit, &link, found.len());
    let rows: Vec<Row> = found[range].iter().map(|row| hide_passwords(table, row)).collect();
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            let key = format!("{}.{}.name", table.name, column.name);
            visit.app.catalogs.schema(visit.language, &key, column.name).to_owned()
        })
        .collect();
    let schema = |key: &str, english| {
        let key = format!("{}{key}", table.name);
        visit.app.catalogs.schema(visit.language, &key, english).to_owned()
    };
    let (summary, lookup) = (schema("", table.summary), schema("#lookup", table.lookup));
    let file = path.display().to_string();
    visit.page(
        "rows.html",
        context! { file, link, summary, lookup, columns, rows, paging, q => visit.query("q") },
    )
}

fn hide_passwords(table: &TableSchema, row: &Row) -> Row {
    let is_secret = |index: usize| {
        let column = table.columns.get(index);
        column.is_some_and(|column| matches!(column.kind, Kind::Password | Kind::ClearPassword))
    };
    let shown = |(index, value): (usize, &String)| match is_secret(index) && !value.is_empty() {
        true => "***".to_owned(),
        false => value.clone(),
    };
    Row { line: row.line, values: row.values.iter().enumerate().map(shown).collect() }
}

/// The line that is named, from 1; 0 for a new row.
fn line_of(text: &str) -> usize {
    text.parse().unwrap_or(0)
}

/// The form for one row.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let (path, table) = table(visit)?;
    let bytes = visit.app.services.admin.table_text(path)?;
    let file = TabFile::parse(&bytes);
    let line = line_of(visit.query("line"));
    let values = match file.lines().get(line.wrapping_sub(1)) {
        Some(row) if row.kind() == LineKind::Record => values_of(row),
        _ if line == 0 => Vec::new(),
        _ => return Err(WebError::NotFound),
    };
    let fields = form::row_fields(visit, table, &values);
    let base = visit.keep(Kept::Base(path.to_owned(), Arc::new(bytes)))?;
    let file = path.display().to_string();
    let link = format!("/jdwa/tables/{file}");
    visit.page("row.html", context! { file, link, line, fields, base })
}

/// Adds, changes or removes one row.
pub(in crate::web) fn save(visit: &Visit) -> Result<Response, WebError> {
    let (path, table) = table(visit)?;
    if TEXT_ONLY.contains(&table.name) {
        return Err(WebError::NotFound);
    }
    let base = visit.base(path)?;
    let mut file = TabFile::parse(&base);
    let line = line_of(visit.field("line"));
    let is_row = |index: usize| file.lines().get(index).is_some_and(|row| row.kind() == LineKind::Record);
    let index = line.checked_sub(1);
    if index.is_some_and(|index| !is_row(index)) {
        return Err(WebError::NotFound);
    }
    let is_removal = !visit.field("remove").is_empty();
    match index {
        Some(index) if is_removal => file.remove(index),
        Some(index) => file.set(index, &form::record(path, table, &form::row_values(visit, table))?),
        None => file.push(&form::record(path, table, &form::row_values(visit, table))?),
    }
    let deed = Deed::save_table(path.to_owned(), base, file.to_bytes());
    visit.propose(deed, &format!("/jdwa/tables/{}", path.display()))
}
