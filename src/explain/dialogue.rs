//! A client's commands, told to a real session; its questions are answered by the functions that answer them in a
//! server, with a trail.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::way;
use super::{Chapter, Client, ExplainError, Explanation, Heading, Outcome, Settings};
use crate::address::Mailbox;
use crate::auth::Mechanism;
use crate::delivery::{Message, OwnCommands};
use crate::dns::Presence;
use crate::mailroot::trail::DnsQuestion;
use crate::mailroot::{Citation, Fact, Snapshot, Step, Trail as _};
use crate::net;
use crate::policy::Grant;
use crate::smtp::answers::{self, blocking};
use crate::smtp::command::parse;
use crate::smtp::greeting::admit;
use crate::smtp::reply;
use crate::smtp::session::{
    Action, Answer, Context, FilterRun, FilterVerdict, Link, LoginVerdict, Opening, Question, Received,
    Session, Submission, SubmitFailure,
};
use crate::status::Reply;

/// How far a dialogue goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// To the reply to RCPT.
    Recipient,
    /// Through the data and on to where the message ends up.
    Delivery,
}

/// The message number of a message that will never be. XMail's begin with a letter for their origin.
const NUMBER: &str = "S0";

pub(super) async fn explain(
    settings: &Settings,
    client: &Client,
    recipient: &str,
    until: Until,
) -> Result<Explanation, ExplainError> {
    let mut chapters = Vec::new();
    let session = match connect(settings, client, &mut chapters).await {
        Ok(session) => session,
        Err(reply) => return Ok(ended(chapters, Outcome::Refused(reply))),
    };
    let mut dialogue = Dialogue { settings, client, session, chapters, submission: None };
    let refused = dialogue.converse(recipient, until).await?;
    let Dialogue { mut chapters, submission, .. } = dialogue;
    if let Some(reply) = refused {
        return Ok(ended(chapters, Outcome::Refused(reply)));
    }
    let heard = |chapter: &Chapter| chapter.reply.clone().filter(|_| chapter.is_about_recipient());
    let recipient = chapters.iter().find(|chapter| chapter.is_about_recipient());
    let known = recipient.map(|chapter| chapter.steps.clone()).unwrap_or_default();
    let outcome = Outcome::Accepted(recipient.and_then(heard).unwrap_or_else(reply::ok));
    let (mut destinations, first_delivery) = (Vec::new(), chapters.len());
    for message in submission.iter().flat_map(|submission| &submission.messages) {
        let header = &message.header;
        let (Ok(sender), Ok(recipient)) = (header.reverse_path(), header.forward_path()) else { continue };
        let (client_address, server) = (header.client().to_owned(), header.server().to_owned());
        let is_authenticated = client.login.is_some();
        let content = client.content.clone();
        let message =
            Message { sender, recipient, client: client_address, server, is_authenticated, content };
        destinations.extend(way::follow(settings, message, OwnCommands::default(), &mut chapters).await?);
    }
    if let Some(delivery) = chapters.get_mut(first_delivery) {
        // What RCPT has told already about the same address is not told again.
        delivery.steps.retain(|step| !known.contains(step));
    }
    Ok(Explanation { chapters, outcome, destinations })
}

fn ended(chapters: Vec<Chapter>, outcome: Outcome) -> Explanation {
    Explanation { chapters, outcome, destinations: Vec::new() }
}

/// Admission; the reply instead of a greeting when there is none.
async fn connect(
    settings: &Settings,
    client: &Client,
    chapters: &mut Vec<Chapter>,
) -> Result<Session, Reply> {
    let snapshot = &settings.snapshot;
    let mut steps = Vec::new();
    let peer = client.peer.ip().to_canonical();
    let resolver = settings.resolver.as_ref().filter(|_| settings.asks_about_peer);
    let admitted = admit(resolver, snapshot, peer, client.local, &mut steps).await;
    let heading = Heading::Connect(client.peer);
    match admitted {
        Err(refusal) => {
            let reply = reply::refused(&refusal, &snapshot.server);
            chapters.push(Chapter { heading, steps, reply: Some(reply.clone()) });
            Err(reply)
        }
        Ok(admission) => {
            chapters.push(Chapter { heading, steps, reply: None });
            let stamp = net::stamp(settings.clock.unix_secs(), &admission.server_domain);
            let link = Link {
                peer: client.peer,
                local: client.local,
                is_tls: client.is_tls,
                server_domain: admission.server_domain,
                stamp,
            };
            Ok(Session::new(link, admission.standing).with_trail())
        }
    }
}

