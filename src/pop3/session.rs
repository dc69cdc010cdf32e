//! The dialogue: commands in, what to do next out. Pure: no socket, file or clock.
//!
//! | state | from | to |
//! | --- | --- | --- |
//! | Start | connection, failed or malformed log-in, STLS | Named by USER; Asking by APOP |
//! | Named | USER | Asking by PASS |
//! | Asking | PASS, APOP: the shell looks whether the client may come in | LoggedIn, or Start |
//! | LoggedIn | the answer [`Answer::LoggedIn`] | the end |
//!
//! DELE only marks. What is marked is removed by the shell when the client says QUIT, and only then
//! (RFC 1939 section 6, `mailflow.md` 9.3).

use std::time::Duration;

use super::command::{Command, SyntaxError, Verb};
use super::reply::{Reply, number};
use crate::auth::split_login;
use crate::status::product;

/// One client's session.
#[derive(Debug)]
pub struct Session {
    default_domain: String,
    on_bad_login: BadLogin,
    failed_logins: u32,
    state: State,
}

/// What happens after a failed log-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLogin {
    /// The reply waits: this long the first time, doubled at each further failure of the session.
    Pause(Duration),
    /// The reply is sent at once and the connection closed (option `-Ph`).
    HangUp,
}

/// What the session cannot know itself at the time of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// The link is encrypted already.
    Active,
    /// STLS can be done.
    Offered,
    /// `EnablePOP3-TLS` is 0.
    Disabled,
    /// There is no certificate.
    Unavailable,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this and read on.
    Reply(Reply),
    /// Look whether the client may come in, then call [`Session::on_answer`].
    LogIn(LogIn),
    /// Wait, send this and read on.
    PauseThenReply(Duration, Reply),
    /// Send the first line, then the message, then a dot. If it cannot be opened: [`unable_to_open`].
    Send {
        /// `+OK ...`
        first: Reply,
        /// Which message, from 0.
        index: usize,
        /// TOP: the headers and so many lines of the body.
        body_lines_max: Option<u64>,
    },
    /// Send this, then negotiate TLS.
    StartTls(Reply),
    /// Remove these messages (indexes from 0), give the lock back, send the reply of [`Farewell`] and close.
    Quit(Vec<usize>),
    /// Send this and close without removing anything.
    Close(Reply),
}

/// Who wants to come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogIn {
    /// The name before the domain.
    pub name: String,
    /// The domain as typed, or the default domain.
    pub domain: String,
    /// How the client proves it.
    pub proof: Proof,
}

/// How the client proves who it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// PASS.
    Password(String),
    /// APOP's digest, in hexadecimal.
    Apop(String),
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password",
            Self::Apop(_) => "Apop",
        })
    }
}

/// What came of a [`LogIn`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The mailbox is open and locked for us.
    LoggedIn(Vec<Message>),
    /// Wrong name, wrong proof, or not from there: the client is not told which.
    Denied,
    /// Everything was right, but another session has the mailbox (decision 39).
    InUse,
    /// The disk failed; the log says how.
    Failed,
}

/// A message as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The unique id.
    pub uid: String,
    /// Octets that RETR sends, without the final dot (decision 45).
    pub size_bytes: u64,
}

#[derive(Debug)]
enum State {
    Start,
    Named { name: String, domain: String },
    Asking,
    LoggedIn(Maildrop),
}

#[derive(Debug)]
struct Maildrop {
    messages: Vec<Message>,
    deleted: Vec<bool>,
    /// Number of the message touched last by RETR, TOP or DELE; 0 = none.
    last: usize,
}

/// How the removal at QUIT went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// Everything marked is gone.
    AllRemoved,
    /// Some is still there; the log says why.
    SomeLeft,
}

impl Farewell {
    /// The reply to QUIT. XMail says `+OK` in any case; RFC 1939 section 6 asks for `-ERR` when messages are left
    /// (decision 123).
    pub fn reply(self) -> Reply {
        match self {
            Self::AllRemoved => Reply::ok(format!("{} closing session", product(SERVICE))),
            Self::SomeLeft => Reply::err("some deleted messages not removed"),
        }
    }
}

impl Session {
    /// A session in the state Start.
    pub fn new(default_domain: String, on_bad_login: BadLogin) -> Self {
        Self { default_domain, on_bad_login, failed_logins: 0, state: State::Start }
    }

    /// Decides on a line that was read. `tls` is how things stand now.
    pub fn on_line(&mut self, line: Result<Command, SyntaxError>, tls: Tls) -> Action {
        match line {
            Err(SyntaxError::UnknownVerb) => Action::Reply(Reply::err("Invalid command")),
            Err(SyntaxError::BadOctets) => Action::Reply(Reply::error_number(number::BAD_CHARACTERS)),
            Err(SyntaxError::Arguments(verb)) if self.permits(verb) => {
                // A malformed log-in starts over (`mailflow.md` 9.1).
                if matches!(verb, Verb::Pass | Verb::Apop) {
                    self.state = State::Start;
                }
                Action::Reply(Reply::err("Invalid syntax"))
            }
            Ok(command) if self.permits(command.verb()) => self.on_command(command, tls),
            Ok(_) | Err(SyntaxError::Arguments(_)) => Action::Reply(Reply::err("Command not valid here")),
        }
    }

