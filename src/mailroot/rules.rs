//! `rules.tab`: rules about what is in a message (`jdmail.md` JD-56). The shape is ours; XMail does not look at it.
//!
//! ```text
//! rule  recipient  part  comparison  text  action
//! "fraud"  "*"  "from"  "matches"   "*@bank.example*"  "reject"      rows of one name hang together:
//! "fraud"  "*"  "body"  "contains"  "your password"    "reject"      all of them must hold
//! ```
//!
//! Rules are tried in the order of their first rows; the first that holds decides, with the action of its first row. Those
//! of the MailRoot are tried first, then those in `domains/<domain>/rules.tab` of the account's domain
//! ([`Snapshot::content_rules`]): who administers a domain has rules of its own, and none of the domain's undoes the server's.

use std::path::{Path, PathBuf};

use bstr::BString;

use super::problem::{ProblemKind, Problems};
use super::schema::kind::Words;
use super::schema::tables::processing::{ACTIONS, COMPARISONS, PARTS, RULES};
use super::snapshot::{Loaded, Snapshot};
use super::table::{Row, RowSpec, Table};
use super::trail::Citation;
use super::{Account, MailRoot};
use crate::tab::wildcard;

/// The file, in the MailRoot and in the directories of domains.
pub const RULES_TAB: &str = "rules.tab";

/// `rules.tab`: the rules in the order in which they are tried.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<ContentRule>,
}

/// A rule: what must hold, and what becomes of the message then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentRule {
    /// Its name.
    pub name: Box<str>,
    /// What becomes of the message.
    pub action: Action,
    /// What must hold; at least one.
    pub conditions: Vec<Condition>,
}

/// A row of `rules.tab`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The line, from 1.
    pub line: u32,
    /// The wildcard pattern for the recipient; a local one is known by the account's own address.
    pub recipient: BString,
    /// Where the text is looked for.
    pub part: MessagePart,
    /// Whether the text is a pattern for the whole, or somewhere in it.
    pub is_pattern: bool,
    /// What is looked for; never empty.
    pub text: Box<str>,
}

impl Condition {
    /// Whether the condition is about mail for this address.
    pub fn is_about(&self, recipient: &str) -> bool {
        wildcard::matches(&self.recipient, recipient.as_bytes())
    }
}

/// A part of a message that rules look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessagePart {
    /// The subject, decoded.
    Subject,
    /// The fields From, Sender and Reply-To, decoded.
    From,
    /// The fields To and Cc, decoded.
    To,
    /// Each field of the header with its name, decoded.
    Header,
    /// The text of the message, HTML without its tags.
    Body,
    /// The names of attached files.
    Attachment,
}

/// What becomes of a message for which a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is delivered and marked: `X-Spam-Flag: YES`, and `X-Spam-Rule` with the rule's name. Into the folder for junk where
    /// `JunkFolder` of the account says so.
    Junk,
    /// The sender gets a notice.
    Reject,
    /// It is deleted and nobody is told.
    Delete,
}

impl Rules {
    /// All rules in the order in which they are tried.
    pub fn rules(&self) -> &[ContentRule] {
        &self.rules
    }

    /// Whether there are none, so that no message need be looked at.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// The rules for mail to one account or list: the server's, then those of its domain.
#[derive(Clone, Debug)]
pub struct ContentRules {
    files: Vec<(PathBuf, Loaded<Rules>)>,
}

impl ContentRules {
    /// All rules in the order in which they are tried, each with its file relative to the MailRoot.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &ContentRule)> {
        self.files.iter().flat_map(|(path, rules)| rules.rules().iter().map(|rule| (path.as_path(), rule)))
    }

    /// Whether there are none, so that no message need be looked at.
    pub fn is_empty(&self) -> bool {
        self.files.iter().all(|(_, rules)| rules.is_empty())
    }
}

impl ContentRule {
    /// Whether all its conditions are about mail for this address.
    pub fn is_about(&self, recipient: &str) -> bool {
        self.conditions.iter().all(|condition| condition.is_about(recipient))
    }

