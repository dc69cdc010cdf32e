//! The accounts of a domain (`jdmail.md` JD-43). Lists are found from the tables in memory: no mailbox is read.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use bstr::BString;
use serde::Serialize;

use super::profile::{self, Owner, Submitted};
use super::{Paging, domains};
use crate::admin::{AccountUsage, Admin, NewUser, NewUsers, Relay, RelayOf, Switched};
use crate::mailroot::schema::user as variables;
use crate::mailroot::{Account, AccountKind, MailRoot, Snapshot, UserSettings};
use crate::tab::TabFile;
use crate::web::bulk::{Bulk, FILES_AT_ONCE, ROWS_AT_ONCE};
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::form::Field;
use crate::web::jobs;
use crate::web::sessions::Kept;
use crate::web::templates::context;
use crate::web::visit::{Visit, segment};

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    address: String,
    link: String,
    kind: &'static str,
    real_name: String,
    groups: String,
    is_off: bool,
    limit_bytes: Option<u64>,
    usage: Option<AccountUsage>,
}

/// The accounts of a domain whose names hold a text, in file order; lists or the others.
pub(in crate::web) fn find<'a>(
    tables: &'a Snapshot,
    domain: &str,
    text: &str,
    lists: bool,
) -> Vec<&'a Arc<Account>> {
    let text = text.to_ascii_lowercase();
    let holds = |name: &str| text.is_empty() || name.to_ascii_lowercase().contains(&text);
    let is_meant = |account: &&Arc<Account>| (account.kind == AccountKind::List) == lists;
    let accounts = tables.users.rows().iter().filter(is_meant);
    accounts.filter(|account| account.domain.eq_ignore_ascii_case(domain) && holds(&account.name)).collect()
}

/// Lists the users of a domain.
pub(in crate::web) fn list(visit: &Visit) -> Result<Response, WebError> {
    let (domain, tables) = (visit.domain()?, visit.tables());
    let found = find(&tables, &domain, visit.query("q"), false);
    let base = domains::link(&domain);
    let (paging, range) = Paging::of(visit, &format!("{base}/users"), found.len());
    let shown = &found[range];
    let admin = &visit.app.services.admin;
    let names: Vec<&str> = shown.iter().map(|account| &*account.name).collect();
    let usage = admin.account_usage(&domain, &names);
    let rows: Vec<Row> = shown
        .iter()
        .map(|account| Row {
            usage: usage.get(&account.name.to_ascii_lowercase()).copied(),
            ..row(&tables, account)
        })
        .collect();
    let shared = admin.default_password();
    let context = context! {
        domain, base, rows, paging,
        tab => "users",
        q => visit.query("q"),
        found => found.len(),
        groups => tables.groups(&domain).to_vec(),
        measured => admin.domain_usage(&domain),
        job => visit.app.jobs.last_of(&domain),
        has_welcome => admin.has_welcome(&domain),
        suggested => shared.clone().map_or_else(|| admin.random_password(SUGGESTED_PASSWORD_CHARS), Ok)?,
        is_shared => shared.is_some(),
    };
    visit.page("users.html", context)
}

/// Characters of a password that a form suggests. Ours: 80 bits.
const SUGGESTED_PASSWORD_CHARS: usize = 16;

fn row(tables: &Snapshot, account: &Arc<Account>) -> Row {
    let settings = tables.user_settings(account);
    let is_on = [&variables::RECEIVE_ENABLE, &variables::POP_ENABLE, &variables::IMAP_ENABLE];
    Row {
        name: account.name.to_string(),
        address: account.address(),
        link: link(account),
        kind: kind_key(account.kind),
        real_name: settings.text(&variables::REAL_NAME).unwrap_or_default().to_owned(),
        groups: settings
            .files()
            .iter()
            .filter_map(|file| file.group.as_deref())
            .collect::<Vec<_>>()
            .join(", "),
        is_off: is_on.iter().all(|switch| !settings.flag(switch)),
        limit_bytes: settings.mailbox_bytes_max(),
        usage: None,
    }
}

