//! Mailing lists: members with their rights, and who may post (`jdmail.md` JD-47).

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use bstr::ByteSlice as _;
use serde::Serialize;

use super::profile::{self, Owner, Submitted};
use super::users::{account, find, ticked};
use super::{Paging, domains};
use crate::address::Mailbox;
use crate::admin::ImportedMember;
use crate::mailroot::schema::user as variables;
use crate::mailroot::{Account, AccountKind, MailRoot, UserSettings};
use crate::tab::TabFile;
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::form::Field;
use crate::web::sessions::Kept;
use crate::web::templates::context;
use crate::web::visit::{Visit, redirect, segment};

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    link: String,
    members: usize,
    /// The key of who may post.
    posters: &'static str,
}

fn link(list: &Account) -> String {
    format!("{}/lists/{}", domains::link(&list.domain), segment(&list.name))
}

/// The lists of a domain.
pub(in crate::web) fn list(visit: &Visit) -> Result<Response, WebError> {
    let (domain, tables) = (visit.domain()?, visit.tables());
    let found = find(&tables, &domain, visit.query("q"), true);
    let base = domains::link(&domain);
    let (paging, range) = Paging::of(visit, &format!("{base}/lists"), found.len());
    let rows: Vec<Row> = found[range]
        .iter()
        .map(|list| Row {
            name: list.name.to_string(),
            link: link(list),
            members: tables.list_members(list).rows().len(),
            posters: posters(&tables.user_settings(list)),
        })
        .collect();
    visit.page("lists.html", context! { domain, base, rows, paging, tab => "lists", q => visit.query("q") })
}

/// The key of who may post to a list.
fn posters(settings: &UserSettings) -> &'static str {
    let flags = [&variables::CLOSED_ML, &variables::DOMAIN_MAY_POST].map(|flag| settings.flag(flag));
    match flags {
        [false, _] => "lists.open",
        [true, false] => "lists.closed",
        [true, true] => "lists.of_domain",
    }
}

/// The list that the path names.
fn named(visit: &Visit) -> Result<Arc<Account>, WebError> {
    account(visit).and_then(|found| match found.kind {
        AccountKind::List => Ok(found),
        _ => Err(WebError::NotFound),
    })
}

/// One list.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let list = named(visit)?;
    let bytes = visit.app.services.admin.table_text(&MailRoot::user_tab(&list))?;
    let settings = visit.tables().user_settings(&list);
    let fields = profile::fields(visit, Owner::List, &TabFile::parse(&bytes), Some(&settings));
    page(visit, StatusCode::OK, &list, fields, bytes, None)
}

#[derive(Debug, Serialize)]
struct Member {
    address: String,
    receives: bool,
    posts: bool,
    posts_as_login: bool,
}

/// What was typed into the field of new members, and what is wrong with it.
struct Refused {
    text: String,
    problem: String,
}

fn page(
    visit: &Visit,
    status: StatusCode,
    list: &Arc<Account>,
    fields: Vec<Field>,
    bytes: Vec<u8>,
    refused: Option<Refused>,
) -> Result<Response, WebError> {
    let wanted = visit.query("q").to_ascii_lowercase();
    let all = visit.app.services.admin.members(&list.domain, &list.name)?;
    let holds = |address: &[u8]| address.to_ascii_lowercase().contains_str(&wanted);
    let found: Vec<_> = all.iter().filter(|(address, _)| holds(address)).collect();
    let action = link(list);
    let (paging, range) = Paging::of(visit, &action, found.len());
    let member = |(address, perms): &&(bstr::BString, bstr::BString)| Member {
        address: address.to_string(),
        receives: perms.contains(&b'R'),
        posts: perms.contains(&b'W'),
        posts_as_login: perms.contains(&b'A'),
    };
    let rows: Vec<Member> = found[range].iter().map(member).collect();
    visit.shows(MailRoot::account_directory(list).join("mlusers.tab"))?;
    let path = MailRoot::user_tab(list);
    let file = path.display().to_string();
    let base_id = visit.keep(Kept::Base(path, Arc::new(bytes)))?;
    let (typed, problem) = refused.map_or_else(Default::default, |refused| (refused.text, refused.problem));
    let context = context! {
        domain => list.domain.to_string(),
        name => list.name.to_string(),
        address => list.address(),
        base => domains::link(&list.domain),
        users_link => format!("{}/users/{}", domains::link(&list.domain), segment(&list.name)),
        action, rows, paging, fields, file, base_id, typed, problem,
        tab => "lists",
        q => visit.query("q"),
    };
    visit.page_with(status, "list.html", context)
}

