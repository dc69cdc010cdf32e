//! Command files: `mailproc.tab`, `cmdaliases/`, `custdomains/` worked off line by line (`mailflow.md` 4.2 to 4.4).
//!
//! The message carries a private copy of its lines (`mprc`, `cust`). After each line that did something the copy is
//! rewritten to what is left (decision 149; XMail waits for the last line), so that an interrupted message goes on where it stopped. Lines that failed for now
//! (`smtp`, `smtprelay`, or a full disk) stay in the copy for the next attempt.
//!
//! **Never lost because of a table** (decision 11): when all lines are done and none of them did anything with the
//! message, a user's mail goes to the mailbox, other mail is returned.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::{BString, ByteSlice};

use super::attempt::{Fate, Job, send};
use super::failure::plain_entry;
use super::filters::{self, Unsettled};
use super::notice::Kind;
use super::program::{self, Macros, Run};
use super::remote::{Open, Sent, Style};
use super::{local, on_disk};
use crate::address::{ForwardPath, Mailbox, PathError, ReversePath};
use crate::exec::{ExecError, Exit};
use crate::filter::{Stage, Verdict, take_rejection};
use crate::mailroot::command_file::{Command, CommandFile, CommandRow, ProgramCommand};
use crate::mailroot::directory::mailproc_files;
use crate::mailroot::routing::GatewayList;
use crate::mailroot::{Account, Snapshot, Table, Trail};
use crate::message::x_deliver_to;
use crate::policy::route::{self, HostList, Route};
use crate::spool::{KeptCopy, Private};
use crate::status::number;

/// Whose file it is: what the commands mean depends on it.
#[derive(Clone, Debug)]
pub(super) enum Setting {
    /// `mailproc.tab` of a domain and an account.
    Mailproc(Arc<Account>),
    /// `cmdaliases/<domain>/<user>.tab`.
    CommandAlias,
    /// `custdomains/<domain>.tab`.
    CustomDomain,
}

impl Setting {
    fn private(&self) -> Private {
        match self {
            Self::Mailproc(_) => Private::Mprc,
            Self::CommandAlias | Self::CustomDomain => Private::Cust,
        }
    }

    pub(super) fn account(&self) -> Option<&Arc<Account>> {
        match self {
            Self::Mailproc(account) => Some(account),
            Self::CommandAlias | Self::CustomDomain => None,
        }
    }

    /// The account's address, or the recipient's where there is none.
    fn own_address(&self, recipient: &Mailbox) -> String {
        self.account().map_or_else(|| recipient.to_string(), |account| account.address())
    }

    fn style(&self) -> Style {
        match self {
            Self::Mailproc(_) => Style::Usmail,
            Self::CommandAlias | Self::CustomDomain => Style::Smail,
        }
    }

    fn who(&self) -> &'static str {
        match self.style() {
            Style::Smail => "SMAIL",
            Style::Usmail => "USMAIL",
        }
    }
}

/// What a line came to.
enum Line {
    /// It did something with the message.
    Done,
    /// It did nothing with the message, and will not.
    Dropped,
    /// It failed for now and stays.
    Kept,
    /// The file ends here.
    Stop(Fate),
}

/// The rows as a private copy has them.
pub(super) fn lines(rows: &[CommandRow]) -> Vec<u8> {
    rows.iter().flat_map(|row| [row.raw.as_slice(), b"\n"].concat()).collect()
}

/// Reads a private copy. What is wrong with its lines was reported when the table was read.
pub(super) fn parse(copy: &[u8]) -> CommandFile {
    CommandFile::load(Path::new("mailproc.tab"), copy).0
}

/// The mailproc lines for a user, in the order of their work; none: mail goes to the mailbox. May block.
pub(super) fn of_user(snapshot: &Snapshot, account: &Account) -> Vec<(PathBuf, CommandRow)> {
    let files = mailproc_files(account).into_iter().zip(snapshot.mailproc(account));
    files
        .flat_map(|(path, file)| {
            file.rows().iter().map(|row| (path.clone(), row.clone())).collect::<Vec<_>>()
        })
        .collect()
}

/// What a line means for a message.
pub(super) enum Deed {
    External(ProgramCommand),
    Filter(ProgramCommand),
    Mailbox(Arc<Account>),
    Redirect(Redirect),
    Send(Route),
    /// No meaning in this kind of file, or no host.
    Nothing,
    /// No command of this name, or too few columns.
    Invalid(BString),
}

/// The targets of a redirect as new recipients.
pub(super) struct Redirect {
    pub(super) keeps_sender: bool,
    /// As written, and as a path.
    pub(super) targets: Vec<(BString, ForwardPath)>,
    pub(super) invalid: Vec<(BString, PathError)>,
}

