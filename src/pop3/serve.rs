//! Sockets, disk and time around [`Session`]: the only place here with tokio.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::admission::refusal;
use super::command::{LINE_BYTES_MAX, parse};
use super::login::{OpenMailbox, Visitor, log_in};
use super::outside::{self, Verdict};
use super::reply::{Reply, number};
use super::session::{
    Action, Answer, BadLogin, Farewell, LogIn, Proof, Session, Tls, greeting, unable_to_open,
};
use super::top::Top;
use crate::clock::Clock;
use crate::dns::Resolver;
use crate::entrance::{self, Desk, Face, Guest, fresh};
use crate::logs::{LogKind, Logs};
use crate::mailbox::Mailboxes;
use crate::mailroot::access::IpMap;
use crate::mailroot::schema::server as variables;
use crate::mailroot::{Snapshot, Tables};
use crate::net::dots::{END_OF_DATA, ToCrlf, Transform};
use crate::net::tls::TlsStore;
use crate::net::{Connection, Door, Line, plain_ip};
use crate::policy::admission::{Unwelcome, logged_password};

/// What the sessions work with.
#[derive(Clone, Debug)]
pub struct Services {
    /// The tables.
    pub tables: Tables,
    /// The mailboxes. Stale locks must have been removed: [`Mailboxes::remove_stale_locks`].
    pub mailboxes: Mailboxes,
    /// Asked for the name of our own address.
    pub resolver: Resolver,
    /// For greetings and logs.
    pub clock: Clock,
    /// The `pop3` log.
    pub logs: Logs,
    /// For POP3S and STLS.
    pub tls: Arc<TlsStore>,
}

/// Options of the service (`mailflow.md` 1.1); POP3S has those of POP3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `-Pt`: how long a client may take for its next command.
    pub idle: Duration,
    /// `-Pw`: the first pause after a failed log-in; doubled at each further one of a session.
    pub bad_login_pause: Duration,
    /// `-Ph`: hang up after a failed log-in instead.
    pub hang_on_bad_login: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(90),
            bad_login_pause: Duration::from_secs(5),
            hang_on_bad_login: false,
        }
    }
}

/// Serves a listener until its stop. Then every session finishes its command, is told so and closed without removing
/// anything; returns when the last is over. A session may still be sending to a slow client for long: the caller
/// decides how long it waits.
pub async fn serve(door: Door, services: Arc<Services>, limits: Limits, stop: CancellationToken) {
    entrance::serve(door, Pop3 { services, limits }, stop).await;
}

/// The protocol, for the entrance.
struct Pop3 {
    services: Arc<Services>,
    limits: Limits,
}

impl Face for Pop3 {
    const PROTOCOL: &'static str = "POP3";

    fn ip_map(snapshot: &Snapshot) -> &IpMap {
        &snapshot.pop3_ipmap
    }

    fn refusal(unwelcome: Unwelcome) -> Vec<u8> {
        refusal(unwelcome).as_bytes().to_vec()
    }

    fn desk(&self) -> Desk<'_> {
        let Services { tables, resolver, clock, .. } = &*self.services;
        Desk { tables, resolver, clock }
    }

    async fn talk(
        &self,
        connection: &mut Connection,
        guest: Guest,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let mut client = Client::new(connection, &self.services, self.limits, guest, stop);
        let talked = client.talk().await;
        client.give_back(Vec::new()).await;
        talked
    }
}

/// A client that was let in as far as the greeting.
struct Client<'a> {
    connection: &'a mut Connection,
    services: &'a Services,
    limits: Limits,
    stop: CancellationToken,
    /// The tables as they were at the greeting; log-ins take a newer one.
    snapshot: Arc<Snapshot>,
    stamp: String,
    local_name: OnceCell<Option<String>>,
    session: Session,
    mailbox: Option<OpenMailbox>,
}

/// Whether the session goes on after an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    ReadOn,
    Over,
}

impl<'a> Client<'a> {
    fn new(
        connection: &'a mut Connection,
        services: &'a Services,
        limits: Limits,
        guest: Guest,
        stop: CancellationToken,
    ) -> Self {
        let Guest { snapshot, domain, stamp, local_name } = guest;
        let on_bad_login =
            if limits.hang_on_bad_login { BadLogin::HangUp } else { BadLogin::Pause(limits.bad_login_pause) };
        let session = Session::new(domain, on_bad_login);
        Self { connection, services, limits, stop, snapshot, stamp, local_name, session, mailbox: None }
    }

