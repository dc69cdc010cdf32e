//! The SMTP session: what to do about a command. Pure: no socket, no file, no clock; it never waits.
//!
//! ```text
//! Session { link, helo, identity, transaction, state }          the connection
//! MailTransaction { reverse_path, recipients, ... }             from MAIL to the end of data, RSET, EHLO or STARTTLS
//! ```
//!
//! [`Session::on_command`] gives an [`Action`]. [`Action::Ask`] pauses: the caller finds the [`Answer`] and brings it to
//! [`Session::on_answer`], which gives the next action. One transaction uses one [`Snapshot`], the one of its MAIL.
//! Lines for the smtp log collect in the session until [`Session::take_log`].
//!
//! States are XMail's (`mailflow.md` 3.3): a command in the wrong state drops the transaction and answers 503
//! (decision 8). Every 4yz and 5yz reply and 252 counts as an error and takes `CustomSMTPMessage`; the n-th error of
//! `SMTP-MaxErrors` closes the connection behind its reply.

mod auth;
mod data;
mod filter;
mod mail;

pub use filter::{BadEdit, Edit, FilterRun, is_data_mark};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bstr::{BString, ByteSlice};

use super::command::{Arguments, Chunk, Command, SyntaxError};
use super::reply;
use crate::address::{Domain, ForwardPath, Mailbox, ReversePath};
use crate::auth::{Credentials, Exchange, Mechanism};
use crate::mailroot::authentication::SmtpPerms;
use crate::mailroot::schema::server as variables;
use crate::mailroot::{Account, ServerTab, Snapshot, Step};
use crate::net::dots::BareLf;
use crate::policy::sender::SmtpConfig;
use crate::policy::{Asker, Grant, Recipient, RecipientRefusal, Standing};
use crate::spool::NewMessage;
use crate::status::Reply;

/// One connection.
pub struct Session {
    link: Link,
    /// As at the greeting; a log-in lifts marks and delay.
    standing: Standing,
    /// The name of HELO or EHLO; `None` before it.
    helo: Option<BString>,
    identity: Identity,
    transaction: Option<MailTransaction>,
    state: State,
    errors: u32,
    failed_logins: u32,
    pause: Duration,
    log: Vec<LogLine>,
    /// For [`Session::take_trail`]; `None` in a server that serves.
    trail: Option<Vec<Step>>,
}

/// What the connection is.
#[derive(Clone, Debug)]
pub struct Link {
    /// The client.
    pub peer: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
    /// Whether TLS is on.
    pub is_tls: bool,
    /// The domain of the greeting.
    pub server_domain: String,
    /// The time stamp of the greeting, brackets included: CRAM-MD5's challenge.
    pub stamp: String,
}

/// What a decision may depend on besides the session.
#[derive(Clone, Debug)]
pub struct Context {
    /// The tables as they are now.
    pub snapshot: Arc<Snapshot>,
    /// Whether a TLS handshake would work.
    pub is_tls_available: bool,
    /// `-Sr`.
    pub recipients_max: usize,
}

/// Who the client is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Identity {
    Anonymous,
    /// By POP-before-SMTP; AUTH is still possible.
    PopBeforeSmtp(Login),
    /// By AUTH.
    Authenticated(Login),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Login {
    /// As typed at AUTH, or the account's address.
    name: BString,
    grant: Grant,
}

/// A mail transaction (RFC 5321 §3.3).
#[derive(Debug)]
struct MailTransaction {
    snapshot: Arc<Snapshot>,
    reverse_path: ReversePath,
    /// The MAIL line for the spool file.
    line: BString,
    is_smtputf8: bool,
    size_declared_bytes: u64,
    opening: Opening,
    recipients: Vec<AcceptedRecipient>,
    /// Octets of the chunks so far; `None` before the first BDAT.
    chunks: Option<u64>,
}

/// What MAIL takes from the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The message number, such as `S1F`.
    pub number: String,
    /// The mail date.
    pub date: String,
}

