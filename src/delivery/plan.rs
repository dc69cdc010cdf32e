//! What delivery would do with a message: the decisions of an attempt without their deeds.
//!
//! The same functions decide here and in a real attempt: [`route::target`], the mailproc lines of a user, what a line
//! means, which filters are selected, whom a list gives copies, which way a remote domain is reached. What cannot be
//! known without doing it is taken as going well: programs end with 0, filters accept, servers take the mail.
//!
//! Reads tables and the size of mailboxes, so it blocks; writes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use bstr::BString;

use super::commands::{self, Deed, Setting};
use super::filters::{self, Selection};
use super::program::Macros;
use super::{list, local};
use crate::address::{ForwardPath, ReversePath};
use crate::filter::Stage;
use crate::mailbox::Mailboxes;
use crate::mailroot::command_file::{Command, CommandRow};
use crate::mailroot::rules::Action;
use crate::mailroot::trail::CommandEffect;
use crate::mailroot::{Account, Fact, Snapshot, Step, Trail};
use crate::policy::route::{self, Commands, Route, Target};

/// What delivery looks at besides the tables.
#[derive(Clone, Debug)]
pub struct Message {
    /// The sender.
    pub sender: ReversePath,
    /// The recipient, with its route.
    pub recipient: ForwardPath,
    /// The client's `[address]:port`, as in the spool file.
    pub client: BString,
    /// The server's `[address]:port`, as in the spool file.
    pub server: BString,
    /// Whether the client was logged in.
    pub is_authenticated: bool,
    /// Its beginning, as far as rules look at it, where it is known.
    pub content: Option<Arc<[u8]>>,
}

/// The private copies of commands that a message carries, each with its file relative to the MailRoot.
#[derive(Clone, Debug, Default)]
pub struct OwnCommands {
    /// `cust`.
    pub cust: Option<(PathBuf, Vec<u8>)>,
    /// `mprc`.
    pub mprc: Option<(PathBuf, Vec<u8>)>,
}

/// Where a message, or a copy of it, ends up.
#[derive(Clone, Debug)]
pub enum End {
    /// In the mailbox of an account.
    Mailbox(Arc<Account>),
    /// In the hands of a program.
    Program(String),
    /// At another server.
    Remote(ForwardPath, Route),
    /// In the queue again, as a new message.
    New(ReversePath, ForwardPath),
    /// Back at the sender.
    Returned(String),
    /// Nowhere: a rule deletes it.
    Deleted,
    /// Nowhere: a list that nobody reads.
    Nowhere,
}

/// What an attempt would do now.
pub fn plan(
    snapshot: &Snapshot,
    mailboxes: &Mailboxes,
    message: &Message,
    own: &OwnCommands,
    trail: &mut impl Trail,
) -> Vec<End> {
    let mut plan = Plan { snapshot, mailboxes, message, trail, is_junk: false };
    match route::target(snapshot, &message.recipient, own.cust.is_some(), plan.trail) {
        Target::CommandAlias(found) => plan.commands(&Setting::CommandAlias, lines(found, &own.cust)),
        Target::CustomDomain(found) => plan.commands(&Setting::CustomDomain, lines(found, &own.cust)),
        Target::User(account) => plan.user(account, own),
        Target::List(account) => plan.list(&account),
        Target::UnknownUser(user, domain) => {
            vec![End::Returned(format!("Unknown user \"{user}\" in domain \"{domain}\""))]
        }
        Target::Remote => plan.remote(),
    }
}

/// Lines of commands, each with the file it stands in.
struct Lines {
    rows: Vec<(PathBuf, CommandRow)>,
    /// The message's own copy.
    own: Option<PathBuf>,
}

fn lines(found: Option<Commands>, own: &Option<(PathBuf, Vec<u8>)>) -> Lines {
    match own {
        Some(own) => own_lines(own),
        None => {
            let rows = found.iter().flat_map(|found| found.file.rows().iter().map(|row| (&found.path, row)));
            Lines { rows: rows.map(|(path, row)| (path.clone(), row.clone())).collect(), own: None }
        }
    }
}

fn own_lines((path, copy): &(PathBuf, Vec<u8>)) -> Lines {
    let file = commands::parse(copy);
    Lines {
        rows: file.rows().iter().map(|row| (path.clone(), row.clone())).collect(),
        own: Some(path.clone()),
    }
}

struct Plan<'a, T> {
    snapshot: &'a Snapshot,
    mailboxes: &'a Mailboxes,
    message: &'a Message,
    trail: &'a mut T,
    /// A rule has marked it.
    is_junk: bool,
}

