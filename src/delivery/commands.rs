//! Command files: `mailproc.tab`, `cmdaliases/`, `custdomains/` worked off line by line (`mailflow.md` 4.2 to 4.4).
//!
//! The message carries a private copy of its lines (`mprc`, `cust`). After each line that did something the copy is
//! rewritten to what is left (decision 149; XMail waits for the last line), so that an interrupted message goes on where it stopped. Lines that failed for now
//! (`smtp`, `smtprelay`, or a full disk) stay in the copy for the next attempt.
//!
//! **Never lost because of a table** (decision 11): when all lines are done and none of them did anything with the
//! message, a user's mail goes to the mailbox, other mail is returned.

use std::path::Path;
use std::sync::Arc;

use bstr::{BString, ByteSlice};

use super::attempt::{Fate, Job, send};
use super::failure::plain_entry;
use super::filters::{self, Unsettled};
use super::notice::Kind;
use super::program::{self, Macros, Run};
use super::remote::{Open, Sent, Style};
use super::{local, on_disk};
use crate::address::{ForwardPath, ReversePath};
use crate::exec::{ExecError, Exit};
use crate::filter::{Stage, Verdict, take_rejection};
use crate::mailroot::command_file::{Command, CommandFile, CommandRow, ProgramCommand, SmtpRelayCommand};
use crate::mailroot::routing::GatewayList;
use crate::mailroot::{Account, Table};
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

    fn account(&self) -> Option<&Arc<Account>> {
        match self {
            Self::Mailproc(account) => Some(account),
            Self::CommandAlias | Self::CustomDomain => None,
        }
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

async fn save(job: Box<Job>, kind: Private, rows: Vec<CommandRow>) -> Option<Box<Job>> {
    on_disk(move || match job.attempt.set_private(kind, &lines(&rows)) {
        Ok(()) => Some(job),
        Err(error) => {
            tracing::error!(%error, "the rest of a command file cannot be saved");
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
                let reason = "554 5.3.5 The address is configured without a command that delivers mail";
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
    match command {
        Command::External(program) => external(job, setting, program).await,
        Command::Filter(program) => filter(job, setting, program).await,
        Command::Redirect(targets) => redirect(job, setting, targets, Keep::Sender).await,
        Command::Lredirect(targets) => redirect(job, setting, targets, Keep::Nothing).await,
        Command::SmtpRelay(relay) => smtprelay(job, setting, relay, open).await,
        Command::Mailbox => mailbox(job, setting).await,
        Command::Smtp if setting.account().is_none() => {
            let route = route::route(&job.snapshot, &job.file.forward_path, &mut ());
            through_smtp(job, setting, route, open).await
        }
        Command::Smtp => Some((job, Line::Dropped)),
        Command::Unknown(name) | Command::Malformed(name) => {
            let line = format!("{} Invalid command \"{name}\"", setting.who());
            on_disk(move || {
                job.attempt.log(&plain_entry(COMMAND_SYNTAX, line));
                (job, Line::Dropped)
            })
            .await
        }
    }
}

async fn mailbox(job: Box<Job>, setting: &Setting) -> Option<(Box<Job>, Line)> {
    let Some(account) = setting.account().cloned() else { return Some((job, Line::Dropped)) };
    let (job, fate) = filters::run(job, Stage::In).await?;
    if let Some(fate) = fate {
        return Some((job, Line::Stop(fate)));
    }
    on_disk(move || {
        let line = match local::deliver(&job, &account) {
            Fate::Done => Line::Done,
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

/// What a redirect keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// `redirect`.
    Sender,
    /// `lredirect`: the account, or the recipient, becomes the sender.
    Nothing,
}

async fn redirect(
    job: Box<Job>,
    setting: &Setting,
    targets: &[BString],
    keep: Keep,
) -> Option<(Box<Job>, Line)> {
    let account = setting.account().cloned();
    let targets = Macros::new(&job, account.as_ref().map(|a| a.address()).as_deref()).expand(targets);
    let who = setting.who();
    on_disk(move || {
        let line = redirect_to(&job, account.as_deref(), &targets, keep, who);
        (job, line)
    })
    .await
}

fn redirect_to(job: &Job, account: Option<&Account>, targets: &[BString], keep: Keep, who: &str) -> Line {
    let recipient = job.file.forward_path.mailbox();
    let own = account.map_or_else(|| recipient.to_string(), Account::address);
    let user = account.map_or(recipient.local_part.as_str(), |account| &account.name);
    let mut paths = Vec::new();
    for target in targets {
        let full = match target.contains(&b'@') {
            true => target.to_vec(),
            false => [user.as_bytes(), b"@", target].concat(),
        };
        match ForwardPath::parse(&full) {
            Ok(path) => paths.push((target, path)),
            Err(error) => {
                let line = format!("{who} Invalid redirect target \"{target}\": {error}");
                job.attempt.log(&plain_entry(number::ADDRESS_SYNTAX, line));
            }
        }
    }
    if paths.is_empty() {
        return Line::Dropped;
    }
    let sender = match keep {
        Keep::Sender => Some(job.file.reverse_path.clone()),
        Keep::Nothing => ReversePath::parse(own.as_bytes()).ok(),
    };
    let fields = |path: &ForwardPath| match account {
        Some(_) => x_deliver_to(&own),
        None => job.hop_field(&own, path),
    };
    let recipients: Vec<ForwardPath> = paths.iter().map(|(_, path)| path.clone()).collect();
    if let Err(error) = job.copy_to(&sender.unwrap_or(ReversePath::Null), &recipients, fields) {
        tracing::error!(%error, "a redirect is put off");
        return Line::Kept;
    }
    if account.is_some() {
        let medium = if keep == Keep::Sender { "REDIR" } else { "LREDIR" };
        for (target, _) in &paths {
            job.log_smail(medium, &target.to_str_lossy(), b"");
        }
    }
    Line::Done
}

async fn smtprelay(
    job: Box<Job>,
    setting: &Setting,
    relay: &SmtpRelayCommand,
    open: &mut Option<Open>,
) -> Option<(Box<Job>, Line)> {
    let macros = Macros::new(&job, setting.account().map(|account| account.address()).as_deref());
    let columns = macros.expand(&[relay.hosts.clone(), relay.options.clone()]);
    let options = columns.get(1).map(|column| column.as_slice()).unwrap_or_default();
    let own = GatewayList::parse(&columns[0]);
    let effective =
        GatewayList::from_columns(&columns[0], options).with_options(job.snapshot.server.smtp_gw_config());
    if own.hosts.is_empty() {
        return Some((job, Line::Dropped));
    }
    let route = Route::Hosts(HostList::of_gateways("RLYS", "RLYS", &own, effective));
    through_smtp(job, setting, route, open).await
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

/// The exit code that stops the file (`mailroot.md` 13.2).
const EXIT_STOP: i32 = 16;
/// `mailflow.md` 1.8.
const EXIT_NOT_STARTED: i32 = 255;
/// XMail's error numbers for programs and command lines (`mailflow.md` 16).
const TIMEOUT: i32 = 5;
const COMMAND_SYNTAX: i32 = 115;