#[derive(Clone, Debug)]
struct AcceptedRecipient {
    /// With the route of `smtpgw.tab`.
    path: ForwardPath,
    /// As the client wrote it.
    given: Mailbox,
    quota: Option<Quota>,
    /// The address of the account it leads to, if it is one of ours.
    account: Option<String>,
}

/// A mailbox that may not grow over a limit.
#[derive(Clone, Debug)]
pub struct Quota {
    /// Whose.
    pub account: Arc<Account>,
    /// `MaxMBSize` in bytes.
    pub bytes_max: u64,
}

enum State {
    /// The next line is a command.
    Command,
    /// The next line answers a challenge.
    Sasl { mechanism: Mechanism, exchange: Exchange },
    /// Mail data or a chunk comes.
    Receiving { chunk: Option<Chunk> },
    /// A question is open.
    Waiting(Waiting),
}

/// What the answer to the open question is for.
#[derive(Debug)]
enum Waiting {
    SenderDomain(mail::Draft),
    PopBeforeSmtp(mail::Draft),
    Opening(mail::Draft),
    Recipient(Mailbox),
    RecipientFilter(AcceptedRecipient),
    PreDataFilter(Option<Chunk>),
    PostDataFilter(u64),
    Submission(u64),
    Login { mechanism: Mechanism, user: BString },
    Verification,
    QueueFlush(String),
}

/// What to do next.
#[derive(Debug)]
pub enum Action {
    /// Send it, then read the next line.
    Reply(Reply),
    /// Find the answer and bring it to [`Session::on_answer`].
    Ask(Box<Question>),
    /// Send it, stream mail data, then [`Session::on_data`].
    ReceiveData(Reply, Intake),
    /// Stream this chunk into the same data as the chunks before it, then [`Session::on_data`].
    ReceiveChunk(Chunk, Intake),
    /// Read so many octets and forget them, then send the reply.
    SkipChunk(u64, Reply),
    /// Send it, shake hands, then [`Session::on_tls`].
    StartTls(Reply),
    /// Send it and hang up.
    Close(Reply),
}

/// How mail data is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intake {
    /// More is read to its end, but not kept. `None`: no limit.
    pub bytes_max: Option<u64>,
    /// `SMTP-BareLF`.
    pub bare_lf: BareLf,
}

/// How receiving went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// All octets of the message so far, as stored.
    pub bytes: u64,
    /// What is wrong with them, if anything.
    pub fault: Option<DataFault>,
}

/// Why received data cannot become mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataFault {
    /// More than [`Intake::bytes_max`].
    TooBig,
    /// NUL, or bare CR or LF that is to be refused.
    BadContent,
    /// It could not be written.
    Spool(SpoolFailure),
}

/// What the disk did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpoolFailure {
    /// There is no room.
    DiskFull,
    /// Anything else.
    Disk,
}

/// What a session cannot know by itself.
#[derive(Debug)]
pub enum Question {
    /// Whether mail could be sent to the domain.
    SenderDomain(Domain),
    /// Whether this sender's account logged in by POP3 from the client's address.
    PopBeforeSmtp {
        /// The tables.
        snapshot: Arc<Snapshot>,
        /// The sender.
        sender: Mailbox,
    },
    /// A message number and the date.
    Open,
    /// Whether credentials are right, and what they grant.
    Login {
        /// The tables.
        snapshot: Arc<Snapshot>,
        /// How they came.
        mechanism: Mechanism,
        /// What the client showed.
        credentials: Credentials,
    },
    /// Whether a recipient is accepted.
    Recipient {
        /// The tables.
        snapshot: Arc<Snapshot>,
        /// The recipient without a route.
        mailbox: Mailbox,
        /// Who asks.
        asker: Asker,
        /// The size from MAIL's SIZE=, 0 when there was none.
        size_bytes: u64,
    },
    /// Who an address is, for VRFY.
    Verify {
        /// The tables.
        snapshot: Arc<Snapshot>,
        /// The address.
        mailbox: Mailbox,
    },
    /// Let waiting messages go whose first path part fits the pattern (ETRN).
    FlushQueue(String),
    /// What the programs of an SMTP filter table say.
    Filter(Box<FilterRun>),
    /// Put the data received into the spool.
    Submit(Submission),
}