    /// Greets, and goes through the session.
    async fn talk(&mut self) -> io::Result<()> {
        self.say(&greeting(&self.stamp, &self.services.clock.mail_date()));
        loop {
            let line = tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    self.say(&Reply::error_number(number::SHUTDOWN));
                    return Ok(());
                }
                line = self.connection.read_line(LINE_BYTES_MAX, self.limits.idle) => line,
            };
            let action = match line {
                Ok(Line::Text(text, _)) => self.session.on_line(parse(&text), self.tls()),
                Ok(Line::TooLong) => self.session.on_long_line(),
                // Silence and departure need no answer (golden pop3_timeout).
                Err(error) => return Err(io::Error::other(error)),
            };
            if self.perform(action).await? == Next::Over {
                return Ok(());
            }
        }
    }

    async fn perform(&mut self, action: Action) -> io::Result<Next> {
        let action = match action {
            Action::LogIn(login) => {
                let answer = self.log_in(login).await?;
                self.session.on_answer(answer)
            }
            other => other,
        };
        match action {
            Action::Reply(reply) => self.say(&reply),
            Action::PauseThenReply(pause, reply) => {
                // What was answered before is not held back by the pause.
                self.connection.flush().await?;
                tokio::select! {
                    () = self.stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
                self.say(&reply);
            }
            Action::Send { first, index, body_lines_max } => self.send(&first, index, body_lines_max).await?,
            Action::StartTls(reply) => return self.start_tls(&reply).await,
            Action::Quit(marked) => {
                let farewell = self.give_back(marked).await;
                self.say(&farewell.reply());
                return Ok(Next::Over);
            }
            Action::Close(reply) => {
                self.say(&reply);
                return Ok(Next::Over);
            }
            // A log-in's answer never asks for another.
            Action::LogIn(_) => return Ok(Next::Over),
        }
        Ok(Next::ReadOn)
    }

    fn say(&mut self, reply: &Reply) {
        self.connection.queue(reply.as_bytes());
    }

    fn tls(&self) -> Tls {
        if self.connection.stream().is_tls() {
            Tls::Active
        } else if !self.snapshot.server.flag(&variables::ENABLE_POP3_TLS) {
            Tls::Disabled
        } else if self.services.tls.available() {
            Tls::Offered
        } else {
            Tls::Unavailable
        }
    }

    async fn start_tls(&mut self, reply: &Reply) -> io::Result<Next> {
        let Some(acceptor) = self.services.tls.acceptor() else {
            // The certificate went away since the session looked.
            self.say(&Reply::err("Server TLS setup error"));
            return Ok(Next::ReadOn);
        };
        self.say(reply);
        self.connection.upgrade_to_tls(&acceptor).await.map_err(io::Error::other)?;
        self.session.on_tls();
        Ok(Next::ReadOn)
    }

    async fn log_in(&mut self, login: LogIn) -> io::Result<Answer> {
        let snapshot = fresh(&self.services.tables).await?;
        let peer = self.peer();
        let verdict = outside::verdict(&snapshot, &login).await;
        let (answer, mailbox) = if verdict == Verdict::No {
            (Answer::Denied, None)
        } else {
            let (mailboxes, stamp) = (self.services.mailboxes.clone(), self.stamp.clone());
            let login = login.clone();
            spawn_blocking(move || {
                let visitor = Visitor { peer, stamp: &stamp, is_vouched_for: verdict == Verdict::Yes };
                log_in(&mailboxes, &snapshot, &login, visitor)
            })
            .await?
        };
        self.mailbox = mailbox;
        self.write_log(&login, &answer).await;
        Ok(answer)
    }

    async fn write_log(&self, login: &LogIn, answer: &Answer) {
        if !self.services.logs.is_enabled(LogKind::Pop3) {
            return;
        }
        let peer = self.peer().to_string();
        let local = self.connection.stream().local().ip();
        let name = self.local_name.get_or_init(|| self.services.resolver.ptr(local)).await;
        let server = name.clone().unwrap_or_else(|| plain_ip(local).to_string());
        let date = self.services.clock.log_date();
        let mut columns = vec![server, login.domain.clone(), peer, date, login.name.clone()];
        let (Proof::Password(given) | Proof::Apop(given)) = &login.proof;
        let is_let_in = matches!(answer, Answer::LoggedIn(_));
        columns.push(logged_password(&self.snapshot, given, is_let_in).to_owned());
        match answer {
            Answer::LoggedIn(messages) => {
                let bytes: u64 = messages.iter().map(|message| message.size_bytes).sum();
                columns.extend(["LOGIN".to_owned(), messages.len().to_string(), bytes.to_string()]);
            }
            _ => columns.push("ELOGIN".to_owned()),
        }
        let columns: Vec<&[u8]> = columns.iter().map(String::as_bytes).collect();
        self.services.logs.write(LogKind::Pop3, &columns);
    }

    fn peer(&self) -> IpAddr {
        plain_ip(self.connection.stream().peer().ip())
    }

    /// Sends a message; nothing but the reply when it cannot be opened. An error after the first line ends the
    /// session without the final dot, so that the client does not take a part for the whole.
    async fn send(&mut self, first: &Reply, index: usize, body_lines_max: Option<u64>) -> io::Result<()> {
        let Some(message) = self.mailbox.as_ref().and_then(|mailbox| mailbox.messages.get(index)).cloned()
        else {
            self.say(&unable_to_open());
            return Ok(());
        };
        let mailboxes = self.services.mailboxes.clone();
        // Waking another thread costs more than such a read.
        if let Some(content) = mailboxes.read_from_memory(&message) {
            self.say(first);
            return send_content(self.connection, &content, body_lines_max).await;
        }
        match spawn_blocking(move || mailboxes.open(&message)).await? {
            Ok(file) => {
                self.say(first);
                send_file(self.connection, file, body_lines_max).await
            }
            Err(error) => {
                tracing::warn!("{error}");
                self.say(&unable_to_open());
                Ok(())
            }
        }
    }

    /// Removes messages and gives the lock back.
    async fn give_back(&mut self, marked: Vec<usize>) -> Farewell {
        let Some(mailbox) = self.mailbox.take() else { return Farewell::AllRemoved };
        let mailboxes = self.services.mailboxes.clone();
        let removed = spawn_blocking(move || {
            let mut farewell = Farewell::AllRemoved;
            // Of these only: who keeps a message elsewhere goes on keeping one that stays in the mailbox.
            let mut removed = Vec::new();
            for message in marked.iter().filter_map(|&index| mailbox.messages.get(index)) {
                match mailboxes.remove(message) {
                    Ok(()) => removed.push(message.as_ref()),
                    Err(error) => {
                        tracing::error!("{error}");
                        farewell = Farewell::SomeLeft;
                    }
                }
            }
            if let Err(error) = mailboxes.sync_removals(removed.into_iter()) {
                tracing::error!("{error}");
                farewell = Farewell::SomeLeft;
            }
            drop(mailbox);
            farewell
        });
        removed.await.unwrap_or(Farewell::SomeLeft)
    }
}

