//! One attempt in order (`mailflow.md` 4.1), and the ways it ends.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bstr::{BString, ByteSlice};
use tokio_util::sync::CancellationToken;

use super::client::Envelope;
use super::commands::{self, Setting};
use super::failure::plain_entry;
use super::notice::{self, Facts, Kind, Note};
use super::remote::{self, Open, Outgoing, Sent, Style};
use super::{Services, filters, list, local, on_disk, route::wire_paths};
use crate::address::{ForwardPath, ReversePath};
use crate::filter::Stage;
use crate::logs::LogKind;
use crate::mailbox::StoredFile;
use crate::mailroot::command_file::{CommandFile, CommandRow};
use crate::mailroot::schema::server as variables;
use crate::mailroot::{Account, Snapshot};
use crate::message::{HEADER_BLOCK_BYTES_MAX, count_trace_fields, x_deliver_to};
use crate::policy::route::{self, Commands, Target};
use crate::spool::schedule::Next;
use crate::spool::{
    Attempt, BadSpoolFile, Header, MailData, NewMessage, Origin, Private, SpoolError, SpoolFile, Stored, slog,
};
use crate::status::number;

/// A message during an attempt.
pub(super) struct Job {
    pub(super) services: Arc<Services>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) attempt: Attempt,
    pub(super) file: SpoolFile,
    /// The beginning of the message, enough for its headers.
    pub(super) head: Vec<u8>,
    /// The final dot is out: ending now may send the message twice.
    pub(super) has_sent: Arc<AtomicBool>,
    /// Marked as junk by this rule of `rules.tab`.
    pub(super) junk_rule: Option<Box<str>>,
}

/// How an attempt ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing is left to do.
    Done,
    /// In this mailbox file, which is not synced yet.
    Stored(StoredFile),
    /// Another attempt later, if any is left.
    Again,
    /// A notice, then the clean-up of 2.7.
    Failed { kind: Kind, reason: Option<String>, server: Option<String> },
    /// The clean-up without a notice.
    SetAside,
    /// Frozen whatever `RemoveSpoolErrors` says: the operator has to look at it.
    Frozen,
}

impl Fate {
    pub(super) fn failed(reason: impl Into<String>) -> Self {
        Self::Failed { kind: Kind::Permanent, reason: Some(reason.into()), server: None }
    }
}

/// What is left to do after the disk part.
enum Started {
    /// The attempt has ended.
    Ended,
    Remote(Box<Job>),
    Commands(Box<Job>, Setting, CommandFile),
    /// Inbound filters, then the delivery to the account, which blocks.
    Filtered(Box<Job>, Arc<Account>, fn(&Job, &Account) -> Fate),
}

/// Why nothing can be told about an expired message but this.
const EXPIRED: &str = "The maximum number of delivery attempts has been reached";

/// Where the delivery of a message goes on.
pub(super) struct First(Step);

enum Step {
    New(Attempt),
    Started(Started),
}

impl First {
    pub(super) fn of(attempt: Attempt) -> Self {
        Self(Step::New(attempt))
    }

    /// Does the part that blocks; `None` when that was all.
    pub(super) fn start(
        services: &Arc<Services>,
        attempt: Attempt,
        has_sent: &Arc<AtomicBool>,
    ) -> Option<Self> {
        match start(Arc::clone(services), attempt, Arc::clone(has_sent)) {
            Started::Ended => None,
            started => Some(Self(Step::Started(started))),
        }
    }
}

/// Delivers a message, and after it those of its lane that can use its connection.
pub(super) async fn deliver_all(
    services: Arc<Services>,
    First(first): First,
    stop: CancellationToken,
    has_sent: Arc<AtomicBool>,
) {
    let mut open = None;
    let mut next = Some(first);
    while let Some(step) = next {
        next = deliver(&services, step, &mut open, &stop, &has_sent).await.map(Step::New);
    }
    if let Some(open) = open {
        Open::quit(open);
    }
}