/// When an SMTP filter runs (`mailflow.md` 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterPoint {
    /// `filters.post-rcpt.tab`.
    PostRcpt,
    /// `filters.pre-data.tab`.
    PreData,
    /// `filters.post-data.tab`.
    PostData,
}

/// What an SMTP filter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterVerdict {
    /// Go on.
    Accept,
    /// Go on with what the filter made of it; after the data only.
    Edited(Edit),
    /// A filter does not work and mail is to wait (decision 12), or left something unusable.
    Unavailable,
    /// Refuse, with the reply of the `.rej` file if there is one.
    Reject(Option<Reply>),
}

/// A complete message.
#[derive(Debug)]
pub struct Submission {
    /// One per recipient.
    pub messages: Vec<NewMessage>,
    /// The mailboxes with limits.
    pub quotas: Vec<(Mailbox, Quota)>,
}

/// The other side of [`Question`], variant by variant.
#[derive(Debug)]
pub enum Answer {
    /// See [`Question::SenderDomain`]; `None`: the DNS does not say.
    SenderDomain(Option<bool>),
    /// The account's address and what it grants.
    PopBeforeSmtp(Option<(String, Grant)>),
    /// See [`Question::Open`].
    Open(Result<Opening, SpoolFailure>),
    /// See [`Question::Login`].
    Login(LoginVerdict),
    /// See [`Question::Recipient`].
    Recipient(Result<Recipient, RecipientRefusal>),
    /// `None`: nobody.
    Verify(Option<Verified>),
    /// Done.
    FlushQueue,
    /// See [`Question::Filter`].
    Filter(FilterVerdict),
    /// **`Ok`: the message is on stable storage.**
    Submit(Result<(), SubmitFailure>),
}

/// Whether credentials were right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginVerdict {
    /// They were.
    Granted(Grant),
    /// Wrong password or unknown user: the same answer.
    Refused,
    /// Nobody could tell.
    Unavailable,
}

/// Who an address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// An account.
    Account {
        /// `RealName`, or `Unknown`.
        real_name: String,
        /// The real account's address.
        address: String,
    },
    /// A command alias.
    CommandAlias {
        /// The address asked for.
        address: String,
    },
}

/// Why a message is not in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitFailure {
    /// No recipient's mailbox can take it; the first of them (decision 9).
    MailboxFull(Mailbox),
    /// The disk's fault.
    Spool(SpoolFailure),
}

/// Columns of the smtp log that the session knows (`mailflow.md` 15).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLine {
    /// HELO name.
    pub helo: BString,
    /// Domain of the last accepted recipient.
    pub recipient_domain: String,
    /// Envelope sender.
    pub sender: String,
    /// Recipient.
    pub recipient: String,
    /// Message number.
    pub number: String,
    /// Status, such as `RCPT=OK`.
    pub status: String,
    /// Log-in name.
    pub login: BString,
    /// Octets, or 0.
    pub size_bytes: u64,
}

impl Session {
    /// A session behind its greeting.
    pub fn new(link: Link, standing: Standing) -> Self {
        Self {
            link,
            standing,
            helo: None,
            identity: Identity::Anonymous,
            transaction: None,
            state: State::Command,
            errors: 0,
            failed_logins: 0,
            pause: Duration::ZERO,
            log: Vec::new(),
            trail: None,
        }
    }

    /// The same session, which notes the reasons of its decisions.
    #[must_use]
    pub fn with_trail(self) -> Self {
        Self { trail: Some(Vec::new()), ..self }
    }

