//! Queue filters: `filters.in.tab` before local work, `filters.out.tab` before SMTP (`mailflow.md` 5.1).
//!
//! Each selected row gets the message file itself, and may change it. A copy is kept meanwhile
//! ([`Attempt::keep_copy`](crate::spool::Attempt::keep_copy)): a program that crashes, runs out of time, or leaves
//! something that is no message does not cost the message. What a program made of the file counts that ended by itself
//! with 0 or a code that means something, also without exit code 7 (decision 183); when it cannot be read, the message
//! is frozen as it was. After any other code the message goes on as it was (decision 192), and with the disk full it is
//! put back and waits (decision 191).

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice as _};

use super::attempt::{Fate, Job};
use super::failure::plain_entry;
use super::on_disk;
use super::plan::Message;
use super::program::Macros;
use crate::address::Mailbox;
use crate::filter::{
    InQueue, LOOKED_AT_BYTES_MAX, Ran, Stage, Subject, Undecided, Verdict, first_rule, take_rejection,
    undecided_is_tempfail,
};
use crate::mailroot::filters::{FilterProgram, FilterProgramRow, FilterRule, FilterRules};
use crate::mailroot::rules::{Action, ContentRule};
use crate::mailroot::{Account, Fact, Loaded, Snapshot, Step, Trail};
use crate::message::{HEADER_BLOCK_BYTES_MAX, auth_user};
use crate::spool::{BadSpoolFile, KeptCopy, SpoolError, slog};
use crate::status::number;

/// What a notice says when the filter gave no reason (golden `filter_in_exit_6_norej`).
pub(super) const DEFAULT_REASON: &str = "Message rejected by server filters";

/// The rules of a stage.
fn rules(snapshot: &Snapshot, stage: Stage) -> &FilterRules {
    match stage {
        Stage::Out => &snapshot.filters_out,
        _ => &snapshot.filters_in,
    }
}

/// Whether mail to an account or list passes without a look at it. May block.
pub(super) fn has_none_for(snapshot: &Snapshot, account: &Account) -> bool {
    rules(snapshot, Stage::In).rows().is_empty() && snapshot.content_rules(Some(account)).is_empty()
}

/// Whose mail it is, when it is for one of ours.
fn account_of(snapshot: &Snapshot, mailbox: &Mailbox) -> Option<Arc<Account>> {
    let resolved = snapshot.resolve(mailbox.domain.as_str(), mailbox.local_part.as_str());
    resolved.map(|resolved| resolved.account)
}

/// Holds the message against `rules.tab` (`jdmail.md` JD-56). With a fate it is dealt with. Blocks.
fn judge_content(job: &mut Job) -> Option<Fate> {
    let account = account_of(&job.snapshot, job.file.forward_path.mailbox());
    let rules = job.snapshot.content_rules(account.as_deref());
    if rules.is_empty() {
        return None;
    }
    let recipient = real_address(&job.snapshot, job.file.forward_path.mailbox());
    let mut content = Vec::new();
    let read =
        job.file.data().and_then(|data| data.take(LOOKED_AT_BYTES_MAX as u64).read_to_end(&mut content));
    if let Err(error) = read {
        tracing::error!(%error, "a message cannot be read, delivery is put off");
        return Some(Fate::Again);
    }
    let rule = first_rule(rules.iter(), &recipient, &content)?.1.clone();
    match rule.action {
        Action::Junk => {
            job.junk_rule = Some(rule.name);
            None
        }
        Action::Reject => {
            let reason = format!("Message rejected by rule \"{}\"", rule.name);
            job.attempt.log(&plain_entry(number::SPOOL_FILE_INVALID, reason));
            Some(Fate::failed(DEFAULT_REASON))
        }
        Action::Delete => {
            job.log_smail("RULE", &rule.name, b"");
            Some(Fate::Done)
        }
    }
}

