//! The one place where facts become sentences, and an explanation becomes text or JSON.

use std::fmt::Write as _;

use bstr::ByteSlice as _;
use serde_json::{Value, json};

use super::rows::Rows;
use super::{Chapter, Destination, Explanation, Heading, Outcome};
use crate::clock::Clock;
use crate::mailroot::access::Properties;
use crate::mailroot::rules::Action;
use crate::mailroot::trail::{CommandEffect, Near};
use crate::mailroot::{Citation, Fact, Miss, Step};
use crate::spool::inspect::JOURNALED;
use crate::status::Reply;

/// Shows explanations of one MailRoot.
#[derive(Debug)]
pub struct Renderer {
    rows: Rows,
    clock: Clock,
}

impl Renderer {
    /// Shows rows of `rows` and times in the zone of `clock`.
    pub fn new(rows: Rows, clock: Clock) -> Self {
        Self { rows, clock }
    }

    /// Numbered steps under their headings, and the verdict in the last line. Reads the cited rows, so it blocks.
    pub fn text(&mut self, explanation: &Explanation) -> String {
        let mut text = String::new();
        let mut number = 0;
        for chapter in &explanation.chapters {
            if is_dull(chapter) {
                continue;
            }
            let reply = chapter.reply.as_ref().map(|reply| format!("  =>  {}", one_line(reply)));
            let _ = writeln!(text, "{}{}", heading(&chapter.heading), reply.unwrap_or_default());
            for step in &chapter.steps {
                number += 1;
                self.step(&mut text, number, step);
            }
        }
        for destination in &explanation.destinations {
            let _ = writeln!(text, "ends: {}", self::destination(destination));
        }
        let _ = writeln!(text, "{}", verdict(explanation));
        text
    }

    fn step(&mut self, text: &mut String, number: usize, step: &Step) {
        let meaning = sentence(&step.fact, &self.clock);
        let _ = match step.rows.first() {
            // These say the same as the row, in words.
            Some(row) if matches!(step.fact, Fact::Attempt { .. } | Fact::Logged { .. }) => {
                writeln!(text, "{number:4}. {row}  ->  {meaning}")
            }
            Some(row) => writeln!(text, "{number:4}. {}  ->  {meaning}", self.cited(row)),
            None => writeln!(text, "{number:4}. {meaning}"),
        };
        for row in step.rows.iter().skip(1) {
            let _ = writeln!(text, "      and {}", self.cited(row));
        }
        for near in &step.near {
            let _ = writeln!(text, "      not {}  ({})", self.cited(&near.row), miss(near.why));
        }
    }

    fn cited(&mut self, row: &Citation) -> String {
        match self.rows.text(row) {
            Some(columns) => format!("{row}  {columns}"),
            None => row.to_string(),
        }
    }

    /// The same for programs. Times are Unix seconds in the facts' sentences' place as well as in text.
    pub fn json(&mut self, explanation: &Explanation) -> Value {
        let chapters: Vec<Value> = explanation
            .chapters
            .iter()
            .map(|chapter| {
                let steps: Vec<Value> = chapter.steps.iter().map(|step| self.json_step(step)).collect();
                json!({
                    "heading": heading(&chapter.heading),
                    "reply": chapter.reply.as_ref().map(one_line),
                    "steps": steps,
                })
            })
            .collect();
        let (outcome, reply) = match &explanation.outcome {
            Outcome::Accepted(reply) => ("accepted", Some(one_line(reply))),
            Outcome::Refused(reply) => ("refused", Some(one_line(reply))),
            Outcome::Queued => ("queued", None),
            Outcome::Frozen => ("frozen", None),
            Outcome::Gone => ("gone", None),
            Outcome::Unreadable(_) => ("unreadable", None),
        };
        json!({
            "chapters": chapters,
            "outcome": outcome,
            "reply": reply,
            "ok": explanation.is_good(),
            "destinations": explanation.destinations.iter().map(json_destination).collect::<Vec<_>>(),
        })
    }

    fn json_step(&mut self, step: &Step) -> Value {
        let rows: Vec<Value> = step.rows.iter().map(|row| self.json_row(row)).collect();
        let near: Vec<Value> = step
            .near
            .iter()
            .map(|Near { row, why }| {
                let mut value = self.json_row(row);
                value["why"] = miss(*why).into();
                value
            })
            .collect();
        json!({
            "fact": fact_name(&step.fact),
            "meaning": sentence(&step.fact, &self.clock),
            "rows": rows,
            "near": near,
        })
    }