/// Searches all domains that the administrator holds.
pub(in crate::web) fn search(visit: &Visit) -> Result<Response, WebError> {
    let (tables, who) = (visit.tables(), visit.administrator()?);
    let text = visit.query("q").to_ascii_lowercase();
    let (name, domain) = text.split_once('@').unwrap_or((&text, ""));
    let holds = |held: &str, text: &str| text.is_empty() || held.to_ascii_lowercase().contains(text);
    let found: Vec<&Arc<Account>> = (tables.users.rows().iter())
        .filter(|account| {
            holds(&account.name, name) && holds(&account.domain, domain) && who.holds(&account.domain)
        })
        .collect();
    let (paging, range) = Paging::of(visit, "/jdwa/users", found.len());
    let rows: Vec<Row> = found[range].iter().map(|account| row(&tables, account)).collect();
    visit.page("users_all.html", context! { rows, paging, q => visit.query("q") })
}

fn kind_key(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::User => "kind.user",
        AccountKind::List => "kind.list",
        AccountKind::Other => "kind.other",
    }
}

/// The page of the form that adds an account of a kind.
pub(in crate::web) fn list_of_kind(visit: &Visit) -> Result<Response, WebError> {
    if visit.field("kind") == "M" { super::lists::list(visit) } else { list(visit) }
}

/// The page of an account, also where its path is that of a list.
pub(in crate::web) fn show_of_kind(visit: &Visit) -> Result<Response, WebError> {
    if account(visit)?.kind == AccountKind::List { super::lists::show(visit) } else { show(visit) }
}

/// Adds an account.
pub(in crate::web) fn add(visit: &Visit) -> Result<Response, WebError> {
    let domain = visit.domain()?;
    let is_list = visit.field("kind") == "M";
    let password = visit.raw_field("password");
    if let Some(fault) = visit.app.services.admin.password_fault(password).filter(|_| !is_list) {
        return Err(WebError::Password(fault));
    }
    let name = visit.field("name").to_owned();
    let folder = if is_list { "lists" } else { "users" };
    let back = format!("{}/{folder}/{}", domains::link(&domain), segment(&name));
    let real_name = visit.field("real_name");
    let named = (!real_name.is_empty()).then(|| (variables::REAL_NAME.name, BString::from(real_name)));
    let user = NewUser {
        domain: domain.clone().into(),
        name: name.into(),
        // Nobody logs in as a list.
        password: if is_list { BString::default() } else { password.into() },
        kind: if is_list { AccountKind::List } else { AccountKind::User },
        variables: named.into_iter().collect(),
    };
    let greets = !is_list && visit.field("welcome") == "1";
    let new = NewUsers::new(vec![user]).greeted(greets);
    let deed = Deed::new("deed.add_user", move |admin| admin.add_users(&new));
    visit.propose(deed.within(domain), &back)
}

/// The account that the path names, in the domain that it names.
pub(super) fn account(visit: &Visit) -> Result<Arc<Account>, WebError> {
    let tables = visit.tables();
    let domain = visit.domain()?;
    let name = [visit.param("name"), visit.param("list")].concat();
    tables.users.get(&domain, &name).cloned().ok_or(WebError::NotFound)
}

fn link(account: &Account) -> String {
    let folder = if account.kind == AccountKind::List { "lists" } else { "users" };
    format!("{}/{folder}/{}", domains::link(&account.domain), segment(&account.name))
}

fn owner(account: &Account) -> Owner {
    if account.kind == AccountKind::List { Owner::List } else { Owner::User }
}

/// One account: its variables, and everything that can be done with it.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let account = account(visit)?;
    let bytes = visit.app.services.admin.table_text(&MailRoot::user_tab(&account))?;
    let settings = visit.tables().user_settings(&account);
    let fields = profile::fields(visit, owner(&account), &TabFile::parse(&bytes), Some(&settings));
    page(visit, StatusCode::OK, &account, &settings, fields, bytes)
}

