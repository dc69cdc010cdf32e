//! Where mail for known addresses goes, and what accounts may do.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::net::{IpAddr, Ipv4Addr};
use std::panic::resume_unwind;
use std::thread;

use super::{Change, Side, Subject, secret};
use crate::address::{ForwardPath, Mailbox};
use crate::mailroot::access::IpMap;
use crate::mailroot::command_file::CommandRow;
use crate::mailroot::schema::user;
use crate::mailroot::{Account, AccountKind, Citation, Fact, MailRoot, Snapshot, Step, Trail};
use crate::policy::recipient::recipient;
use crate::policy::route::{Host, Route, Target, route, routed, target};
use crate::policy::{Asker, Grant, Recipient, RecipientRefusal, SizeRule};

/// The changes, and how many addresses were asked for.
pub(super) fn compare(old: &Snapshot, new: &Snapshot) -> (Vec<Change>, usize) {
    let known: Vec<String> = known(old).chain(known(new)).collect::<BTreeSet<_>>().into_iter().collect();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let share = known.len().div_ceil(workers).max(1);
    let changes = thread::scope(|scope| {
        let work = |addresses| move || changes_of(addresses, old, new);
        let running: Vec<_> = known.chunks(share).map(|addresses| scope.spawn(work(addresses))).collect();
        running
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    (changes, known.len())
}

/// All addresses with a row or a file of their own, in lower case.
fn known(snapshot: &Snapshot) -> impl Iterator<Item = String> {
    let accounts = snapshot.users.rows().iter().map(|account| account.address());
    let exact = snapshot.aliases.rows().iter().filter(|row| !row.is_pattern());
    let aliases = exact.map(|row| format!("{}@{}", row.alias, row.domain));
    let all = accounts.chain(aliases).chain(command_aliases(snapshot));
    all.map(|address| address.to_ascii_lowercase())
}

fn command_aliases(snapshot: &Snapshot) -> Vec<String> {
    let names = |directory: &std::path::Path| -> Vec<String> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    };
    let top = snapshot.root().path().join("cmdaliases");
    let of_domain = |domain: String| {
        let files = names(&top.join(&domain)).into_iter();
        let address = move |file: String| Some(format!("{}@{domain}", file.strip_suffix(".tab")?));
        files.filter_map(address).collect::<Vec<_>>()
    };
    names(&top).into_iter().flat_map(of_domain).collect()
}

fn changes_of(addresses: &[String], old: &Snapshot, new: &Snapshot) -> Vec<Change> {
    let mut changes = Vec::new();
    for address in addresses {
        let Ok(mailbox) = Mailbox::parse(address.as_bytes()) else { continue };
        let facts = |snapshot| destination(snapshot, &mailbox, &mut ());
        if facts(old) != facts(new) {
            // Only now is it worth to know which rows it was.
            let side = |snapshot| with_rows(|trail| destination(snapshot, &mailbox, trail));
            changes.extend(Change::between(Subject::Address(address.clone()), side(old), side(new)));
        }
        let account = |snapshot: &Snapshot| {
            let (name, domain) = (mailbox.local_part.as_str(), mailbox.domain.as_str());
            snapshot.users.get(domain, name).map(|account| permissions(snapshot, account))
        };
        // An account that comes or goes is a change of its address already.
        if let (Some(before), Some(after)) = (account(old), account(new)) {
            changes.extend(Change::between(Subject::Account(address.clone()), before, after));
        }
    }
    changes
}

/// Facts with the rows of their trail, each once.
pub(super) fn with_rows(facts: impl FnOnce(&mut Vec<Step>) -> Vec<String>) -> Side {
    let mut trail = Vec::new();
    let facts = facts(&mut trail);
    let mut rows: Vec<Citation> = Vec::new();
    for row in trail.into_iter().flat_map(|step| step.rows) {
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    Side { facts, rows, ..Side::default() }
}

/// Somebody whom no row knows: a documentation address (RFC 5737), no sender, no log-in.
pub(super) fn stranger() -> Asker {
    let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    Asker { peer, may_relay: false, sender: String::new(), login: None }
}

/// What happens to mail from a stranger, in facts.
pub(super) fn destination(snapshot: &Snapshot, mailbox: &Mailbox, trail: &mut impl Trail) -> Vec<String> {
    let mut facts = Vec::new();
    match recipient(snapshot, mailbox, &stranger(), trail) {
        // Where refused mail would go does not matter, but where log-ins' mail to it goes does.
        Err(refusal @ (RecipientRefusal::Disabled | RecipientRefusal::ListClosed)) => {
            facts.push(refused(refusal).to_owned());
        }
        Err(refusal) => return vec![refused(refusal).to_owned()],
        Ok(Recipient::Local { mailbox_bytes_max: Some(limit), .. }) => {
            facts.push(format!("at most {limit} bytes"));
        }
        Ok(_) => {}
    }
    let path = routed(snapshot, mailbox, trail);
    facts.insert(0, end(snapshot, &path, trail));
    facts
}

fn refused(refusal: RecipientRefusal) -> &'static str {
    match refusal {
        RecipientRefusal::NoMailbox => "refused: no such mailbox",
        RecipientRefusal::Disabled => "takes no mail",
        RecipientRefusal::ListClosed => "closed to strangers",
        RecipientRefusal::RelayDenied => "refused: relay denied",
        RecipientRefusal::MailboxFull | RecipientRefusal::WillNotFit => "refused: no room",
    }
}

/// Where a path leads, contents of command files and lists included.
fn end(snapshot: &Snapshot, path: &ForwardPath, trail: &mut impl Trail) -> String {
    match target(snapshot, path, false, trail) {
        Target::CommandAlias(found) => {
            let rows = found.iter().flat_map(|found| found.file.rows());
            format!("command alias{}", commands(rows))
        }
        Target::CustomDomain(found) => {
            let rows = found.iter().flat_map(|found| found.file.rows());
            format!("custom domain{}", commands(rows))
        }
        Target::User(account) => {
            let files = snapshot.mailproc(&account);
            let own = commands(files.iter().flat_map(|file| file.rows()));
            format!(
                "mailbox of {}, {}{own}",
                lower(&account),
                MailRoot::account_directory(&account).display()
            )
        }
        Target::List(account) => format!("list {}{}", lower(&account), members(snapshot, &account)),
        Target::UnknownUser(..) => "returned: unknown user".to_owned(),
        Target::Remote => way(&route(snapshot, path, trail)),
    }
}

/// Case is no difference.
fn lower(account: &Account) -> String {
    account.address().to_ascii_lowercase()
}

/// The first words of the commands, and a digest of the lines, so that another argument is a difference.
fn commands<'a>(rows: impl Iterator<Item = &'a CommandRow>) -> String {
    let (mut names, mut digest) = (Vec::new(), DefaultHasher::new());
    for row in rows {
        digest.write(&row.raw);
        digest.write(b"\n");
        let name: String = String::from_utf8_lossy(&row.raw).chars().filter(|c| *c != '"').collect();
        names.push(name.split('\t').next().unwrap_or_default().to_owned());
    }
    match names.is_empty() {
        true => String::new(),
        false => format!(", commands: {} ({:08x})", names.join(", "), digest.finish() >> 32),
    }
}

