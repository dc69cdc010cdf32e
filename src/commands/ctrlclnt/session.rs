//! The client's side of a CTRL session as a value: lines in, actions out (`mailflow.md` 11.1).
//!
//! ```text
//! greeting   +00000 <stamp> ...
//! [#!TLS     +00000 Ready to start TLS mode, handshake]
//! log-in     "user" TAB "#" md5(stamp password)      or the password itself (-c)
//! command    "name" TAB "argument" ...
//! result     +00000 done, +00100 lines follow, +00101 send lines, -NNNNN no
//! ```

use bstr::ByteSlice;

use super::options::{Link, Options};
use crate::auth::apop_digest;
use crate::tab::{Record, Unrepresentable};

/// What is said at the end; its result is not waited for.
pub(super) const FAREWELL: &[u8] = b"\"quit\"\r\n";

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this and read on.
    Send(Vec<u8>),
    /// Do the handshake, then [`Session::on_tls`].
    StartTls,
    /// Send the input, as `upload` makes it, and read on.
    Upload,
    /// A listing begins; read on.
    BeginListing,
    /// A line of the listing; read on.
    ListingLine(Vec<u8>),
    /// The command is done.
    Done,
}

/// Why it is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The server's words.
    #[error("{0}")]
    Refused(String),
    /// This is no CTRL server, or it says what does not fit here.
    #[error("not a CTRL response: {0:?}")]
    NotUnderstood(String),
    /// There is nothing to make a digest of, and the password would be seen by everybody on the way.
    #[error("the server's greeting has no time stamp; -c would send the password in clear")]
    NoStamp,
}

/// One session with one command.
pub struct Session {
    state: State,
    link: Link,
    is_tls: bool,
    clear_log_in: bool,
    user: String,
    password: String,
    command: Vec<u8>,
    /// From the greeting, brackets included.
    stamp: Option<Vec<u8>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("state", &self.state).finish_non_exhaustive()
    }
}

/// What the next line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Greeting,
    ReadyForTls,
    LogIn,
    Result,
    Listing,
    Uploaded,
}

/// A result line.
struct Response<'a> {
    code: u32,
    text: &'a str,
}

impl Session {
    /// A session before the greeting; on a TLS port, after the handshake.
    ///
    /// # Errors
    /// A user, password or argument that no CTRL line can hold.
    pub fn new(options: &Options) -> Result<Self, Unrepresentable> {
        Record::quoted(&[&options.user, &options.password])?;
        Ok(Self {
            state: State::Greeting,
            link: options.link,
            is_tls: options.link == Link::ImplicitTls,
            clear_log_in: options.clear_log_in,
            user: options.user.clone(),
            password: options.password.clone(),
            command: line(&options.command)?,
            stamp: None,
        })
    }

    /// The handshake of [`Action::StartTls`] is done: what to send now.
    ///
    /// # Errors
    /// None: inside TLS a password can be sent without a stamp.
    pub fn on_tls(&mut self) -> Result<Vec<u8>, SessionError> {
        self.is_tls = true;
        self.log_in()
    }

    /// Takes a line of the server.
    ///
    /// # Errors
    /// [`SessionError`]: the command was not done.
    pub fn on_line(&mut self, text: &[u8]) -> Result<Action, SessionError> {
        if self.state == State::Listing {
            return Ok(match text {
                b"." => Action::Done,
                _ => Action::ListingLine(text.strip_prefix(b".").unwrap_or(text).to_owned()),
            });
        }
        let shown = text.to_str_lossy();
        tracing::debug!(state = ?self.state, "S: {shown}");
        let response = Response::parse(&shown)?;
        match (self.state, response.code) {
            (State::Greeting, _) => self.on_greeting(response.text),
            (State::ReadyForTls, _) => Ok(Action::StartTls),
            (State::LogIn, _) => {
                self.state = State::Result;
                Ok(Action::Send(self.command.clone()))
            }
            (State::Result, LINES_FOLLOW) => {
                self.state = State::Listing;
                Ok(Action::BeginListing)
            }
            (State::Result, SEND_LINES) => {
                self.state = State::Uploaded;
                Ok(Action::Upload)
            }
            (State::Uploaded, LINES_FOLLOW | SEND_LINES) => {
                Err(SessionError::NotUnderstood(shown.into_owned()))
            }
            _ => Ok(Action::Done),
        }
    }

    fn on_greeting(&mut self, text: &str) -> Result<Action, SessionError> {
        self.stamp = stamp(text).map(<[u8]>::to_vec);
        if self.link == Link::StartTls {
            self.state = State::ReadyForTls;
            return Ok(Action::Send(b"#!TLS\r\n".to_vec()));
        }
        self.log_in().map(Action::Send)
    }

    /// With TLS the greeting's stamp stays valid; XMail's program looks for it in the wrong line then and sends the
    /// password itself.
    fn log_in(&mut self) -> Result<Vec<u8>, SessionError> {
        self.state = State::LogIn;
        let password = match &self.stamp {
            _ if self.clear_log_in => self.password.clone(),
            Some(stamp) => format!("#{}", apop_digest(stamp, self.password.as_bytes())),
            None if self.is_tls => self.password.clone(),
            None => return Err(SessionError::NoStamp),
        };
        // `new` has tried both values.
        Ok(line(&[&self.user, &password]).unwrap_or_default())
    }
}

impl<'a> Response<'a> {
    fn parse(line: &'a str) -> Result<Self, SessionError> {
        let not_understood = || SessionError::NotUnderstood(line.to_owned());
        let (status, text) = line.split_once(' ').unwrap_or((line, ""));
        let digits = status.get(1..).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let code = digits.and_then(|digits| digits.parse().ok()).ok_or_else(not_understood)?;
        match status.as_bytes()[0] {
            b'+' => Ok(Self { code, text }),
            b'-' => Err(SessionError::Refused(text.to_owned())),
            _ => Err(not_understood()),
        }
    }
}

const LINES_FOLLOW: u32 = 100;
const SEND_LINES: u32 = 101;

/// From `<` to `>`.
fn stamp(greeting: &str) -> Option<&[u8]> {
    let start = greeting.find('<')?;
    let length = greeting[start..].find('>')?;
    Some(&greeting.as_bytes()[start..=start + length])
}

/// A line of columns, each in quotes; a `"` inside is escaped, where XMail's program sends a line that means
/// something else.
fn line<V: AsRef<[u8]>>(values: &[V]) -> Result<Vec<u8>, Unrepresentable> {
    Ok([Record::quoted(values)?.as_bytes(), b"\r\n"].concat())
}

/// The lines of the input with CRLF and leading dots doubled, then the final dot.
pub(in crate::commands) fn upload(input: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(input.len() + input.len() / 16 + 8);
    for line in input.lines() {
        if line.starts_with(b".") {
            octets.push(b'.');
        }
        octets.extend_from_slice(line);
        octets.extend_from_slice(b"\r\n");
    }
    octets.extend_from_slice(b".\r\n");
    octets
}
