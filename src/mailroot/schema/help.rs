//! The descriptions as pages of help: one for each table and variable, lists of both, and the reference of everything.

use std::collections::BTreeSet;

use super::files::{OTHER_FILES, OtherFile};
use super::kind::Kind;
use super::options::OptionGroup;
use super::page::Page;
use super::table::{Column, Presence, TableSchema};
use super::variable::{DefaultValue, Origin, Variable};
use super::{TABLES, server, user};
use crate::mailroot::edit::MAIL_USERS_ID;

/// The page of a table.
pub fn table(table: &TableSchema) -> Page {
    let mut page = Page::default();
    page.heading(1, table.name);
    page.paragraph(table.summary);
    page.terms(facts(table));
    for note in table.notes {
        page.paragraph(*note);
    }
    page.heading(2, "Columns");
    page.terms(columns(table.columns));
    append_options(&mut page, table.columns);
    for command in table.commands {
        let works = match (command.in_mailproc, command.in_aliases) {
            (true, true) => "",
            (true, false) => " Only in mailproc.tab.",
            _ => " Not in mailproc.tab.",
        };
        page.heading(2, format!("Command {}", command.name));
        page.paragraph(format!("{}{works}", command.doc));
        page.terms(columns(command.arguments));
    }
    if !table.commands.is_empty() {
        let arguments: Vec<Column> =
            table.commands.iter().flat_map(|command| command.arguments).copied().collect();
        append_options(&mut page, &arguments);
    }
    page.heading(2, "Examples");
    for example in table.examples {
        let quoted: Vec<String> =
            example.columns.iter().zip(0..).map(|(value, index)| quoted(table, index, value)).collect();
        page.line(quoted.join("\t"), example.doc);
    }
    append_variables(&mut page, table.variables);
    page
}

fn facts(table: &TableSchema) -> Vec<(String, String)> {
    let rows = match table.rows.max_columns {
        Some(columns) => format!("exactly {columns} columns"),
        None if table.rows.min_columns == 1 => "at least 1 column".to_owned(),
        None => format!("at least {} columns", table.rows.min_columns),
    };
    let files: Vec<String> = table.files.iter().map(|file| format!("`{file}`")).collect();
    let limit = table.rows.line_bytes_max;
    [
        ("Files", files.join(", ")),
        ("Rows", format!("{rows}, separated by TAB; at most {limit} bytes a line")),
        ("Found", table.lookup.to_owned()),
        ("Missing", table.missing.to_owned()),
        ("Written by", table.written_by.to_owned()),
    ]
    .map(|(term, text)| (term.to_owned(), text))
    .into()
}

fn columns(columns: &[Column]) -> Vec<(String, String)> {
    columns.iter().map(|column| (column.name.to_owned(), column_text(column))).collect()
}

fn column_text(column: &Column) -> String {
    let presence = match column.presence {
        Presence::Required => String::new(),
        Presence::Optional(without) => format!(" May be left out: {without}."),
        Presence::Repeated(0) => " Any number of columns.".to_owned(),
        Presence::Repeated(_) => " One or more columns.".to_owned(),
    };
    let words: String =
        column.kind.words().iter().map(|word| format!(" {}: {}.", word.word, word.doc)).collect();
    format!("{}{presence}{}{words}", column.doc, in_brackets(column.kind.describe(), ""))
}

/// Options and letters of columns, each group once.
fn append_options(page: &mut Page, columns: &[Column]) {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for column in columns {
        if let Some(group) = column.kind.options().filter(|group| done.insert(group.accepted)) {
            page.heading(2, format!("What {} may hold", column.name));
            page.terms(options(group));
        }
    }
}

fn options(group: &OptionGroup) -> Vec<(String, String)> {
    group
        .options
        .iter()
        .map(|option| (option_term(option.name, &option.kind), option.doc().to_owned()))
        .collect()
}

fn option_term(name: &str, kind: &Kind) -> String {
    match kind {
        Kind::Integer { .. } => format!("{name}=number"),
        Kind::IpAddress => format!("{name}=address"),
        Kind::Letters(_) => format!("{name}=letters"),
        _ => name.to_owned(),
    }
}

fn quoted(table: &TableSchema, index: usize, value: &str) -> String {
    let is_id = table.name == "mailusers.tab" && index == MAIL_USERS_ID;
    let is_bare = is_id || table.name == "dnsroots";
    if is_bare { value.to_owned() } else { format!("\"{value}\"") }
}