    fn json_row(&mut self, row: &Citation) -> Value {
        let line = (row.line > 0).then_some(row.line);
        json!({ "file": row.file.to_string_lossy(), "line": line, "text": self.rows.text(row) })
    }
}

/// An EHLO that went well says nothing.
fn is_dull(chapter: &Chapter) -> bool {
    let is_hello = matches!(&chapter.heading, Heading::Command(command) if command.starts_with("EHLO "));
    is_hello && chapter.steps.is_empty() && chapter.reply.as_ref().is_some_and(Reply::is_positive)
}

/// The name of the fact's variant, in lower case with hyphens.
fn fact_name(fact: &Fact) -> String {
    let debug = format!("{fact:?}");
    let variant: String = debug.chars().take_while(char::is_ascii_alphanumeric).collect();
    let mut name = String::new();
    for c in variant.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// A reply without its line ends.
pub fn one_line(reply: &Reply) -> String {
    reply.to_wire().to_str_lossy().trim_end().replace("\r\n", " / ")
}

fn heading(heading: &Heading) -> String {
    match heading {
        Heading::Connect(peer) => format!("a connection from {}", peer.ip().to_canonical()),
        Heading::Command(command) => command.clone(),
        Heading::Delivery { from, to } => format!("delivery from <{from}> to <{to}>"),
        Heading::Message(name) => format!("message {name}"),
    }
}

fn verdict(explanation: &Explanation) -> String {
    match &explanation.outcome {
        Outcome::Accepted(reply) if explanation.is_good() => format!("accepted: {}", one_line(reply)),
        Outcome::Accepted(reply) => format!("accepted, but not delivered: {}", one_line(reply)),
        Outcome::Refused(reply) => format!("refused: {}", one_line(reply)),
        Outcome::Queued if explanation.is_good() => "queued: the next attempt is to do the above".to_owned(),
        Outcome::Queued => "queued: the next attempt is to return it".to_owned(),
        Outcome::Frozen => "frozen: nothing happens until it is resubmitted; then the above".to_owned(),
        Outcome::Gone => "gone: it is not in the queue any more".to_owned(),
        Outcome::Unreadable(error) => format!("unreadable: {error}"),
    }
}

fn destination(destination: &Destination) -> String {
    match destination {
        Destination::Mailbox(account) => format!("mailbox of {account}"),
        Destination::Program(program) => format!("program {program}"),
        Destination::Remote { recipient, hosts } if hosts.is_empty() => {
            format!("another server, by SMTP, for <{recipient}>")
        }
        Destination::Remote { recipient, hosts } => {
            format!("another server, by SMTP, for <{recipient}>: {}", hosts.join(", "))
        }
        Destination::Returned(reason) => format!("returned to the sender: {reason}"),
        Destination::Nowhere(list) => format!("nowhere: nobody reads {list}"),
        Destination::Deleted(recipient) => format!("deleted; <{recipient}> does not get it"),
        Destination::NotFollowed(what) => format!("not followed: {what}"),
    }
}

fn json_destination(destination: &Destination) -> Value {
    match destination {
        Destination::Mailbox(account) => json!({ "kind": "mailbox", "account": account }),
        Destination::Program(program) => json!({ "kind": "program", "program": program }),
        Destination::Remote { recipient, hosts } => {
            json!({ "kind": "remote", "recipient": recipient, "hosts": hosts })
        }
        Destination::Returned(reason) => json!({ "kind": "returned", "reason": reason }),
        Destination::Nowhere(list) => json!({ "kind": "nowhere", "list": list }),
        Destination::Deleted(recipient) => json!({ "kind": "deleted", "recipient": recipient }),
        Destination::NotFollowed(what) => json!({ "kind": "not-followed", "what": what }),
    }
}

fn content_rule(name: &str, action: Action, holds: bool) -> String {
    let becomes = match action {
        Action::Junk => "marked as junk",
        Action::Reject => "returned to its sender",
        Action::Delete => "deleted",
    };
    match holds {
        true => format!("rule {name:?} holds: the mail is {becomes}"),
        false => format!("rule {name:?} looks at what is in the mail; if it holds, the mail is {becomes}"),
    }
}

/// Why a row did not decide.
pub fn miss(why: Miss) -> &'static str {
    match why {
        Miss::Shorter => "a shorter pattern",
        Miss::Pattern => "a pattern; the exact row comes before it",
        Miss::Later => "later in the file; the first row counts",
        Miss::Earlier => "earlier in the file; the last row of equal precedence counts",
        Miss::LowerPrecedence => "lower precedence",
        Miss::NegativePrecedence => "a negative precedence never applies",
        Miss::Duplicate => "the same key again; the first row counts",
        Miss::HiddenByAccount => "hidden: a real account has this name",
        Miss::HiddenByCommandAlias => "hidden: a command alias has this name",
        Miss::NoAccount => "the account does not exist",
        Miss::NotARoute => "is no route (@relay or @relay1,@relay2)",
        Miss::LessSpecific => "less specific; only the most specific variable counts",
    }
}