/// Delivers one message. Returns the next one for the open connection, if there is any.
async fn deliver(
    services: &Arc<Services>,
    step: Step,
    open: &mut Option<Open>,
    stop: &CancellationToken,
    has_sent: &Arc<AtomicBool>,
) -> Option<Attempt> {
    let (for_job, flag) = (Arc::clone(services), Arc::clone(has_sent));
    let started = match step {
        Step::New(attempt) => on_disk(move || start(for_job, attempt, flag)).await?,
        Step::Started(started) => started,
    };
    let (job, fate) = match started {
        Started::Ended => return None,
        Started::Remote(job) => send_remote(job, open).await?,
        Started::Commands(job, setting, file) => commands::run(job, setting, file, open).await?,
        Started::Filtered(job, account, delivery) => filtered(job, account, delivery).await?,
    };
    // Taken while this attempt still holds its place in the lane.
    let has_room = open.as_ref().is_some_and(Open::has_room) && !stop.is_cancelled();
    let follower = if has_room { job.attempt.next_of_lane() } else { None };
    has_sent.store(false, std::sync::atomic::Ordering::Relaxed);
    match fate {
        // Only memory: the mark is written by another thread.
        Fate::Done if job.attempt.is_journaled() => job.end(Fate::Done),
        fate => drop(on_disk(move || job.end(fate)).await),
    }
    follower
}

fn start(services: Arc<Services>, mut attempt: Attempt, has_sent: Arc<AtomicBool>) -> Started {
    let snapshot = services.tables.current();
    if attempt.is_over() {
        log_disk(attempt.end_again());
        return Started::Ended;
    }
    attempt.begin();
    let loaded = attempt.load().and_then(|file| {
        let path = file.path().to_owned();
        let head = file.head(HEADER_BLOCK_BYTES_MAX);
        head.map(|head| (file, head)).map_err(|source| BadSpoolFile::Disk { path, source })
    });
    let (file, head) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            end_unreadable(&snapshot, attempt, &error);
            return Started::Ended;
        }
    };
    let job = Box::new(Job { services, snapshot, attempt, file, head, has_sent, junk_rule: None });
    if let Some(fate) = job.check_loop() {
        job.end(fate);
        return Started::Ended;
    }
    job.start_target()
}

/// A file that is no message: frozen or deleted, without a notice, because that would need the file. A disk that
/// refuses says nothing about the message.
fn end_unreadable(snapshot: &Snapshot, attempt: Attempt, error: &BadSpoolFile) {
    tracing::error!(%error, "a message cannot be loaded");
    if let BadSpoolFile::Disk { source, .. } = error {
        return match source.kind() {
            // Somebody removed it by hand.
            std::io::ErrorKind::NotFound => log_disk(attempt.remove()),
            _ => attempt.retry(),
        };
    }
    let line = format!("Unable to load spool file \"{}\"", attempt.path().display());
    let mut entry = plain_entry(number::SPOOL_FILE_INVALID, line);
    entry.smtp_error = Some("554 Error loading spool file".to_owned());
    attempt.log(&entry);
    clean_up(snapshot, attempt);
}

/// 2.7: frozen, or deleted when `RemoveSpoolErrors` says so.
fn clean_up(snapshot: &Snapshot, attempt: Attempt) {
    let ended = match snapshot.server.flag(&variables::REMOVE_SPOOL_ERRORS) {
        true => attempt.remove(),
        false => attempt.freeze(),
    };
    log_disk(ended);
}

fn log_disk(result: Result<(), SpoolError>) {
    if let Err(error) = result {
        tracing::error!(%error, "the message stays in the queue");
    }
}

impl Job {
    /// 2.9.
    fn check_loop(&self) -> Option<Fate> {
        let limit = self.snapshot.server.integer(&variables::MAX_MTA_OPS);
        let hops = i64::try_from(count_trace_fields(&self.head)).unwrap_or(i64::MAX);
        if hops <= limit {
            return None;
        }
        Some(self.end_of_loop())
    }

