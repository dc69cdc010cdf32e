//! Rows in words: what a command does, and what stands in a column.

use super::controls::{Gateways, is_secret, spammer_code};
use super::slots::{self, Shape, Slot};
use crate::mailroot::schema::Kind;
use crate::web::visit::Visit;

/// What one line of a command file does (`mailroot.md` 13.2).
pub(in crate::web) fn command(visit: &Visit, values: &[String]) -> String {
    let value = |at: usize| values.get(at).map_or("", String::as_str);
    let rest = |from: usize| values.get(from..).unwrap_or_default().join(", ");
    match value(0).to_ascii_lowercase().as_str() {
        "mailbox" => visit.say("say.mailbox", &[]),
        "smtp" => visit.say("say.smtp", &[]),
        "redirect" => visit.say("say.redirect", &[("targets", &rest(1))]),
        "lredirect" => visit.say("say.lredirect", &[("targets", &rest(1))]),
        "smtprelay" => visit.say("say.smtprelay", &[("hosts", &Gateways::say(visit, value(1)))]),
        word @ ("external" | "filter") => {
            let key = if word == "filter" { "say.filter" } else { "say.external" };
            let program = values.get(3..).unwrap_or_default().join(" ");
            let text = visit.say(key, &[("program", &program)]);
            match value(2) {
                "0" => text + &visit.say("say.no_wait", &[]),
                secs => text + &visit.say("say.wait", &[("secs", secs)]),
            }
        }
        name => visit.say("say.unknown", &[("name", name)]),
    }
}

/// Whether the command runs a program: for the role system only, who writes it commands the machine.
pub(in crate::web) fn runs_a_program(values: &[String]) -> bool {
    values.first().is_some_and(|name| ["external", "filter"].iter().any(|one| name.eq_ignore_ascii_case(one)))
}

/// What a slot holds.
pub(in crate::web) fn cell(visit: &Visit, slot: &Slot, columns: &[String]) -> String {
    let text = columns.first().map_or("", String::as_str);
    match slot.shape {
        Shape::Network(_) => slots::network_text(columns),
        Shape::Options(group, _) if slots::is_spammer(group) => match spammer_code(columns) {
            0 => visit.say("row.spam_login", &[]),
            1.. => visit.say("row.spam_refuse", &[]),
            below => visit.say("row.spam_delayed", &[("secs", &below.unsigned_abs().to_string())]),
        },
        Shape::Hosts => Gateways::say(visit, text),
        Shape::Lines | Shape::Options(..) => columns.join(" "),
        Shape::LinkTarget => {
            let (form, domain, matching) = slots::link_parts(text);
            let values = [("domain", domain.as_str()), ("matching", matching.as_str())];
            match form {
                "account" => domain.clone(),
                "spool" => visit.say("say.spool", &values),
                "replace" => visit.say("say.replace", &values),
                _ => visit.say("say.append", &values),
            }
        }
        _ if is_secret(slot.column.kind) => {
            if text.is_empty() {
                String::new()
            } else {
                "•••".to_owned()
            }
        }
        Shape::Plain => match slot.column.kind {
            Kind::OneOf(words) => match words.find(text.as_bytes()) {
                Some(word) if word.word == "ALLOW" => visit.say("say.allow", &[]),
                Some(word) if word.word == "DENY" => visit.say("say.deny", &[]),
                _ => text.to_owned(),
            },
            _ => columns.join(" "),
        },
        _ => columns.join(" "),
    }
}
