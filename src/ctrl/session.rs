//! What to do with each line: log-in, commands, uploads. Pure: answers of services and settings are arguments.

use super::command::{self, Command, Upload};
use super::reply::{Reply, TLS_ACTIVE, TLS_DISABLED};
use crate::net::Line;
use crate::status::number;

/// The longest log-in line in bytes with its end: XMail's buffer (`mailflow.md` 1.2).
pub const LOGIN_LINE_BYTES_MAX: usize = 256 - 2;

/// The longest command line in bytes with its end: XMail's buffer (`mailflow.md` 1.2).
pub const COMMAND_LINE_BYTES_MAX: usize = 4096 - 2;

/// The longest line of an upload in bytes with its end. Ours: no table has longer ones.
pub const UPLOAD_LINE_BYTES_MAX: usize = 64 * 1024;

/// The bytes of an upload. Ours: a `mailusers.tab` of some hundred thousand accounts.
pub const UPLOAD_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A connection after its greeting.
#[derive(Debug)]
pub struct Session {
    state: State,
    is_tls: bool,
}

#[derive(Debug)]
enum State {
    LoggingIn,
    Ready,
    /// It is being asked whether the upload would be taken.
    Asking(Upload),
    Receiving {
        upload: Upload,
        bytes: Vec<u8>,
        problem: Option<i32>,
    },
}

/// What the shell does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Send it and read the next line.
    Reply(Reply),
    /// Read the next line.
    Read,
    /// Ask a service, then call [`Session::on_answer`].
    Ask(Question),
    /// Send `+00000 Ready to start TLS mode`, shake hands, call [`Session::on_tls`]; close when it fails.
    StartTls,
    /// Send it and close.
    Close(Reply),
}

/// Something that takes time.
#[derive(Debug, PartialEq, Eq)]
pub enum Question {
    /// May this user in?
    LogIn {
        /// The user, any case.
        user: String,
        /// The clear password, or `#` and the hex MD5 of stamp and password.
        password: String,
    },
    /// What comes of this command?
    Run(Command),
    /// Would this upload be taken?
    MayUpload(Upload),
    /// What comes of this upload?
    Store(Upload, Vec<u8>),
}

/// The answer to a [`Question`].
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// To `LogIn`.
    LogIn(bool),
    /// To `Run` and `Store`; to `MayUpload` [`Reply::Send`] is yes.
    Result(Reply),
}

/// Settings that a decision needs.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// `EnableCTRL-TLS`.
    pub tls_enabled: bool,
}

impl Session {
    /// A session that waits for the log-in line.
    pub fn new(is_tls: bool) -> Self {
        Self { state: State::LoggingIn, is_tls }
    }

    /// A session of a client that is known to be the operator: no log-in.
    pub fn authorised() -> Self {
        Self { state: State::Ready, is_tls: false }
    }

    /// The longest line that may come now.
    pub fn line_bytes_max(&self) -> usize {
        match self.state {
            State::LoggingIn => LOGIN_LINE_BYTES_MAX,
            State::Ready | State::Asking(_) => COMMAND_LINE_BYTES_MAX,
            State::Receiving { .. } => UPLOAD_LINE_BYTES_MAX,
        }
    }

    /// Whether the idle limit `-Ct` counts now: while waiting for a command (golden `ctrl_timeout`).
    pub fn awaits_command(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// The next line of the client.
    pub fn on_line(&mut self, line: Line, context: &Context) -> Action {
        match (&mut self.state, line) {
            (State::LoggingIn, Line::Text(line, _)) => self.on_login_line(&line, context),
            (State::LoggingIn, Line::TooLong) => Action::Close(Reply::Error(number::CTRL_LOGIN)),
            (State::Receiving { problem, .. }, Line::TooLong) => {
                problem.get_or_insert(number::LINE_TOO_LONG);
                Action::Read
            }
            (State::Receiving { .. }, Line::Text(line, _)) => self.on_upload_line(&line),
            (_, Line::TooLong) => Action::Reply(Reply::Error(number::CTRL_SYNTAX)),
            (_, Line::Text(line, _)) => self.on_command_line(&line),
        }
    }

    fn on_login_line(&mut self, line: &[u8], context: &Context) -> Action {
        if line.eq_ignore_ascii_case(START_TLS) {
            return match (self.is_tls, context.tls_enabled) {
                (true, _) => Action::Close(Reply::Error(TLS_ACTIVE)),
                (false, false) => Action::Close(Reply::Error(TLS_DISABLED)),
                (false, true) => Action::StartTls,
            };
        }
        let columns = command::columns(line).ok().and_then(|columns| <[String; 2]>::try_from(columns).ok());
        match columns {
            Some([user, password]) => Action::Ask(Question::LogIn { user, password }),
            None => Action::Close(Reply::Error(number::CTRL_LOGIN)),
        }
    }

    /// The handshake after [`Action::StartTls`] is done; the log-in line follows, without another greeting.
    pub fn on_tls(&mut self) {
        self.is_tls = true;
    }

    fn on_command_line(&mut self, line: &[u8]) -> Action {
        match command::parse(line) {
            Err(_) => Action::Reply(Reply::Error(number::CTRL_SYNTAX)),
            Ok(Command::Noop) => Action::Reply(Reply::Done),
            Ok(Command::Quit) => Action::Close(Reply::Done),
            Ok(Command::Upload(upload)) => {
                self.state = State::Asking(upload.clone());
                Action::Ask(Question::MayUpload(upload))
            }
            Ok(command) => Action::Ask(Question::Run(command)),
        }
    }

    fn on_upload_line(&mut self, line: &[u8]) -> Action {
        let State::Receiving { bytes, problem, .. } = &mut self.state else { return Action::Read };
        if line == b"." {
            return self.on_upload_end();
        }
        if bytes.len() + line.len() >= UPLOAD_BYTES_MAX {
            problem.get_or_insert(number::LINE_TOO_LONG);
            *bytes = Vec::new();
        }
        if problem.is_none() {
            bytes.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            bytes.push(b'\n');
        }
        Action::Read
    }

    fn on_upload_end(&mut self) -> Action {
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Receiving { problem: Some(problem), .. } => Action::Reply(Reply::Error(problem)),
            State::Receiving { upload, bytes, .. } => Action::Ask(Question::Store(upload, bytes)),
            _ => Action::Read,
        }
    }

    /// The answer to what was asked last.
    pub fn on_answer(&mut self, answer: Answer) -> Action {
        match answer {
            Answer::LogIn(false) => Action::Close(Reply::Error(number::CTRL_LOGIN)),
            Answer::LogIn(true) => {
                self.state = State::Ready;
                Action::Reply(Reply::Done)
            }
            Answer::Result(reply) => {
                let before = std::mem::replace(&mut self.state, State::Ready);
                if let (State::Asking(upload), Reply::Send) = (before, &reply) {
                    self.state = State::Receiving { upload, bytes: Vec::new(), problem: None };
                }
                Action::Reply(reply)
            }
        }
    }
}

/// The log-in line that asks for TLS.
const START_TLS: &[u8] = b"#!TLS";