    /// The message goes round in circles: set aside, and the sender is told.
    pub(super) fn end_of_loop(&self) -> Fate {
        let line = format!("Message <{}> blocked by mail loop check !", self.file.header.number);
        let mut entry = plain_entry(number::MAIL_LOOP, line);
        entry.smtp_error = Some("554 Message blocked by mail loop check".to_owned());
        self.attempt.log(&entry);
        Fate::Failed { kind: Kind::Root, reason: Some("Mail loop detected".to_owned()), server: None }
    }

    /// `X-Deliver-To: <own>` for a copy that a list or a command file here gives out again; for others nothing, as in
    /// XMail, which writes none at all there. Its loop check has then nothing to count, and a list that contains
    /// itself, or a command alias that redirects to itself, never ends (decision 241).
    pub(super) fn hop_field(&self, own: &str, recipient: &ForwardPath) -> Vec<u8> {
        match route::target(&self.snapshot, recipient, false, &mut ()) {
            Target::List(_) | Target::CommandAlias(_) | Target::CustomDomain(_) => x_deliver_to(own),
            Target::User(_) | Target::UnknownUser(..) | Target::Remote => Vec::new(),
        }
    }

    fn start_target(self: Box<Self>) -> Started {
        let copy = match self.attempt.private(Private::Cust) {
            Ok(copy) => copy,
            Err(error) => return self.trouble(&error),
        };
        match route::target(&self.snapshot, &self.file.forward_path, copy.is_some(), &mut ()) {
            Target::Remote => Started::Remote(self),
            Target::CommandAlias(file) => self.start_commands(Setting::CommandAlias, file, copy),
            Target::CustomDomain(file) => self.start_commands(Setting::CustomDomain, file, copy),
            Target::User(account) => self.start_user(account),
            Target::List(account) => {
                if !filters::has_none_for(&self.snapshot, &account) {
                    return Started::Filtered(self, account, list::deliver);
                }
                let fate = list::deliver(&self, &account);
                self.end(fate);
                Started::Ended
            }
            Target::UnknownUser(user, domain) => {
                let reason = format!("Unknown user \"{user}\" in domain \"{domain}\"");
                self.attempt.log(&plain_entry(RECORD_NOT_FOUND, reason.clone()));
                self.end(Fate::failed(reason));
                Started::Ended
            }
        }
    }

    fn start_commands(
        self: Box<Self>,
        setting: Setting,
        commands: Option<Commands>,
        copy: Option<Vec<u8>>,
    ) -> Started {
        let rows = commands.map_or_else(Vec::new, |commands| commands::lines(commands.file.rows()));
        self.start_with_copy(setting, Private::Cust, copy, rows)
    }

    fn start_user(self: Box<Self>, account: Arc<Account>) -> Started {
        let copy = match self.attempt.private(Private::Mprc) {
            Ok(copy) => copy,
            Err(error) => return self.trouble(&error),
        };
        let rows = commands::of_user(&self.snapshot, &account);
        if copy.is_none() && rows.is_empty() {
            if !filters::has_none_for(&self.snapshot, &account) {
                return Started::Filtered(self, account, local::deliver);
            }
            let fate = local::deliver(&self, &account);
            self.end(fate);
            return Started::Ended;
        }
        let rows: Vec<CommandRow> = rows.into_iter().map(|(_, row)| row).collect();
        self.start_with_copy(Setting::Mailproc(account), Private::Mprc, copy, commands::lines(&rows))
    }

    /// The copy that the message carries, made at the first attempt, is what is worked off.
    fn start_with_copy(
        mut self: Box<Self>,
        setting: Setting,
        kind: Private,
        copy: Option<Vec<u8>>,
        rows: Vec<u8>,
    ) -> Started {
        let copy = match copy {
            Some(copy) => copy,
            None => match self.attempt.set_private(kind, &rows) {
                Ok(()) => rows,
                Err(error) => return self.trouble(&error),
            },
        };
        let file = commands::parse(&copy);
        Started::Commands(self, setting, file)
    }

    /// The disk refused: nothing was done, the message waits.
    fn trouble(self: Box<Self>, error: &SpoolError) -> Started {
        tracing::error!(%error, "delivery is put off");
        self.attempt.retry();
        Started::Ended
    }

