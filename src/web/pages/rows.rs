//! Any table as rows: a list, and a form for one row made from the description (`jdmail.md` JD-48 to JD-57).

use std::path::Path;
use std::sync::Arc;

use crate::web::templates::context;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::{Paging, links};
use crate::mailroot::Table as _;
use crate::mailroot::access::IpMap;
use crate::mailroot::problem::Problem;
use crate::mailroot::schema::table::of_file;
use crate::mailroot::schema::{CommandSchema, TableSchema};
use crate::mailroot::snapshot::ROOT_TABLES;
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::form;
use crate::web::rows::lines::{FoundRow, Lines};
use crate::web::rows::place::{Place, TEXT_ONLY};
use crate::web::rows::slots::{self, Slot};
use crate::web::rows::{self, ask, words};
use crate::web::schema_text;
use crate::web::sessions::Kept;
use crate::web::visit::{Visit, redirect};

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
        let table = of_file(Path::new(*name));
        let (key, english) = table.map_or(("", ""), |table| (table.name, table.summary));
        Listed {
            name,
            summary: visit.schema(key, english).to_owned(),
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

/// The first table of a topic.
pub(in crate::web) fn family(visit: &Visit) -> Result<Response, WebError> {
    let first = rows::family(visit).and_then(|family| family.tables.first()).ok_or(WebError::NotFound)?;
    Ok(redirect(&format!("/jdwa/tables/{}", first.0)))
}

/// A row of the list.
#[derive(Debug, Serialize)]
struct Row {
    line: usize,
    cells: Vec<String>,
    remark: String,
    problems: Vec<String>,
    /// It may be changed by who looks at it.
    is_open: bool,
    is_first: bool,
    is_last: bool,
    /// Of a link: whether it is worked.
    switch: Option<links::Switch>,
}

/// The rows of a table, in the order in which they count.
fn ordered(place: &Place, bytes: &[u8]) -> Vec<FoundRow> {
    let mut found: Vec<FoundRow> =
        Lines::parse(bytes).rows().filter(|row| place.holds(&row.values)).collect();
    if place.table.name == "ipmap" {
        let (map, _) = IpMap::load(&place.path, bytes);
        let precedence = |row: &FoundRow| {
            map.rows()
                .iter()
                .find(|known| known.line as usize == row.line)
                .map_or(-1, |known| known.precedence)
        };
        // The highest decides, and of equal ones the later (`mailroot.md` 11.1).
        found.sort_by_cached_key(|row| std::cmp::Reverse((precedence(row).max(-1), row.line)));
    }
    found
}

/// The rows of an IP map that never decide, because another one always does: line, and line of the other.
fn shadowed(place: &Place, bytes: &[u8]) -> Vec<(usize, u32)> {
    if place.table.name != "ipmap" {
        return Vec::new();
    }
    let (map, _) = IpMap::load(&place.path, bytes);
    let rows = || map.rows().iter().filter(|row| row.precedence >= 0).take(COMPARED_ROWS_MAX);
    let by = |row: &crate::mailroot::access::IpMapRow| {
        rows().find(|other| {
            (other.precedence, other.line) > (row.precedence, row.line) && other.filter.covers(&row.filter)
        })
    };
    rows().filter_map(|row| by(row).map(|by| (row.line as usize, by.line))).collect()
}

/// Rows that are compared with each other. Ours: all pairs are looked at.
const COMPARED_ROWS_MAX: usize = 1000;

/// The rows of one table.
pub(in crate::web) fn list(visit: &Visit) -> Result<Response, WebError> {
    let place = Place::of(visit)?;
    if TEXT_ONLY.contains(&place.table.name) {
        return Ok(redirect(&format!("/jdwa/raw/{}", place.path.display())));
    }
    let bytes = visit.app.services.admin.table_text(&place.path)?;
    let all = ordered(&place, &bytes);
    let ends = [all.iter().map(|row| row.line).min(), all.iter().map(|row| row.line).max()];
    let wanted = visit.query("q").to_lowercase();
    let holds = |row: &&FoundRow| {
        wanted.is_empty()
            || format!("{} {}", row.values.join(" "), row.remark).to_lowercase().contains(&wanted)
    };
    let found: Vec<&FoundRow> = all.iter().filter(holds).collect();
    let (paging, range) = Paging::of(visit, &place.link, found.len());
    let problems = (place.table.load)(&place.path, &bytes);
    let switches = links::switches(visit, &place);
    let (shadowed, slots) = (shadowed(&place, &bytes), Slot::all(place.table.columns, 0));
    let row = |row: &&FoundRow| {
        let mut texts = problems_of(visit, &problems, row.line);
        let by = shadowed.iter().find(|(line, _)| *line == row.line);
        texts.extend(by.map(|(_, by)| visit.say("row.shadowed", &[("line", &by.to_string())])));
        Row {
            line: row.line,
            cells: cells(visit, &place, &slots, &row.values),
            remark: row.remark.clone(),
            problems: texts,
            is_open: is_open(visit, &place, &row.values),
            is_first: ends[0] == Some(row.line),
            is_last: ends[1] == Some(row.line),
            switch: switches.get(&row.line).cloned(),
        }
    };
    let rows: Vec<Row> = found[range].iter().map(row).collect();
    let base = visit.keep(Kept::Base(place.path.clone(), Arc::new(bytes)))?;
    show_list(visit, &place, &rows, &paging, &base)
}

fn show_list(
    visit: &Visit,
    place: &Place,
    rows: &[Row],
    paging: &Paging,
    base: &str,
) -> Result<Response, WebError> {
    let table = place.table;
    let columns: Vec<String> = match place.is_commands() {
        true => vec![visit.say("row.does", &[])],
        false => Slot::all(table.columns, 0)
            .iter()
            .map(|slot| column_name(visit, table, slot.column.name))
            .collect(),
    };
    let text = |key: &str, english| visit.schema(&format!("{}{key}", table.name), english).to_owned();
    let notes: Vec<String> =
        table.notes.iter().enumerate().map(|(at, note)| text(&format!("#note{at}"), note)).collect();
    let context = context! {
        file => place.path.display().to_string(),
        link => place.link,
        above => place.above,
        title => title(visit, place),
        summary => text("", table.summary),
        lookup => text("#lookup", table.lookup),
        missing => text("#missing", table.missing),
        notes, columns, rows, paging, base,
        tabs => rows::tabs(visit),
        ask => ask::of(visit, place),
        commands => commands(visit, place),
        // The order of an IP map is that of its precedences; its lines mean something on a tie only.
        has_order => place.has_order() && table.name != "ipmap",
        is_map => table.name == "ipmap",
        has_raw => place.domain.is_none() && place.path.components().count() == 1,
        explained => explained(place),
        switch_link => links::link(place),
        q => visit.query("q"),
    };
    visit.page("rows.html", context)
}

/// What a page is called: by what people do there where that has a name.
fn title(visit: &Visit, place: &Place) -> String {
    let file = place.path.display().to_string();
    let key = rows::FAMILIES.iter().flat_map(|family| family.tables).find(|(name, _)| *name == file);
    match (key, place.table.name) {
        (Some((_, key)), _) => match &place.rows_of {
            Some(domain) => format!("{} · {domain}", visit.say(key, &[])),
            None => visit.say(key, &[]),
        },
        (None, "mailproc.tab") => visit.say("commands.mailproc", &[("of", &place.above.0)]),
        (None, "addressbook.tab") => visit.say("book.title", &[("domain", &place.above.0)]),
        (None, "rules.tab") => format!("{} · {}", visit.say("family.rules", &[]), place.above.0),
        (None, "ipmap") => {
            let key =
                if file.ends_with("pop3.ipmap.tab") { "family.pop_access" } else { "family.imap_access" };
            format!("{} · {}", visit.say(key, &[]), place.above.0)
        }
        _ => place.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
    }
}

fn column_name(visit: &Visit, table: &TableSchema, name: &'static str) -> String {
    visit.schema(&format!("{}.{name}.name", table.name), name).to_owned()
}

/// The page that tells what happens to mail for the address whose commands are shown.
fn explained(place: &Place) -> Option<String> {
    let is_address = place.table.name == "mailproc.tab" && place.above.0.contains('@');
    let query = |address: &str| {
        form_urlencoded::Serializer::new(String::new()).append_pair("recipient", address).finish()
    };
    is_address.then(|| format!("/jdwa/explain?{}", query(&place.above.0)))
}

fn problems_of(visit: &Visit, problems: &[Problem], line: usize) -> Vec<String> {
    let of_line = problems.iter().filter(|problem| problem.line as usize == line);
    of_line.map(|problem| schema_text::problem(&visit.app.catalogs, visit.language, &problem.kind)).collect()
}

fn cells(visit: &Visit, place: &Place, slots: &[Slot], values: &[String]) -> Vec<String> {
    if place.is_commands() {
        return vec![words::command(visit, values)];
    }
    let parts = slots::spread(slots, values);
    slots.iter().zip(&parts).map(|(slot, part)| words::cell(visit, slot, part)).collect()
}

/// Whether the visitor may change this row: what runs programs is for the role system alone.
fn is_open(visit: &Visit, place: &Place, values: &[String]) -> bool {
    visit.is_system() || !(place.is_commands() && words::runs_a_program(values))
}

/// A command that may be added.
#[derive(Debug, Serialize)]
struct Offered {
    name: &'static str,
    help: String,
}

fn commands(visit: &Visit, place: &Place) -> Vec<Offered> {
    let offered = usable(visit, place).map(|command| Offered {
        name: command.name,
        help: visit.schema(&format!("command.{}", command.name), command.doc).to_owned(),
    });
    offered.collect()
}

/// The commands that work in this file and may be written by the visitor.
fn usable<'a>(visit: &'a Visit, place: &'a Place) -> impl Iterator<Item = &'static CommandSchema> + 'a {
    let is_mailproc = place.table.name == "mailproc.tab";
    place.table.commands.iter().copied().filter(move |command| {
        let works = if is_mailproc { command.in_mailproc } else { command.in_aliases };
        works && (visit.is_system() || !words::runs_a_program(&[command.name.to_owned()]))
    })
}