    /// Its rows in a file.
    pub fn rows(&self, file: &Path) -> Vec<Citation> {
        self.conditions.iter().map(|condition| Citation::new(file, condition.line)).collect()
    }
}

impl Snapshot {
    /// The rules for mail to an account; without one, of the server only. May block.
    pub fn content_rules(&self, account: Option<&Account>) -> ContentRules {
        let of_root = (PathBuf::from(RULES_TAB), self.rules.clone());
        let of_domain = account.map(|account| {
            let path = MailRoot::domain_directory(&account.domain).join(RULES_TAB);
            let rules = self.file(&path);
            (path, rules)
        });
        ContentRules { files: std::iter::once(of_root).chain(of_domain).collect() }
    }
}

/// The place of a word among the known ones.
fn place(words: &Words, row: &Row<'_>, index: usize) -> Option<usize> {
    let word = row.bytes(index);
    words.words.iter().position(|known| known.word.as_bytes().eq_ignore_ascii_case(word))
}

impl Table for Rules {
    const SPEC: RowSpec = RULES.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let (Some(name), Some(text)) = (row.text(0, problems), row.text(4, problems)) else { return };
        RULES.check(&row, [1, 2, 3, 5], problems);
        if text.is_empty() {
            problems.note(row.line, row.column(4), ProblemKind::Empty);
            return;
        }
        let part = match place(&PARTS, &row, 2) {
            Some(0) => MessagePart::Subject,
            Some(1) => MessagePart::From,
            Some(2) => MessagePart::To,
            Some(3) => MessagePart::Header,
            Some(4) => MessagePart::Body,
            Some(_) => MessagePart::Attachment,
            None => return,
        };
        let Some(comparison) = place(&COMPARISONS, &row, 3) else { return };
        let action = match place(&ACTIONS, &row, 5) {
            Some(0) => Action::Junk,
            Some(1) => Action::Reject,
            Some(_) => Action::Delete,
            None => return,
        };
        let recipient = row.bytes(1).to_owned();
        let condition = Condition { line: row.line, recipient, part, is_pattern: comparison == 1, text };
        match self.rules.iter_mut().find(|rule| rule.name.eq_ignore_ascii_case(&name) && !name.is_empty()) {
            Some(rule) => {
                if rule.action != action {
                    let found = row.bytes(5).to_string();
                    problems.note(row.line, row.column(5), ProblemKind::NoEffectHere(found));
                }
                rule.conditions.push(condition);
            }
            None => self.rules.push(ContentRule { name, action, conditions: vec![condition] }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::table::load_text;

    #[test]
    fn rows_of_one_name_are_one_rule_and_odd_ones_are_none() {
        let (rules, problems) = load_text::<Rules>(
            "rules.tab",
            "\"fraud\"\t\"*\"\t\"From\"\t\"matches\"\t\"*@bank.test*\"\t\"reject\"\n\
             \"\"\t\"*@a.test\"\t\"subject\"\t\"contains\"\t\"win\"\t\"junk\"\n\
             \"Fraud\"\t\"*\"\t\"body\"\t\"contains\"\t\"password\"\t\"delete\"\n\
             \"odd\"\t\"*\"\t\"soul\"\t\"contains\"\t\"x\"\t\"junk\"\n\
             \"odd\"\t\"*\"\t\"body\"\t\"contains\"\t\"\"\t\"junk\"\n\
             \"odd\"\t\"*\"\t\"body\"\t\"contains\"\t\"x\"\t\"burn\"\n",
        );
        let found: Vec<_> =
            rules.rules().iter().map(|rule| (&*rule.name, rule.action, rule.conditions.len())).collect();
        assert_eq!(found, [("fraud", Action::Reject, 2), ("", Action::Junk, 1)]);
        assert!(rules.rules()[0].conditions[0].is_pattern && !rules.rules()[0].conditions[1].is_pattern);
        assert_eq!(problems.len(), 4, "{problems:?}");
    }
}
