//! "What happens to this address?": one question for each table, answered by the code that serves with it.

use std::net::IpAddr;

use serde::Serialize;

use super::place::Place;
use super::words;
use crate::mailroot::Snapshot;
use crate::mailroot::access::IpMap;
use crate::web::Question;
use crate::web::visit::Visit;

/// The box, and the answer once something is asked.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Ask {
    /// What is asked for.
    label: String,
    /// What was asked.
    question: String,
    /// What was found.
    answer: Option<Answer>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Answer {
    /// `good`, `bad` or `note`.
    tone: &'static str,
    text: String,
    /// The row that decides, by its line.
    line: Option<u32>,
    /// All that the server's rules say, where more than this table counts.
    story: Option<String>,
}

impl Answer {
    fn new(tone: &'static str, text: String, line: Option<u32>) -> Self {
        Self { tone, text, line, story: None }
    }
}

/// What a table can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Address,
    Host,
    Sender,
    Domain,
    Mailbox,
}

fn subject(place: &Place) -> Option<Subject> {
    match place.table.name {
        "ipmap" | "spammers.tab" | "smtp.ipprop.tab" | "smtprelay.tab" => Some(Subject::Address),
        "smtp.hnprop.tab" => Some(Subject::Host),
        "spam-address.tab" => Some(Subject::Sender),
        "smtpgw.tab" | "smtpfwd.tab" | "aliasdomain.tab" => Some(Subject::Domain),
        "aliases.tab" | "extaliases.tab" => Some(Subject::Mailbox),
        _ => None,
    }
}

/// The box of a table, if it can be asked something.
pub(in crate::web) fn of(visit: &Visit, place: &Place) -> Option<Ask> {
    let subject = subject(place)?;
    let label = match subject {
        Subject::Address => "ask.address",
        Subject::Host => "ask.host",
        Subject::Sender => "ask.sender",
        Subject::Domain => "ask.domain",
        Subject::Mailbox => "ask.mailbox",
    };
    let question = visit.query("ask").to_owned();
    let answer = (!question.is_empty()).then(|| match subject {
        Subject::Address => match question.parse() {
            Ok(peer) => about_address(visit, place, peer),
            Err(_) => Answer::new("bad", visit.say("explain.bad_ip", &[]), None),
        },
        _ => about_name(visit, place, &question),
    });
    Some(Ask { label: visit.say(label, &[]), question, answer })
}

/// What one file says about an address is only a part: for SMTP the rest is told, too.
fn about_address(visit: &Visit, place: &Place, peer: IpAddr) -> Answer {
    let tables = visit.tables();
    let answer = match place.table.name {
        "ipmap" => about_map(visit, place, &tables, peer),
        "spammers.tab" => match tables.spammers.matching(peer) {
            Some(row) => {
                let columns = [format!("code={}", row.code)];
                let what = match super::controls::spammer_code(&columns) {
                    0 => visit.say("row.spam_login", &[]),
                    1.. => visit.say("row.spam_refuse", &[]),
                    secs => visit.say("row.spam_delayed", &[("secs", &secs.unsigned_abs().to_string())]),
                };
                Answer::new("bad", what, Some(row.line))
            }
            None => Answer::new("good", visit.say("ask.not_listed", &[]), None),
        },
        "smtp.ipprop.tab" => match tables.ip_properties.matching(peer) {
            Some(row) => Answer::new("good", visit.say("ask.listed", &[]), Some(row.line)),
            None => Answer::new("note", visit.say("ask.not_listed", &[]), None),
        },
        _ => match tables.smtp_relay.matching(peer) {
            Some(row) => Answer::new("good", visit.say("ask.relays", &[]), Some(row.line)),
            None => Answer::new("note", visit.say("ask.no_relay", &[]), None),
        },
    };
    let is_smtp = place.table.name != "ipmap" || place.path.as_os_str() == "smtp.ipmap.tab";
    Answer { story: if is_smtp { story(visit, &tables, peer) } else { None }, ..answer }
}

fn about_map(visit: &Visit, place: &Place, tables: &Snapshot, peer: IpAddr) -> Answer {
    let of_account;
    let map: &IpMap = match place.path.to_str() {
        Some("smtp.ipmap.tab") => &tables.smtp_ipmap,
        Some("pop3.ipmap.tab") => &tables.pop3_ipmap,
        Some("imap.ipmap.tab") => &tables.imap_ipmap,
        Some("ctrl.ipmap.tab") => &tables.ctrl_ipmap,
        Some("finger.ipmap.tab") => &tables.finger_ipmap,
        _ => {
            of_account = tables.file::<IpMap>(&place.path);
            &of_account
        }
    };
    let verdict = map.verdict(peer);
    let (tone, key) = if verdict.allowed { ("good", "ask.allowed") } else { ("bad", "ask.denied") };
    match verdict.row {
        Some(row) => Answer::new(tone, visit.say(key, &[]), Some(row.line)),
        None => Answer::new(tone, visit.say("ask.allowed_by_none", &[]), None),
    }
}