    /// Decides on a line that was too long and is gone (decision 121).
    pub fn on_long_line(&mut self) -> Action {
        Action::Reply(Reply::error_number(number::LINE_TOO_LONG))
    }

    /// Takes the outcome of [`Action::LogIn`].
    pub fn on_answer(&mut self, answer: Answer) -> Action {
        self.state = State::Start;
        match answer {
            Answer::LoggedIn(messages) => {
                let maildrop = Maildrop { deleted: vec![false; messages.len()], messages, last: 0 };
                let reply = maildrop.summary();
                self.state = State::LoggedIn(maildrop);
                Action::Reply(reply)
            }
            Answer::Denied => self.on_denied(),
            Answer::InUse => Action::Reply(Reply::err("[IN-USE] Mailbox is in use by another session")),
            Answer::Failed => Action::Reply(Reply::err("[SYS/TEMP] Mailbox not available, retry later")),
        }
    }

    /// After the handshake nothing the client said before counts (RFC 2595 section 4).
    pub fn on_tls(&mut self) {
        self.state = State::Start;
    }

    /// How many messages the client sees and their octets, when it is logged in.
    pub fn totals(&self) -> Option<(usize, u64)> {
        match &self.state {
            State::LoggedIn(maildrop) => Some(maildrop.totals()),
            _ => None,
        }
    }

    fn permits(&self, verb: Verb) -> bool {
        match verb {
            Verb::Capa | Verb::Quit => true,
            // A second USER is a change of mind, as in every other server.
            Verb::User | Verb::Apop | Verb::Stls => {
                matches!(self.state, State::Start | State::Named { .. })
            }
            Verb::Pass => matches!(self.state, State::Named { .. }),
            _ => matches!(self.state, State::LoggedIn(_)),
        }
    }

    fn on_command(&mut self, command: Command, tls: Tls) -> Action {
        match command {
            Command::Capa => return Action::Reply(capabilities(tls)),
            Command::Stls => return start_tls(tls),
            Command::User(login) => return self.on_user(&login),
            Command::Pass(password) => return self.on_pass(password),
            Command::Apop { name, digest } => {
                let (name, domain) = self.split(&name);
                self.state = State::Asking;
                return Action::LogIn(LogIn { name, domain, proof: Proof::Apop(digest) });
            }
            _ => {}
        }
        match &mut self.state {
            State::LoggedIn(maildrop) => maildrop.on_command(command),
            // Of the others only QUIT is permitted here.
            _ => Action::Quit(Vec::new()),
        }
    }

    fn on_user(&mut self, login: &str) -> Action {
        let (name, domain) = self.split(login);
        let reply = Reply::ok(format!("Password required for {name}@{domain}"));
        self.state = State::Named { name, domain };
        Action::Reply(reply)
    }

    fn on_pass(&mut self, password: String) -> Action {
        match std::mem::replace(&mut self.state, State::Asking) {
            State::Named { name, domain } => {
                Action::LogIn(LogIn { name, domain, proof: Proof::Password(password) })
            }
            // `permits` has let only that state through.
            other => {
                self.state = other;
                Action::Reply(Reply::err("Command not valid here"))
            }
        }
    }

    /// XMail lets the domain of a failed USER become the default of the session; we do not (decision 122).
    fn split(&self, login: &str) -> (String, String) {
        let (name, domain) = split_login(login);
        let domain = domain.filter(|domain| !domain.is_empty()).unwrap_or(&self.default_domain);
        (name.to_owned(), domain.to_owned())
    }

    fn on_denied(&mut self) -> Action {
        let reply = Reply::err("Invalid auth or access denied");
        match self.on_bad_login {
            BadLogin::HangUp => Action::Close(reply),
            BadLogin::Pause(first) => {
                let pause = bad_login_pause(first, self.failed_logins);
                self.failed_logins = self.failed_logins.saturating_add(1);
                Action::PauseThenReply(pause, reply)
            }
        }
    }
}

impl Maildrop {
    fn on_command(&mut self, command: Command) -> Action {
        Action::Reply(match command {
            Command::Stat => {
                let (count, bytes) = self.totals();
                Reply::ok(format!("{count} {bytes}"))
            }
            Command::List(number) => self.list(number),
            Command::Uidl(number) => self.uidl(number),
            Command::Retr(number) => return self.send(number, None),
            Command::Top { number, lines } => return self.send(number, Some(lines)),
            Command::Dele(number) => self.delete(number),
            Command::Rset => {
                self.deleted.fill(false);
                self.last = 0;
                self.summary()
            }
            Command::Last => Reply::ok(self.last.to_string()),
            Command::Quit => return Action::Quit(self.marked()),
            // NOOP; the others were answered before.
            _ => self.summary(),
        })
    }