fn page(
    visit: &Visit,
    status: StatusCode,
    account: &Arc<Account>,
    settings: &UserSettings,
    fields: Vec<Field>,
    bytes: Vec<u8>,
) -> Result<Response, WebError> {
    let (tables, admin) = (visit.tables(), &visit.app.services.admin);
    let path = MailRoot::user_tab(account);
    let base = visit.keep(Kept::Base(path.clone(), Arc::new(bytes)))?;
    let is_in: Vec<&str> = settings.files().iter().filter_map(|file| file.group.as_deref()).collect();
    let groups: Vec<_> = (tables.groups(&account.domain).iter())
        .map(|group| context! { name => group, is_in => is_in.contains(&&**group) })
        .collect();
    let usage = admin.account_usage(&account.domain, &[&account.name]).into_values().next();
    let of = RelayOf::User(&account.name);
    visit.page_with(
        status,
        "user.html",
        context! {
            domain => account.domain.to_string(),
            domain_link => domains::link(&account.domain),
            name => account.name.to_string(),
            address => account.address(),
            link => link(account),
            kind => kind_key(account.kind),
            is_user => account.kind == AccountKind::User,
            file => path.display().to_string(),
            aliases => aliases(&tables, account),
            effective => profile::effective(visit, &tables, owner(account), settings),
            incoming => RelayView::of(admin.incoming_relay(&account.domain, of)?),
            outgoing => RelayView::of(admin.outgoing_relay(&account.domain, of)?),
            usage,
            measured => admin.domain_usage(&account.domain),
            fields, base, groups,
            suggested => admin.random_password(SUGGESTED_PASSWORD_CHARS)?,
        },
    )
}

/// A relay as a form shows it.
#[derive(Debug, Default, Serialize)]
pub(super) struct RelayView {
    is_set: bool,
    hosts: String,
    options: String,
    too: bool,
}

impl RelayView {
    pub(super) fn of(relay: Option<Relay>) -> Self {
        relay.map_or_else(Self::default, |relay| Self {
            is_set: true,
            hosts: relay.hosts,
            options: relay.options,
            too: relay.delivers_too,
        })
    }
}

/// The relay that a form holds; `None`: its host field is empty.
pub(super) fn typed_relay(visit: &Visit) -> Option<Relay> {
    let hosts = visit.field("hosts").to_owned();
    (!hosts.is_empty()).then(|| Relay {
        hosts,
        options: visit.field("options").to_owned(),
        delivers_too: visit.field("too") == "1",
    })
}

fn aliases(tables: &Snapshot, account: &Account) -> Vec<String> {
    let leads_here = |target: &str, domain: &str| {
        target.eq_ignore_ascii_case(&account.address())
            || (domain.eq_ignore_ascii_case(&account.domain) && target.eq_ignore_ascii_case(&account.name))
    };
    let aliases = tables.aliases.rows().iter().filter(|row| leads_here(&row.target, &row.domain));
    aliases.map(|row| format!("{}@{}", row.alias, row.domain)).collect()
}

/// Saves its variables.
pub(in crate::web) fn save(visit: &Visit) -> Result<Response, WebError> {
    let account = account(visit)?;
    let path = MailRoot::user_tab(&account);
    let base = visit.base(&path)?;
    let settings = visit.tables().user_settings(&account);
    match profile::submitted(visit, owner(&account), &path, &base, Some(&settings))? {
        Submitted::Content(content) => {
            let deed = Deed::save_table(path, base, content).within(&*account.domain);
            visit.propose(deed, &link(&account))
        }
        Submitted::Refused(fields) => {
            page(visit, StatusCode::UNPROCESSABLE_ENTITY, &account, &settings, fields, base.to_vec())
        }
    }
}

/// Gives it another password.
pub(in crate::web) fn set_password(visit: &Visit) -> Result<Response, WebError> {
    let account = account(visit)?;
    let password = visit.raw_field("password").to_owned();
    let is_needless = account.kind == AccountKind::List && password.is_empty();
    if let Some(fault) = visit.app.services.admin.password_fault(&password).filter(|_| !is_needless) {
        return Err(WebError::Password(fault));
    }
    let (domain, back) = (account.domain.to_string(), link(&account));
    let deed = Deed::new("deed.set_password", move |admin| {
        admin.set_password(&account.domain, &account.name, password.as_bytes())
    });
    visit.propose(deed.within(domain), &back)
}