/// The rule that would decide about a message, and what it does; all that may, where it is not known what is in the
/// message. May block.
pub(super) fn planned_rule(snapshot: &Snapshot, message: &Message, trail: &mut impl Trail) -> Option<Action> {
    let mailbox = message.recipient.mailbox();
    let rules = snapshot.content_rules(account_of(snapshot, mailbox).as_deref());
    let recipient = real_address(snapshot, mailbox);
    let mut note = |file: &Path, rule: &ContentRule, holds| {
        let fact = || Fact::ContentRule { name: rule.name.to_string(), action: rule.action, holds };
        trail.note(|| Step::new(fact()).by_all(rule.rows(file)));
    };
    match &message.content {
        Some(content) => {
            let looked_at = &content[..content.len().min(LOOKED_AT_BYTES_MAX)];
            let (file, rule) = first_rule(rules.iter(), &recipient, looked_at)?;
            note(file, rule, true);
            Some(rule.action)
        }
        None => {
            rules
                .iter()
                .filter(|(_, rule)| rule.is_about(&recipient))
                .for_each(|(file, rule)| note(file, rule, false));
            None
        }
    }
}

/// Runs the filters for this message. With a fate the message is dealt with; without, it passes. `None`: the attempt was
/// dropped, the message waits.
pub(super) async fn run(job: Box<Job>, stage: Stage) -> Option<(Box<Job>, Option<Fate>)> {
    let mut job = job;
    if stage == Stage::In {
        let (returned, fate) = on_disk(move || {
            let fate = judge_content(&mut job);
            (job, fate)
        })
        .await?;
        if fate.is_some() {
            return Some((returned, fate));
        }
        job = returned;
    }
    if rules(&job.snapshot, stage).rows().is_empty() {
        return Some((job, None));
    }
    let (mut job, selection) = on_disk(move || {
        let selection = Selection::of(&job, stage);
        (job, selection)
    })
    .await?;
    if selection.is_incomplete && undecided_is_tempfail(&job.snapshot.server) {
        return Some((job, Some(Fate::Again)));
    }
    for row in selection.programs.iter().flat_map(|programs| programs.rows()) {
        let (returned, next) = run_row(job, &selection, row).await?;
        job = returned;
        match next {
            Next::Row => {}
            Next::Delivery => break,
            Next::End(fate) => return Some((job, Some(fate))),
        }
    }
    Some((job, None))
}

/// What follows a row.
enum Next {
    Row,
    Delivery,
    End(Fate),
}

/// The filters for one message at one stage.
pub(super) struct Selection {
    subject: Subject,
    programs: Vec<Loaded<FilterProgram>>,
    /// A selected file does not exist.
    is_incomplete: bool,
}

impl Selection {
    /// May block.
    fn of(job: &Job, stage: Stage) -> Self {
        let file = &job.file;
        let message = Message {
            sender: file.reverse_path.clone(),
            recipient: file.forward_path.clone(),
            client: file.header.client().to_owned(),
            server: file.header.server().to_owned(),
            is_authenticated: auth_user(&job.head).is_some(),
            content: None,
        };
        Self::for_message(&job.snapshot, &message, stage, &mut ())
    }

    /// May block.
    pub(super) fn for_message(
        snapshot: &Snapshot,
        message: &Message,
        stage: Stage,
        trail: &mut impl Trail,
    ) -> Self {
        let sender = message.sender.mailbox();
        let subject = Subject {
            stage,
            sender: sender.map(|sender| real_address(snapshot, sender)).unwrap_or_default(),
            recipient: real_address(snapshot, message.recipient.mailbox()),
            local: address_of(message.server.as_ref()),
            remote: address_of(message.client.as_ref()),
            is_authenticated: message.is_authenticated,
            is_white_listed: false,
        };
        let (mut programs, mut is_incomplete) = (Vec::new(), false);
        let rules = rules(snapshot, stage);
        for rule in rules.selected(&subject.sender, &subject.recipient, subject.remote, subject.local) {
            match snapshot.filter_file(&rule.file) {
                Some(found) => {
                    note_programs(rule, &found, &subject, trail);
                    programs.push(found);
                }
                None => {
                    trail.note(|| rule_step(rule, &subject, None));
                    tracing::warn!(stage = stage.name(), "filters/{} does not exist", rule.file);
                    is_incomplete = true;
                }
            }
        }
        Self { subject, programs, is_incomplete }
    }
}

