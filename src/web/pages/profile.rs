//! Forms of `user.tab` and files like it: of a user, a list, a group, and of defaults (`jdmail.md` JD-41, JD-43, JD-45,
//! JD-47). One field per variable; what is left empty counts from elsewhere, and the field says from where.

use std::path::Path;

use serde::Serialize;

use crate::admin::AdminError;
use crate::mailroot::edit::EditError;
use crate::mailroot::schema::kind::Kind;
use crate::mailroot::schema::options::SMTP_PERMS as LETTERS;
use crate::mailroot::schema::variable::DefaultValue;
use crate::mailroot::schema::{Variable, server, user};
use crate::mailroot::{Snapshot, UserSettings};
use crate::tab::{LineKind, Record, TabFile};
use crate::web::error::WebError;
use crate::web::form::{Choice, Field, variable_value};
use crate::web::schema_text;
use crate::web::visit::Visit;

/// The largest mailbox limit that the form takes, in MB (`jdmail.md` JD-41).
const MAILBOX_MB_MAX: f64 = 20480.0;

/// Whose variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::web) enum Owner {
    /// A user's own, and defaults of new accounts.
    User,
    /// A mailing list's.
    List,
    /// A group's: nothing that is one person's.
    Group,
}

/// A variable and the key of what people call it.
type Labelled = (&'static Variable, &'static str);

fn person() -> Vec<Labelled> {
    vec![
        (&user::REAL_NAME, "profile.real_name"),
        (&user::TELEPHONE, "profile.telephone"),
        (&user::ADDRESS, "profile.address"),
        (&user::DEPARTMENT, "profile.department"),
        (&user::HOME_PAGE, "profile.home_page"),
        (&user::SECRECY_LEVEL, "profile.secrecy_level"),
        (&user::EMPLOYEE_ID, "profile.employee_id"),
        (&user::PERSON_ID, "profile.person_id"),
    ]
}

fn limits() -> Vec<Labelled> {
    vec![
        (&user::RECEIVE_ENABLE, "profile.receive"),
        (&user::SMTP_ENABLE, "profile.smtp"),
        (&user::POP_ENABLE, "profile.pop"),
        (&user::IMAP_ENABLE, "profile.imap"),
        (&user::MAX_MB_SIZE, "profile.mailbox_limit"),
        (&user::MAX_MESSAGE_SIZE, "profile.message_limit"),
        (&user::SMTP_PERMS, "profile.permissions"),
        (&user::DISABLE_EMIT_AUTH_USER, "profile.auth_user"),
        (&user::POP3_SCAN_CUR, "profile.scan_cur"),
        (&user::JUNK_FOLDER, "profile.junk_folder"),
    ]
}

fn of_list() -> Vec<Labelled> {
    vec![
        (&user::REAL_NAME, "profile.list_name"),
        (&user::HOME_PAGE, "profile.home_page"),
        (&user::RECEIVE_ENABLE, "profile.receive"),
        (&user::CLOSED_ML, "profile.closed"),
        (&user::DOMAIN_MAY_POST, "profile.domain_may_post"),
        (&user::LIST_SENDER, "profile.list_sender"),
        (&user::USE_REPLY_TO, "profile.reply_to"),
    ]
}

impl Owner {
    fn variables(self) -> Vec<Labelled> {
        match self {
            Self::User => [person(), limits()].concat(),
            Self::List => of_list(),
            Self::Group => {
                let shared = |(variable, _): &Labelled| {
                    [&user::DEPARTMENT, &user::HOME_PAGE, &user::ADDRESS]
                        .map(|known| known.name)
                        .contains(&variable.name)
                };
                person().into_iter().filter(shared).chain(limits()).collect()
            }
        }
    }
}

/// One effective value, for the table of them.
#[derive(Debug, Serialize)]
pub(super) struct Effective {
    label: String,
    name: &'static str,
    value: String,
    /// Where it stands, in words.
    source: String,
    /// File and line; empty: in no file.
    place: String,
}

/// Every variable that an owner has, with the value that counts and where it comes from (JD-68).
pub(super) fn effective(
    visit: &Visit,
    tables: &Snapshot,
    owner: Owner,
    settings: &UserSettings,
) -> Vec<Effective> {
    let one = |(variable, label): Labelled| {
        let place = settings.citation(variable).map(|row| row.to_string()).unwrap_or_default();
        let (value, source) = match settings.source(variable) {
            Some(file) => {
                let value = settings.value(variable).map(ToString::to_string).unwrap_or_default();
                let source = match &file.group {
                    None => visit.say("profile.own", &[]),
                    Some(group) => visit.say("profile.of_group", &[("group", group)]),
                };
                (shown(visit, variable, &value), source)
            }
            None => inherited(visit, tables, variable),
        };
        Effective { label: visit.say(label, &[]), name: variable.name, value, source, place }
    };
    owner.variables().into_iter().map(one).collect()
}