/// Gives it another name.
pub(in crate::web) fn rename(visit: &Visit) -> Result<Response, WebError> {
    let account = account(visit)?;
    let (new, keeps_alias) = (visit.field("new").to_owned(), visit.field("alias") == "1");
    let folder = if account.kind == AccountKind::List { "lists" } else { "users" };
    let back = format!("{}/{folder}/{}", domains::link(&account.domain), segment(&new));
    let domain = account.domain.to_string();
    let deed = Deed::new("deed.rename_user", move |admin| {
        admin.rename_user(&account.domain, &account.name, &new, keeps_alias)
    });
    visit.propose(deed.within(domain), &back)
}

/// Sends mail that comes for it to another server.
pub(in crate::web) fn relay(visit: &Visit) -> Result<Response, WebError> {
    let (account, relay) = (account(visit)?, typed_relay(visit));
    let (domain, back) = (account.domain.to_string(), link(&account));
    let deed = Deed::new("deed.set_relay", move |admin| {
        admin.set_incoming_relay(&account.domain, RelayOf::User(&account.name), relay.as_ref())
    });
    visit.propose(deed.within(domain), &back)
}

/// Sends mail that it writes through another server.
pub(in crate::web) fn outgoing_relay(visit: &Visit) -> Result<Response, WebError> {
    let (account, relay) = (account(visit)?, typed_relay(visit));
    let (domain, back) = (account.domain.to_string(), link(&account));
    let deed = Deed::new("deed.set_relay", move |admin| {
        admin.set_outgoing_relay(&account.domain, RelayOf::User(&account.name), relay.as_ref())
    });
    visit.propose(deed.within(domain), &back)
}

/// Puts it into the ticked groups and takes it out of the others.
pub(in crate::web) fn set_groups(visit: &Visit) -> Result<Response, WebError> {
    let account = account(visit)?;
    let (tables, wanted) = (visit.tables(), ticked(visit, "group"));
    let is_in = tables.groups_of(&account);
    let groups = tables.groups(&account.domain);
    let (mut joins, mut leaves) = (Vec::new(), Vec::new());
    for group in &*groups {
        match (wanted.iter().any(|name| **name == **group), is_in.contains(group)) {
            (true, false) => joins.push(group.clone()),
            (false, true) => leaves.push(group.clone()),
            _ => {}
        }
    }
    let (domain, back) = (account.domain.to_string(), link(&account));
    let names = vec![account.name.to_string()];
    let deed = Deed::new("deed.set_groups", move |admin| {
        joins.iter().try_for_each(|group| admin.add_to_group(&account.domain, group, &names))?;
        leaves.iter().try_for_each(|group| admin.remove_from_group(&account.domain, group, &names))
    });
    visit.propose(deed.within(domain), &back)
}

/// The values of all ticked boxes of a name.
pub(super) fn ticked(visit: &Visit, name: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (_, value) in visit.form.iter().filter(|(known, _)| known == name) {
        if !found.contains(value) {
            found.push(value.clone());
        }
    }
    found
}

/// Deletes its mail from before a day.
pub(in crate::web) fn remove_old_mail(visit: &Visit) -> Result<Response, WebError> {
    let account = account(visit)?;
    let Some(moment) = typed_day(visit, visit.field("before")) else {
        visit.flash("bad", visit.say("user.bad_day", &[]));
        return Ok(crate::web::visit::redirect(&link(&account)));
    };
    let (domain, back) = (account.domain.to_string(), link(&account));
    let deed = Deed::new("deed.remove_old_mail", move |admin| {
        admin.remove_mail_before(&account.domain, &account.name, moment)
    });
    visit.propose(deed.within(domain).grave(), &back)
}

/// The beginning of a day, `2026-11-23`, where the server is.
fn typed_day(visit: &Visit, text: &str) -> Option<jiff::Timestamp> {
    let date: jiff::civil::Date = text.parse().ok()?;
    let zone = visit.app.services.clock.zoned().time_zone().clone();
    Some(date.to_zoned(zone).ok()?.timestamp())
}