/// The form of one row: its slots, and the number of columns that it needs.
struct Shape {
    slots: Vec<Slot>,
    columns_min: usize,
    /// The first column, where it names a command.
    command: Option<&'static CommandSchema>,
    /// The first column, where it is the domain whose page it is.
    domain: Option<String>,
    /// Under which name the help of the columns stands.
    help: String,
}

fn shape(visit: &Visit, place: &Place, command: &str) -> Result<Shape, WebError> {
    let table = place.table;
    if !place.is_commands() {
        let fixed = usize::from(place.rows_of.is_some());
        return Ok(Shape {
            slots: Slot::all(table.columns.get(fixed..).unwrap_or_default(), fixed),
            columns_min: table.rows.min_columns,
            command: None,
            domain: place.rows_of.clone(),
            help: table.name.to_owned(),
        });
    }
    let mut usable = usable(visit, place);
    let command = usable.find(|known| known.name.eq_ignore_ascii_case(command)).ok_or(WebError::NotFound)?;
    let slots = Slot::all(command.arguments, 1);
    let help = format!("command.{}", command.name);
    Ok(Shape { slots, columns_min: command.columns_min(), command: Some(command), domain: None, help })
}

impl Shape {
    /// The columns of a row without the name of its command or its domain.
    fn arguments<'a>(&self, values: &'a [String]) -> &'a [String] {
        values.get(self.fixed()..).unwrap_or_default()
    }

    /// How many columns are not the form's.
    fn fixed(&self) -> usize {
        usize::from(self.command.is_some() || self.domain.is_some())
    }
}