/// One session and what it was told.
struct Dialogue<'a> {
    settings: &'a Settings,
    client: &'a Client,
    session: Session,
    chapters: Vec<Chapter>,
    submission: Option<Submission>,
}

impl Dialogue<'_> {
    /// The commands of a client that wants to send one message; ends with the first refusal.
    async fn converse(&mut self, recipient: &str, until: Until) -> Result<Option<Reply>, ExplainError> {
        let helo = format!("EHLO {}", self.client.helo);
        let greeting = self.command(&helo).await?;
        if !greeting.is_positive() {
            return Ok(Some(greeting));
        }
        if let Some(login) = &self.client.login {
            let reply = self.log_in(login, &greeting).await?;
            if !reply.is_positive() {
                return Ok(Some(reply));
            }
        }
        let mut mail = format!("MAIL FROM:<{}>", self.client.sender);
        if self.client.size_bytes > 0 {
            mail.push_str(&format!(" SIZE={}", self.client.size_bytes));
        }
        if !self.client.sender.is_ascii() || !recipient.is_ascii() {
            mail.push_str(" SMTPUTF8");
        }
        let mut commands = vec![mail, format!("RCPT TO:<{recipient}>")];
        if until == Until::Delivery {
            commands.push("DATA".to_owned());
        }
        for command in commands {
            let reply = self.command(&command).await?;
            if !reply.is_positive() {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// AUTH with a mechanism that is offered; what the client shows does not matter.
    async fn log_in(&mut self, login: &str, greeting: &Reply) -> Result<Reply, ExplainError> {
        let offered = offered_mechanisms(greeting);
        let known = [Mechanism::Plain, Mechanism::Login, Mechanism::CramMd5];
        let usable = known.into_iter().find(|known| offered.iter().any(|name| name == known.name()));
        let mechanism = usable.unwrap_or(Mechanism::Plain);
        let initial = format!("\0{login}\0?");
        let (first, then) = match mechanism {
            Mechanism::Plain => (format!("AUTH PLAIN {}", BASE64.encode(initial)), Vec::new()),
            Mechanism::Login => ("AUTH LOGIN".to_owned(), vec![login.to_owned(), "?".to_owned()]),
            Mechanism::CramMd5 => ("AUTH CRAM-MD5".to_owned(), vec![format!("{login} {}", "0".repeat(32))]),
        };
        let shown = format!("AUTH {} as {login}", mechanism.name());
        let mut reply = self.tell(&first).await?;
        for response in then {
            if !self.session.expects_response() {
                break;
            }
            let action = self.session.on_response(BASE64.encode(response).as_bytes(), &self.context());
            reply = self.perform(action).await?;
        }
        self.close_chapter(shown, &reply);
        Ok(reply)
    }

    async fn command(&mut self, line: &str) -> Result<Reply, ExplainError> {
        self.chapters.push(Chapter {
            heading: Heading::Command(line.to_owned()),
            steps: Vec::new(),
            reply: None,
        });
        let action = self.session.on_command(parse(line.as_bytes()), &self.context());
        let reply = self.perform(action).await?;
        if let Some(chapter) = self.chapters.last_mut() {
            chapter.reply = Some(reply.clone());
        }
        Ok(reply)
    }

    /// A command whose words are not to be shown.
    async fn tell(&mut self, line: &str) -> Result<Reply, ExplainError> {
        self.chapters.push(Chapter {
            heading: Heading::Command(String::new()),
            steps: Vec::new(),
            reply: None,
        });
        let action = self.session.on_command(parse(line.as_bytes()), &self.context());
        self.perform(action).await
    }

    fn close_chapter(&mut self, shown: String, reply: &Reply) {
        if let Some(chapter) = self.chapters.last_mut() {
            chapter.heading = Heading::Command(shown);
            chapter.reply = Some(reply.clone());
        }
    }

    fn context(&self) -> Context {
        Context {
            snapshot: Arc::clone(&self.settings.snapshot),
            is_tls_available: self.settings.is_tls_available,
            recipients_max: self.settings.recipients_max,
        }
    }

    fn note(&mut self, steps: Vec<Step>) {
        if let Some(chapter) = self.chapters.last_mut() {
            chapter.extend(steps);
        }
    }

    /// What the server does until it has a reply.
    async fn perform(&mut self, mut action: Action) -> Result<Reply, ExplainError> {
        loop {
            let noted = self.session.take_trail();
            self.note(noted);
            action = match action {
                Action::Reply(reply)
                | Action::Close(reply)
                | Action::StartTls(reply)
                | Action::SkipChunk(_, reply) => return Ok(reply),
                Action::ReceiveData(..) | Action::ReceiveChunk(..) => {
                    let received = Received { bytes: self.client.size_bytes, fault: None };
                    self.session.on_data(received, &self.context())
                }
                Action::Ask(question) => {
                    let (answer, steps) = self.answer(*question).await?;
                    self.note(steps);
                    self.session.on_answer(answer, &self.context())
                }
            };
        }
    }

    async fn answer(&mut self, question: Question) -> Result<(Answer, Vec<Step>), ExplainError> {
        let mut steps = Vec::new();
        let answer = match question {
            Question::SenderDomain(domain) => {
                Answer::SenderDomain(self.sender_domain(domain.as_str(), &mut steps).await)
            }
            // Where accounts of others log in from is theirs to know.
            Question::PopBeforeSmtp { sender, .. } if self.is_hidden(&sender) => Answer::PopBeforeSmtp(None),
            Question::PopBeforeSmtp { snapshot, sender } => {
                let (clock, lifetime) = (self.settings.clock.clone(), self.settings.pop_auth_lifetime);
                let peer = self.client.peer.ip().to_canonical();
                let found = on_disk(move |trail| {
                    answers::pop_before_smtp(&snapshot, &sender, peer, &clock, lifetime, trail)
                });
                return found.await.map(|(found, steps)| (Answer::PopBeforeSmtp(found), steps));
            }
            Question::Open => {
                let date = self.settings.clock.mail_date();
                Answer::Open(Ok(Opening { number: NUMBER.to_owned(), date }))
            }
            Question::Login { snapshot, mechanism, credentials } => {
                let user = credentials.user().to_owned();
                let verdict = on_disk(move |trail| login(&snapshot, mechanism, &user, trail)).await?;
                return Ok((Answer::Login(verdict.0), verdict.1));
            }
            Question::Recipient { snapshot, mailbox, asker, size_bytes } => {
                let mailboxes = self.settings.mailboxes.clone();
                let verdict = on_disk(move |trail| {
                    answers::accept(&snapshot, &mailboxes, &mailbox, &asker, size_bytes, trail)
                });
                return verdict.await.map(|(verdict, steps)| (Answer::Recipient(verdict), steps));
            }
            Question::Filter(run) => {
                note_filters(&run, &mut steps);
                Answer::Filter(FilterVerdict::Accept)
            }
            Question::Submit(submission) => Answer::Submit(self.submit(submission).await?),
            // Nobody asks for these here.
            Question::Verify { .. } => Answer::Verify(None),
            Question::FlushQueue(_) => Answer::FlushQueue,
        };
        Ok((answer, steps))
    }

    fn is_hidden(&self, mailbox: &Mailbox) -> bool {
        let within = self.settings.within.as_ref();
        within.is_some_and(|within| within.is_foreign(&self.settings.snapshot, mailbox))
    }

    async fn sender_domain(&self, domain: &str, steps: &mut Vec<Step>) -> Option<bool> {
        let Some(resolver) = &self.settings.resolver else {
            steps.note(|| Step::new(Fact::NotAsked(DnsQuestion::Reachable(domain.to_owned()))));
            return Some(true);
        };
        match resolver.has_mx_or_address(domain).await {
            Presence::Yes => Some(true),
            Presence::No => Some(false),
            Presence::Unknown(_) => None,
        }
    }

    /// The last look at mailboxes; nothing is put into the spool.
    async fn submit(&mut self, submission: Submission) -> Result<Result<(), SubmitFailure>, ExplainError> {
        let (mailboxes, quotas) = (self.settings.mailboxes.clone(), submission.quotas.clone());
        let (recipients, bytes) = (submission.messages.len(), self.client.size_bytes);
        let fits = on_disk(move |_| answers::fits(&mailboxes, &quotas, recipients, bytes)).await?.0;
        if fits.is_ok() {
            self.submission = Some(submission);
        }
        Ok(fits)
    }
}

/// What the log-in grants when its password is right: everything else is decided by the server's function.
fn login(snapshot: &Snapshot, mechanism: Mechanism, user: &[u8], trail: &mut Vec<Step>) -> LoginVerdict {
    let name = || String::from_utf8_lossy(user).into_owned();
    if let Some(row) = snapshot.smtp_ext_auth.for_mechanism(mechanism.name()) {
        let mechanism = mechanism.name().to_owned();
        trail.note(|| Step::new(Fact::ExternalLogin { mechanism }).by("smtpextauth.tab", row.line));
        return LoginVerdict::Granted(Grant::default());
    }
    let mut without_password = None;
    let account = |domain: &str, name: &str| {
        let account = snapshot.account(domain, name)?;
        if account.password.is_empty() {
            without_password = Some(Arc::clone(account));
            return None;
        }
        Some(Arc::clone(account))
    };
    let mut by_row = None;
    let row = |user: &[u8]| {
        by_row = snapshot.smtp_auth.find(user).next().map(|row| (row.line, row.perms));
        by_row.map(|(_, perms)| perms)
    };
    let grant = answers::granted(snapshot, user, account, row, trail);
    if let Some(account) = without_password {
        let fact = Fact::NoPassword { account: account.address() };
        trail.note(|| Step::new(fact).by("mailusers.tab", account.line));
    }
    if let Some((line, perms)) = by_row {
        trail.note(|| Step::new(Fact::Login { name: name(), perms }).by("smtpauth.tab", line));
    }
    match grant {
        Some(grant) => LoginVerdict::Granted(grant),
        None => {
            trail.note(|| Step::new(Fact::NoLogin { name: name() }));
            LoginVerdict::Refused
        }
    }
}

fn note_filters(run: &FilterRun, steps: &mut Vec<Step>) {
    let (file, programs) = run.programs();
    for row in programs.rows().iter().filter(|row| run.subject.exclusion(row.flags).is_none()) {
        let fact = Fact::SmtpFilter { program: row.program.to_string() };
        steps.push(Step { fact, rows: vec![Citation::new(Path::new(file), row.line)], near: Vec::new() });
    }
}

fn offered_mechanisms(greeting: &Reply) -> Vec<String> {
    let text = String::from_utf8_lossy(&greeting.to_wire()).into_owned();
    let line = text.lines().find_map(|line| line.get(4..)?.strip_prefix("AUTH "));
    line.map(|names| names.split(' ').map(str::to_owned).collect()).unwrap_or_default()
}

/// Runs what may block on a thread of its own, with a trail.
pub(super) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce(&mut Vec<Step>) -> T + Send + 'static,
) -> Result<(T, Vec<Step>), ExplainError> {
    let done = blocking(move || {
        let mut trail = Vec::new();
        let result = work(&mut trail);
        (result, trail)
    });
    done.await.ok_or(ExplainError::Interrupted)
}