/// Saves its settings.
pub(in crate::web) fn save(visit: &Visit) -> Result<Response, WebError> {
    let list = named(visit)?;
    let path = MailRoot::user_tab(&list);
    let base = visit.base(&path)?;
    let settings = visit.tables().user_settings(&list);
    match profile::submitted(visit, Owner::List, &path, &base, Some(&settings))? {
        Submitted::Content(content) => {
            let deed = Deed::save_table(path, base, content).called("deed.save_list").within(&*list.domain);
            visit.propose(deed, &link(&list))
        }
        Submitted::Refused(fields) => {
            page(visit, StatusCode::UNPROCESSABLE_ENTITY, &list, fields, base.to_vec(), None)
        }
    }
}

/// Adds members from a text, gives ticked ones rights, or removes them.
pub(in crate::web) fn members(visit: &Visit) -> Result<Response, WebError> {
    let list = named(visit)?;
    let (domain, back) = (list.domain.to_string(), link(&list));
    let perms: String = ["R", "W", "A"].into_iter().filter(|letter| visit.field(letter) == "1").collect();
    let deed = match visit.field("act") {
        "remove" => {
            let gone = ticked(visit, "address");
            Deed::new("deed.remove_members", move |admin| {
                admin.remove_members(&list.domain, &list.name, &gone)
            })
        }
        "rights" => {
            let member = |address: String| ImportedMember { address, perms: perms.clone() };
            let changed: Vec<_> = ticked(visit, "address").into_iter().map(member).collect();
            Deed::new("deed.set_rights", move |admin| {
                admin.import_members(&list.domain, &list.name, &changed)
            })
        }
        _ => {
            let typed = visit.raw_field("members");
            let members = match typed_members(typed, &perms) {
                Ok(members) => members,
                Err(wrong) => return refuse(visit, &list, typed, &wrong),
            };
            Deed::new("deed.add_members", move |admin| {
                admin.import_members(&list.domain, &list.name, &members)
            })
        }
    };
    if visit.field("act") != "add" && ticked(visit, "address").is_empty() {
        visit.flash("bad", visit.say("lists.none_selected", &[]));
        return Ok(redirect(&back));
    }
    visit.propose(deed.within(domain), &back)
}

fn refuse(
    visit: &Visit,
    list: &Arc<Account>,
    typed: &str,
    wrong: &(usize, String),
) -> Result<Response, WebError> {
    let bytes = visit.app.services.admin.table_text(&MailRoot::user_tab(list))?;
    let settings = visit.tables().user_settings(list);
    let fields = profile::fields(visit, Owner::List, &TabFile::parse(&bytes), Some(&settings));
    let line = wrong.0.to_string();
    let problem = visit.say("lists.bad_line", &[("line", &line), ("text", &wrong.1)]);
    let refused = Refused { text: typed.to_owned(), problem };
    page(visit, StatusCode::UNPROCESSABLE_ENTITY, list, fields, bytes, Some(refused))
}

/// One address a line, with permission letters behind it where they differ; `#` begins a comment.
///
/// # Errors
/// The first line that is no address, and its text.
fn typed_members(text: &str, perms: &str) -> Result<Vec<ImportedMember>, (usize, String)> {
    let mut members = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = || (index + 1, line.to_owned());
        let mut words = line.split([' ', '\t', ',', ';']).filter(|word| !word.is_empty());
        let address = words.next().unwrap_or_default().trim_matches(['"', '<', '>']);
        Mailbox::parse(address.as_bytes()).map_err(|_| wrong())?;
        let own = words.next().map(|letters| letters.trim_matches('"'));
        let is_odd = own.is_some_and(|letters| letters.chars().any(|letter| !"RWA".contains(letter)));
        if is_odd || words.next().is_some() {
            return Err(wrong());
        }
        members.push(ImportedMember { address: address.to_owned(), perms: own.unwrap_or(perms).to_owned() });
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_line_by_line() {
        let read = typed_members("a@x.test\r\n# no\n\n<b@x.test>\tR\n\"c@x.test\"\t\"RWA\"\n", "RW").unwrap();
        let read: Vec<_> = read.iter().map(|one| (one.address.as_str(), one.perms.as_str())).collect();
        assert_eq!(read, [("a@x.test", "RW"), ("b@x.test", "R"), ("c@x.test", "RWA")]);
        assert_eq!(typed_members("a@x.test\nnobody\n", "RW"), Err((2, "nobody".into())));
        assert_eq!(typed_members("a@x.test Q", "RW"), Err((1, "a@x.test Q".into())));
    }
}