/// The line that is named, from 1; 0 for a new row.
fn line_of(text: &str) -> usize {
    text.parse().unwrap_or(0)
}

/// The row at a line; a new one has no columns.
fn row_at(place: &Place, lines: &Lines, line: usize) -> Result<FoundRow, WebError> {
    match line {
        0 => Ok(FoundRow { line: 0, values: Vec::new(), remark: String::new() }),
        _ => lines.row(line).filter(|row| place.holds(&row.values)).ok_or(WebError::NotFound),
    }
}

/// The form for one row.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let place = Place::of(visit)?;
    if TEXT_ONLY.contains(&place.table.name) {
        return Err(WebError::NotFound);
    }
    let bytes = visit.app.services.admin.table_text(&place.path)?;
    let row = row_at(&place, &Lines::parse(&bytes), line_of(visit.query("line")))?;
    let command = row.values.first().map_or(visit.query("command"), String::as_str);
    let shape = shape(visit, &place, command)?;
    let given: Vec<String> = if row.line == 0 { vec![visit.query("c0").to_owned()] } else { Vec::new() };
    // A link may lead to the form of a new row with its first column filled in.
    let values = if given.concat().is_empty() { shape.arguments(&row.values) } else { &given };
    let parts = slots::spread(&shape.slots, values);
    let base = visit.keep(Kept::Base(place.path.clone(), Arc::new(bytes)))?;
    let filled = Filled { parts, problems: Vec::new(), remark: row.remark, line: row.line };
    show_form(visit, &place, &shape, &filled, &base, StatusCode::OK)
}

