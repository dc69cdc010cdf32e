//! The sockets of CTRL: accepts, reads lines, runs actions, writes results, keeps deadlines.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::answer::answer;
use super::local::{self, LocalSocket};
use super::reply::Reply;
use super::session::{Action, Answer, Context, Question, Session};
use crate::admin::Admin;
use crate::clock::Clock;
use crate::logs::{LogKind, Logs};
use crate::mailroot::Tables;
use crate::mailroot::history::with_origin;
use crate::mailroot::schema::server as variables;
use crate::net::tls::{TlsError, TlsStore};
use crate::net::{self, Arrival, Connection, Door, IO_TIMEOUT, Line, ReadError, Seat, plain_ip};
use crate::status::{number, product_name};

/// What a session needs from the house.
#[derive(Debug)]
pub struct Services {
    /// The use-cases.
    pub admin: Arc<Admin>,
    /// The tables.
    pub tables: Tables,
    /// The time.
    pub clock: Clock,
    /// The `ctrl` log.
    pub logs: Logs,
    /// The server's certificate.
    pub tls: Arc<TlsStore>,
}

/// What an operator sets on the command line.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `-Ct`: how long a session may wait for a command.
    pub idle: Duration,
}

impl Default for Limits {
    /// XMail's (`mailflow.md` 1.1).
    fn default() -> Self {
        Self { idle: Duration::from_secs(120) }
    }
}

/// Serves one listener until `stop`; returns when the last of its sessions has ended. A session ends at its next
/// command; one that waits for a command ends at once.
pub async fn serve(door: Door, services: Arc<Services>, limits: Limits, stop: CancellationToken) {
    let session_stop = stop.clone();
    door.attend(stop, move |arrival| attend(arrival, Arc::clone(&services), limits, session_stop.clone()))
        .await;
}

/// Serves the local socket until `stop`. Who can connect is the operator: the sessions begin logged in.
pub async fn serve_local(
    socket: LocalSocket,
    services: Arc<Services>,
    limits: Limits,
    stop: CancellationToken,
) {
    let mut sessions = JoinSet::new();
    while let Some(stream) = stop.run_until_cancelled(socket.accept()).await {
        while sessions.try_join_next().is_some() {}
        if sessions.len() >= local::SESSIONS_MAX {
            continue;
        }
        let (services, stop) = (Arc::clone(&services), stop.clone());
        sessions.spawn(async move {
            let peer = IpAddr::from([127, 0, 0, 1]);
            let shell = Shell::new(Connection::new(stream), services, limits, stop, peer);
            if let Err(error) = shell.run(Session::authorised()).await {
                tracing::debug!(%error, "local CTRL session ended");
            }
        });
    }
    // The file vanishes before the last session has ended: a new client is not made to wait.
    drop(socket);
    while sessions.join_next().await.is_some() {}
}

async fn attend(arrival: Arrival, services: Arc<Services>, limits: Limits, stop: CancellationToken) {
    let peer = arrival.connection.stream().peer();
    if let Err(error) = connection(arrival, services, limits, stop).await {
        tracing::debug!(%peer, %error, "CTRL session ended");
    }
}

/// Why a session ended without a word.
#[derive(Debug, thiserror::Error)]
enum SessionEnd {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("no certificate")]
    NoCertificate,
    #[error("the server stops")]
    Stopping,
}

async fn connection(
    arrival: Arrival,
    services: Arc<Services>,
    limits: Limits,
    stop: CancellationToken,
) -> Result<(), SessionEnd> {
    let Arrival { mut connection, seat } = arrival;
    let peer = plain_ip(connection.stream().peer().ip());
    if let Err(number) = admit(&services, peer, seat.as_ref()).await {
        connection.queue(&Reply::Error(number).to_bytes());
        return Ok(connection.close().await?);
    }
    let session = Session::new(connection.stream().is_tls());
    Shell::new(connection, services, limits, stop, peer).run(session).await
}

/// A client that keeps us waiting for its handshake does not keep the server from stopping.
async fn start_tls(
    connection: &mut Connection,
    tls: &TlsStore,
    stop: &CancellationToken,
) -> Result<(), SessionEnd> {
    let acceptor = tls.acceptor().ok_or(SessionEnd::NoCertificate)?;
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(SessionEnd::Stopping),
        shaken = connection.upgrade_to_tls(&acceptor) => Ok(shaken?),
    }
}

/// `ctrl.ipmap.tab`, then the number of sessions (`mailflow.md` 11.1).
async fn admit(services: &Arc<Services>, peer: IpAddr, seat: Option<&Seat>) -> Result<(), i32> {
    let tables = services.tables.clone();
    let allowed = blocking(move || tables.fresh().ctrl_ipmap.verdict(peer).allowed).await;
    if allowed != Some(true) {
        return Err(number::PEER_IP_REFUSED);
    }
    seat.map(drop).ok_or(number::SERVER_TOO_BUSY)
}