async fn send_content(
    connection: &mut Connection,
    content: &[u8],
    body_lines_max: Option<u64>,
) -> io::Result<()> {
    let (mut to_crlf, mut sent) = (ToCrlf::default(), Vec::with_capacity(content.len() + END_OF_DATA.len()));
    to_crlf.push(content, &mut sent);
    to_crlf.finish(&mut sent);
    let wanted = body_lines_max.map_or(sent.len(), |lines| Top::new(lines).take(&sent));
    connection.write_all(&sent[..wanted]).await?;
    connection.queue(END_OF_DATA);
    Ok(())
}

async fn send_file(connection: &mut Connection, file: File, body_lines_max: Option<u64>) -> io::Result<()> {
    let mut file = tokio::fs::File::from_std(file);
    let mut to_crlf = ToCrlf::default();
    let mut top = body_lines_max.map(Top::new);
    let (mut piece, mut sent) = (vec![0; PIECE_BYTES], Vec::with_capacity(PIECE_BYTES));
    loop {
        let count = file.read(&mut piece).await?;
        sent.clear();
        match count {
            0 => to_crlf.finish(&mut sent),
            _ => to_crlf.push(&piece[..count], &mut sent),
        }
        let wanted = top.as_mut().map_or(sent.len(), |top| top.take(&sent));
        connection.write_all(&sent[..wanted]).await?;
        if count == 0 || top.as_ref().is_some_and(Top::is_complete) {
            connection.queue(END_OF_DATA);
            return Ok(());
        }
    }
}

/// Octets of a file in memory at once.
const PIECE_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests;