/// What a form holds.
struct Filled {
    parts: Vec<Vec<String>>,
    problems: Vec<Option<String>>,
    remark: String,
    line: usize,
}

fn show_form(
    visit: &Visit,
    place: &Place,
    shape: &Shape,
    filled: &Filled,
    base: &str,
    status: StatusCode,
) -> Result<Response, WebError> {
    let controls = slots::controls(visit, &shape.help, &shape.slots, &filled.parts, &filled.problems);
    let help = shape.command.map(|command| visit.schema(&shape.help, command.doc).to_owned());
    let context = context! {
        file => place.path.display().to_string(),
        link => place.link,
        above => place.above,
        title => title(visit, place),
        command => shape.command.map(|command| command.name),
        has_remark => place.has_remarks(),
        remark => filled.remark,
        line => filled.line,
        is_refused => status != StatusCode::OK,
        help, controls, base,
    };
    visit.page_with(status, "row.html", context)
}

/// Adds, changes or removes one row.
pub(in crate::web) fn save(visit: &Visit) -> Result<Response, WebError> {
    let place = Place::of(visit)?;
    if TEXT_ONLY.contains(&place.table.name) {
        return Err(WebError::NotFound);
    }
    let base = visit.base(&place.path)?;
    let mut lines = Lines::parse(&base);
    let old = row_at(&place, &lines, line_of(visit.field("line")))?;
    if !is_open(visit, &place, &old.values) {
        return Err(WebError::Forbidden);
    }
    if !visit.field("remove").is_empty() && old.line > 0 {
        lines.remove(old.line);
        return propose(visit, &place, base, &lines);
    }
    let command = old.values.first().map_or(visit.field("command"), String::as_str);
    let shape = shape(visit, &place, command)?;
    let mut filled = typed(visit, place.table.name, &shape, &old);
    if let Some(domain) = &shape.domain {
        links::refuse_without_account(visit, domain, &filled.parts, &mut filled.problems);
    }
    if filled.problems.iter().any(Option::is_some) {
        return show_form(
            visit,
            &place,
            &shape,
            &filled,
            visit.field("base"),
            StatusCode::UNPROCESSABLE_ENTITY,
        );
    }
    let arguments =
        slots::gather(&shape.slots, &filled.parts, shape.columns_min.saturating_sub(shape.fixed()));
    let fixed = shape.command.map(|known| known.name.to_owned()).or(shape.domain.clone());
    let name = fixed.map(|fixed| old.values.first().cloned().unwrap_or(fixed));
    let values: Vec<String> = name.into_iter().chain(arguments).collect();
    let record = form::record(&place.path, place.table, &values)?;
    let remark = filled.remark.as_str();
    match old.line {
        0 if place.has_remarks() => lines.push(&record, remark),
        0 => lines.push(&record, ""),
        _ if values == old.values && remark == old.remark => return keep_row(visit, &place),
        line => {
            lines.set(line, &record, place.has_remarks().then_some(remark).filter(|text| *text != old.remark))
        }
    }
    propose(visit, &place, base, &lines)
}