fn members(snapshot: &Snapshot, account: &Account) -> String {
    let list = snapshot.list_members(account);
    let mut digest = DefaultHasher::new();
    for member in list.receiving() {
        digest.write(member.address.to_ascii_lowercase().as_bytes());
        digest.write(b"\n");
    }
    let sender = snapshot.user_settings(account);
    let sender = sender.text(&user::LIST_SENDER).map_or_else(String::new, |from| format!(" from {from}"));
    format!(", copies{sender} to {} members ({:08x})", list.receiving().count(), digest.finish() >> 32)
}

/// The way of a route in words.
pub(super) fn way(route: &Route) -> String {
    match route {
        Route::Hosts(list) => {
            let shown = |host: &Host| format!("{} {}", host.label, options(host)).trim_end().to_owned();
            let hosts: Vec<String> = list.hosts.iter().map(shown).collect();
            let order = if list.is_random { " in random order" } else { "" };
            format!("sent to {}{order}", hosts.join(", "))
        }
        Route::Exchangers { .. } => "sent to the mail exchangers".to_owned(),
    }
}

fn options(host: &Host) -> String {
    let options = host.gateway.options;
    let tls = options.need_tls.map(|need| format!("{need:?}"));
    let bind = options.out_bind.map(|address| format!("OutBind={address}"));
    let words: Vec<String> = tls.map(|need| format!("NeedTLS={need}")).into_iter().chain(bind).collect();
    words.join(" ")
}

/// Says that an account has an IP map of its own, with what tells one map from another.
fn own_ipmap(name: &str, map: &IpMap) -> Option<String> {
    let rows = map.rows().iter().map(|row| format!("{:?} {} {}", row.filter, row.allowed, row.precedence));
    let mut peers = DefaultHasher::new();
    rows.for_each(|row| peers.write(row.as_bytes()));
    (!map.rows().is_empty()).then(|| format!("a {name} of its own ({:08x})", peers.finish() >> 32))
}

/// What an account may do.
fn permissions(snapshot: &Snapshot, account: &Account) -> Side {
    let side = with_rows(|trail| {
        let grant = Grant::of_account(snapshot, account, trail);
        let user = snapshot.user_settings(account);
        let size = match grant.size {
            SizeRule::Server => "the server's size limit".to_owned(),
            SizeRule::Unlimited => "any size".to_owned(),
            SizeRule::Bytes(bytes) => format!("messages of {bytes} bytes"),
        };
        trail.note(|| {
            let fact =
                Fact::Account { address: account.address(), is_list: account.kind != AccountKind::User };
            Step::new(fact).by("mailusers.tab", account.line)
        });
        let mut facts = vec![
            format!("permissions \"{}\"", grant.perms),
            size,
            format!("POP3 {}", if user.flag(&user::POP_ENABLE) { "on" } else { "off" }),
            format!("IMAP {}", if user.flag(&user::IMAP_ENABLE) { "on" } else { "off" }),
            if account.password.is_empty() { "no password" } else { "a password" }.to_owned(),
        ];
        facts.extend(own_ipmap("pop3.ipmap.tab", &snapshot.pop3_ipmap_of(account)));
        facts.extend(own_ipmap("imap.ipmap.tab", &snapshot.imap_ipmap_of(account)));
        facts
    });
    Side { secret: secret([account.password.as_slice()]), ..side }
}
