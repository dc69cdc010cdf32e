//! The one place where facts become sentences, and an explanation becomes text or JSON.
//!
//! What is said is in a module for each language: all matches of `Words` are exhaustive there, so that a fact without
//! its sentence in one of them does not compile. JSON is for programs and always English.

mod en;
mod zh;

use std::fmt::Write as _;

use bstr::ByteSlice as _;
use serde_json::{Value, json};

use super::rows::Rows;
use super::{Chapter, Destination, ExplainError, Explanation, Heading, Outcome, Unfollowed};
use crate::clock::Clock;
use crate::language::Language;
use crate::mailroot::access::Properties;
use crate::mailroot::trail::Near;
use crate::mailroot::{Citation, Fact, Miss, Step};
use crate::status::Reply;

/// What is said about an explanation, in one language. Names, rows of files and replies stay as they are.
trait Words {
    /// What a chapter is about.
    fn heading(&self, heading: &Heading) -> String;

    /// What comes of it: the last line.
    fn verdict(&self, explanation: &Explanation) -> String;

    /// Where mail ends up: a line.
    fn end(&self, destination: &Destination) -> String;

    /// Another row that says so: a line.
    fn also(&self, row: &str) -> String;

    /// A row that nearly decided: a line.
    fn not(&self, row: &str, why: Miss) -> String;

    /// Why a row did not decide.
    fn miss(&self, why: Miss) -> &'static str;

    /// Copies that were not followed.
    fn unfollowed(&self, what: &Unfollowed) -> String;

    /// What a fact means: one arm for each, in the order of [`Fact`].
    fn sentence(&self, fact: &Fact, clock: &Clock) -> String;

    /// Why nothing is explained.
    fn trouble(&self, error: &ExplainError) -> String;
}

fn words(language: Language) -> &'static dyn Words {
    match language {
        Language::English => &en::English,
        Language::Chinese => &zh::Chinese,
    }
}

/// Why nothing is explained.
pub fn trouble(language: Language, error: &ExplainError) -> String {
    words(language).trouble(error)
}

/// Shows explanations of one MailRoot.
#[derive(Debug)]
pub struct Renderer {
    rows: Rows,
    clock: Clock,
    language: Language,
}

impl Renderer {
    /// Shows rows of `rows` and times in the zone of `clock`.
    pub fn new(rows: Rows, clock: Clock, language: Language) -> Self {
        Self { rows, clock, language }
    }

    /// Numbered steps under their headings, and the verdict in the last line. Reads the cited rows, so it blocks.
    pub fn text(&mut self, explanation: &Explanation) -> String {
        let words = words(self.language);
        let mut text = String::new();
        let mut number = 0;
        for chapter in &explanation.chapters {
            if is_dull(chapter) {
                continue;
            }
            let reply = chapter.reply.as_ref().map(|reply| format!("  =>  {}", one_line(reply)));
            let _ = writeln!(text, "{}{}", words.heading(&chapter.heading), reply.unwrap_or_default());
            for step in &chapter.steps {
                number += 1;
                self.step(&mut text, number, step);
            }
        }
        for destination in &explanation.destinations {
            let _ = writeln!(text, "{}", words.end(destination));
        }
        let _ = writeln!(text, "{}", words.verdict(explanation));
        text
    }

    fn step(&mut self, text: &mut String, number: usize, step: &Step) {
        let words = words(self.language);
        let meaning = words.sentence(&step.fact, &self.clock);
        let _ = match step.rows.first() {
            // These say the same as the row, in words.
            Some(row) if matches!(step.fact, Fact::Attempt { .. } | Fact::Logged { .. }) => {
                writeln!(text, "{number:4}. {row}  ->  {meaning}")
            }
            Some(row) => writeln!(text, "{number:4}. {}  ->  {meaning}", self.cited(row)),
            None => writeln!(text, "{number:4}. {meaning}"),
        };
        for row in step.rows.iter().skip(1) {
            let _ = writeln!(text, "      {}", words.also(&self.cited(row)));
        }
        for near in &step.near {
            let _ = writeln!(text, "      {}", words.not(&self.cited(&near.row), near.why));
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
                    "heading": en::English.heading(&chapter.heading),
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
                value["why"] = en::English.miss(*why).into();
                value
            })
            .collect();
        json!({
            "fact": fact_name(&step.fact),
            "meaning": en::English.sentence(&step.fact, &self.clock),
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
        Destination::NotFollowed(what) => {
            json!({ "kind": "not-followed", "what": en::English.unfollowed(what) })
        }
    }
}

/// Names, separated by commas.
fn listed(names: &[impl AsRef<str>], without: &str) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { without.to_owned() } else { names.join(", ") }
}

/// As `smtp.ipprop.tab` writes them.
fn property_names(properties: Properties) -> Vec<&'static str> {
    let all = [
        (properties.white_list, "WhiteList"),
        (properties.no_auth, "NoAuth"),
        (properties.skip_sender_domain_check, "SenderDomainCheck=0"),
        (properties.ease_tls, "EaseTLS"),
        (properties.enable_vrfy, "EnableVRFY"),
        (properties.enable_etrn, "EnableETRN"),
    ];
    all.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect()
}
