//! SASL mechanisms as state machines over lines: PLAIN, LOGIN and CRAM-MD5.
//!
//! ```text
//! C: AUTH PLAIN [initial]      S: 334 CRLF           C: base64(authzid NUL user NUL password)
//! C: AUTH LOGIN [user]         S: 334 VXNlcm5hbWU6   C: base64(user)   S: 334 UGFzc3dvcmQ6   C: base64(password)
//! C: AUTH CRAM-MD5             S: 334 base64(stamp)  C: base64(user SP digest)
//! ```
//!
//! An initial response `=` is the empty one, and a line `*` cancels (RFC 4954 §4). Base64 is strict. PLAIN without
//! initial response continues with an empty challenge as RFC 4954 §4 says; XMail answers 501 (golden `smtp_auth`,
//! connection `plain-2step`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::password::cram_md5_digest;

/// The mechanisms XMail has (`mailflow.md` 3.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// Never an RFC; draft-murchison-sasl-login.
    Login,
    /// RFC 2195.
    CramMd5,
}

impl Mechanism {
    /// All, in the order XMail advertises them.
    pub const ALL: [Self; 3] = [Self::Login, Self::Plain, Self::CramMd5];

    /// The mechanism of this name, ASCII case folded.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The name in AUTH and EHLO.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
        }
    }

    /// Whether the password crosses the wire, so that a plain link gives it away.
    #[must_use]
    pub fn sends_password(self) -> bool {
        matches!(self, Self::Plain | Self::Login)
    }
}

/// What a client has shown to prove who it is. Names and passwords are bytes as sent.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// PLAIN (whose authzid is ignored, as in XMail) and LOGIN.
    Password {
        /// The name as typed.
        user: Vec<u8>,
        /// The password in clear.
        password: Vec<u8>,
    },
    /// CRAM-MD5.
    CramMd5 {
        /// The name as typed.
        user: Vec<u8>,
        /// The challenge the digest answers, not encoded.
        challenge: Vec<u8>,
        /// 32 hexadecimal digits as sent.
        digest: Vec<u8>,
    },
}

impl Credentials {
    /// The name as typed.
    #[must_use]
    pub fn user(&self) -> &[u8] {
        match self {
            Self::Password { user, .. } | Self::CramMd5 { user, .. } => user,
        }
    }
}

/// Shows the name only: credentials end up in traces.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self {
            Self::Password { .. } => "Password",
            Self::CramMd5 { .. } => "CramMd5",
        };
        f.debug_struct(kind).field("user", &bstr::BStr::new(self.user())).finish_non_exhaustive()
    }
}

/// What the server does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send `334 ` and this text (base64, may be empty), then wait for a line.
    Challenge(String),
    /// The dialogue is complete; the credentials are still to be checked.
    Credentials(Credentials),
    /// The dialogue is over without credentials.
    Failed(AuthSyntax),
}

/// What the client did wrong in the dialogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthSyntax {
    /// The client sent `*`: 501.
    #[error("authentication cancelled")]
    Cancelled,
    /// A response is not base64: 501 5.5.2.
    #[error("the response is not base64")]
    Base64,
    /// An initial response to a mechanism where the server speaks first: 501 (RFC 4954 §4).
    #[error("the mechanism takes no initial response")]
    UnexpectedInitialResponse,
    /// Decoded, the response is not what the mechanism wants; XMail answers as to a wrong password (golden `smtp_auth`,
    /// connection `plain-short`), so do we: 535.
    #[error("the response does not follow the mechanism")]
    Message,
    /// A response is longer than [`RESPONSE_BYTES_MAX`]: 500 5.5.6 (RFC 4954 §4).
    #[error("the response is too long")]
    TooLong,
}

/// RFC 4954 §4: clients and servers take base64 lines of up to 12,288 octets (decision 7), CRLF included.
pub const RESPONSE_BYTES_MAX: usize = 12_288;

/// The server's side of one AUTH command.
#[derive(Clone)]
pub struct Exchange {
    state: State,
}

#[derive(Clone)]
enum State {
    PlainResponse,
    LoginUser,
    LoginPassword { user: Vec<u8> },
    CramMd5Response { challenge: Vec<u8> },
    Done,
}

impl Exchange {
    /// Begins with the arguments of AUTH. `stamp` is the challenge of CRAM-MD5: XMail uses the greeting's time stamp,
    /// brackets included.
    #[must_use]
    pub fn start(mechanism: Mechanism, initial: Option<&[u8]>, stamp: &[u8]) -> (Self, Step) {
        let state = match mechanism {
            Mechanism::Plain => State::PlainResponse,
            Mechanism::Login => State::LoginUser,
            Mechanism::CramMd5 => State::CramMd5Response { challenge: stamp.to_vec() },
        };
        let mut exchange = Self { state };
        let step = match (initial, mechanism) {
            (None, _) => Step::Challenge(exchange.challenge()),
            (Some(_), Mechanism::CramMd5) => exchange.fail(AuthSyntax::UnexpectedInitialResponse),
            (Some(b"="), _) => exchange.advance(Vec::new()),
            (Some(b""), _) => exchange.fail(AuthSyntax::Base64),
            (Some(b"*"), _) => exchange.fail(AuthSyntax::Base64),
            (Some(initial), _) => exchange.step(initial),
        };
        (exchange, step)
    }

    /// Takes the client's next line without its line end.
    #[must_use]
    pub fn step(&mut self, line: &[u8]) -> Step {
        if line == b"*" {
            return self.fail(AuthSyntax::Cancelled);
        }
        if line.len() > RESPONSE_BYTES_MAX {
            return self.fail(AuthSyntax::TooLong);
        }
        match STANDARD.decode(line) {
            Ok(response) => self.advance(response),
            Err(_) => self.fail(AuthSyntax::Base64),
        }
    }