/// Removes it with its mail.
pub(in crate::web) fn remove(visit: &Visit) -> Result<Response, WebError> {
    let account = account(visit)?;
    let folder = if account.kind == AccountKind::List { "lists" } else { "users" };
    let (domain, back) = (account.domain.to_string(), format!("{}/{folder}", domains::link(&account.domain)));
    let deed = Deed::new("deed.remove_user", move |admin| admin.remove_user(&account.domain, &account.name));
    visit.propose(deed.within(domain).grave(), &back)
}

/// Does something to all selected accounts, as one change.
pub(in crate::web) fn selection(visit: &Visit) -> Result<Response, WebError> {
    let (domain, tables) = (visit.domain()?, visit.tables());
    let back = format!("{}/users", domains::link(&domain));
    let refuse = |key: &'static str| {
        visit.flash("bad", visit.say(key, &[]));
        Ok(crate::web::visit::redirect(&back))
    };
    let names = match visit.field("all") {
        "1" => find(&tables, &domain, visit.field("q"), false)
            .iter()
            .map(|found| found.name.to_string())
            .collect(),
        _ => ticked(visit, "name"),
    };
    if names.is_empty() {
        return refuse("users.none_selected");
    }
    match selected_deed(visit, domain, names) {
        Some(deed) => visit.propose(deed, &back),
        None => refuse("users.bad_limit"),
    }
}

fn switched(visit: &Visit) -> Switched {
    match visit.field("service") {
        "smtp" => Switched::Smtp,
        "pop3" => Switched::Pop3,
        "imap" => Switched::Imap,
        _ => Switched::Account,
    }
}

fn selected_deed(visit: &Visit, domain: String, names: Vec<String>) -> Option<Deed> {
    let (of, group, what) = (domain.clone(), visit.field("group").to_owned(), switched(visit));
    Some(match visit.field("act") {
        "enable" => {
            let run = move |admin: &Admin, names: &[String]| admin.enable_users(&of, names, what);
            Deed::for_accounts("deed.enable_users", Bulk::new(domain, names, FILES_AT_ONCE, run))
        }
        "disable" => {
            let run = move |admin: &Admin, names: &[String]| admin.disable_users(&of, names, what);
            Deed::for_accounts("deed.disable_users", Bulk::new(domain, names, FILES_AT_ONCE, run))
        }
        "join" => {
            let run = move |admin: &Admin, names: &[String]| admin.add_to_group(&of, &group, names);
            Deed::for_accounts("deed.join_group", Bulk::new(domain, names, ROWS_AT_ONCE, run))
        }
        "leave" => {
            let run = move |admin: &Admin, names: &[String]| admin.remove_from_group(&of, &group, names);
            Deed::for_accounts("deed.leave_group", Bulk::new(domain, names, ROWS_AT_ONCE, run))
        }
        "delete" => {
            let run = move |admin: &Admin, names: &[String]| admin.remove_users(&of, names);
            Deed::for_accounts("deed.remove_users", Bulk::new(domain, names, ROWS_AT_ONCE, run)).grave()
        }
        _ => {
            let typed = visit.field("limit");
            let kilobytes =
                if typed.is_empty() { None } else { Some(profile::kilobytes(typed)?.to_string()) };
            let run = move |admin: &Admin, names: &[String]| {
                admin.set_variables_of(&of, names, &[(&variables::MAX_MB_SIZE, kilobytes.as_deref())])
            };
            Deed::for_accounts("deed.limit_users", Bulk::new(domain, names, FILES_AT_ONCE, run))
        }
    })
}

/// How far a change of very many accounts of the domain is, or what came of the last one.
pub(in crate::web) fn work(visit: &Visit) -> Result<Response, WebError> {
    let domain = visit.domain()?;
    let job = visit.app.jobs.last_of(&domain);
    let is_running = job.as_ref().is_some_and(|job| job.is_running);
    let page =
        visit.page("work.html", context! { base => domains::link(&domain), domain, job, tab => "users" })?;
    Ok(jobs::reloading(page, is_running))
}