/// The variable of `server.tab` that counts where an account has none.
fn of_server(variable: &Variable) -> Option<&'static Variable> {
    let counterparts: [(&Variable, &'static Variable); 3] = [
        (&user::SMTP_PERMS, &server::DEFAULT_SMTP_PERMS),
        (&user::MAX_MESSAGE_SIZE, &server::MAX_MESSAGE_SIZE),
        (&user::DISABLE_EMIT_AUTH_USER, &server::DISABLE_EMIT_AUTH_USER),
    ];
    counterparts.into_iter().find(|(own, _)| own.name == variable.name).map(|(_, known)| known)
}

/// What counts where neither the account nor a group says anything, and where that comes from.
fn inherited(visit: &Visit, tables: &Snapshot, variable: &Variable) -> (String, String) {
    let server = of_server(variable).and_then(|known| tables.server.variable(known.name));
    if let Some(row) = server {
        let value = shown(visit, variable, &row.value.to_string());
        return (value, visit.say("profile.of_server", &[]));
    }
    let value = match of_server(variable) {
        Some(counts) => built_in(visit, "server", counts),
        None => built_in(visit, "user", variable),
    };
    (value, visit.say("profile.built_in", &[]))
}

fn built_in(visit: &Visit, table: &str, variable: &Variable) -> String {
    match variable.default {
        DefaultValue::Number(number) if variable.name == user::POP3_SCAN_CUR.name => {
            on_off(visit, number > 0)
        }
        DefaultValue::Flag(on) => on_off(visit, on),
        DefaultValue::Number(number) => number.to_string(),
        DefaultValue::Text(text) => text.to_owned(),
        DefaultValue::Absent(effect) => {
            let key = format!("{table}.{}.without", variable.name);
            visit.app.catalogs.schema(visit.language, &key, effect).to_owned()
        }
    }
}

fn on_off(visit: &Visit, on: bool) -> String {
    visit.say(if on { "form.on" } else { "form.off" }, &[])
}

/// A value as people read it.
fn shown(visit: &Visit, variable: &Variable, value: &str) -> String {
    match variable.kind {
        Kind::Flag => on_off(visit, crate::mailroot::server_tab::leading_number(value.as_bytes()) != 0),
        _ if variable.name == user::MAX_MB_SIZE.name => match megabytes(value).as_str() {
            "0" => visit.say("profile.no_limit", &[]),
            text => format!("{text} MB"),
        },
        Kind::Kilobytes if value.trim() == "0" => visit.say("profile.no_limit", &[]),
        Kind::Kilobytes => format!("{value} kB"),
        _ => value.to_owned(),
    }
}