    /// Ends the attempt. Blocks.
    pub(super) fn end(self, fate: Fate) {
        match fate {
            Fate::Done => log_disk(self.attempt.remove()),
            Fate::Stored(stored) => self.stored(&stored),
            Fate::Again => self.again(),
            Fate::SetAside => clean_up(&self.snapshot, self.attempt),
            Fate::Frozen => log_disk(self.attempt.freeze()),
            Fate::Failed { kind, reason, server } => match self.notify(kind, reason, server) {
                Ok(()) => clean_up(&self.snapshot, self.attempt),
                // Better late than unheard: the message waits until the notice can be written.
                Err(error) => {
                    tracing::error!(%error, "a notice cannot be written");
                    self.attempt.retry();
                }
            },
        }
    }

    fn stored(self, stored: &StoredFile) {
        let root = self.services.spool.root().path();
        let path = stored.path.strip_prefix(root).unwrap_or(&stored.path).to_owned();
        let record = Stored { path, bytes: stored.bytes, crc: stored.crc };
        let Err(attempt) = self.attempt.delivered(record) else { return };
        // It got a spool file meanwhile, which was the last to keep it.
        match self.services.mailboxes.sync(&stored.path) {
            Ok(()) => log_disk(attempt.remove()),
            Err(error) => {
                tracing::error!(%error, "the message stays in the queue");
                attempt.retry();
            }
        }
    }

    fn again(self) {
        let attempts = self.attempt.number();
        let pattern = self.snapshot.server.text(&variables::NOTIFY_TRY_PATTERN).unwrap_or_default();
        if notice::is_notified_try(pattern, attempts)
            && let Err(error) = self.notify(Kind::Temporary, None, None)
        {
            tracing::warn!(%error, "a notice about a delay is not sent");
        }
        match self.attempt.next() {
            Next::AfterSecs(_) => self.attempt.retry(),
            Next::Expired => self.end(Fate::failed(EXPIRED)),
        }
    }

    /// Sends a notice to all who get one (`mailflow.md` 4.9). Without explicit reason or server those of the slog
    /// are taken.
    pub(super) fn notify(
        &self,
        kind: Kind,
        reason: Option<String>,
        server: Option<String>,
    ) -> Result<(), SpoolError> {
        let Some(sender) = self.file.reverse_path.mailbox().cloned() else { return Ok(()) };
        let server_tab = &self.snapshot.server;
        let (root_domain, postmaster) = notice::own_names(&self.snapshot);
        let quoted = self.quoted();
        if notice::is_loop(&quoted, &root_domain) {
            return Ok(());
        }
        let slog = self.attempt.slog();
        let known = slog::reason(&slog);
        let facts = Facts {
            spool_name: self.attempt.name().file_name().to_owned(),
            number: self.file.header.number.to_string(),
            sender: self.file.reverse_path.to_string(),
            recipient: self.file.forward_path.to_string(),
            server: server.or(known.smtp_server),
            reason: reason.or(known.smtp_error),
            note: (kind == Kind::Temporary).then(|| self.note()),
            date: self.services.clock.mail_date(),
            root_domain,
            postmaster,
            quoted,
            ..Facts::default()
        };
        let silent_sender = kind != Kind::Root && server_tab.flag(&variables::NO_SENDER_BOUNCE);
        let from = if silent_sender { String::new() } else { facts.postmaster.clone() };
        let admin = match kind {
            Kind::Root => return self.send_notice(&facts, &from, &facts.postmaster, Some(&slog), None),
            Kind::Permanent => server_tab.text(&variables::ERRORS_ADMIN),
            Kind::Temporary => server_tab.text(&variables::TEMP_ERRORS_ADMIN),
        };
        let for_sender = server_tab.flag(&variables::NOTIFY_SEND_LOG_TO_SENDER).then_some(&slog);
        let mapped = self
            .snapshot
            .ext_aliases
            .get(sender.domain.as_str(), sender.local_part.as_str())
            .map(|row| format!("{}@{}", row.name, row.domain));
        self.send_notice(&facts, &from, &sender.to_string(), for_sender, mapped.as_deref())?;
        match admin {
            Some(admin) => self.send_notice(&facts, &from, admin, Some(&slog), None),
            None => Ok(()),
        }
    }