/// What a fact means.
pub fn sentence(fact: &Fact, clock: &Clock) -> String {
    connection(fact)
        .or_else(|| sending(fact))
        .or_else(|| address(fact))
        .or_else(|| delivery(fact))
        .unwrap_or_else(|| queue(fact, clock))
}

fn code_meaning(code: i64) -> String {
    match code {
        1.. => "refused".to_owned(),
        0 => "marked: MAIL fails until somebody logs in".to_owned(),
        seconds => format!("slowed down: {} seconds before each command", seconds.unsigned_abs()),
    }
}

fn connection(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::NoServerTab => "server.tab is missing: nobody is served".to_owned(),
        Fact::LowResources(variable) => format!("less is free than {variable} demands: refused"),
        Fact::Properties(properties) => format!("the peer has: {}", words(*properties)),
        Fact::ReverseName(Some(name)) => format!("the peer's name is {name}"),
        Fact::ReverseName(None) => "the peer has no name in reverse DNS".to_owned(),
        Fact::NotAsked(what) => format!("the DNS is not asked for {what}"),
        Fact::NameRequired => "smtp.hnprop.tab exists and the peer has no name: refused".to_owned(),
        Fact::WhiteListed => {
            "white-listed: IP map, spammers, DNS lists and reverse DNS are not looked at".to_owned()
        }
        Fact::IpMap { peer, allowed: true, .. } => format!("smtp.ipmap.tab lets {peer} connect"),
        Fact::IpMap { peer, code, .. } => format!("smtp.ipmap.tab denies {peer}: {}", code_meaning(*code)),
        Fact::Spammer { peer, code: Some(code) } => format!("{peer} is a spammer: {}", code_meaning(*code)),
        Fact::Spammer { peer, code: None } => format!("no row of spammers.tab is about {peer}"),
        Fact::Zone { zone, listed: Some(false), .. } => format!("not listed in {zone}"),
        Fact::Zone { zone, listed: None, .. } => {
            format!("{zone} does not answer, which counts as not listed")
        }
        // Only exactly 1 refuses here (`mailflow.md` 3.1).
        Fact::Zone { zone, code: 1, .. } => format!("listed in {zone}: refused"),
        Fact::Zone { zone, code: 0, .. } => format!("listed in {zone}: {}", code_meaning(0)),
        Fact::Zone { zone, code, .. } => {
            format!("listed in {zone}: slowed down by {} seconds", code.unsigned_abs())
        }
        Fact::NoName { code: 1.. } => format!("the peer has no name: {}", code_meaning(0)),
        Fact::NoName { code } => format!("the peer has no name: {}", code_meaning(*code)),
        Fact::NoServerDomain => "neither SmtpServerDomain nor RootDomain is set: refused".to_owned(),
        _ => return None,
    })
}