fn note_programs(rule: &FilterRule, found: &FilterProgram, subject: &Subject, trail: &mut impl Trail) {
    if found.rows().is_empty() {
        trail.note(|| rule_step(rule, subject, None));
    }
    for row in found.rows().iter().filter(|row| subject.exclusion(row.flags).is_none()) {
        let file = || std::path::Path::new("filters").join(&*rule.file);
        trail.note(|| rule_step(rule, subject, Some(row.program.to_string())).by(file(), row.line));
    }
}

fn rule_step(rule: &FilterRule, subject: &Subject, program: Option<String>) -> Step {
    let stage = subject.stage.name();
    let table = if subject.stage == Stage::Out { "filters.out.tab" } else { "filters.in.tab" };
    let file = rule.file.to_string();
    Step::new(Fact::QueueFilter { stage, file, program }).by(table, rule.line)
}

/// The account's address where it is one of ours, else the address.
fn real_address(snapshot: &Snapshot, mailbox: &Mailbox) -> String {
    account_of(snapshot, mailbox).map_or_else(|| mailbox.to_string(), |account| account.address())
}

/// The address of `[address]:port`. What cannot be read is only matched by rules for all addresses.
fn address_of(bracketed: &BStr) -> IpAddr {
    let inner = bracketed.strip_prefix(b"[").and_then(|rest| rest.split_once_str("]"));
    let text = inner.and_then(|(address, _)| address.to_str().ok());
    text.and_then(|address| address.parse().ok()).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

async fn run_row(job: Box<Job>, selection: &Selection, row: &FilterProgramRow) -> Option<(Box<Job>, Next)> {
    let is_skipped = selection.subject.exclusion(row.flags).is_some();
    let (job, kept) = match is_skipped {
        true => (job, Ok(None)),
        false => {
            on_disk(move || {
                let kept = job.attempt.keep_copy().map(Some);
                (job, kept)
            })
            .await?
        }
    };
    let kept = match kept {
        Ok(kept) => kept,
        Err(error) => {
            tracing::error!(%error, "a filter cannot run, delivery is put off");
            return Some((job, Next::End(Fate::Again)));
        }
    };
    let mut macros = Macros::new(&job, None);
    macros.add("RFROM", selection.subject.sender.as_str());
    macros.add("RRCPT", selection.subject.recipient.as_str());
    let filters = job.services.filters.clone();
    let ran = filters.run(row, &selection.subject, |name| macros.value(name)).await;
    let Some(kept) = kept else { return Some((job, Next::Row)) };
    let program = row.program.clone();
    on_disk(move || {
        let mut job = job;
        let next = conclude(&mut job, ran, kept, &program);
        (job, next)
    })
    .await
}

/// What a program's end means for the message. Blocks.
fn conclude(job: &mut Job, ran: Ran, kept: KeptCopy, program: &BString) -> Next {
    let reason = take_rejection(&job.attempt.path());
    match ran {
        Ran::Skipped => Next::Row,
        Ran::Undecided(why) => undecided(job, why, kept, program),
        Ran::Decided(verdict) => {
            let changed = settle(job, verdict, kept);
            let fate = fate(job, verdict, reason, changed);
            match fate {
                Some(fate) => Next::End(fate),
                None if verdict.is_last() => Next::Delivery,
                None => Next::Row,
            }
        }
    }
}

/// The message passes, or waits when the operator wants that (decision 12).
fn undecided(job: &mut Job, why: Undecided, kept: KeptCopy, program: &BString) -> Next {
    if let Err(error) = kept.restore() {
        tracing::error!(%error, "delivery is put off");
        return Next::End(Fate::Again);
    }
    let (from, to) = (&job.file.reverse_path, &job.file.forward_path);
    let line = format!("SMAIL FILTER Prg = \"{program}\" From = \"{from}\" To = \"{to}\" Failed !");
    let mut entry = plain_entry(why.error(), line);
    if undecided_is_tempfail(&job.snapshot.server) {
        entry.smtp_error = Some("451 4.3.0 A filter of this server does not work".to_owned());
        job.attempt.log(&entry);
        return Next::End(Fate::Again);
    }
    job.attempt.log(&entry);
    Next::Row
}

/// How the message goes on after a decided filter; `None`: it passes.
pub(super) fn fate(
    job: &Job,
    verdict: Verdict,
    reason: Option<BString>,
    settled: Result<(), Unsettled>,
) -> Option<Fate> {
    match (verdict.in_queue(), settled) {
        (InQueue::Delete, _) => Some(Fate::Done),
        (_, Err(Unsettled::Disk(error))) => {
            tracing::error!(%error, "delivery is put off");
            Some(Fate::Again)
        }
        (InQueue::SetAside, _) => Some(Fate::SetAside),
        // Nobody can be told about null reverse-path mail: it is frozen without a notice (decision 32).
        (InQueue::Return, _) => {
            let reason = reason.map(|reason| reason.to_str_lossy().into_owned());
            Some(Fate::failed(reason.unwrap_or_else(|| DEFAULT_REASON.to_owned())))
        }
        (InQueue::Pass | InQueue::Changed, Err(Unsettled::NoMessage(error))) => {
            job.attempt.log(&unreadable_entry(job, &error));
            Some(Fate::Frozen)
        }
        (InQueue::Pass | InQueue::Changed, Ok(())) => None,
    }
}

/// Why a changed message file was not taken over.
#[derive(Debug)]
pub(super) enum Unsettled {
    /// What the program left is no message; the message is as it was before.
    NoMessage(String),
    /// The disk refused: what is in the file is not known, or, with a full disk, the message as it was.
    Disk(SpoolError),
}

/// Takes over what a program made of the message file, or puts the message back. Blocks.
pub(super) fn settle(job: &mut Job, verdict: Verdict, kept: KeptCopy) -> Result<(), Unsettled> {
    if !kept.is_changed() {
        return kept.accept().map_err(Unsettled::Disk);
    }
    if !verdict.is_success() {
        tracing::warn!(message = %job.attempt.path().display(), "a filter failed; the message stays as it was");
        return kept.restore().map_err(Unsettled::Disk);
    }
    if let Err(full) = kept.check_room() {
        kept.restore().map_err(Unsettled::Disk)?;
        return Err(Unsettled::Disk(full));
    }
    match reload(job) {
        Ok(()) => kept.accept().map_err(Unsettled::Disk),
        Err(error) => {
            tracing::error!(%error, "a filter left no valid message");
            kept.restore().map_err(Unsettled::Disk)?;
            Err(Unsettled::NoMessage(error.to_string()))
        }
    }
}

fn reload(job: &mut Job) -> Result<(), BadSpoolFile> {
    let path = job.attempt.path();
    let disk = |source| BadSpoolFile::Disk { path: path.clone(), source };
    if !std::fs::symlink_metadata(&path).map_err(disk)?.is_file() {
        return Err(disk(std::io::Error::other("is no plain file")));
    }
    let file = job.attempt.load()?;
    let head = file.head(HEADER_BLOCK_BYTES_MAX).map_err(disk)?;
    (job.file, job.head) = (file, head);
    Ok(())
}

/// The slog block about a file that is no message.
fn unreadable_entry(job: &Job, error: &str) -> slog::Entry {
    let line = format!("Unable to load spool file \"{}\"", job.attempt.path().display());
    let mut entry = plain_entry(number::SPOOL_FILE_INVALID, line);
    entry.info = Some(error.to_owned());
    entry.smtp_error = Some("554 Error loading spool file".to_owned());
    entry
}