    fn note(&self) -> Note {
        let date = |secs: i64| match jiff::Timestamp::from_second(secs) {
            Ok(at) => self.services.clock.mail_date_of(at),
            Err(_) => self.services.clock.mail_date(),
        };
        let last = slog::attempts(&self.attempt.slog()).last_unix_secs;
        Note { tried: date(last), attempts: self.attempt.number(), next: date(self.attempt.next_unix_secs()) }
    }

    fn quoted(&self) -> Vec<u8> {
        let lines = self.snapshot.server.integer(&variables::NOTIFY_MSG_LINES_EXTRA);
        let lines = usize::try_from(lines).unwrap_or(0);
        let more = || self.file.head(notice::QUOTED_BYTES_MAX).ok();
        match lines {
            0 => notice::quoted(&self.head, 0),
            _ => notice::quoted(&more().unwrap_or_else(|| self.head.clone()), lines),
        }
    }

    fn send_notice(
        &self,
        facts: &Facts,
        from: &str,
        addressee: &str,
        slog: Option<&Vec<u8>>,
        mapped: Option<&str>,
    ) -> Result<(), SpoolError> {
        let spool = &self.services.spool;
        let facts = Facts { addressee: addressee.to_owned(), slog: slog.cloned(), ..facts.clone() };
        let to = mapped.unwrap_or(addressee);
        if let Err(error) = ForwardPath::parse(to.as_bytes()) {
            tracing::warn!(address = to, %error, "a notice has no valid addressee");
            return Ok(());
        }
        let header = Header {
            trace: format!("[127.0.0.1]:0;[127.0.0.1]:0;{}", facts.date).into(),
            smtp_domain: facts.root_domain.clone().into(),
            number: spool.next_number(Origin::Notice)?.to_string().into(),
            mail_from: format!("MAIL FROM:<{from}>").into(),
            rcpt_to: format!("RCPT TO:<{to}>").into(),
        };
        let message = NewMessage { header, trace_fields: BString::default() };
        spool.submit_blocking(&[message], &MailData::from_bytes(facts.to_stored())).map(drop)
    }

    /// A new message with the content of this one, for each recipient. What `fields` says for it stands in front.
    ///
    /// Each recipient costs about a kilobyte of memory (its envelope, its file names); the content is read once into a
    /// [`MailData`], in memory or in one file, and written from there for all.
    pub(super) fn copy_to(
        &self,
        sender: &ReversePath,
        recipients: &[ForwardPath],
        fields: impl Fn(&ForwardPath) -> Vec<u8>,
    ) -> Result<(), SpoolError> {
        let spool = &self.services.spool;
        let header = &self.file.header;
        let parameters = header.mail_parameters();
        let blank = if parameters.is_empty() { "" } else { " " };
        let message = |recipient: &ForwardPath| NewMessage {
            header: Header {
                trace: header.trace.clone(),
                smtp_domain: header.smtp_domain.clone(),
                number: header.number.clone(),
                // XMail writes a blank here in copies (golden `smtp_mlist`).
                mail_from: format!("MAIL FROM: <{sender}>{blank}{parameters}").into(),
                rcpt_to: format!("RCPT TO: <{recipient}>").into(),
            },
            trace_fields: fields(recipient).into(),
        };
        let messages: Vec<NewMessage> = recipients.iter().map(message).collect();
        let mut draft = spool.draft();
        let failed = |source| SpoolError::Disk { action: "read", path: self.file.path().to_owned(), source };
        let mut data = self.file.data().map_err(failed)?;
        let mut piece = vec![0; COPY_BYTES];
        loop {
            match data.read(&mut piece).map_err(failed)? {
                0 => break,
                count => draft.write(&piece[..count])?,
            }
        }
        spool.submit_blocking(&messages, &draft.finish()?).map(drop)
    }