fn words(properties: Properties) -> String {
    let all = [
        (properties.white_list, "WhiteList"),
        (properties.no_auth, "NoAuth"),
        (properties.skip_sender_domain_check, "SenderDomainCheck=0"),
        (properties.ease_tls, "EaseTLS"),
        (properties.enable_vrfy, "EnableVRFY"),
        (properties.enable_etrn, "EnableETRN"),
    ];
    let names: Vec<&str> = all.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn sending(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::Login { name, perms } => {
            let letters = perms.to_string();
            let relays = if perms.relay { "may relay" } else { "may not relay" };
            format!("{name} has the permissions \"{letters}\": {relays}")
        }
        Fact::ExternalLogin { mechanism } => {
            format!("a program decides log-ins by {mechanism}; taken as let in without permissions")
        }
        Fact::NoLogin { name } => format!("nobody can log in as {name}"),
        Fact::NoPassword { account } => format!("{account} has no password, so nobody can log in with it"),
        Fact::PopBeforeSmtp { account } => format!("{account} logged in by POP3 from here a short while ago"),
        Fact::SmtpConfig { mail_auth, want_tls } => match (mail_auth, want_tls) {
            (true, true) => "SmtpConfig: MAIL needs a log-in with M, and TLS".to_owned(),
            (true, false) => "SmtpConfig: MAIL needs a log-in with M".to_owned(),
            (false, true) => "SmtpConfig: MAIL needs TLS".to_owned(),
            (false, false) => "SmtpConfig asks for nothing".to_owned(),
        },
        Fact::TlsNeeded => "there is no TLS, and neither permission S nor EaseTLS: refused".to_owned(),
        Fact::NullSenderRefused => "AllowNullSender is off: the null sender is refused".to_owned(),
        Fact::SenderDomain { domain, found } => match found {
            Some(true) => format!("mail could be sent to {domain}"),
            Some(false) => format!("mail could not be sent to {domain}: refused"),
            None => format!("the DNS does not say whether mail could be sent to {domain}: refused for now"),
        },
        Fact::SpamAddress { sender } => format!("the sender {sender} is refused"),
        Fact::MessageSize { limit_bytes, declared_bytes } => {
            let verdict = if declared_bytes > limit_bytes { "refused" } else { "fits" };
            format!("a message of {declared_bytes} bytes, at most {limit_bytes} are taken: {verdict}")
        }
        Fact::Marked => "the peer is marked, and nobody is logged in: refused".to_owned(),
        Fact::AuthenticationDemanded { for_local_domain, excused } => {
            let why = if *for_local_domain { "a sender of our own domain" } else { "MAIL" };
            let then = if *excused { "which it has, or NoAuth" } else { "which it has not: refused" };
            format!("{why} needs a log-in with permission M, {then}")
        }
        _ => return None,
    })
}

fn address(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::CommandAlias { address } => format!("{address} is a command alias"),
        Fact::DomainHandled { domain } => format!("{domain} is one of our domains"),
        Fact::DomainElsewhere { domain } => format!("{domain} is not one of our domains"),
        Fact::AliasDomain { domain, real } => format!("{domain} is another name of {real}"),
        Fact::Alias { address, target } => format!("{address} is an alias of {target}"),
        Fact::DanglingAlias { address, target } => {
            format!("{address} would be an alias of {target}, which is no account: the row does nothing")
        }
        Fact::Account { address, is_list: false } => format!("{address} is an account"),
        Fact::Account { address, .. } => format!("{address} is a mailing list"),
        Fact::NoSuchUser { address } => format!("no account and no alias is {address}"),
        Fact::ReceiveDisabled => "the account takes no mail".to_owned(),
        Fact::SendDisabled => "the account may not log in to SMTP".to_owned(),
        Fact::ClosedList { may_post: true } => {
            "the list is closed, and this row lets the sender post".to_owned()
        }
        Fact::ClosedList { .. } => "the list is closed, and no member's row lets the sender post".to_owned(),
        Fact::NoMailboxDirectory { directory } => {
            format!("{} does not exist: mail is refused", directory.display())
        }
        Fact::Quota { stored_bytes, limit_bytes, message_bytes } => {
            let verdict = match stored_bytes {
                stored if stored >= limit_bytes => "full",
                stored if stored.saturating_add(*message_bytes) > *limit_bytes => "it does not fit",
                _ => "there is room",
            };
            format!("the mailbox holds {stored_bytes} of {limit_bytes} bytes: {verdict}")
        }
        Fact::RelayByPermission => "the log-in has permission R: it may relay".to_owned(),
        Fact::RelayByAddress { peer } => format!("{peer} may relay"),
        Fact::RelayToCustomDomain { domain } => {
            format!("{domain} is a custom domain: mail is taken from everybody")
        }
        Fact::RelayDenied => {
            "no permission R, no row of smtprelay.tab and no custom domain: relaying is refused".to_owned()
        }
        Fact::GatewayRoute { route } => format!("smtpgw.tab: the way goes through {route}"),
        Fact::SmtpFilter { program } => format!("the filter {program} would be asked; taken to accept"),
        _ => return None,
    })
}