    /// The reasons noted since the last call.
    pub fn take_trail(&mut self) -> Vec<Step> {
        self.trail.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The log lines since the last call.
    pub fn take_log(&mut self) -> Vec<LogLine> {
        std::mem::take(&mut self.log)
    }

    /// How long the reply has to wait (failed log-ins); once.
    pub fn take_pause(&mut self) -> Duration {
        std::mem::take(&mut self.pause)
    }

    /// How long each command has to wait.
    pub fn command_delay(&self) -> Duration {
        if self.login().is_some() { Duration::ZERO } else { self.standing.delay }
    }

    /// Whether the next line answers a challenge and is not a command: give it to [`Session::on_response`].
    pub fn expects_response(&self) -> bool {
        matches!(self.state, State::Sasl { .. })
    }

    /// Whether chunks of a message were received and more are to come: what was received is still needed.
    pub fn is_chunking(&self) -> bool {
        self.transaction.as_ref().is_some_and(|open| open.chunks.is_some())
    }

    /// Decides about a command line.
    pub fn on_command(&mut self, command: Result<Command, SyntaxError>, context: &Context) -> Action {
        let command = match command {
            Ok(command) => command,
            Err(SyntaxError::Unrecognized) => return self.say(reply::unrecognized(), context),
            Err(SyntaxError::TooLong) => return self.on_long_line(context),
            Err(SyntaxError::NotAscii) => return self.say(reply::bad_arguments(), context),
        };
        match command {
            Command::Helo(name) => self.on_hello(&name, Hello::Helo, context),
            Command::Ehlo(name) => self.on_hello(&name, Hello::Ehlo, context),
            Command::StartTls => self.on_starttls(context),
            Command::Auth(arguments) => self.on_auth(&arguments, context),
            Command::Mail(mail) => self.on_mail(mail, context),
            Command::Rcpt(rcpt) => self.on_rcpt(rcpt, context),
            Command::Data => self.on_data_command(context),
            Command::Bdat(chunk) => self.on_bdat(chunk, context),
            Command::Rset => {
                self.transaction = None;
                self.say(reply::ok(), context)
            }
            Command::Noop => self.say(reply::ok(), context),
            Command::Help => {
                let has_starttls = self.offers_starttls(context) || self.link.is_tls;
                self.say(reply::help(has_starttls), context)
            }
            Command::Vrfy(arguments) => self.on_vrfy(&arguments, context),
            Command::Etrn(arguments) => self.on_etrn(&arguments, context),
            Command::Quit => Action::Close(reply::goodbye()),
        }
    }

    /// The line was longer than any line may be.
    pub fn on_long_line(&mut self, context: &Context) -> Action {
        if self.expects_response() {
            return self.on_long_response(context);
        }
        self.say(reply::line_too_long(), context)
    }

    /// Goes on with the answer to the open question.
    pub fn on_answer(&mut self, answer: Answer, context: &Context) -> Action {
        let State::Waiting(waiting) = std::mem::replace(&mut self.state, State::Command) else {
            return self.abort(context);
        };
        match (waiting, answer) {
            (Waiting::SenderDomain(draft), Answer::SenderDomain(found)) => {
                self.on_sender_domain(draft, found, context)
            }
            (Waiting::PopBeforeSmtp(draft), Answer::PopBeforeSmtp(found)) => {
                self.on_pop_before_smtp(draft, found, context)
            }
            (Waiting::Opening(draft), Answer::Open(opening)) => self.on_opening(draft, opening, context),
            (Waiting::Recipient(given), Answer::Recipient(verdict)) => {
                self.on_recipient(given, verdict, context)
            }
            (Waiting::RecipientFilter(recipient), Answer::Filter(verdict)) => {
                self.on_recipient_filter(recipient, verdict, context)
            }
            (Waiting::PreDataFilter(chunk), Answer::Filter(verdict)) => {
                self.on_pre_data_filter(chunk, verdict, context)
            }
            (Waiting::PostDataFilter(bytes), Answer::Filter(verdict)) => {
                self.on_post_data_filter(bytes, verdict, context)
            }
            (Waiting::Submission(bytes), Answer::Submit(result)) => self.on_submitted(bytes, result, context),
            (Waiting::Login { mechanism, user }, Answer::Login(verdict)) => {
                self.on_login(mechanism, user, verdict, context)
            }
            (Waiting::Verification, Answer::Verify(found)) => {
                let reply = found.as_ref().map_or_else(reply::verified_nothing, reply::verified);
                self.say(reply, context)
            }
            (Waiting::QueueFlush(pattern), Answer::FlushQueue) => {
                self.say(reply::queue_started(&pattern), context)
            }
            _ => self.abort(context),
        }
    }

    /// The handshake succeeded: everything the client said before is forgotten (RFC 3207 §4.2). What we know of its
    /// address stays, and so does the number of its errors.
    pub fn on_tls(&mut self) {
        self.link.is_tls = true;
        self.helo = None;
        self.identity = Identity::Anonymous;
        self.transaction = None;
        self.state = State::Command;
    }

    /// The handshake failed; for the log.
    pub fn on_tls_failure(&mut self) {
        self.note("SMTP=ESSL", "");
    }

    fn on_hello(&mut self, arguments: &Arguments, kind: Hello, context: &Context) -> Action {
        let is_authenticated = matches!(self.identity, Identity::Authenticated(_));
        if self.transaction.is_some() || is_authenticated {
            self.transaction = None;
            return self.say(reply::hello_out_of_sequence(), context);
        }
        let Some(name) = arguments.only() else {
            return self.say(reply::bad_hello(), context);
        };
        let Some(root_domain) = context.snapshot.server.root_domain() else {
            return self.say(reply::aborted_with(reply::NO_ROOT_DOMAIN), context);
        };
        self.helo = Some(name.into());
        let mut lines = vec![root_domain.to_owned()];
        if kind == Hello::Ehlo {
            lines.extend(self.extensions(context));
        }
        self.say(reply::hello(lines), context)
    }

    /// XMail's lines in XMail's order; ours stand before SIZE, so that the recorded last line stays the last.
    fn extensions(&self, context: &Context) -> Vec<String> {
        let server = &context.snapshot.server;
        let mut lines = Vec::new();
        // Decision 6: only what would work for this client.
        if self.may_verify(server) {
            lines.push("VRFY".to_owned());
        }
        if self.may_flush(server) {
            lines.push("ETRN".to_owned());
        }
        lines.extend(["8BITMIME", "PIPELINING"].map(str::to_owned));
        let mechanisms = self.advertised_mechanisms(&context.snapshot);
        if !mechanisms.is_empty() {
            lines.push(format!("AUTH {}", mechanisms.join(" ")));
        }
        lines.extend(["ENHANCEDSTATUSCODES", "SMTPUTF8", "CHUNKING"].map(str::to_owned));
        lines.push(match server.kilobytes(&variables::MAX_MESSAGE_SIZE) {
            Some(bytes) => format!("SIZE {bytes}"),
            None => "SIZE".to_owned(),
        });
        if self.offers_starttls(context) {
            lines.push("STARTTLS".to_owned());
        }
        lines
    }

    fn offers_starttls(&self, context: &Context) -> bool {
        let enabled = context.snapshot.server.flag(&variables::ENABLE_SMTP_TLS);
        !self.link.is_tls && enabled && context.is_tls_available
    }

    fn on_starttls(&mut self, context: &Context) -> Action {
        if !context.snapshot.server.flag(&variables::ENABLE_SMTP_TLS) {
            return self.say(reply::no_tls(), context);
        }
        if self.link.is_tls || !context.is_tls_available {
            return self.say(reply::no_tls_now(), context);
        }
        Action::StartTls(reply::start_tls())
    }

    fn on_vrfy(&mut self, arguments: &Arguments, context: &Context) -> Action {
        if !self.may_verify(&context.snapshot.server) {
            self.note_access("VRFY=EACCESS");
            return self.say(reply::not_verified(), context);
        }
        let mailbox = arguments.only().and_then(|text| Mailbox::parse(text).ok());
        let Some(mailbox) = mailbox else {
            return self.say(reply::bad_arguments(), context);
        };
        let question = Question::Verify { snapshot: Arc::clone(&context.snapshot), mailbox };
        self.ask(Waiting::Verification, question)
    }

    fn on_etrn(&mut self, arguments: &Arguments, context: &Context) -> Action {
        if !self.may_flush(&context.snapshot.server) {
            self.note_access("ETRN=EACCESS");
            return self.say(reply::etrn_not_accepted(), context);
        }
        let Some(pattern) = arguments.only().and_then(|text| text.to_str().ok()) else {
            return self.say(reply::bad_arguments(), context);
        };
        let pattern = pattern.to_owned();
        self.ask(Waiting::QueueFlush(pattern.clone()), Question::FlushQueue(pattern))
    }

    fn may_verify(&self, server: &ServerTab) -> bool {
        let properties = self.standing.properties;
        server.flag(&variables::ALLOW_SMTP_VRFY) || properties.enable_vrfy || self.perms().vrfy
    }

    fn may_flush(&self, server: &ServerTab) -> bool {
        let properties = self.standing.properties;
        server.flag(&variables::ALLOW_SMTP_ETRN) || properties.enable_etrn || self.perms().etrn
    }

    fn login(&self) -> Option<&Login> {
        match &self.identity {
            Identity::Anonymous => None,
            Identity::PopBeforeSmtp(login) | Identity::Authenticated(login) => Some(login),
        }
    }

    fn perms(&self) -> SmtpPerms {
        self.login().map(|login| login.grant.perms).unwrap_or_default()
    }

    fn config(&self, server: &ServerTab) -> SmtpConfig {
        SmtpConfig::of(server, self.link.local)
    }

    /// The standing that counts now: permissions, even none, lift marks and delay (`mailflow.md` 3.4).
    fn standing(&self) -> Standing {
        let mut standing = self.standing.clone();
        if self.login().is_some() {
            standing.forgive();
        }
        standing
    }

    fn bytes_max(&self, server: &ServerTab) -> Option<u64> {
        self.login().map(|login| login.grant.size).unwrap_or_default().bytes_max(server)
    }

    /// A command in the wrong state: the transaction is gone (decision 8).
    fn out_of_sequence(&mut self, context: &Context) -> Action {
        self.transaction = None;
        self.say(reply::out_of_sequence(), context)
    }

    fn abort(&mut self, context: &Context) -> Action {
        self.transaction = None;
        self.say(reply::local_error(SpoolFailure::Disk), context)
    }

    /// Every reply leaves through here: errors are counted and suffixed.
    fn say(&mut self, reply: Reply, context: &Context) -> Action {
        if !is_error(&reply) {
            return Action::Reply(reply);
        }
        let server = &context.snapshot.server;
        let reply = reply::with_suffix(reply, server);
        self.errors += 1;
        if i64::from(self.errors) == server.integer(&variables::SMTP_MAX_ERRORS) {
            self.note("SMTP=EERRS", "");
            return Action::Close(reply);
        }
        Action::Reply(reply)
    }

    fn ask(&mut self, waiting: Waiting, question: Question) -> Action {
        self.state = State::Waiting(waiting);
        Action::Ask(Box::new(question))
    }

    fn note(&mut self, status: &str, recipient: &str) {
        let line = self.log_line(status, recipient);
        self.log.push(line);
    }

    /// VRFY and ETRN lines have no sender, even inside a transaction (golden `smtp_opt_popbeforesmtp`).
    fn note_access(&mut self, status: &str) {
        let line = LogLine { sender: String::new(), ..self.log_line(status, "") };
        self.log.push(line);
    }

    fn log_line(&self, status: &str, recipient: &str) -> LogLine {
        let mut line = LogLine {
            helo: self.helo.clone().unwrap_or_default(),
            recipient: recipient.to_owned(),
            status: status.to_owned(),
            login: self.login().map(|login| login.name.clone()).unwrap_or_default(),
            ..LogLine::default()
        };
        if let Some(transaction) = &self.transaction {
            line.sender = transaction.reverse_path.to_string();
            line.number = transaction.opening.number.clone();
            let last = transaction.recipients.last();
            line.recipient_domain = last.map(|last| last.given.domain.to_string()).unwrap_or_default();
        }
        line
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hello {
    Helo,
    Ehlo,
}

/// Whether XMail counts the reply as an error (`mailflow.md` 3.3, column E).
fn is_error(reply: &Reply) -> bool {
    reply.code >= 400 || reply.code == NOT_VERIFIED
}

const NOT_VERIFIED: u16 = 252;

#[cfg(test)]
mod tests;
