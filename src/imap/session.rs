//! One client: commands in, answers out. The work on folders is done by jobs on other threads ([`super::work`]).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::assembler::{Assembler, Limits as AssemblerLimits, NON_SYNCHRONISING_OCTETS_MAX, Step};
use super::command::{Command, CommandBody};
use super::encode::{self, Code, Condition};
use super::fetch::FetchJob;
use super::grammar::{self, NameEncoding, SyntaxError};
use super::search::SearchJob;
use super::serve::{Limits, Services};
use super::work::{Job, Once, Progress, Refusal, Running, Work};
use crate::auth::{Mechanism, ScramMechanism};
use crate::mailbox::folder::Watched;
use crate::mailroot::Snapshot;
use crate::mailroot::schema::server as variables;
use crate::net::{Connection, Line, ReadError};
use crate::status::product;

/// How often a folder that cannot be watched is looked at while its client waits.
const LOOK_INTERVAL: Duration = Duration::from_millis(700);

/// How long a client that has not logged in may be silent, if `-It` is not shorter. Ours: log-ins are made by programs. RFC
/// 9051 section 5.4 has its half hour for those who are in.
const SILENT_BEFORE_LOG_IN: Duration = Duration::from_secs(3 * 60);

/// What a client that has not logged in may have us hold: a name and a password in literals, or an initial response
/// as long as a line of SASL (RFC 4954 section 4).
const LIMITS_BEFORE_LOG_IN: AssemblerLimits = AssemblerLimits {
    line_octets_max: 16 * 1024,
    literal_octets_max: 4096,
    literals_octets_max: 8192,
    non_synchronising_octets_max: NON_SYNCHRONISING_OCTETS_MAX,
};

/// The longest line that may end IDLE.
const DONE_BYTES_MAX: usize = 1024;

/// How many commands that are none a client may send before it logs in.
const BAD_COMMANDS_MAX: u32 = 20;

/// A client that was let in as far as the greeting.
pub(super) struct Client<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) services: &'a Services,
    pub(super) limits: Limits,
    pub(super) stop: CancellationToken,
    /// The tables as they were at the greeting; log-ins take newer ones.
    pub(super) snapshot: Arc<Snapshot>,
    /// For names without a domain.
    pub(super) domain: String,
    /// The challenge of CRAM-MD5.
    pub(super) stamp: String,
    pub(super) server_name: String,
    pub(super) assembler: Assembler,
    /// Without a log-in there is no work.
    pub(super) work: Option<Work>,
    pub(super) failed_logins: u32,
    bad_commands: u32,
}

/// Whether the session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    ReadOn,
    Over,
}

/// What a new client is greeted with.
pub(super) struct Greeting {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) domain: String,
    pub(super) stamp: String,
    /// Our own name, or address, for the log.
    pub(super) server_name: String,
}

impl<'a> Client<'a> {
    pub(super) fn new(
        connection: &'a mut Connection,
        services: &'a Services,
        limits: Limits,
        stop: CancellationToken,
        greeting: Greeting,
    ) -> Self {
        let Greeting { snapshot, domain, stamp, server_name } = greeting;
        Self {
            connection,
            services,
            limits,
            stop,
            snapshot,
            domain,
            stamp,
            server_name,
            assembler: Assembler::new(LIMITS_BEFORE_LOG_IN),
            work: None,
            failed_logins: 0,
            bad_commands: 0,
        }
    }