/// kB as MB with at most two decimals.
fn megabytes(kilobytes: &str) -> String {
    match kilobytes.trim().parse::<u32>() {
        Ok(kilobytes) => {
            let text = format!("{:.2}", f64::from(kilobytes) / 1024.0);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Err(_) => kilobytes.to_owned(),
    }
}

/// The fields of a form. `settings`, of an account, tells what counts where its own file has nothing.
pub(super) fn fields(
    visit: &Visit,
    owner: Owner,
    file: &TabFile,
    settings: Option<&UserSettings>,
) -> Vec<Field> {
    let tables = visit.tables();
    let one = |labelled: Labelled| {
        let value = variable_value(file, labelled.0.name);
        field(visit, &tables, labelled, value.as_deref(), settings)
    };
    owner.variables().into_iter().map(one).collect()
}

fn field(
    visit: &Visit,
    tables: &Snapshot,
    (variable, label): Labelled,
    value: Option<&str>,
    settings: Option<&UserSettings>,
) -> Field {
    let groups = settings.iter().flat_map(|settings| settings.files()).filter(|file| file.group.is_some());
    let of_group =
        groups.filter_map(|file| Some((file.group.as_deref()?, file.variables.value(variable)?))).next();
    let default = match of_group {
        Some((group, value)) => {
            let value = shown(visit, variable, &value.to_string());
            visit.say("profile.value_of_group", &[("value", &value), ("group", group)])
        }
        None => inherited(visit, tables, variable).0,
    };
    let key = format!("user.{}", variable.name);
    let help = visit.app.catalogs.schema(visit.language, &key, variable.doc()).to_owned();
    let text = value.unwrap_or_default();
    let (input, shown_value) = match variable.kind {
        Kind::Flag => ("choice", text.to_owned()),
        Kind::Letters(_) => ("letters", text.to_owned()),
        _ if variable.name == user::MAX_MB_SIZE.name => ("number", megabytes(text)),
        Kind::Kilobytes => ("number", text.to_owned()),
        Kind::Integer { .. } => ("choice", text.to_owned()),
        _ => ("text", text.to_owned()),
    };
    let accepts = match input {
        "number" if variable.name == user::MAX_MB_SIZE.name => visit.say("profile.megabytes", &[]),
        "number" => visit.say("profile.kilobytes", &[]),
        _ => String::new(),
    };
    Field {
        name: format!("v.{}", variable.name),
        label: visit.say(label, &[]),
        help,
        choices: choices(visit, input, &shown_value, value.is_some(), &default),
        default,
        accepts,
        input,
        value: shown_value,
        problem: value
            .filter(|value| !value.is_empty())
            .and_then(|value| variable.kind.check(value.as_bytes()))
            .map(|problem| schema_text::problem(&visit.app.catalogs, visit.language, &problem)),
        is_required: false,
    }
}

fn choices(visit: &Visit, input: &str, value: &str, is_set: bool, default: &str) -> Vec<Choice> {
    match input {
        "choice" => {
            let unset = visit.say("form.unset", &[("default", default)]);
            let mut found = vec![Choice { value: String::new(), label: unset, is_chosen: !is_set }];
            for (word, key) in [("1", "form.on"), ("0", "form.off")] {
                found.push(Choice {
                    value: word.into(),
                    label: visit.say(key, &[]),
                    is_chosen: is_set && value == word,
                });
            }
            if is_set && !["0", "1"].contains(&value) {
                // Written by hand; saving the form must not change it.
                found.push(Choice { value: value.into(), label: value.into(), is_chosen: true });
            }
            found
        }
        "letters" => {
            let own = Choice {
                value: "own".into(),
                label: visit.say("profile.own_letters", &[]),
                is_chosen: is_set,
            };
            let letter = |(letter, doc): (String, String)| Choice {
                is_chosen: is_set && value.contains(&letter),
                label: format!("{letter}: {doc}"),
                value: letter,
            };
            std::iter::once(own).chain(letters(visit).into_iter().map(letter)).collect()
        }
        _ => Vec::new(),
    }
}

fn letters(visit: &Visit) -> Vec<(String, String)> {
    let text = |word: &'static str| match word {
        "M" => "profile.letter_m",
        "R" => "profile.letter_r",
        "V" => "profile.letter_v",
        "S" => "profile.letter_s",
        "T" => "profile.letter_t",
        _ => "profile.letter_z",
    };
    LETTERS.options.iter().map(|option| (option.name.to_owned(), visit.say(text(option.name), &[]))).collect()
}

/// What a submitted form makes of a file.
pub(super) enum Submitted {
    /// The content.
    Content(Vec<u8>),
    /// The form again, with reasons at the fields.
    Refused(Vec<Field>),
}

/// `base` with the variables that the form changed: others keep their rows, comments stay. Emptied is deleted.
///
/// # Errors
/// A value that a table cannot hold.
pub(super) fn submitted(
    visit: &Visit,
    owner: Owner,
    path: &Path,
    base: &[u8],
    settings: Option<&UserSettings>,
) -> Result<Submitted, WebError> {
    let mut file = TabFile::parse(base);
    let tables = visit.tables();
    let (mut fields, mut is_refused) = (Vec::new(), false);
    for labelled in owner.variables() {
        let variable = labelled.0;
        let before = variable_value(&file, variable.name);
        let mut shown_field = field(visit, &tables, labelled, before.as_deref(), settings);
        match typed(visit, variable, &shown_field) {
            Typed::Untouched => {}
            Typed::Value(value) => {
                set_variable(&mut file, path, variable, value.as_deref())?;
                shown_field = field(visit, &tables, labelled, value.as_deref(), settings);
            }
            Typed::Wrong(text, problem) => {
                is_refused = true;
                shown_field.value = text;
                shown_field.problem = Some(problem);
            }
        }
        fields.push(shown_field);
    }
    Ok(if is_refused { Submitted::Refused(fields) } else { Submitted::Content(file.to_bytes()) })
}