fn delivery(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::CustomDomain { domain } => format!("{domain} is a custom domain"),
        Fact::OwnCommands { file } => {
            format!("the message goes on with its own copy of the commands, {}", file.display())
        }
        Fact::QueueFilter { stage, file, program: Some(program) } => {
            format!("filter ({stage}, filters/{file}): {program} would be run; taken to accept")
        }
        Fact::QueueFilter { stage, file, program: None } => {
            format!("filter ({stage}): filters/{file} does not exist or is empty")
        }
        Fact::ContentRule { name, action, holds } => content_rule(name, *action, *holds),
        Fact::Command { name, effect } => match effect {
            CommandEffect::Acts => format!("{name}: carried out"),
            CommandEffect::Judges => format!("{name}: the program would be run; taken to accept"),
            CommandEffect::Nothing => format!("{name}: does nothing here"),
        },
        Fact::CommandsWithoutEffect { to_mailbox: true } => {
            "no command does anything with the mail, so it goes to the mailbox".to_owned()
        }
        Fact::CommandsWithoutEffect { .. } => {
            "no command does anything with the mail: it is returned".to_owned()
        }
        Fact::ToMailbox { account } => format!("put into the mailbox of {account}"),
        Fact::ToJunkFolder { account } => format!("put into the junk folder of {account}"),
        Fact::MailboxFull { account } => format!("the mailbox of {account} is full: returned"),
        Fact::ListCopies { list, sender, receiving, invalid } => {
            let from = sender.as_ref().map_or_else(String::new, |sender| format!(" from {sender}"));
            let bad = match invalid {
                0 => String::new(),
                count => format!("; {count} more have no valid address"),
            };
            format!("{list} gives a copy{from} to {receiving} members{bad}")
        }
        Fact::ListMember { address } => format!("{address} gets a copy"),
        Fact::ForwardHosts { hosts } => format!("sent to {}", hosts_text(hosts)),
        Fact::DefaultGateways { hosts } => format!("DefaultSMTPGateways: sent to {}", hosts_text(hosts)),
        Fact::RoutedTo { host } => format!("the path has a route: sent to {host}"),
        Fact::AddressLiteral { address } => format!("the domain is an address: sent to {address}"),
        Fact::Exchangers { domain } => format!("sent to the mail exchangers of {domain}"),
        Fact::ExchangersFound { hosts } => format!("the DNS says: {}", hosts_text(hosts)),
        Fact::NoExchanger { domain } => format!("nobody takes mail for {domain}: returned"),
        Fact::DnsSilent { reason } => format!("the DNS does not answer ({reason}): tried again later"),
        _ => return None,
    })
}

fn hosts_text(hosts: &[String]) -> String {
    if hosts.is_empty() { "no host".to_owned() } else { hosts.join(", ") }
}

fn queue(fact: &Fact, clock: &Clock) -> String {
    let date = |secs: &i64| {
        jiff::Timestamp::from_second(*secs).map_or_else(|_| secs.to_string(), |at| clock.mail_date_of(at))
    };
    match fact {
        Fact::Queued { state, is_tried, number, from, to } => {
            let what = match *state {
                "mess" if *is_tried => "is in its first attempt, or was when the server ended",
                "mess" => "waits for its first attempt",
                "rsnd" => "waits for another attempt",
                "froz" => "is frozen",
                JOURNALED => {
                    "is in the journal, not yet delivered: it waits for its first attempt, or is in it"
                }
                _ => "is being received: nobody was told 250 yet",
            };
            format!("{number} from <{from}> to <{to}> {what}")
        }
        Fact::Attempt { unix_secs, error: Some(error) } => {
            format!("tried {}: {}", date(unix_secs), error.replace("\r\n", " / "))
        }
        Fact::Attempt { unix_secs, error: None } => format!("tried {}", date(unix_secs)),
        Fact::NextAttempt { unix_secs, number, attempts_max } => {
            format!("attempt {number} of {attempts_max}: {}", date(unix_secs))
        }
        Fact::LastAttempt { unix_secs, number } => {
            format!("attempt {number}, the last: {}; then it is returned", date(unix_secs))
        }
        Fact::Frozen => "no attempt is made until it is resubmitted (CTRL frozsubmit)".to_owned(),
        Fact::Logged { from, to, medium, parameter, date } => {
            format!("{date}: {medium} {parameter}, from <{from}> to <{to}>")
        }
        other => {
            debug_assert!(false, "a fact without a sentence: {other:?}");
            format!("{other:?}")
        }
    }
}