/// One session at work.
struct Shell {
    connection: Connection,
    services: Arc<Services>,
    limits: Limits,
    stop: CancellationToken,
    peer: IpAddr,
    /// The greeting's stamp, brackets included; digests are made of it.
    stamp: Arc<str>,
    /// Who the history of the tables says made the changes of this session.
    origin: Arc<str>,
}

impl Shell {
    fn new(
        connection: Connection,
        services: Arc<Services>,
        limits: Limits,
        stop: CancellationToken,
        peer: IpAddr,
    ) -> Self {
        let local = plain_ip(connection.stream().local().ip());
        let stamp = net::stamp(services.clock.unix_secs(), &local.to_string()).into();
        Self { connection, services, limits, stop, peer, stamp, origin: "ctl".into() }
    }

    async fn run(mut self, mut session: Session) -> Result<(), SessionEnd> {
        self.greet();
        loop {
            let line = self.read_line(&session).await?;
            let tables = self.services.tables.current();
            let context = Context { tls_enabled: tables.server.flag(&variables::ENABLE_CTRL_TLS) };
            let mut action = session.on_line(line, &context);
            while let Action::Ask(question) = action {
                action = session.on_answer(self.answer(question).await);
            }
            match action {
                Action::Reply(reply) => self.send(&reply).await?,
                Action::Read | Action::Ask(_) => {}
                Action::StartTls => {
                    self.connection.queue(&Reply::ReadyForTls.to_bytes());
                    self.connection.flush().await?;
                    // Without a certificate the client has read "Ready" all the same (golden `ctrl_auth`).
                    start_tls(&mut self.connection, &self.services.tls, &self.stop).await?;
                    session.on_tls();
                }
                Action::Close(reply) => {
                    self.send(&reply).await?;
                    return Ok(self.connection.close().await?);
                }
            }
        }
    }

    fn greet(&mut self) {
        let product = product_name("CTRL Server");
        let date = self.services.clock.mail_date();
        self.connection.queue(format!("+00000 {} {product}; {date}\r\n", self.stamp).as_bytes());
    }

    async fn read_line(&mut self, session: &Session) -> Result<Line, SessionEnd> {
        // Before the log-in and inside an upload -Ct does not count (golden `ctrl_timeout`).
        let deadline = if session.awaits_command() { self.limits.idle } else { IO_TIMEOUT };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(SessionEnd::Stopping),
            line = self.connection.read_line(session.line_bytes_max(), deadline) => Ok(line?),
        }
    }

    async fn send(&mut self, reply: &Reply) -> io::Result<()> {
        self.connection.write_all(&reply.to_bytes()).await
    }

    /// Asks on a thread where blocking is allowed. A lost answer (the runtime is going down) closes the session as a
    /// refused log-in or a busy server.
    async fn answer(&mut self, question: Question) -> Answer {
        let services = Arc::clone(&self.services);
        let (stamp, peer) = (Arc::clone(&self.stamp), self.peer);
        let is_log_in = matches!(question, Question::LogIn { .. });
        if let Question::LogIn { user, .. } = &question {
            self.origin = format!("ctl {user}").into();
        }
        let origin = Arc::clone(&self.origin);
        let answered = blocking(move || match &question {
            Question::LogIn { user, password } => {
                let columns = LoggedLogIn::new(&services, peer, user, password);
                columns.write(&services, "REQ");
                let result = ask(question, &services, &stamp);
                columns.write(&services, if result == Answer::LogIn(true) { "AUTH" } else { "FAIL" });
                result
            }
            _ => with_origin(&origin, || ask(question, &services, &stamp)),
        });
        answered.await.unwrap_or(match is_log_in {
            true => Answer::LogIn(false),
            false => Answer::Result(Reply::Error(number::SERVER_TOO_BUSY)),
        })
    }
}

fn ask(question: Question, services: &Services, stamp: &str) -> Answer {
    answer(question, &services.admin, || services.tables.fresh(), stamp, &services.clock)
}

/// A line of the `ctrl` log (`mailflow.md` 15): peer, user, password as sent, date, what happened.
struct LoggedLogIn {
    peer: String,
    user: String,
    password: String,
}

impl LoggedLogIn {
    /// XMail logs what was sent, and tools read that column; `CtrlHidePasswords` puts `*` there.
    fn new(services: &Services, peer: IpAddr, user: &str, password: &str) -> Self {
        let hide = services.tables.current().server.flag(&variables::CTRL_HIDE_PASSWORDS);
        let password = if hide { "*" } else { password };
        Self { peer: peer.to_string(), user: user.to_owned(), password: password.to_owned() }
    }

    fn write(&self, services: &Services, what: &str) {
        let date = services.clock.log_date();
        let columns = [&self.peer, &self.user, &self.password, &date, what].map(str::as_bytes);
        services.logs.write(LogKind::Ctrl, &columns);
    }
}

/// Runs something that blocks; `None` when the runtime is going down, or it panicked.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work)
        .await
        .inspect_err(|error| tracing::error!(%error, "CTRL task lost"))
        .ok()
}

#[cfg(test)]
mod tests;