enum Typed {
    Untouched,
    /// The new value; `None`: the row goes.
    Value(Option<String>),
    /// What was typed, and why it is refused.
    Wrong(String, String),
}

fn typed(visit: &Visit, variable: &Variable, shown: &Field) -> Typed {
    if shown.input == "letters" {
        return typed_letters(visit, shown);
    }
    let Some((_, text)) = visit.form.iter().find(|(name, _)| *name == shown.name) else {
        return Typed::Untouched;
    };
    let text = text.trim();
    let before = match shown.input {
        "choice" => shown.choices.iter().find(|choice| choice.is_chosen).map_or("", |choice| &*choice.value),
        _ => &*shown.value,
    };
    if text == before.trim() {
        return Typed::Untouched;
    }
    if text.is_empty() {
        return Typed::Value(None);
    }
    let value = match variable.name == user::MAX_MB_SIZE.name {
        true => match kilobytes(text) {
            Some(kilobytes) => kilobytes.to_string(),
            None => return Typed::Wrong(text.to_owned(), visit.say("profile.bad_megabytes", &[])),
        },
        false => text.to_owned(),
    };
    match variable.kind.check(value.as_bytes()) {
        Some(problem) => {
            let reason = schema_text::problem(&visit.app.catalogs, visit.language, &problem);
            Typed::Wrong(text.to_owned(), reason)
        }
        None => Typed::Value(Some(value)),
    }
}

/// MB, perhaps with a fraction, as kB.
pub(super) fn kilobytes(megabytes: &str) -> Option<u64> {
    let number: f64 = megabytes.replace(',', ".").parse().ok()?;
    if !(0.0..=MAILBOX_MB_MAX).contains(&number) {
        return None;
    }
    // At most 20480 * 1024: no digit is lost.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let kilobytes = (number * 1024.0).round() as u64;
    Some(kilobytes)
}

fn typed_letters(visit: &Visit, shown: &Field) -> Typed {
    let own_field = format!("{}.own", shown.name);
    if visit.form.iter().all(|(name, _)| *name != own_field) {
        return Typed::Untouched;
    }
    let was_own = shown.choices.first().is_some_and(|own| own.is_chosen);
    if visit.field(&own_field) != "own" {
        return if was_own { Typed::Value(None) } else { Typed::Untouched };
    }
    let is_ticked =
        |letter: &&str| visit.form.iter().any(|(name, value)| *name == shown.name && value == letter);
    let known: Vec<&str> = shown.choices.iter().skip(1).map(|choice| &*choice.value).collect();
    let mut value: String = known.iter().copied().filter(is_ticked).collect();
    // Letters that mean nothing here, but perhaps to other programs.
    value.extend(shown.value.chars().filter(|letter| !known.contains(&letter.to_string().as_str())));
    let same = |a: &str, b: &str| a.len() == b.len() && a.chars().all(|letter| b.contains(letter));
    match was_own && same(&value, &shown.value) {
        true => Typed::Untouched,
        false => Typed::Value(Some(value)),
    }
}

fn set_variable(
    file: &mut TabFile,
    path: &Path,
    variable: &Variable,
    value: Option<&str>,
) -> Result<(), WebError> {
    let index = file.lines().iter().position(|line| {
        let fields = line.fields();
        line.kind() == LineKind::Record && fields.len() == 2 && fields[0].value == variable.name.as_bytes()
    });
    let Some(value) = value else {
        if let Some(index) = index {
            file.remove(index);
        }
        return Ok(());
    };
    let row = Record::quoted(&[variable.name, value]).map_err(|error| {
        let (column, reason) = (error.index + 1, error.reason);
        AdminError::from(EditError::Value { file: path.to_owned(), column, reason })
    })?;
    match index {
        Some(index) => file.set(index, &row),
        None => file.push(&row),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn megabytes_and_kilobytes() {
        for (kb, mb) in [("10000", "9.77"), ("1024", "1"), ("0", "0"), ("", ""), ("x", "x"), ("512", "0.5")] {
            assert_eq!(megabytes(kb), mb);
        }
        for (mb, kb) in [
            ("1", Some(1024)),
            ("0.5", Some(512)),
            ("20480", Some(20_971_520)),
            ("20481", None),
            ("-1", None),
            ("a", None),
        ] {
            assert_eq!(kilobytes(mb), kb, "{mb}");
        }
    }
}
