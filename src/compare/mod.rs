//! What-if: what changes for mail when one set of tables takes the place of another.
//!
//! The tables are not compared line by line: for every address that either side knows, the functions that decide about
//! mail ([`policy::recipient`](crate::policy::recipient), [`policy::route`](crate::policy::route)) are asked on both sides,
//! and so are those about peers for every network that a row names. A moved row, a comment or another spelling changes
//! nothing; a new pattern that catches an old address does.
//!
//! | known addresses | networks | names |
//! | --- | --- | --- |
//! | accounts, aliases, command aliases | of the IP maps, `smtprelay.tab`, `spammers.tab`, `smtp.ipprop.tab` | log-ins, alias domains, patterns of aliases, domains with a way of their own, variables |
//!
//! Patterns stay patterns: nobody knows all addresses they catch. Networks are cut where any of their rows begins or ends;
//! masks with holes are taken as if they had none.
//!
//! Memory: some hundred bytes for each address. Time: about 30 microseconds for each account and side, mostly for looking
//! at its `user.tab` and `mailproc.tab`. Blocks.

mod addresses;
mod names;
mod networks;
#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hasher as _};

use crate::mailroot::{Citation, Snapshot};

/// What changes, in the order of [`Subject`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// The changes; empty: mail cannot tell the sides apart.
    pub changes: Vec<Change>,
    /// How many addresses were asked for.
    pub addresses: usize,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// For whom.
    pub subject: Subject,
    /// What was.
    pub old: Side,
    /// What will be.
    pub new: Side,
}

/// One side of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// What is so, one fact each; empty: there is nothing of this kind.
    pub facts: Vec<String>,
    /// The rows that decide it.
    pub rows: Vec<Citation>,
    /// Tells passwords apart; never shown.
    secret: u64,
}

/// For whom something changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Mail to an address.
    Address(String),
    /// What an account may do: log in, relay, send.
    Account(String),
    /// A pattern of `aliases.tab`: alias and domain.
    AliasPattern(String),
    /// A domain of ours, or another name of one.
    Domain(String),
    /// The way to a domain elsewhere, or to a pattern of them.
    Way(String),
    /// Peers of SMTP, from the first address to the last.
    SmtpPeers(String),
    /// Peers that may relay.
    RelayPeers(String),
    /// Peers of another service, by the table that decides.
    Peers(&'static str, String),
    /// A user of `smtpauth.tab`.
    SmtpLogin(String),
    /// A user of `ctrlaccounts.tab`.
    CtrlLogin(String),
    /// A variable of `server.tab`.
    Variable(String),
}

impl Subject {
    /// What kind of thing it is, and its name.
    pub fn kind_and_name(&self) -> (&'static str, &str) {
        match self {
            Self::Address(name) => ("mail to", name),
            Self::Account(name) => ("account", name),
            Self::AliasPattern(name) => ("alias pattern", name),
            Self::Domain(name) => ("domain", name),
            Self::Way(name) => ("way to", name),
            Self::SmtpPeers(name) => ("SMTP peers", name),
            Self::RelayPeers(name) => ("relaying peers", name),
            Self::Peers("pop3.ipmap.tab", name) => ("POP3 peers", name),
            Self::Peers("imap.ipmap.tab", name) => ("IMAP peers", name),
            Self::Peers("ctrl.ipmap.tab", name) => ("CTRL peers", name),
            Self::Peers(_, name) => ("FINGER peers", name),
            Self::SmtpLogin(name) => ("SMTP log-in", name),
            Self::CtrlLogin(name) => ("CTRL log-in", name),
            Self::Variable(name) => ("variable", name),
        }
    }
}

impl Change {
    /// What it is, in a word or two.
    pub fn summary(&self) -> &'static str {
        let is_there = |side: &Side| !side.facts.is_empty();
        let has_mailbox = |side: &Side| side.facts.iter().any(|fact| fact.starts_with("mailbox of "));
        match (&self.subject, is_there(&self.old), is_there(&self.new)) {
            (Subject::Address(_), ..) => match (has_mailbox(&self.old), has_mailbox(&self.new)) {
                (true, false) => "loses its mailbox",
                (false, true) => "gains a mailbox",
                _ => "another destination",
            },
            (_, false, true) => "new",
            (_, true, false) => "gone",
            _ => "changed",
        }
    }
}

impl Differences {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// What changes when `new` takes the place of `old`. Blocks.
pub fn diff(old: &Snapshot, new: &Snapshot) -> Differences {
    let (mut changes, addresses) = addresses::compare(old, new);
    changes.extend(names::compare(old, new));
    changes.extend(networks::compare(old, new));
    changes.sort_by(|one, other| one.subject.cmp(&other.subject));
    Differences { changes, addresses }
}

/// Tells passwords apart within this process.
fn secret<'a>(passwords: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for password in passwords {
        hasher.write(password);
        hasher.write_u8(b'\n');
    }
    hasher.finish()
}

impl Change {
    /// A change, if there is one. Rows alone are none.
    fn between(subject: Subject, old: Side, mut new: Side) -> Option<Self> {
        let are_both_there = !old.facts.is_empty() && !new.facts.is_empty();
        if are_both_there && old.secret != new.secret {
            new.facts.push("another password than before".to_owned());
        }
        (old.facts != new.facts).then_some(Self { subject, old, new })
    }
}