fn append_variables(page: &mut Page, variables: &[&Variable]) {
    if variables.is_empty() {
        return;
    }
    page.heading(2, "Variables");
    page.terms(variables.iter().map(|variable| (variable.name.to_owned(), variable_text(variable))));
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for variable in variables {
        if let Some(group) = variable.kind.options().filter(|group| done.insert(group.accepted)) {
            page.heading(2, format!("What {} may hold", variable.name));
            page.terms(options(group));
        }
    }
}

/// What a variable does, what it may be, what it is when it is absent.
fn variable_text(variable: &Variable) -> String {
    let words: String =
        variable.kind.words().iter().map(|word| format!(" {}: {}.", word.word, word.doc)).collect();
    let (default, without) = match variable.default {
        DefaultValue::Flag(is_on) => (format!("default {}", u8::from(is_on)), String::new()),
        DefaultValue::Number(number) => (format!("default {number}"), String::new()),
        DefaultValue::Text(text) => (format!("default {text}"), String::new()),
        DefaultValue::Absent(effect) => (String::new(), format!(" Without it: {effect}.")),
    };
    let ignored =
        variable.ignored.map(|reason| format!(" Has no effect here: {reason}.")).unwrap_or_default();
    let origin = match variable.origin {
        Origin::XMail => "",
        Origin::Fork => " From a fork of XMail.",
        Origin::JDMail => " From JDMail.",
        Origin::Tabmail => " Tabmail only.",
    };
    let facts = in_brackets(variable.kind.describe(), &default);
    format!("{}{facts}{words}{without}{origin}{ignored}", variable.doc())
}

/// What is known about a value, behind a sentence; nothing for any text without a default.
fn in_brackets(kind: String, default: &str) -> String {
    match (kind.as_str(), default) {
        ("", "") => String::new(),
        ("", _) => format!(" ({default})"),
        (_, "") => format!(" ({kind})"),
        _ => format!(" ({kind}; {default})"),
    }
}

/// The page of a variable, of `server.tab`, `user.tab` or both; `None` when neither has it.
pub fn variable(name: &str) -> Option<Page> {
    let mut page = Page::default();
    page.heading(1, name);
    let mut is_known = false;
    for (file, variables) in [("server.tab", server::VARIABLES), ("user.tab, userdef.tab", user::VARIABLES)] {
        if let Some(variable) = super::variable::find(variables, name.as_bytes()) {
            is_known = true;
            page.terms([(file.to_owned(), variable_text(variable))]);
            page.terms(variable.kind.options().map(options).unwrap_or_default());
        }
    }
    is_known.then_some(page)
}

/// The variable of either file whose name looks most like `name`.
pub fn nearest_variable(name: &str) -> Option<&'static str> {
    let all = server::VARIABLES.iter().chain(user::VARIABLES);
    super::variable::nearest_name(all.map(|variable| (variable.name, variable.name)), name)
}

/// The list of all variables.
pub fn variables() -> Page {
    let mut page = Page::default();
    for (file, variables) in [("server.tab", server::VARIABLES), ("user.tab, userdef.tab", user::VARIABLES)] {
        page.heading(1, file);
        page.terms(variables.iter().map(|variable| (variable.name.to_owned(), variable.doc().to_owned())));
    }
    page
}

/// The page of a file that is no table.
pub fn other_file(file: &OtherFile) -> Page {
    let mut page = Page::default();
    page.heading(1, file.path);
    page.paragraph(file.doc);
    page
}

/// The list of all tables and other files.
pub fn tables() -> Page {
    let mut page = Page::default();
    page.heading(1, "Tables");
    page.terms(TABLES.iter().map(|table| (table.name.to_owned(), table.summary.to_owned())));
    page.heading(1, "Other files");
    page.terms(OTHER_FILES.iter().map(|file| (file.path.to_owned(), file.doc.to_owned())));
    page
}

/// Everything: the page `reference.md`.
pub fn reference() -> Page {
    let mut page = Page::default();
    page.heading(1, "Tables of a MailRoot");
    page.paragraph(
        "One record a line, columns separated by TAB, each in double quotes (`\\\"` is a quote inside). Lines that begin \
         with `#` and blank lines say nothing. Edits are followed within a second; a row that cannot be used is reported \
         by line and column, and the others count.",
    );
    page.paragraph("Made from the descriptions that the server itself reads and checks tables with: do not edit this page.");
    for described in TABLES {
        page.append(table(described), 1);
    }
    page.heading(2, "Other files");
    page.terms(OTHER_FILES.iter().map(|file| (file.path.to_owned(), file.doc.to_owned())));
    page
}