impl Redirect {
    fn new(setting: &Setting, recipient: &Mailbox, targets: &[BString], keeps_sender: bool) -> Self {
        let user = setting.account().map_or(recipient.local_part.as_str(), |account| &account.name);
        let mut redirect = Self { keeps_sender, targets: Vec::new(), invalid: Vec::new() };
        for target in targets {
            let full = match target.contains(&b'@') {
                true => target.to_vec(),
                false => [user.as_bytes(), b"@", target].concat(),
            };
            match ForwardPath::parse(&full) {
                Ok(path) => redirect.targets.push((target.clone(), path)),
                Err(error) => redirect.invalid.push((target.clone(), error)),
            }
        }
        redirect
    }

    /// The sender of the new messages.
    pub(super) fn sender(&self, setting: &Setting, sender: &ReversePath, recipient: &Mailbox) -> ReversePath {
        if self.keeps_sender {
            return sender.clone();
        }
        ReversePath::parse(setting.own_address(recipient).as_bytes()).unwrap_or(ReversePath::Null)
    }
}

/// What a command means in this setting; `macros` gives the macros' values.
pub(super) fn deed(
    snapshot: &Snapshot,
    setting: &Setting,
    recipient: &ForwardPath,
    macros: &Macros,
    command: &Command,
    trail: &mut impl Trail,
) -> Deed {
    let redirect = |targets: &[BString], keeps_sender| {
        Deed::Redirect(Redirect::new(setting, recipient.mailbox(), &macros.expand(targets), keeps_sender))
    };
    match command {
        Command::External(program) => Deed::External(program.clone()),
        Command::Filter(program) => Deed::Filter(program.clone()),
        Command::Redirect(targets) => redirect(targets, true),
        Command::Lredirect(targets) => redirect(targets, false),
        Command::SmtpRelay(relay) => {
            let columns = macros.expand(&[relay.hosts.clone(), relay.options.clone()]);
            relay_route(snapshot, &columns).map_or(Deed::Nothing, Deed::Send)
        }
        Command::Mailbox => setting.account().cloned().map_or(Deed::Nothing, Deed::Mailbox),
        Command::Smtp if setting.account().is_none() => Deed::Send(route::route(snapshot, recipient, trail)),
        Command::Smtp => Deed::Nothing,
        Command::Unknown(name) | Command::Malformed(name) => Deed::Invalid(name.clone()),
    }
}

/// The hosts of a `smtprelay`; `None`: it names none.
fn relay_route(snapshot: &Snapshot, columns: &[BString]) -> Option<Route> {
    let options = columns.get(1).map(|column| column.as_slice()).unwrap_or_default();
    let own = GatewayList::parse(columns.first()?);
    let effective = GatewayList::from_columns(columns.first()?, options);
    let effective = effective.with_options(snapshot.server.smtp_gw_config());
    (!own.hosts.is_empty()).then(|| Route::Hosts(HostList::of_gateways("RLYS", "RLYS", &own, effective)))
}

/// Works off a file. `None`: the attempt was dropped, the message waits.
pub(super) async fn run(
    mut job: Box<Job>,
    setting: Setting,
    file: CommandFile,
    open: &mut Option<Open>,
) -> Option<(Box<Job>, Fate)> {
    let rows = file.rows();
    let (mut kept, mut did_something) = (Vec::new(), false);
    for (index, row) in rows.iter().enumerate() {
        let (returned, line) = run_line(job, &setting, &row.command, open).await?;
        job = returned;
        let rest = &rows[index + 1..];
        match line {
            Line::Stop(fate) => return Some((job, fate)),
            Line::Kept => kept.push(row.clone()),
            Line::Dropped => {}
            Line::Done => {
                did_something = true;
                if !(rest.is_empty() && kept.is_empty()) {
                    job = save(job, setting.private(), [&kept[..], rest].concat()).await?;
                }
            }
        }
    }
    if !kept.is_empty() {
        let job = save(job, setting.private(), kept).await?;
        return Some((job, Fate::Again));
    }
    match did_something {
        true => Some((job, Fate::Done)),
        false => without_effect(job, setting).await,
    }
}

async fn save(mut job: Box<Job>, kind: Private, rows: Vec<CommandRow>) -> Option<Box<Job>> {
    on_disk(move || match job.attempt.set_private(kind, &lines(&rows)) {
        Ok(()) => Some(job),
        Err(error) => {
            tracing::error!(%error, "the rest of a command file cannot be saved");
            job.attempt.remember_private(kind, lines(&rows));
            None
        }
    })
    .await?
}