    /// A line of the `smail` log (`mailflow.md` 15).
    pub(super) fn log_smail(&self, medium: &str, parameter: &str, remote_id: &[u8]) {
        let (header, file) = (&self.file.header, &self.file);
        let (from, to) = (file.reverse_path.to_string(), file.forward_path.to_string());
        let date = self.services.clock.log_date();
        self.services.logs.write(
            LogKind::Smail,
            &[
                &header.smtp_domain,
                self.attempt.name().file_name().as_bytes(),
                &header.number,
                from.as_bytes(),
                to.as_bytes(),
                medium.as_bytes(),
                parameter.as_bytes(),
                date.as_bytes(),
                remote_id,
            ],
        );
    }

    /// The envelope for the wire.
    pub(super) fn envelope(&self) -> Envelope {
        let (mail_from, rcpt_to) = wire_paths(&self.file.reverse_path, &self.file.forward_path);
        let parameters = self.file.header.mail_parameters().to_ascii_uppercase();
        let has = |word: &str| parameters.split_str(" ").any(|parameter| parameter == word.as_bytes());
        Envelope {
            needs_smtputf8: !mail_from.is_ascii() || !rcpt_to.is_ascii() || has("SMTPUTF8"),
            is_8bit: has("BODY=8BITMIME"),
            size_bytes: self.file.data_bytes(),
            mail_from,
            rcpt_to,
        }
    }
}

/// Sends through SMTP, tells the logs, and says what came of it.
pub(super) async fn send(
    job: Box<Job>,
    route: route::Route,
    style: Style,
    open: &mut Option<Open>,
) -> Option<(Box<Job>, Sent)> {
    let outgoing = Outgoing { file: &job.file, envelope: job.envelope(), style, has_sent: &job.has_sent };
    let job_is_journaled = job.attempt.is_journaled();
    let mut log = Vec::new();
    let sent = remote::send(&job.services, &job.snapshot, &outgoing, &route, open, &mut log).await;
    let tell = move || {
        for entry in &log {
            job.attempt.log(entry);
        }
        if let Sent::Delivered { medium, host, remote_id } = &sent {
            job.log_smail(medium, host, remote_id);
        }
        (job, sent)
    };
    // What a journaled message has to log stays in memory, but for one line that is no more than a copy to a buffer.
    if job_is_journaled { Some(tell()) } else { on_disk(tell).await }
}

async fn filtered(
    job: Box<Job>,
    account: Arc<Account>,
    delivery: fn(&Job, &Account) -> Fate,
) -> Option<(Box<Job>, Fate)> {
    let (job, fate) = filters::run(job, Stage::In).await?;
    match fate {
        Some(fate) => Some((job, fate)),
        None => {
            on_disk(move || {
                let fate = delivery(&job, &account);
                (job, fate)
            })
            .await
        }
    }
}

async fn send_remote(job: Box<Job>, open: &mut Option<Open>) -> Option<(Box<Job>, Fate)> {
    let (job, fate) = filters::run(job, Stage::Out).await?;
    if let Some(fate) = fate {
        return Some((job, fate));
    }
    let (sender, recipient) = (&job.file.reverse_path, &job.file.forward_path);
    let route = route::route_from(&job.snapshot, sender, recipient, &mut ());
    let (job, sent) = send(job, route, Style::Smail, open).await?;
    let fate = match sent {
        Sent::Delivered { .. } => Fate::Done,
        Sent::Transient => Fate::Again,
        Sent::NoSuchDomain { reason } => Fate::failed(reason),
        Sent::Permanent { reason, server } => {
            Fate::Failed { kind: Kind::Permanent, reason: Some(reason), server: Some(server) }
        }
    };
    Some((job, fate))
}

/// XMail's error number for an unknown user (golden `spool_permfail`).
const RECORD_NOT_FOUND: i32 = 157;

/// Bytes of a message copied at once.
const COPY_BYTES: usize = 64 * 1024;