    /// Greets, and goes through the session.
    pub(super) async fn talk(&mut self) -> io::Result<()> {
        let mut out = Vec::new();
        let code = Code::Capability(self.capabilities());
        encode::untagged(&mut out, Condition::Ok, Some(&code), &format!("{} ready", product("IMAP Server")));
        self.connection.queue(&out);
        loop {
            match self.next_step().await? {
                None => {
                    self.bye("The server is shutting down");
                    return Ok(());
                }
                Some(step) => {
                    if self.on_step(step).await? == Next::Over {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The next event of the framing; `None` when the server stops.
    pub(super) async fn next_step(&mut self) -> io::Result<Option<Step>> {
        let patience = self.patience();
        loop {
            let octets = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(None),
                octets = self.connection.fill(patience) => octets,
            };
            let octets = match octets {
                Ok(octets) => octets,
                Err(ReadError::Timeout(_)) => {
                    self.bye("Nothing was heard for too long");
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(io::Error::other(error)),
            };
            let (used, step) = self.assembler.feed(octets);
            self.connection.consume(used);
            if step != Step::NeedMore {
                return Ok(Some(step));
            }
            // Many clients send a command word by word.
            self.connection.stream().acknowledge();
        }
    }

    /// How long the client may be silent now.
    pub(super) fn patience(&self) -> Duration {
        match self.work {
            Some(_) => self.limits.idle,
            None => self.limits.idle.min(SILENT_BEFORE_LOG_IN),
        }
    }

    async fn on_step(&mut self, step: Step) -> io::Result<Next> {
        match step {
            Step::NeedMore | Step::Refused => {}
            // Without a message there is no end of one: the framing does not give it.
            Step::AppendEnd(_) => {}
            Step::Continue => self.connection.queue(b"+ go on\r\n"),
            Step::Complete(text) if text.is_empty() => {}
            Step::Complete(text) => match grammar::parse(&text, self.names()) {
                Ok(command) => return self.perform(command).await,
                Err(error) => return Ok(self.complain(&error)),
            },
            Step::AppendLiteral(literal) => return self.append(literal).await,
            Step::TooLong(error) => {
                let mut out = Vec::new();
                respond(&mut out, error.tag.as_deref(), Condition::Bad, Some(&Code::TooBig), &error.reason);
                self.connection.queue(&out);
                return Ok(self.count_bad());
            }
            Step::Hopeless(error) => {
                self.complain(&error);
                self.bye("There is no way to go on");
                return Ok(Next::Over);
            }
        }
        Ok(Next::ReadOn)
    }

    fn complain(&mut self, error: &SyntaxError) -> Next {
        let mut out = Vec::new();
        respond(&mut out, error.tag.as_deref(), Condition::Bad, None, &error.reason);
        self.connection.queue(&out);
        self.count_bad()
    }

    /// Who talks another protocol to us, or nonsense, is sent away.
    fn count_bad(&mut self) -> Next {
        self.bad_commands += 1;
        if self.work.is_some() || self.bad_commands < BAD_COMMANDS_MAX {
            return Next::ReadOn;
        }
        self.bye("Too many bad commands");
        Next::Over
    }

    pub(super) fn names(&self) -> NameEncoding {
        self.work.as_ref().map_or(NameEncoding::ModifiedUtf7, Work::names)
    }

    pub(super) fn bye(&mut self, text: &str) {
        let mut out = Vec::new();
        encode::untagged(&mut out, Condition::Bye, None, text);
        self.connection.queue(&out);
    }

    pub(super) fn answer(
        &mut self,
        tag: &str,
        condition: Condition,
        code: Option<&Code>,
        text: &str,
    ) -> Next {
        let mut out = Vec::new();
        encode::tagged(&mut out, tag, condition, code, text);
        self.connection.queue(&out);
        Next::ReadOn
    }

    fn is_tls(&self) -> bool {
        self.connection.stream().is_tls()
    }

    /// Whether log-ins wait for TLS.
    pub(super) fn is_login_disabled(&self) -> bool {
        !self.is_tls() && self.snapshot.server.flag(&variables::IMAP_LOGIN_NEEDS_TLS)
    }

    fn offers_starttls(&self) -> bool {
        !self.is_tls()
            && self.snapshot.server.flag(&variables::ENABLE_IMAP_TLS)
            && self.services.tls.available()
    }

    /// The forms of SCRAM that this connection can have: -PLUS needs what it is bound to.
    pub(super) fn scram_mechanisms(&self) -> impl Iterator<Item = ScramMechanism> + use<> {
        let has_bindings = !self.connection.stream().channel_bindings().is_empty();
        let has_salts = self.services.salts.is_some();
        let is_possible =
            move |scram: &ScramMechanism| has_salts && (has_bindings || *scram == ScramMechanism::Sha256);
        ScramMechanism::ALL.into_iter().filter(is_possible)
    }

    pub(super) fn capabilities(&self) -> Vec<String> {
        let mut names: Vec<String> = BASE_CAPABILITIES.iter().map(|name| (*name).to_owned()).collect();
        if let Some(work) = &self.work {
            names.extend(USER_CAPABILITIES.iter().map(|name| (*name).to_owned()));
            names.push(match work.append_limit() {
                Some(bytes) => format!("APPENDLIMIT={bytes}"),
                None => "APPENDLIMIT".to_owned(),
            });
            return names;
        }
        if self.offers_starttls() {
            names.push("STARTTLS".to_owned());
        }
        if self.is_login_disabled() {
            names.push("LOGINDISABLED".to_owned());
            return names;
        }
        // Hashes cannot answer challenges (decision 18).
        let is_hashed = self.snapshot.server.choice(&variables::PASSWORD_SCHEME) == variables::ARGON2ID;
        let scram = self.scram_mechanisms().filter(|_| !is_hashed);
        names.extend(scram.map(|scram| format!("AUTH={}", scram.name())));
        let others = Mechanism::ALL.iter().filter(|mechanism| mechanism.sends_password() || !is_hashed);
        names.extend(others.map(|mechanism| format!("AUTH={}", mechanism.name())));
        names
    }

    async fn perform(&mut self, command: Command) -> io::Result<Next> {
        let Command { tag, body } = command;
        match body {
            CommandBody::Capability => {
                let mut out = b"* CAPABILITY ".to_vec();
                out.extend_from_slice(self.capabilities().join(" ").as_bytes());
                out.extend_from_slice(b"\r\n");
                self.connection.queue(&out);
                Ok(self.answer(&tag, Condition::Ok, None, "CAPABILITY completed"))
            }
            CommandBody::Logout => {
                self.bye("Good bye");
                self.answer(&tag, Condition::Ok, None, "LOGOUT completed");
                Ok(Next::Over)
            }
            CommandBody::Id(_) => {
                let line =
                    format!("* ID (\"name\" \"Tabmail\" \"version\" \"{}\")\r\n", env!("CARGO_PKG_VERSION"));
                self.connection.queue(line.as_bytes());
                Ok(self.answer(&tag, Condition::Ok, None, "ID completed"))
            }
            CommandBody::Noop if self.work.is_none() => {
                Ok(self.answer(&tag, Condition::Ok, None, "NOOP completed"))
            }
            CommandBody::StartTls => self.start_tls(&tag).await,
            CommandBody::Login { user, password } => self.log_in(&tag, user, password).await,
            CommandBody::Authenticate { mechanism, initial_response } => {
                self.authenticate(&tag, &mechanism, initial_response).await
            }
            other if self.work.is_none() => {
                drop(other);
                self.answer(&tag, Condition::Bad, None, "Log in first");
                Ok(self.count_bad())
            }
            CommandBody::Enable(names) => Ok(self.enable(&tag, &names)),
            CommandBody::Compress(mechanism) => self.compress(&tag, &mechanism).await,
            CommandBody::Idle => self.idle(&tag).await,
            other => self.run(running(tag, other)).await,
        }
    }

    /// Does a command's work, step by step; its octets are sent in between.
    pub(super) async fn run(&mut self, mut running: Running) -> io::Result<Next> {
        let Some(mut work) = self.work.take() else { return Ok(Next::Over) };
        loop {
            let (back, rest, out, is_done) = spawn_blocking(move || {
                let mut out = Vec::new();
                let is_done = running.step(&mut work, &mut out);
                (work, running, out, is_done)
            })
            .await?;
            (work, running) = (back, rest);
            self.connection.write_all(&out).await?;
            if let Some(farewell) = work.farewell {
                self.bye(farewell);
                return Ok(Next::Over);
            }
            if is_done {
                self.work = Some(work);
                return Ok(Next::ReadOn);
            }
            if self.stop.is_cancelled() {
                self.bye("The server is shutting down");
                return Ok(Next::Over);
            }
        }
    }

    /// Does something with the work on a thread that may wait for the disk.
    pub(super) async fn with_work<T: Send + 'static>(
        &mut self,
        what: impl FnOnce(&mut Work) -> T + Send + 'static,
    ) -> io::Result<T> {
        let Some(mut work) = self.work.take() else { return Err(io::ErrorKind::NotConnected.into()) };
        let (work, done) = spawn_blocking(move || {
            let done = what(&mut work);
            (work, done)
        })
        .await?;
        self.work = Some(work);
        Ok(done)
    }

    fn enable(&mut self, tag: &str, names: &[String]) -> Next {
        let Some(work) = &mut self.work else { return Next::Over };
        let mut enabled = Vec::new();
        let mut out = Vec::new();
        for name in names {
            match name.as_str() {
                "IMAP4REV2" => {
                    work.modes.rev2 = true;
                    enabled.push("IMAP4rev2");
                }
                "UTF8=ACCEPT" => {
                    work.modes.utf8 = true;
                    enabled.push("UTF8=ACCEPT");
                }
                "CONDSTORE" => {
                    work.enable_condstore(&mut out);
                    enabled.push("CONDSTORE");
                }
                "QRESYNC" => {
                    work.enable_condstore(&mut out);
                    work.modes.qresync = true;
                    enabled.push("QRESYNC");
                }
                _ => {}
            }
        }
        let line =
            format!("* ENABLED{}\r\n", enabled.iter().map(|name| format!(" {name}")).collect::<String>());
        out.extend_from_slice(line.as_bytes());
        self.connection.queue(&out);
        self.answer(tag, Condition::Ok, None, "ENABLE completed")
    }

    async fn compress(&mut self, tag: &str, mechanism: &str) -> io::Result<Next> {
        if mechanism != "DEFLATE" {
            return Ok(self.answer(tag, Condition::Bad, None, "DEFLATE is the only compression"));
        }
        if self.connection.is_compressed() {
            let code = Code::CompressionActive;
            return Ok(self.answer(tag, Condition::No, Some(&code), "The connection is compressed already"));
        }
        self.answer(tag, Condition::Ok, None, "DEFLATE active");
        self.connection.start_compression().await?;
        Ok(Next::ReadOn)
    }

    async fn start_tls(&mut self, tag: &str) -> io::Result<Next> {
        if self.work.is_some() || self.is_tls() {
            return Ok(self.answer(tag, Condition::Bad, None, "STARTTLS is not possible now"));
        }
        let acceptor = self.services.tls.acceptor().filter(|_| self.offers_starttls());
        let Some(acceptor) = acceptor else {
            return Ok(self.answer(tag, Condition::No, Some(&Code::Unavailable), "TLS is not available"));
        };
        self.answer(tag, Condition::Ok, None, "Begin TLS");
        // What came before the handshake is dropped with the assembler's and the connection's buffers.
        self.assembler = Assembler::new(LIMITS_BEFORE_LOG_IN);
        self.connection.upgrade_to_tls(&acceptor).await.map_err(io::Error::other)?;
        Ok(Next::ReadOn)
    }

    /// IDLE (RFC 2177): changes are told until the client says DONE.
    async fn idle(&mut self, tag: &str) -> io::Result<Next> {
        let folder = self
            .work
            .as_ref()
            .and_then(|work| work.selected.as_ref())
            .map(|selected| Arc::clone(&selected.folder));
        self.connection.queue(b"+ idling\r\n");
        let (watched, mut changed) = match folder {
            Some(folder) => {
                let changed = folder.changed();
                let watched = spawn_blocking(move || folder.watch()).await?;
                (Some(LaidDown(Some(watched))), Some(changed))
            }
            None => (None, None),
        };
        let is_reliable = watched.as_ref().is_none_or(LaidDown::is_reliable);
        let until = tokio::time::Instant::now() + self.limits.idle;
        self.tell_changes().await?;
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    self.bye("The server is shutting down");
                    return Ok(Next::Over);
                }
                line = self.connection.read_line(DONE_BYTES_MAX, until.saturating_duration_since(tokio::time::Instant::now())) => {
                    let is_done = match line {
                        Ok(Line::Text(text, _)) => text.eq_ignore_ascii_case(b"DONE"),
                        Ok(Line::TooLong) => false,
                        Err(ReadError::Timeout(_)) => {
                            self.bye("Nothing was heard for too long");
                            return Ok(Next::Over);
                        }
                        Err(error) => return Err(io::Error::other(error)),
                    };
                    drop(watched);
                    if !is_done {
                        return Ok(self.answer(tag, Condition::Bad, None, "DONE ends IDLE"));
                    }
                    return self.run(running(tag.to_owned(), CommandBody::Idle)).await;
                }
                () = heard(&mut changed) => self.tell_changes().await?,
                () = tokio::time::sleep(LOOK_INTERVAL), if !is_reliable => self.tell_changes().await?,
            }
            if let Some(farewell) = self.work.as_ref().and_then(|work| work.farewell) {
                self.bye(farewell);
                return Ok(Next::Over);
            }
        }
    }

    /// Tells what has happened in the selected folder.
    async fn tell_changes(&mut self) -> io::Result<()> {
        let out = self
            .with_work(|work| {
                let mut out = Vec::new();
                work.sync(&mut out, true);
                out
            })
            .await?;
        self.connection.queue(&out);
        self.connection.flush().await
    }
}

/// A watch that ends on a thread that may wait: the system's watcher may be busy telling of other folders.
struct LaidDown(Option<Watched>);

impl LaidDown {
    fn is_reliable(&self) -> bool {
        self.0.as_ref().is_none_or(Watched::is_reliable)
    }
}

impl Drop for LaidDown {
    fn drop(&mut self) {
        // Outside of the runtime there is nobody who could be kept waiting.
        if let (Some(watched), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn_blocking(move || drop(watched));
        }
    }
}

/// Waits for the next change; for ever where there is none to wait for.
async fn heard(changed: &mut Option<tokio::sync::watch::Receiver<u64>>) {
    if let Some(changed) = changed
        && changed.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// What everybody may hear of.
const BASE_CAPABILITIES: [&str; 7] =
    ["IMAP4rev1", "IMAP4rev2", "LITERAL-", "SASL-IR", "ID", "ENABLE", "IDLE"];

/// What those who are logged in may hear of. Only what works stands here.
const USER_CAPABILITIES: [&str; 29] = [
    "UNSELECT",
    "NAMESPACE",
    "UIDPLUS",
    "MOVE",
    "CHILDREN",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "SPECIAL-USE",
    "CREATE-SPECIAL-USE",
    "STATUS=SIZE",
    "CONDSTORE",
    "QRESYNC",
    "ESEARCH",
    "SEARCHRES",
    "SORT",
    "SORT=DISPLAY",
    "ESORT",
    "THREAD=ORDEREDSUBJECT",
    "THREAD=REFERENCES",
    "QUOTA",
    "QUOTA=RES-STORAGE",
    "METADATA",
    "MULTIAPPEND",
    "BINARY",
    "OBJECTID",
    "UTF8=ACCEPT",
    "COMPRESS=DEFLATE",
    "WITHIN",
    "PREVIEW",
];

fn respond(out: &mut Vec<u8>, tag: Option<&str>, condition: Condition, code: Option<&Code>, text: &str) {
    match tag {
        Some(tag) => encode::tagged(out, tag, condition, code, text),
        None => encode::untagged(out, condition, code, text),
    }
}

/// The job of a command that works on folders.
fn running(tag: String, body: CommandBody) -> Running {
    // RFC 9051 section 7.5.1: no removals while sequence numbers of one command are in use.
    let may_expunge = match &body {
        CommandBody::Fetch(fetch) => fetch.by_uid,
        CommandBody::Store(store) => store.by_uid,
        CommandBody::Search(search) => search.by_uid,
        CommandBody::Sort(sort) => sort.by_uid,
        CommandBody::Thread(thread) => thread.by_uid,
        _ => true,
    };
    let job = job(&tag, body);
    Running { tag, job, may_expunge }
}

fn once(
    work: impl FnOnce(&mut Work, &mut Vec<u8>) -> Result<Progress, Refusal> + Send + 'static,
) -> Box<dyn Job> {
    Box::new(Once(Some(work)))
}

fn job(tag: &str, body: CommandBody) -> Box<dyn Job> {
    match body {
        CommandBody::Select(select) => once(move |work, out| work.select(&select, out)),
        CommandBody::Create { mailbox, special_use } => {
            once(move |work, _| work.create(&mailbox, &special_use))
        }
        CommandBody::Delete(mailbox) => once(move |work, _| work.delete(&mailbox)),
        CommandBody::Rename { from, to } => once(move |work, _| work.rename(&from, &to)),
        CommandBody::Subscribe(mailbox) => once(move |work, _| work.subscribe(&mailbox, true)),
        CommandBody::Unsubscribe(mailbox) => once(move |work, _| work.subscribe(&mailbox, false)),
        CommandBody::List(list) => once(move |work, out| work.list(&list, out)),
        CommandBody::Lsub { reference, pattern } => {
            once(move |work, out| work.lsub(&reference, &pattern, out))
        }
        CommandBody::Namespace => once(|_, out| Ok(Work::namespace(out))),
        CommandBody::Status { mailbox, items } => once(move |work, out| work.status(&mailbox, &items, out)),
        CommandBody::Close => once(|work, _| work.close(true)),
        CommandBody::Unselect => once(|work, _| work.close(false)),
        CommandBody::Expunge { uids } => once(move |work, _| work.expunge(uids.as_ref())),
        CommandBody::Search(search) => Box::new(SearchJob::search(tag, search)),
        CommandBody::Sort(sort) => Box::new(SearchJob::sort(tag, sort)),
        CommandBody::Thread(thread) => Box::new(SearchJob::thread(tag, thread)),
        CommandBody::Fetch(fetch) => Box::new(FetchJob::new(fetch)),
        CommandBody::Store(store) => once(move |work, out| work.store(&store, out)),
        CommandBody::Copy(transfer) => once(move |work, out| work.transfer(&transfer, false, out)),
        CommandBody::Move(transfer) => once(move |work, out| work.transfer(&transfer, true, out)),
        CommandBody::GetQuota(root) => once(move |work, out| match root.as_slice() {
            b"" => work.quota(None, out),
            _ => Err(Refusal::no(Some(Code::NonExistent), "There is no such quota root")),
        }),
        CommandBody::GetQuotaRoot(mailbox) => once(move |work, out| work.quota(Some(&mailbox), out)),
        CommandBody::SetQuota { .. } => {
            once(|_, _| Err(Refusal::no(Some(Code::NoPerm), "Quotas are set by the administrator")))
        }
        CommandBody::GetMetadata(asked) => once(move |work, out| work.metadata(&asked, out)),
        CommandBody::SetMetadata { mailbox, values } => {
            once(move |work, _| work.set_metadata(mailbox.as_ref(), values))
        }
        CommandBody::Check => {
            once(|work, _| work.selected().map(|_| Progress::Done(None, "CHECK completed")))
        }
        CommandBody::Noop => once(|_, _| Ok(Progress::Done(None, "NOOP completed"))),
        CommandBody::Idle => once(|_, _| Ok(Progress::Done(None, "IDLE completed"))),
        // Those that are not for here have been taken out before.
        _ => once(|_, _| Err(Refusal::bad("This command is not supported"))),
    }
}
