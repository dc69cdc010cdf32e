//! Directories of tables: custom domains, log-ins at relays, programs (`jdmail.md` JD-53), and the command files of a
//! domain's addresses (`mailroot.md` 13.1).

use crate::web::templates::context;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::{Paging, domains};
use crate::web::error::WebError;
use crate::web::rows::place::{Directory, directory};
use crate::web::rows::{self, ask, controls, words};
use crate::web::visit::{Visit, redirect, segment};

/// A file in the list.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    link: String,
    /// Its rows in words, the first ones.
    what: Vec<String>,
}

/// Rows that are told in a list of files. Ours.
const TOLD_MAX: usize = 4;

/// The files of a directory.
pub(in crate::web) fn list(visit: &Visit) -> Result<Response, WebError> {
    let directory = directory(visit)?;
    let link = format!("/jdwa/files/{}", directory.name);
    show_list(visit, directory, &link, "", StatusCode::OK)
}

fn show_list(
    visit: &Visit,
    directory: &Directory,
    link: &str,
    typed: &str,
    status: StatusCode,
) -> Result<Response, WebError> {
    let (files, paging) = files(visit, directory.path, link)?;
    let (title, help) = (visit.say(directory.key, &[]), visit.say(directory.help, &[]));
    let names = visit.say(directory.names, &[]);
    let tabs = rows::tabs(visit);
    let ask = ask::of_directory(visit, directory.name);
    let (above, domain_link) = (None::<String>, None::<String>);
    let problem = (status != StatusCode::OK).then(|| visit.say("files.bad_name", &[]));
    visit.page_with(
        status,
        "files.html",
        context! { title, help, names, files, paging, link, tabs, ask, above, domain_link, typed, problem,
        directory => directory.path, q => visit.query("q") },
    )
}

/// The tables in a directory below the MailRoot whose names or rows hold what is searched for.
fn files(visit: &Visit, path: &str, link: &str) -> Result<(Vec<Listed>, Paging), WebError> {
    let admin = &visit.app.services.admin;
    // A directory that is not there yet holds nothing.
    let mut found = admin.files(path, "*.tab").unwrap_or_default();
    let wanted = visit.query("q").to_lowercase();
    found.retain(|file| file.name.to_lowercase().contains(&wanted));
    let (paging, range) = Paging::of(visit, link, found.len());
    let listed = |file: &crate::admin::ListedFile| Listed {
        link: format!("{link}/{}", segment(&file.name)),
        what: told(visit, std::path::Path::new(path).join(&file.name).as_path()),
        name: file.name.clone(),
    };
    Ok((found[range].iter().map(listed).collect(), paging))
}

/// The first rows of a file in words; what looks like a password is left out.
fn told(visit: &Visit, path: &std::path::Path) -> Vec<String> {
    let Some(table) = crate::mailroot::schema::table::of_file(path) else { return Vec::new() };
    let bytes = visit.app.services.admin.table_text(path).unwrap_or_default();
    let lines = rows::lines::Lines::parse(&bytes);
    let row = |row: rows::lines::FoundRow| {
        if !table.commands.is_empty() {
            return words::command(visit, &row.values);
        }
        let shown =
            row.values.iter().enumerate().filter(|(at, _)| {
                table.columns.get(*at).is_none_or(|column| !controls::is_secret(column.kind))
            });
        shown.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(" ")
    };
    lines.rows().take(TOLD_MAX).map(row).collect()
}

/// Goes to the page of a file, which is made with its first row.
pub(in crate::web) fn open(visit: &Visit) -> Result<Response, WebError> {
    let directory = directory(visit)?;
    let link = format!("/jdwa/files/{}", directory.name);
    let typed = visit.field("name").to_lowercase();
    let stem = typed.strip_suffix(".tab").unwrap_or(&typed);
    let is_good = match directory.name {
        "custdomains" | "pop3-programs" => {
            stem.is_empty() || is_domain(stem.strip_prefix('.').unwrap_or(stem))
        }
        "smtp-client" => is_domain(stem),
        _ => is_word(stem),
    };
    if !is_good {
        return show_list(visit, directory, &link, &typed, StatusCode::UNPROCESSABLE_ENTITY);
    }
    Ok(redirect(&format!("{link}/{}", segment(&format!("{stem}.tab")))))
}

fn is_domain(text: &str) -> bool {
    crate::address::is_domain(text.as_bytes()) && is_word(text)
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('.')
        && !text.contains("..")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@+=[]".contains(&byte))
}

/// The addresses of a domain for which commands are carried out (`cmdaliases/<domain>/`).
pub(in crate::web) fn list_commands(visit: &Visit) -> Result<Response, WebError> {
    show_commands(visit, "", StatusCode::OK)
}

fn show_commands(visit: &Visit, typed: &str, status: StatusCode) -> Result<Response, WebError> {
    let domain = visit.domain()?;
    let base = domains::link(&domain);
    let link = format!("{base}/commands");
    let path = format!("cmdaliases/{}", domain.to_ascii_lowercase());
    let (files, paging) = files(visit, &path, &link)?;
    let tabs: Vec<rows::Tab> = Vec::new();
    let ask = None::<ask::Ask>;
    let (title, help) = (visit.say("commands.title", &[]), visit.say("commands.help", &[]));
    let (names, above) = (visit.say("commands.names", &[]), Some(domain));
    let domain_link = Some(format!("{base}/users"));
    let problem = (status != StatusCode::OK).then(|| visit.say("files.bad_name", &[]));
    visit.page_with(
        status,
        "files.html",
        context! { title, help, names, files, paging, link, tabs, ask, above, domain_link, typed, problem,
        directory => path, q => visit.query("q") },
    )
}

/// Goes to the page of an address' commands.
pub(in crate::web) fn open_commands(visit: &Visit) -> Result<Response, WebError> {
    let domain = visit.domain()?;
    let typed = visit.field("name").to_lowercase();
    let name = typed.split('@').next().unwrap_or_default();
    let name = name.strip_suffix(".tab").unwrap_or(name);
    if !crate::address::is_rfc822_name(name.as_bytes()) || !is_word(name) {
        return show_commands(visit, &typed, StatusCode::UNPROCESSABLE_ENTITY);
    }
    Ok(redirect(&format!("{}/commands/{}", domains::link(&domain), segment(&format!("{name}.tab")))))
}
