//! Forms made from `mailroot::schema`: label, help, default and kind of each field come from the one description.

use bstr::ByteSlice as _;
use serde::Serialize;

use super::error::WebError;
use super::schema_text;
use super::visit::Visit;
use crate::admin::AdminError;
use crate::mailroot::edit::{EditError, MAIL_USERS_ID};
use crate::mailroot::schema::variable::DefaultValue;
use crate::mailroot::schema::{Kind, TableSchema, Variable};
use crate::tab::{Cell, LineKind, Record, TabFile, Unrepresentable};

/// A field of a form, for `_field.html`.
#[derive(Debug, Serialize)]
pub(super) struct Field {
    /// The name of the input.
    pub(super) name: String,
    /// What people call it.
    pub(super) label: String,
    /// What it does.
    pub(super) help: String,
    /// What holds while it is empty.
    pub(super) default: String,
    /// What is accepted, in words.
    pub(super) accepts: String,
    /// `text`, `number`, `choice`.
    pub(super) input: &'static str,
    /// What it holds.
    pub(super) value: String,
    /// Of a choice.
    pub(super) choices: Vec<Choice>,
    /// What is wrong with the value.
    pub(super) problem: Option<String>,
    /// Whether it may not be empty.
    pub(super) is_required: bool,
}

/// One value of a choice.
#[derive(Debug, Serialize)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) is_chosen: bool,
}

/// Names of inputs that hold values of rows begin so: no variable is called `csrf` or `base`.
const VARIABLE_PREFIX: &str = "v.";