fn keep_row(visit: &Visit, place: &Place) -> Result<Response, WebError> {
    visit.flash("good", visit.say("confirm.nothing", &[]));
    Ok(redirect(&place.link))
}

/// What the form holds, and what is wrong with what was changed in it.
fn typed(visit: &Visit, table: &str, shape: &Shape, old: &FoundRow) -> Filled {
    let before = slots::spread(&shape.slots, shape.arguments(&old.values));
    let none = Vec::new();
    let (mut parts, mut problems) = (Vec::new(), Vec::new());
    for (at, slot) in shape.slots.iter().enumerate() {
        let before = before.get(at).unwrap_or(&none);
        let part = slot.typed(visit, before);
        // What stood there before is not the visitor's fault.
        let is_new = old.line == 0 || part != *before;
        let problem = is_new.then(|| slot.problem(&part)).flatten();
        let problem = problem.map(|kind| schema_text::problem(&visit.app.catalogs, visit.language, &kind));
        // A pattern for addresses that has none of their parts is a slip, or it means all the world (JD-55).
        let lacks_at = is_new && table == "spam-address.tab" && !part.concat().contains('@');
        problems.push(problem.or_else(|| lacks_at.then(|| visit.say("row.needs_at", &[]))));
        parts.push(part);
    }
    let has_remark = visit.form.iter().any(|(name, _)| name == "remark");
    let remark = if has_remark { visit.field("remark") } else { &old.remark };
    Filled { parts, problems, remark: remark.to_owned(), line: old.line }
}

/// Puts a row before or behind its neighbour.
pub(in crate::web) fn shift(visit: &Visit) -> Result<Response, WebError> {
    let place = Place::of(visit)?;
    let base = visit.base(&place.path)?;
    let mut lines = Lines::parse(&base);
    let row = row_at(&place, &lines, line_of(visit.field("line")))?;
    if !place.has_order() || row.line == 0 {
        return Err(WebError::NotFound);
    }
    if !is_open(visit, &place, &row.values) {
        return Err(WebError::Forbidden);
    }
    lines.shift(row.line, visit.field("to") == "up");
    propose(visit, &place, base, &lines)
}

/// Shows the change of a table before it is made.
pub(in crate::web) fn propose(
    visit: &Visit,
    place: &Place,
    base: Arc<Vec<u8>>,
    lines: &Lines,
) -> Result<Response, WebError> {
    let is_gone = lines.is_blank() && place.goes_with_its_last_row();
    let deed = match is_gone {
        true => {
            let file = place.path.clone();
            Deed::new("deed.remove_table", move |admin| admin.remove_table(&file, &base))
        }
        false => Deed::save_table(place.path.clone(), base, lines.to_bytes()),
    };
    let deed = match &place.domain {
        Some(domain) => deed.within(domain.clone()),
        None => deed,
    };
    visit.propose(deed, &place.link)
}