    fn challenge(&self) -> String {
        match &self.state {
            State::PlainResponse | State::Done => String::new(),
            State::LoginUser => LOGIN_USER_PROMPT.to_owned(),
            State::LoginPassword { .. } => LOGIN_PASSWORD_PROMPT.to_owned(),
            State::CramMd5Response { challenge } => STANDARD.encode(challenge),
        }
    }

    fn advance(&mut self, response: Vec<u8>) -> Step {
        match std::mem::replace(&mut self.state, State::Done) {
            State::PlainResponse => credentials(read_plain(&response)),
            State::LoginUser => {
                self.state = State::LoginPassword { user: response };
                Step::Challenge(self.challenge())
            }
            State::LoginPassword { user } => {
                Step::Credentials(Credentials::Password { user, password: response })
            }
            State::CramMd5Response { challenge } => credentials(read_cram_md5(&response, challenge)),
            State::Done => Step::Failed(AuthSyntax::Message),
        }
    }

    fn fail(&mut self, reason: AuthSyntax) -> Step {
        self.state = State::Done;
        Step::Failed(reason)
    }
}

fn credentials(read: Option<Credentials>) -> Step {
    read.map_or(Step::Failed(AuthSyntax::Message), Step::Credentials)
}

/// `[authzid] NUL user NUL password` (RFC 4616 §2).
fn read_plain(response: &[u8]) -> Option<Credentials> {
    let mut fields = response.split(|byte| *byte == 0);
    let (_authzid, user, password) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() {
        return None;
    }
    Some(Credentials::Password { user: user.to_vec(), password: password.to_vec() })
}

/// `user SP digest`; the name may hold blanks, the digest cannot (RFC 2195 §2).
fn read_cram_md5(response: &[u8], challenge: Vec<u8>) -> Option<Credentials> {
    let blank = memchr::memrchr(b' ', response)?;
    let (user, digest) = (response[..blank].to_vec(), response[blank + 1..].to_vec());
    let is_digest = digest.len() == CRAM_MD5_DIGITS && digest.iter().all(u8::is_ascii_hexdigit);
    is_digest.then_some(Credentials::CramMd5 { user, challenge, digest })
}

/// The client's side: answers the challenges of a server we relay through (`mailflow.md` 12.3).
///
/// ```
/// use tabmail::auth::{ClientExchange, Mechanism};
/// let mut login = ClientExchange::new(Mechanism::Login, b"user", b"secret");
/// assert_eq!(login.command(), "AUTH LOGIN");
/// assert_eq!(login.answer(b"VXNlcm5hbWU6").unwrap(), "dXNlcg==");
/// assert_eq!(login.answer(b"UGFzc3dvcmQ6").unwrap(), "c2VjcmV0");
/// ```
#[derive(Clone)]
pub struct ClientExchange {
    mechanism: Mechanism,
    user: Vec<u8>,
    password: Vec<u8>,
    answers: usize,
}

/// Why a server's challenge cannot be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// The text of the 334 reply is not base64.
    #[error("the challenge is not base64")]
    Base64,
    /// The mechanism has no further response.
    #[error("the server asks for more than the mechanism has")]
    Unexpected,
}

impl ClientExchange {
    /// Prepares the dialogue.
    #[must_use]
    pub fn new(mechanism: Mechanism, user: &[u8], password: &[u8]) -> Self {
        Self { mechanism, user: user.to_vec(), password: password.to_vec(), answers: 0 }
    }

    /// The AUTH command without line end; PLAIN goes with its initial response.
    #[must_use]
    pub fn command(&self) -> String {
        match self.mechanism {
            Mechanism::Plain => format!("AUTH PLAIN {}", self.plain_response()),
            Mechanism::Login | Mechanism::CramMd5 => format!("AUTH {}", self.mechanism.name()),
        }
    }

    /// The line to send after a 334 reply with this text.
    ///
    /// # Errors
    /// [`ChallengeError`]: send `*` and give up.
    pub fn answer(&mut self, challenge: &[u8]) -> Result<String, ChallengeError> {
        let round = self.answers;
        self.answers += 1;
        match (self.mechanism, round) {
            // A server that overlooked the initial response asks again.
            (Mechanism::Plain, 0) => Ok(self.plain_response()),
            (Mechanism::Login, 0) => Ok(STANDARD.encode(&self.user)),
            (Mechanism::Login, 1) => Ok(STANDARD.encode(&self.password)),
            (Mechanism::CramMd5, 0) => self.cram_md5_response(challenge),
            _ => Err(ChallengeError::Unexpected),
        }
    }

    fn plain_response(&self) -> String {
        STANDARD.encode([b"\0", &self.user[..], b"\0", &self.password[..]].concat())
    }

    fn cram_md5_response(&self, challenge: &[u8]) -> Result<String, ChallengeError> {
        let challenge = STANDARD.decode(challenge).map_err(|_| ChallengeError::Base64)?;
        let digest = cram_md5_digest(&self.password, &challenge);
        Ok(STANDARD.encode([&self.user[..], b" ", digest.as_bytes()].concat()))
    }
}

/// Base64 of `Username:`.
const LOGIN_USER_PROMPT: &str = "VXNlcm5hbWU6";

/// Base64 of `Password:`.
const LOGIN_PASSWORD_PROMPT: &str = "UGFzc3dvcmQ6";

const CRAM_MD5_DIGITS: usize = 32;

#[cfg(test)]
mod tests;