/// The fields of some variables, as a file of names and values has them. `table` is the short name of the file's kind,
/// `server` or `user`, under which the Chinese help stands.
pub(super) fn variable_fields(
    visit: &Visit,
    table: &str,
    variables: &[&'static Variable],
    file: &TabFile,
) -> Vec<Field> {
    variables.iter().map(|variable| variable_field(visit, table, variable, file)).collect()
}

fn variable_field(visit: &Visit, table: &str, variable: &Variable, file: &TabFile) -> Field {
    let value = variable_value(file, variable.name).unwrap_or_default();
    let key = format!("{table}.{}", variable.name);
    let mut field = field_of(visit, variable.kind, &value);
    field.name = format!("{VARIABLE_PREFIX}{}", variable.name);
    field.label = variable.name.to_owned();
    field.help = visit.app.catalogs.schema(visit.language, &key, variable.doc()).to_owned();
    if let Some(reason) = variable.ignored {
        field.help =
            format!("{} {}", field.help, visit.say("form.ignored", &[("reason", &visit.phrase(reason))]));
    }
    field.default = match variable.default {
        DefaultValue::Flag(on) => visit.say(if on { "form.on" } else { "form.off" }, &[]),
        DefaultValue::Number(number) => number.to_string(),
        DefaultValue::Text(text) => text.to_owned(),
        DefaultValue::Absent(effect) => {
            visit.app.catalogs.schema(visit.language, &format!("{key}.without"), effect).to_owned()
        }
    };
    if !field.choices.is_empty() {
        let unset = visit.say("form.unset", &[("default", &field.default)]);
        let is_chosen = value.is_empty();
        field.choices.insert(0, Choice { value: String::new(), label: unset, is_chosen });
    }
    field
}

/// A field of a kind; without name and help.
pub(super) fn field_of(visit: &Visit, kind: Kind, value: &str) -> Field {
    let words: Vec<(String, String)> = match kind {
        Kind::Flag => [("1", "form.on"), ("0", "form.off")]
            .map(|(word, key)| (word.to_owned(), visit.say(key, &[])))
            .into(),
        _ => kind
            .words()
            .iter()
            .map(|word| {
                let doc = visit.schema("", word.doc);
                (word.word.to_owned(), format!("{}: {doc}", word.word))
            })
            .collect(),
    };
    let mut choices: Vec<Choice> = words
        .into_iter()
        .map(|(word, label)| Choice { is_chosen: word.eq_ignore_ascii_case(value), value: word, label })
        .collect();
    if !choices.is_empty() && !value.is_empty() && choices.iter().all(|choice| !choice.is_chosen) {
        // Written by hand; saving the form must not change it.
        choices.push(Choice { value: value.to_owned(), label: value.to_owned(), is_chosen: true });
    }
    let input = match kind {
        _ if !choices.is_empty() => "choice",
        Kind::Integer { .. } | Kind::Kilobytes => "number",
        _ => "text",
    };
    let problem =
        Some(value).filter(|value| !value.is_empty()).and_then(|value| kind.check(value.as_bytes()));
    Field {
        name: String::new(),
        label: String::new(),
        help: String::new(),
        default: String::new(),
        accepts: if choices.is_empty() {
            schema_text::accepts(&visit.app.catalogs, visit.language, kind)
        } else {
            String::new()
        },
        input,
        value: value.to_owned(),
        choices,
        problem: problem.map(|problem| schema_text::problem(&visit.app.catalogs, visit.language, &problem)),
        is_required: false,
    }
}

/// The value of the row that counts.
pub(super) fn variable_value(file: &TabFile, name: &str) -> Option<String> {
    file.lines().iter().filter(|line| line.kind() == LineKind::Record).find_map(|line| {
        let fields = line.fields();
        let is_it = fields.len() >= 2 && fields[0].value == name.as_bytes();
        is_it.then(|| fields[1].value.to_str_lossy().into_owned())
    })
}

/// `base` with the variables that the form changed: others keep their rows, comments stay. Emptied is deleted.
///
/// # Errors
/// A value that a table cannot hold.
pub(super) fn with_variables(
    visit: &Visit,
    path: &std::path::Path,
    variables: &[&'static Variable],
    base: &[u8],
) -> Result<Vec<u8>, WebError> {
    let mut file = TabFile::parse(base);
    for variable in variables {
        let input = format!("{VARIABLE_PREFIX}{}", variable.name);
        let Some((_, value)) = visit.form.iter().find(|(name, _)| *name == input) else { continue };
        let value = value.trim();
        let before = variable_value(&file, variable.name);
        if before.clone().unwrap_or_default() == value {
            continue;
        }
        let refuse = |error: Unrepresentable| bad_value(path, error);
        let row = Record::quoted(&[variable.name, value]).map_err(refuse)?;
        let index = file.lines().iter().position(|line| {
            let fields = line.fields();
            line.kind() == LineKind::Record
                && fields.len() >= 2
                && fields[0].value == variable.name.as_bytes()
        });
        match (index, value.is_empty()) {
            (Some(index), true) => file.remove(index),
            (Some(index), false) => file.set(index, &row),
            (None, true) => {}
            (None, false) => file.push(&row),
        }
    }
    Ok(file.to_bytes())
}

fn bad_value(path: &std::path::Path, error: Unrepresentable) -> WebError {
    let (column, reason) = (error.index + 1, error.reason);
    AdminError::from(EditError::Value { file: path.to_owned(), column, reason }).into()
}

/// A row as the table writes it.
///
/// # Errors
/// A value that a table cannot hold, or a number of columns that it does not take.
pub(super) fn record(
    path: &std::path::Path,
    table: &TableSchema,
    values: &[String],
) -> Result<Record, WebError> {
    let found = values.len();
    if found < table.rows.min_columns || table.rows.max_columns.is_some_and(|max| found > max) {
        let needed = table.rows.min_columns;
        return Err(AdminError::from(EditError::ColumnCount { file: path.to_owned(), needed, found }).into());
    }
    let is_number = |index: usize| table.name == "mailusers.tab" && index == MAIL_USERS_ID;
    let cells: Vec<Cell<'_>> = (values.iter().enumerate())
        .map(|(index, value)| match value.parse() {
            Ok(number) if is_number(index) => Cell::Number(number),
            _ => Cell::Text(value.as_bytes()),
        })
        .collect();
    Record::new(&cells).map_err(|error| bad_value(path, error))
}