impl<T: Trail> Plan<'_, T> {
    fn user(&mut self, account: Arc<Account>, own: &OwnCommands) -> Vec<End> {
        let lines = match &own.mprc {
            Some(own) => own_lines(own),
            None => Lines { rows: commands::of_user(self.snapshot, &account), own: None },
        };
        if lines.own.is_none() && lines.rows.is_empty() {
            return self.judged(|plan| plan.mailbox(account));
        }
        self.commands(&Setting::Mailproc(account), lines)
    }

    fn mailbox(&mut self, account: Arc<Account>) -> End {
        let address = account.address();
        if local::is_full(self.snapshot, self.mailboxes, &account) {
            self.trail.note(|| Step::new(Fact::MailboxFull { account: address }));
            return End::Returned("User maximum mailbox size reached".to_owned());
        }
        let is_folder = self.is_junk && local::takes_junk_apart(self.snapshot, self.mailboxes, &account);
        self.trail.note(|| {
            Step::new(match is_folder {
                true => Fact::ToJunkFolder { account: address },
                false => Fact::ToMailbox { account: address },
            })
        });
        End::Mailbox(account)
    }

    fn list(&mut self, account: &Account) -> Vec<End> {
        if let Some(end) = self.inbound() {
            return vec![end];
        }
        let copies = list::copies(self.snapshot, account, self.trail);
        let sender = copies.sender.unwrap_or_else(|| self.message.sender.clone());
        let ends: Vec<End> =
            copies.recipients.into_iter().map(|member| End::New(sender.clone(), member)).collect();
        if ends.is_empty() { vec![End::Nowhere] } else { ends }
    }

    fn remote(&mut self) -> Vec<End> {
        self.filters(Stage::Out);
        let (sender, recipient) = (&self.message.sender, &self.message.recipient);
        let route = route::route_from(self.snapshot, sender, recipient, self.trail);
        vec![End::Remote(recipient.clone(), route)]
    }

    fn filters(&mut self, stage: Stage) {
        Selection::for_message(self.snapshot, self.message, stage, self.trail);
    }

    /// Where the message ends up after rules and inbound filters.
    fn judged(&mut self, end: impl FnOnce(&mut Self) -> End) -> Vec<End> {
        vec![self.inbound().unwrap_or_else(|| end(self))]
    }

    /// Rules about what is in the message, then inbound filters; with an end it goes no further.
    fn inbound(&mut self) -> Option<End> {
        let verdict =
            filters::planned_rule(self.snapshot, self.message, self.trail).and_then(|action| match action {
                Action::Junk => {
                    self.is_junk = true;
                    None
                }
                Action::Reject => Some(End::Returned(filters::DEFAULT_REASON.to_owned())),
                Action::Delete => Some(End::Deleted),
            });
        if verdict.is_none() {
            self.filters(Stage::In);
        }
        verdict
    }

    fn commands(&mut self, setting: &Setting, lines: Lines) -> Vec<End> {
        if let Some(file) = lines.own {
            self.trail.note(|| Step::new(Fact::OwnCommands { file: file.clone() }).by(&file, 0));
        }
        let mut ends = Vec::new();
        for (path, row) in &lines.rows {
            ends.extend(self.line(setting, path, row));
        }
        if !ends.is_empty() {
            return ends;
        }
        let account = setting.account().cloned();
        self.trail.note(|| Step::new(Fact::CommandsWithoutEffect { to_mailbox: account.is_some() }));
        match account {
            Some(account) => vec![self.mailbox(account)],
            None => vec![End::Returned(commands::WITHOUT_EFFECT.to_owned())],
        }
    }

    fn line(&mut self, setting: &Setting, path: &std::path::Path, row: &CommandRow) -> Vec<End> {
        let account = setting.account().map(|account| account.address());
        let macros = Macros::planned(self.message, account.as_deref());
        let (message, mut way) = (self.message, Vec::new());
        let deed =
            commands::deed(self.snapshot, setting, &message.recipient, &macros, &row.command, &mut way);
        let effect = match &deed {
            Deed::External(_) | Deed::Send(_) | Deed::Mailbox(_) => CommandEffect::Acts,
            Deed::Redirect(redirect) if !redirect.targets.is_empty() => CommandEffect::Acts,
            Deed::Filter(_) => CommandEffect::Judges,
            Deed::Redirect(_) | Deed::Nothing | Deed::Invalid(_) => CommandEffect::Nothing,
        };
        let name = || name_of(&row.command).to_owned();
        self.trail.note(|| Step::new(Fact::Command { name: name(), effect }).by(path, row.line));
        match deed {
            Deed::External(program) => self.judged(|_| End::Program(program.program.to_string())),
            Deed::Mailbox(account) => self.judged(|plan| plan.mailbox(account)),
            Deed::Send(route) => {
                self.filters(Stage::Out);
                way.into_iter().for_each(|step| self.trail.note(|| step));
                vec![End::Remote(message.recipient.clone(), route)]
            }
            Deed::Redirect(redirect) => {
                let sender = redirect.sender(setting, &message.sender, message.recipient.mailbox());
                redirect.targets.into_iter().map(|(_, path)| End::New(sender.clone(), path)).collect()
            }
            Deed::Filter(_) | Deed::Nothing | Deed::Invalid(_) => Vec::new(),
        }
    }
}

fn name_of(command: &Command) -> &str {
    match command {
        Command::External(_) => "external",
        Command::Filter(_) => "filter",
        Command::Mailbox => "mailbox",
        Command::Redirect(_) => "redirect",
        Command::Lredirect(_) => "lredirect",
        Command::SmtpRelay(_) => "smtprelay",
        Command::Smtp => "smtp",
        Command::Unknown(name) | Command::Malformed(name) => std::str::from_utf8(name).unwrap_or("?"),
    }
}