/// All that happens to an SMTP client of this address.
fn story(visit: &Visit, tables: &Snapshot, peer: IpAddr) -> Option<String> {
    let recipient = format!("postmaster@{}", tables.server.root_domain()?);
    let within = visit.within();
    let question =
        Question { recipient: &recipient, sender: "", ip: Some(peer), login: "", content: b"", within };
    visit.app.services.roof.explain(visit.language, &question).ok()
}

fn about_name(visit: &Visit, place: &Place, asked: &str) -> Answer {
    let tables = visit.tables();
    let none = || Answer::new("note", visit.say("ask.not_listed", &[]), None);
    let found = |text: &str, line: u32| Answer::new("good", text.to_owned(), Some(line));
    match place.table.name {
        "smtp.hnprop.tab" => match tables.host_properties.matching(asked) {
            Some(row) => found(&visit.say("ask.listed", &[]), row.line),
            None => none(),
        },
        "spam-address.tab" => match tables.spam_addresses.matching(asked) {
            Some(row) => Answer::new("bad", visit.say("ask.sender_refused", &[]), Some(row.line)),
            None => Answer::new("good", visit.say("ask.not_listed", &[]), None),
        },
        "smtpgw.tab" => match tables.smtp_gw.route_for(asked) {
            Some(row) => found(&visit.say("ask.goes_through", &[("hosts", &row.route)]), row.line),
            None => none(),
        },
        "smtpfwd.tab" => match tables.smtp_fwd.matching(asked) {
            Some(row) => {
                let hosts: Vec<String> = row.gateways.hosts.iter().map(|one| one.host.to_string()).collect();
                found(&visit.say("ask.goes_through", &[("hosts", &hosts.join(", "))]), row.line)
            }
            None => none(),
        },
        "aliasdomain.tab" => match tables.alias_domains.get(asked) {
            Some(row) => found(&visit.say("ask.means", &[("address", &row.domain)]), row.line),
            None => none(),
        },
        "extaliases.tab" => {
            match asked.rsplit_once('@').and_then(|(name, domain)| tables.ext_aliases.get(domain, name)) {
                Some(row) => {
                    let address = format!("{}@{}", row.name, row.domain);
                    found(&visit.say("ask.shown_as", &[("address", &address)]), row.line)
                }
                None => none(),
            }
        }
        _ => about_mailbox(visit, &tables, asked),
    }
}

/// Whose mail it is.
fn about_mailbox(visit: &Visit, tables: &Snapshot, asked: &str) -> Answer {
    let resolved = asked.rsplit_once('@').and_then(|(name, domain)| tables.resolve(domain, name));
    match resolved {
        Some(resolved) => {
            let text = visit.say("ask.means", &[("address", &resolved.account.address())]);
            Answer::new("good", text, resolved.alias.map(|row| row.line))
        }
        None => Answer::new("bad", visit.say("ask.nobody", &[]), None),
    }
}

/// The file in a directory of tables that counts for a name.
pub(in crate::web) fn of_directory(visit: &Visit, name: &str) -> Option<Ask> {
    let label = match name {
        "custdomains" => "ask.domain",
        "smtp-client" => "ask.host",
        _ => return None,
    };
    let question = visit.query("ask").to_owned();
    let tables = visit.tables();
    let answer = (!question.is_empty()).then(|| {
        let text = match name {
            "custdomains" => tables.custdomain_at(&question).map(|(path, file)| {
                let rows = file.rows().iter().map(|row| {
                    let fields = crate::tab::fields(&row.raw);
                    let values: Vec<String> =
                        fields.iter().map(|one| super::controls::lossy(&one.value)).collect();
                    words::command(visit, &values)
                });
                let what: Vec<String> = rows.collect();
                format!("{}: {}", path.display(), what.join(" "))
            }),
            _ => tables.smtp_client_auth(&question).map(|file| match file.credentials() {
                Ok(Some(known)) => visit.say("ask.logs_in", &[("user", &known.user.to_string())]),
                Ok(None) => visit.say("ask.no_login", &[]),
                Err(_) => visit.say("ask.bad_login", &[]),
            }),
        };
        match text {
            Some(text) => Answer::new("good", text, None),
            None => Answer::new("note", visit.say("ask.no_file", &[]), None),
        }
    });
    Some(Ask { label: visit.say(label, &[]), question, answer })
}
