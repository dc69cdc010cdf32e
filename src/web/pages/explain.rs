//! "What happens to mail to this address?", and what became of a message: one of the queue, or one that is pasted.
//!
//! Who administers some domains asks about recipients of these, and is told of these; the queue is for the role system.

use std::net::IpAddr;

use axum::response::Response;
use serde::Serialize;

use crate::address::Mailbox;
use crate::auth::split_login;
use crate::web::Question;
use crate::web::error::WebError;
use crate::web::templates::context;
use crate::web::visit::Visit;

/// Recipients of a pasted message that are explained. Ours.
const RECIPIENTS_MAX: usize = 10;

#[derive(Debug, Serialize)]
struct Told {
    about: String,
    text: String,
    is_problem: bool,
}

/// The form, and the answer once something is asked.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let (recipient, sender) = (visit.query("recipient"), visit.query("sender"));
    let (ip, login, message) = (visit.query("ip"), visit.query("login"), visit.query("message"));
    let mut told = Vec::new();
    if !recipient.is_empty() {
        match ip.parse() {
            Err(_) if !ip.is_empty() => {
                let text = visit.say("explain.bad_ip", &[]);
                told.push(Told { about: recipient.to_owned(), text, is_problem: true });
            }
            address => {
                let within = visit.within();
                let question = Question { recipient, sender, ip: address.ok(), login, content: b"", within };
                told.push(ask(visit, &question));
            }
        }
    }
    if !message.is_empty() {
        let answer = match visit.is_system() {
            true => visit.app.services.roof.explain_message(visit.language, message),
            false => Err(visit.say("explain.queue_is_not_yours", &[])),
        };
        told.push(answer_of(message.to_owned(), answer));
    }
    visit.page("explain.html", context! { recipient, sender, ip, login, message, told, source => "" })
}

fn ask(visit: &Visit, question: &Question<'_>) -> Told {
    let answer = match refusal(visit, question) {
        Some(text) => Err(text),
        None => visit.app.services.roof.explain(visit.language, question),
    };
    answer_of(question.recipient.to_owned(), answer)
}

/// Why somebody is not told: the recipient, or the account that logs in, is of a domain of others.
fn refusal(visit: &Visit, question: &Question<'_>) -> Option<String> {
    let not_yours = |address: &str| visit.say("explain.not_yours", &[("address", address)]);
    let mailbox = Mailbox::parse(question.recipient.as_bytes()).ok();
    if visit.is_system() {
        None
    } else if mailbox.is_none_or(|mailbox| !visit.holds(mailbox.domain.as_str())) {
        Some(not_yours(question.recipient))
    } else if !question.login.is_empty() && !is_theirs(visit, question.login) {
        Some(not_yours(question.login))
    } else {
        None
    }
}

/// Whether who logs in so is an account of the visitor's domains. Names without a domain are of `smtpauth.tab`.
fn is_theirs(visit: &Visit, login: &str) -> bool {
    match split_login(login) {
        (name, Some(domain)) => match visit.tables().account(domain, name) {
            Some(account) => visit.holds(&account.domain),
            None => visit.holds(domain),
        },
        (_, None) => false,
    }
}

fn answer_of(about: String, answer: Result<String, String>) -> Told {
    let is_problem = answer.is_err();
    Told { about, text: answer.unwrap_or_else(|error| error), is_problem }
}

/// A message that is pasted: each of its recipients, from its sender and from where it came.
pub(in crate::web) fn paste(visit: &Visit) -> Result<Response, WebError> {
    let source = visit.raw_field("source");
    let head = Head::of(source);
    let content = source.as_bytes();
    let (sender, ip, within) = (head.sender.as_str(), head.ip, visit.within());
    let question = |recipient| Question { recipient, sender, ip, login: "", content, within };
    let mut told: Vec<Told> = head
        .recipients
        .iter()
        .take(RECIPIENTS_MAX)
        .map(|recipient| ask(visit, &question(recipient)))
        .collect();
    if told.is_empty() {
        let text = visit.say("explain.no_recipient", &[]);
        told.push(Told { about: String::new(), text, is_problem: true });
    }
    let (recipient, ip) = (
        head.recipients.first().map_or("", String::as_str),
        head.ip.map(|ip| ip.to_string()).unwrap_or_default(),
    );
    visit.page(
        "explain.html",
        context! { recipient, sender => head.sender, ip, login => "", message => "", told, source },
    )
}

/// What the head of a message says of its way. People paste what their programs show, so nothing of it is an error.
#[derive(Debug, Default, PartialEq, Eq)]
struct Head {
    sender: String,
    recipients: Vec<String>,
    /// From where the first server of ours got it.
    ip: Option<IpAddr>,
}

impl Head {
    fn of(source: &str) -> Self {
        let mut head = Self::default();
        let mut from = String::new();
        for field in fields(source) {
            let Some((name, value)) = field.split_once(':') else { continue };
            match name.trim().to_ascii_lowercase().as_str() {
                "return-path" if head.sender.is_empty() => head.sender = first(value),
                "from" if from.is_empty() => from = first(value),
                "to" | "cc" | "bcc" | "delivered-to" | "x-original-to" => {
                    head.recipients.extend(addresses(value))
                }
                "received" if head.ip.is_none() => head.ip = ip_in_brackets(value),
                _ => {}
            }
        }
        if head.sender.is_empty() {
            head.sender = from;
        }
        let mut seen = std::collections::HashSet::new();
        head.recipients.retain(|recipient| seen.insert(recipient.to_lowercase()));
        head
    }
}

/// The header fields, unfolded, up to the first empty line.
fn fields(source: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in source.trim_start().lines().take_while(|line| !line.trim().is_empty()) {
        match (line.starts_with([' ', '\t']), found.last_mut()) {
            (true, Some(last)) => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => found.push(line.to_owned()),
        }
    }
    found
}

fn first(value: &str) -> String {
    addresses(value).next().unwrap_or_default()
}

/// What looks like an address, without names and brackets.
fn addresses(value: &str) -> impl Iterator<Item = String> {
    let words = value.split([',', ';', ' ', '\t', '<', '>', '(', ')', '\u{22}']);
    words
        .filter(|word| {
            word.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
        })
        .map(str::to_owned)
}

/// `from mx.b.test ([192.0.2.7])`, `[192.0.2.7]:2525`, `[IPv6:2001:db8::1]`.
fn ip_in_brackets(value: &str) -> Option<IpAddr> {
    value.split('[').skip(1).find_map(|rest| {
        let text = rest.split(']').next()?;
        text.strip_prefix("IPv6:").unwrap_or(text).parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_of_a_pasted_message_is_in_its_head() {
        let source = "Return-Path: <bounce@b.test>\r\nReceived: from mx.b.test\r\n\t([IPv6:2001:db8::7]) by us\r\n\
                      Received: from x ([192.0.2.1])\r\nFrom: Bert <bert@b.test>\r\n\
                      To: Anna <anna@a.test>,\r\n other@a.test\r\nCc: ANNA@a.test\r\n\r\nTo: not@this.test\r\n";
        let head = Head::of(source);
        assert_eq!(head.sender, "bounce@b.test");
        assert_eq!(head.recipients, ["anna@a.test", "other@a.test"]);
        assert_eq!(head.ip, Some("2001:db8::7".parse().unwrap()));
        assert_eq!(Head::of("From: bert@b.test\n").sender, "bert@b.test");
        assert_eq!(Head::of(""), Head::default());
    }
}
