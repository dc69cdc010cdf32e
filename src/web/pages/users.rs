//! The accounts of a domain (`jdmail.md` JD-43). Lists are found from the tables in memory: no mailbox is read.

use std::path::PathBuf;
use std::sync::Arc;

use crate::web::templates::context;
use axum::response::Response;
use serde::Serialize;

use super::{Paging, domains};
use crate::auth;
use crate::mailroot::schema::{TableSchema, tables::variables::USER, user as variables};
use crate::mailroot::{Account, AccountKind, MailRoot, Snapshot};
use crate::tab::TabFile;
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::form;
use crate::web::sessions::Kept;
use crate::web::visit::{Visit, segment};

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    link: String,
    kind: &'static str,
    real_name: String,
}

/// The accounts of a domain whose names hold a text, in file order.
pub(in crate::web) fn find<'a>(tables: &'a Snapshot, domain: &str, text: &str) -> Vec<&'a Arc<Account>> {
    let text = text.to_ascii_lowercase();
    let holds = |name: &str| text.is_empty() || name.to_ascii_lowercase().contains(&text);
    let accounts = tables.users.rows().iter();
    accounts.filter(|account| account.domain.eq_ignore_ascii_case(domain) && holds(&account.name)).collect()
}

/// Lists them.
pub(in crate::web) fn list(visit: &Visit) -> Result<Response, WebError> {
    let (domain, tables) = (visit.domain()?, visit.tables());
    let found = find(&tables, &domain, visit.query("q"));
    let base = domains::link(&domain);
    let (paging, range) = Paging::of(visit, &format!("{base}/users"), found.len());
    let row = |account: &&Arc<Account>| {
        let profile = tables.user_tab(account);
        Row {
            name: account.name.to_string(),
            link: format!("{base}/users/{}", segment(&account.name)),
            kind: kind_key(account.kind),
            real_name: profile.text(&variables::REAL_NAME).unwrap_or_default().to_owned(),
        }
    };
    let rows: Vec<Row> = found[range].iter().map(row).collect();
    let suggested = auth::random_password()?;
    visit.page("users.html", context! { domain, base, rows, paging, q => visit.query("q"), suggested })
}

fn kind_key(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::User => "kind.user",
        AccountKind::List => "kind.list",
        AccountKind::Other => "kind.other",
    }
}

/// Adds an account.
pub(in crate::web) fn add(visit: &Visit) -> Result<Response, WebError> {
    let domain = visit.domain()?;
    let name = visit.field("name").to_owned();
    let kind = if visit.field("kind") == "M" { "M" } else { "U" }.to_owned();
    let back = format!("{}/users/{}", domains::link(&domain), segment(&name));
    let password = visit.raw_field("password").to_owned();
    let within = domain.clone();
    let deed =
        Deed::new("deed.add_user", move |admin| admin.add_user(&domain, &name, password.as_bytes(), &kind));
    visit.propose(deed.within(within), &back)
}

/// The account that the path names, in the domain that it names.
fn account(visit: &Visit) -> Result<Arc<Account>, WebError> {
    let tables = visit.tables();
    let domain = visit.domain()?;
    tables.users.get(&domain, visit.param("name")).cloned().ok_or(WebError::NotFound)
}

fn link(account: &Account) -> String {
    format!("{}/users/{}", domains::link(&account.domain), segment(&account.name))
}

fn user_tab(account: &Account) -> (PathBuf, &'static TableSchema) {
    (MailRoot::user_tab(account), &USER)
}

/// One account: its variables.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let account = account(visit)?;
    let (path, _) = user_tab(&account);
    let bytes = visit.app.services.admin.table_text(&path)?;
    let fields = form::variable_fields(visit, "user", variables::VARIABLES, &TabFile::parse(&bytes));
    let tables = visit.tables();
    let aliases = tables.aliases.rows().iter();
    let leads_here = |target: &str, domain: &str| {
        target.eq_ignore_ascii_case(&account.address())
            || (domain.eq_ignore_ascii_case(&account.domain) && target.eq_ignore_ascii_case(&account.name))
    };
    let aliases: Vec<String> = aliases
        .filter(|row| leads_here(&row.target, &row.domain))
        .map(|row| format!("{}@{}", row.alias, row.domain))
        .collect();
    let base = visit.keep(Kept::Base(path.clone(), Arc::new(bytes)))?;
    visit.page(
        "user.html",
        context! {
            domain => account.domain.to_string(),
            domain_link => domains::link(&account.domain),
            name => account.name.to_string(),
            address => account.address(),
            link => link(&account),
            kind => kind_key(account.kind),
            file => path.display().to_string(),
            fields, aliases, base,
            suggested => auth::random_password()?,
        },
    )
}

/// Saves its variables.
pub(in crate::web) fn save(visit: &Visit) -> Result<Response, WebError> {
    let account = account(visit)?;
    let (path, _) = user_tab(&account);
    let base = visit.base(&path)?;
    let content = form::with_variables(visit, &path, variables::VARIABLES, &base)?;
    let deed = Deed::save_table(path, base, content).within(&*account.domain);
    visit.propose(deed, &link(&account))
}

/// Gives it another password.
pub(in crate::web) fn set_password(visit: &Visit) -> Result<Response, WebError> {
    let account = account(visit)?;
    let password = visit.raw_field("password").to_owned();
    let (domain, back) = (account.domain.to_string(), link(&account));
    let deed = Deed::new("deed.set_password", move |admin| {
        admin.set_password(&account.domain, &account.name, password.as_bytes())
    });
    visit.propose(deed.within(domain), &back)
}

/// Removes it with its mail.
pub(in crate::web) fn remove(visit: &Visit) -> Result<Response, WebError> {
    let account = account(visit)?;
    let (domain, back) = (account.domain.to_string(), format!("{}/users", domains::link(&account.domain)));
    let deed = Deed::new("deed.remove_user", move |admin| admin.remove_user(&account.domain, &account.name));
    visit.propose(deed.within(domain).grave(), &back)
}