    fn list(&self, number: Option<u64>) -> Reply {
        let Some(number) = number else {
            let (count, bytes) = self.totals();
            let lines = self.kept().map(|(index, message)| format!("{} {}", index + 1, message.size_bytes));
            return Reply::listing(format!("{count} {bytes}"), lines);
        };
        match self.existing(number) {
            Ok((index, message)) => Reply::ok(format!("{} {}", index + 1, message.size_bytes)),
            Err(_) => Reply::err("No such message"),
        }
    }

    fn uidl(&self, number: Option<u64>) -> Reply {
        let Some(number) = number else {
            let lines = self.kept().map(|(index, message)| format!("{} {}", index + 1, message.uid));
            return Reply::listing(self.totals().0.to_string(), lines);
        };
        match self.existing(number) {
            Ok((index, message)) => Reply::ok(format!("{} {}", index + 1, message.uid)),
            Err(_) => Reply::err("No such message"),
        }
    }

    fn send(&mut self, number: u64, body_lines_max: Option<u64>) -> Action {
        let (index, message) = match self.existing(number) {
            Ok(found) => found,
            Err(reply) => return Action::Reply(reply),
        };
        let first = match body_lines_max {
            None => Reply::ok(format!("{} bytes", message.size_bytes)),
            Some(_) => Reply::ok(format!("message is {} bytes", message.size_bytes)),
        };
        self.last = index + 1;
        Action::Send { first, index, body_lines_max }
    }

    fn delete(&mut self, number: u64) -> Reply {
        match self.existing(number) {
            Ok((index, _)) => {
                self.deleted[index] = true;
                self.last = index + 1;
                Reply::ok("Message deleted")
            }
            Err(reply) => reply,
        }
    }

    /// The message with this number, or why it cannot be had.
    fn existing(&self, number: u64) -> Result<(usize, &Message), Reply> {
        let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let found = index.and_then(|index| self.messages.get(index).map(|message| (index, message)));
        match found {
            None => Err(Reply::err("Message out of range")),
            Some((index, _)) if self.deleted[index] => Err(Reply::err("Message deleted")),
            Some(found) => Ok(found),
        }
    }

    fn kept(&self) -> impl Iterator<Item = (usize, &Message)> {
        self.messages.iter().enumerate().filter(|(index, _)| !self.deleted[*index])
    }

    fn marked(&self) -> Vec<usize> {
        (0..self.deleted.len()).filter(|&index| self.deleted[index]).collect()
    }

    fn totals(&self) -> (usize, u64) {
        self.kept().fold((0, 0), |(count, bytes), (_, message)| (count + 1, bytes + message.size_bytes))
    }

    fn summary(&self) -> Reply {
        let (count, bytes) = self.totals();
        Reply::ok(format!("Maildrop has {count} messages ({bytes} bytes)"))
    }
}

/// The first line of every session. `stamp` is what APOP digests are made with (RFC 1939 section 7).
pub fn greeting(stamp: &str, mail_date: &str) -> Reply {
    Reply::ok(format!("{stamp} {} service ready; {mail_date}", product(SERVICE)))
}

/// The answer to RETR and TOP when the message's file is gone or cannot be read.
pub fn unable_to_open() -> Reply {
    Reply::err("Unable to open file")
}

fn capabilities(tls: Tls) -> Reply {
    let mut lines: Vec<String> = ["TOP", "USER", "UIDL", "PIPELINING"].map(str::to_owned).into();
    if tls == Tls::Offered {
        lines.push("STLS".to_owned());
    }
    lines.push(format!("IMPLEMENTATION {}", product(SERVICE)));
    // Decision 39's [IN-USE] asks for it (RFC 2449 sections 6.4 and 8).
    lines.push("RESP-CODES".to_owned());
    Reply::listing("Capability list follows", lines)
}

fn start_tls(tls: Tls) -> Action {
    match tls {
        Tls::Offered => Action::StartTls(Reply::ok("Begin TLS negotiation")),
        Tls::Active => Action::Reply(Reply::err("Command not permitted when TLS active")),
        Tls::Disabled => Action::Reply(Reply::err("Command disabled")),
        Tls::Unavailable => Action::Reply(Reply::err("Server TLS setup error")),
    }
}

/// `first`, doubled for each earlier failure; see [`BAD_LOGIN_PAUSE_MAX`].
fn bad_login_pause(first: Duration, earlier_failures: u32) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(earlier_failures).unwrap_or(u32::MAX));
    doubled.min(BAD_LOGIN_PAUSE_MAX.max(first))
}

/// Pauses grow no longer than this, unless `-Pw` itself is longer: clients give up after some minutes anyway, and a
/// session that waits holds one of `-PX`. Ours; XMail knows no bound.
pub const BAD_LOGIN_PAUSE_MAX: Duration = Duration::from_secs(120);

/// What the product calls itself here (decision 30).
const SERVICE: &str = "POP3 Server";

#[cfg(test)]
mod tests;