/// Decision 11.
async fn without_effect(job: Box<Job>, setting: Setting) -> Option<(Box<Job>, Fate)> {
    on_disk(move || {
        let fate = match setting.account() {
            Some(account) => local::deliver(&job, account),
            None => {
                let reason = WITHOUT_EFFECT;
                job.attempt.log(&plain_entry(number::NO_MAILPROC, reason.to_owned()));
                Fate::failed(reason)
            }
        };
        (job, fate)
    })
    .await
}

async fn run_line(
    job: Box<Job>,
    setting: &Setting,
    command: &Command,
    open: &mut Option<Open>,
) -> Option<(Box<Job>, Line)> {
    let account = setting.account().map(|account| account.address());
    let macros = Macros::new(&job, account.as_deref());
    match deed(&job.snapshot, setting, &job.file.forward_path, &macros, command, &mut ()) {
        Deed::External(program) => external(job, setting, &program).await,
        Deed::Filter(program) => filter(job, setting, &program).await,
        Deed::Redirect(redirect) => redirect_to(job, setting, redirect).await,
        Deed::Send(route) => through_smtp(job, setting, route, open).await,
        Deed::Mailbox(account) => mailbox(job, account).await,
        Deed::Nothing => Some((job, Line::Dropped)),
        Deed::Invalid(name) => {
            let line = format!("{} Invalid command \"{name}\"", setting.who());
            on_disk(move || {
                job.attempt.log(&plain_entry(COMMAND_SYNTAX, line));
                (job, Line::Dropped)
            })
            .await
        }
    }
}

async fn mailbox(job: Box<Job>, account: Arc<Account>) -> Option<(Box<Job>, Line)> {
    let (job, fate) = filters::run(job, Stage::In).await?;
    if let Some(fate) = fate {
        return Some((job, Line::Stop(fate)));
    }
    on_disk(move || {
        let line = match local::deliver(&job, &account) {
            Fate::Done => Line::Done,
            // Other lines may follow, which need not end well: the mailbox alone has the message then.
            Fate::Stored(stored) => match job.services.mailboxes.sync(&stored.path) {
                Ok(()) => Line::Done,
                Err(_) => Line::Kept,
            },
            // XMail drops the mail when the mailbox cannot be written (decision 148).
            Fate::Again => Line::Kept,
            fate => Line::Stop(fate),
        };
        (job, line)
    })
    .await
}

async fn external(job: Box<Job>, setting: &Setting, command: &ProgramCommand) -> Option<(Box<Job>, Line)> {
    let (job, fate) = filters::run(job, Stage::In).await?;
    if let Some(fate) = fate {
        return Some((job, Line::Stop(fate)));
    }
    let (job, ran) = run_program(job, setting, command, "EXTRN").await?;
    let line = match ran {
        Some(Exit::Code(EXIT_STOP)) => Line::Stop(Fate::Done),
        Some(Exit::Code(_) | Exit::NotWaited) => Line::Done,
        Some(Exit::Signal(_)) | None => Line::Dropped,
    };
    Some((job, line))
}

async fn filter(job: Box<Job>, setting: &Setting, command: &ProgramCommand) -> Option<(Box<Job>, Line)> {
    let (job, kept) = on_disk(move || {
        let kept = job.attempt.keep_copy();
        (job, kept)
    })
    .await?;
    let kept = match kept {
        Ok(kept) => kept,
        Err(error) => {
            tracing::error!(%error, "a filter cannot run, delivery is put off");
            return Some((job, Line::Stop(Fate::Again)));
        }
    };
    let (mut job, ran) = run_program(job, setting, command, "FILTER").await?;
    on_disk(move || {
        let line = conclude_filter(&mut job, ran, kept);
        (job, line)
    })
    .await
}

fn conclude_filter(job: &mut Job, ran: Option<Exit>, kept: KeptCopy) -> Line {
    let reason = take_rejection(&job.attempt.path());
    // Without waiting there is no verdict; XMail takes that for "stop" and loses the mail (decision 144). A program that
    // nobody waits for may still change the message.
    let verdict = match ran {
        Some(Exit::Code(code)) => Verdict::of(code),
        _ => Verdict::of(0),
    };
    let settled = match ran {
        Some(Exit::Code(_) | Exit::NotWaited) => filters::settle(job, verdict, kept),
        Some(Exit::Signal(_)) | None => kept.restore().map_err(Unsettled::Disk),
    };
    let fate = filters::fate(job, verdict, reason, settled);
    match fate {
        Some(fate) => Line::Stop(fate),
        None if verdict.is_last() => Line::Stop(Fate::Done),
        None => Line::Dropped,
    }
}

/// Runs a program and logs it; `None` when it did not run to an end.
async fn run_program(
    job: Box<Job>,
    setting: &Setting,
    command: &ProgramCommand,
    medium: &'static str,
) -> Option<(Box<Job>, Option<Exit>)> {
    let account = setting.account().map(|account| account.address());
    let macros = Macros::new(&job, account.as_deref());
    let (job, Run { program, result }) = program::run(job, command, macros).await?;
    let who = setting.who();
    on_disk(move || {
        let exit = match result {
            // 255 is "could not start" to XMail (`mailflow.md` 1.8).
            Ok(Exit::Code(EXIT_NOT_STARTED)) => Err(number::EXTERNAL_PROGRAM),
            Ok(exit) => Ok(exit),
            Err(ExecError::TimedOut { .. }) => Err(TIMEOUT),
            Err(_) => Err(number::EXTERNAL_PROGRAM),
        };
        match exit {
            Ok(_) => job.log_smail(medium, &program, b""),
            Err(error) => {
                let what = if medium == "EXTRN" { "EXTRN-Send" } else { "FILTER" };
                let (from, to) = (&job.file.reverse_path, &job.file.forward_path);
                let line =
                    format!("{who} {what} Prg = \"{program}\" From = \"{from}\" To = \"{to}\" Failed !");
                job.attempt.log(&plain_entry(error, line));
            }
        }
        (job, exit.ok())
    })
    .await
}

async fn redirect_to(job: Box<Job>, setting: &Setting, redirect: Redirect) -> Option<(Box<Job>, Line)> {
    let setting = setting.clone();
    on_disk(move || {
        let line = write_redirect(&job, &setting, &redirect);
        (job, line)
    })
    .await
}

fn write_redirect(job: &Job, setting: &Setting, redirect: &Redirect) -> Line {
    for (target, error) in &redirect.invalid {
        let line = format!("{} Invalid redirect target \"{target}\": {error}", setting.who());
        job.attempt.log(&plain_entry(number::ADDRESS_SYNTAX, line));
    }
    if redirect.targets.is_empty() {
        return Line::Dropped;
    }
    let recipient = job.file.forward_path.mailbox();
    let own = setting.own_address(recipient);
    let sender = redirect.sender(setting, &job.file.reverse_path, recipient);
    let is_mailproc = setting.account().is_some();
    let fields = |path: &ForwardPath| match is_mailproc {
        true => x_deliver_to(&own),
        false => job.hop_field(&own, path),
    };
    let recipients: Vec<ForwardPath> = redirect.targets.iter().map(|(_, path)| path.clone()).collect();
    if let Err(error) = job.copy_to(&sender, &recipients, fields) {
        tracing::error!(%error, "a redirect is put off");
        return Line::Kept;
    }
    if is_mailproc {
        let medium = if redirect.keeps_sender { "REDIR" } else { "LREDIR" };
        for (target, _) in &redirect.targets {
            job.log_smail(medium, &target.to_str_lossy(), b"");
        }
    }
    Line::Done
}

async fn through_smtp(
    job: Box<Job>,
    setting: &Setting,
    route: Route,
    open: &mut Option<Open>,
) -> Option<(Box<Job>, Line)> {
    let (job, fate) = filters::run(job, Stage::Out).await?;
    if let Some(fate) = fate {
        return Some((job, Line::Stop(fate)));
    }
    let (job, sent) = send(job, route, setting.style(), open).await?;
    let (reason, server) = match sent {
        Sent::Delivered { .. } => return Some((job, Line::Done)),
        Sent::Transient => return Some((job, Line::Kept)),
        Sent::NoSuchDomain { reason } => return Some((job, Line::Stop(Fate::failed(reason)))),
        Sent::Permanent { reason, server } => (reason, server),
    };
    // A notice, but the message is not set aside: the other lines still run.
    on_disk(move || {
        let line = match job.notify(Kind::Permanent, Some(reason), Some(server)) {
            Ok(()) => Line::Done,
            Err(error) => {
                tracing::error!(%error, "a notice cannot be written");
                Line::Kept
            }
        };
        (job, line)
    })
    .await
}

/// What a sender is told about an address whose commands do nothing.
pub(super) const WITHOUT_EFFECT: &str =
    "554 5.3.5 The address is configured without a command that delivers mail";

/// The exit code that stops the file (`mailroot.md` 13.2).
const EXIT_STOP: i32 = 16;
/// `mailflow.md` 1.8.
const EXIT_NOT_STARTED: i32 = 255;
/// XMail's error numbers for programs and command lines (`mailflow.md` 16).
const TIMEOUT: i32 = 5;
const COMMAND_SYNTAX: i32 = 115;
