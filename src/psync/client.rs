//! The POP3 client's dialogue as a value: reply lines in, what to send next out (`mailflow.md` 8, RFC 1939).
//!
//! ```text
//! greeting [STLS tls] (APOP | USER PASS) STAT UIDL LIST *( RETR message [DELE] ) QUIT
//! ```
//!
//! Nothing here waits or touches a socket. The shell sends what [`Action::Exchange`] holds and hands over one line;
//! listings are read line by line the same way. [`Action::Receive`] means that the lines of a message follow: the shell
//! stores them and tells [`Dialogue::on_message`] what became of it. DELE is said for a message only after that.
//!
//! What the server says about counts and sizes is not believed: LIST decides which messages there are, a size only
//! keeps a message that is too large from being asked for.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;

use bstr::{BString, ByteSlice};

use super::error::SyncError;
use crate::auth::apop_digest;
use crate::mailroot::links::LinkOptions;

/// Messages of one mailbox. Ours: their numbers and UIDLs take some 10 MB.
pub(super) const MESSAGES_MAX: usize = 100_000;
/// Bytes of one message. Ours: a server that never ends a message must not fill the disk (decision 224).
pub(super) const MESSAGE_BYTES_MAX: u64 = 1 << 30;
/// Bytes of a UIDL. RFC 1939 §7 has 70; longer ones are seen.
const UID_BYTES_MAX: usize = 255;
/// Bytes of a reply that are shown in a log.
const SHOWN_BYTES_MAX: usize = 200;

/// What one session is to do.
pub(super) struct Plan {
    /// The options of the link.
    pub(super) options: LinkOptions,
    /// The remote user, without line ends.
    pub(super) user: Vec<u8>,
    /// The password in clear, without line ends.
    pub(super) password: Vec<u8>,
    /// `Leave`: UIDLs of messages that are not fetched again.
    pub(super) seen: HashSet<BString>,
}

/// What the shell does next.
#[derive(Debug)]
pub(super) enum Action {
    /// Send these bytes (maybe none), wait for one line, tell [`Dialogue::on_line`].
    Exchange(Vec<u8>),
    /// Handshake, tell [`Dialogue::on_tls`].
    StartTls,
    /// Store the message that follows and tell [`Dialogue::on_message`].
    Receive(Message),
    /// The session is over.
    Finished(Result<(), SyncError>),
}

/// A message on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Its number in this session.
    pub(super) number: u32,
    /// Its UIDL, if the server told one that can be remembered.
    pub(super) uid: Option<BString>,
}

/// What became of a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// In the queue, for the link's recipients.
    Queued,
    /// In the queue, for `Pop3SyncErrorAccount`.
    SetAside,
    /// Nowhere: it stays on the server.
    Left,
}

/// The last four columns of the psync log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Messages that are in the queue for their recipients.
    pub(super) fetched: u64,
    /// Their bytes.
    pub(super) fetched_bytes: u64,
    /// Messages that could not be fetched or had no recipient; also those for `Pop3SyncErrorAccount` (golden
    /// `psync_masq`).
    pub(super) failed: u64,
    /// Their bytes.
    pub(super) failed_bytes: u64,
}

/// What we said last; for the words of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the POP3 keywords")]
pub(super) enum Command {
    Connect,
    Stls,
    Apop,
    User,
    Pass,
    Stat,
    Uidl,
    List,
    Retr,
    Dele,
    Quit,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "our connecting",
            Self::Stls => "STLS",
            Self::Apop => "APOP",
            Self::User => "USER",
            Self::Pass => "PASS",
            Self::Stat => "STAT",
            Self::Uidl => "UIDL",
            Self::List => "LIST",
            Self::Retr => "RETR",
            Self::Dele => "DELE",
            Self::Quit => "QUIT",
        })
    }
}

/// Where the dialogue stands.
enum State {
    /// Waiting for the reply to this command.
    Reply(Command),
    /// Inside the listing of `UIDL` or `LIST`.
    Listing(Command),
    /// The shell handshakes; the greeting is still to come when it is implicit.
    Tls { is_implicit: bool },
    /// The shell stores this message.
    Message(Message),
    /// Waiting for the reply to DELE of this message.
    Dele(Message),
}

/// One session with one server.
pub(super) struct Dialogue {
    plan: Plan,
    state: State,
    /// The greeting's time stamp, brackets included.
    stamp: Option<Vec<u8>>,
    stat_count: u32,
    uids: HashMap<u32, BString>,
    has_uidl: bool,
    waiting: VecDeque<Message>,
    current: Option<Message>,
    /// Numbers in LIST.
    present: HashSet<u32>,
    /// Rows of the listing so far.
    rows: usize,
    tally: Tally,
    is_leaving_early: bool,
    /// What made us say QUIT before all was done.
    failure: Option<SyncError>,
}

impl Dialogue {
    /// A dialogue at its beginning and the first thing to do.
    pub(super) fn new(plan: Plan) -> (Self, Action) {
        let is_implicit = plan.options.pop3s;
        let state = if is_implicit { State::Tls { is_implicit } } else { State::Reply(Command::Connect) };
        let first = if is_implicit { Action::StartTls } else { Action::Exchange(Vec::new()) };
        let dialogue = Self {
            plan,
            state,
            stamp: None,
            stat_count: 0,
            uids: HashMap::new(),
            has_uidl: false,
            waiting: VecDeque::new(),
            current: None,
            present: HashSet::new(),
            rows: 0,
            tally: Tally::default(),
            is_leaving_early: false,
            failure: None,
        };
        (dialogue, first)
    }

    /// What has been done so far.
    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// The UIDLs on the server, when its UIDL and LIST agree about what there is: what is seen and not among them is
    /// gone. A server that contradicts itself must not make us forget (decision 223).
    pub(super) fn present(&self) -> Option<HashSet<BString>> {
        let agree = self.uids.len() == self.present.len() && !self.present.is_empty();
        (self.has_uidl && agree).then(|| self.uids.values().cloned().collect())
    }

    /// No further message is asked for: the session ends after the present one.
    pub(super) fn leave_early(&mut self) {
        self.is_leaving_early = true;
    }

    /// The handshake is done. After STLS there is no greeting, and APOP takes the stamp of the first (decision 222), where
    /// XMail looks into the reply to STLS and leaves APOP out.
    pub(super) fn on_tls(&mut self) -> Action {
        match self.state {
            State::Tls { is_implicit: true } => {
                self.state = State::Reply(Command::Connect);
                Action::Exchange(Vec::new())
            }
            _ => self.log_in(),
        }
    }

    /// A line of the server, without its end.
    pub(super) fn on_line(&mut self, line: &[u8]) -> Action {
        match std::mem::replace(&mut self.state, State::Reply(Command::Quit)) {
            State::Listing(command) => self.on_row(command, line),
            State::Reply(command) => match Reply::parse(line) {
                Some(reply) => self.on_reply(command, &reply),
                None => Action::Finished(Err(SyncError::NotAReply { command, line: shown(line) })),
            },
            State::Dele(message) => match Reply::parse(line) {
                Some(Reply::Ok(_)) => self.next_message(),
                // Going on would fetch every message again at each run (decision 225).
                Some(Reply::Err(text)) => self.quit_because(refused(Command::Dele, text), Some(message)),
                None => {
                    let line = shown(line);
                    Action::Finished(Err(SyncError::NotAReply { command: Command::Dele, line }))
                }
            },
            // The shell reads no lines then.
            State::Tls { .. } | State::Message(_) => Action::Finished(Err(SyncError::Stopping)),
        }
    }

    /// The message is stored, or not. `bytes` as received.
    pub(super) fn on_message(&mut self, outcome: Outcome, bytes: u64) -> Action {
        match outcome {
            Outcome::Queued => {
                self.tally.fetched += 1;
                self.tally.fetched_bytes += bytes;
            }
            Outcome::SetAside | Outcome::Left => {
                self.tally.failed += 1;
                self.tally.failed_bytes += bytes;
            }
        }
        let State::Message(message) = std::mem::replace(&mut self.state, State::Reply(Command::Quit)) else {
            return self.next_message();
        };
        if outcome == Outcome::Left || self.plan.options.leave {
            return self.next_message();
        }
        let command = format!("DELE {}\r\n", message.number);
        self.state = State::Dele(message);
        Action::Exchange(command.into_bytes())
    }

    /// The shell cannot go on, but the connection works: QUIT, so that the server deletes what we have said DELE for.
    pub(super) fn quit_after(&mut self, failure: SyncError) -> Action {
        self.quit_because(failure, None)
    }

    fn on_reply(&mut self, command: Command, reply: &Reply<'_>) -> Action {
        match (command, reply) {
            (Command::Connect, Reply::Ok(text)) => {
                self.stamp = time_stamp(text);
                let options = self.plan.options;
                if (options.stls || options.stls_only) && !options.pop3s {
                    return self.say(Command::Stls, b"STLS\r\n".to_vec());
                }
                self.log_in()
            }
            (Command::Stls, Reply::Ok(_)) => {
                self.state = State::Tls { is_implicit: false };
                Action::StartTls
            }
            (Command::Stls, Reply::Err(_)) if !self.plan.options.stls_only => self.log_in(),
            (Command::Apop, Reply::Err(_)) if !self.plan.options.apop_only => self.say_user(),
            (Command::User, Reply::Ok(_)) => {
                let line = [b"PASS ", self.plan.password.as_slice(), b"\r\n"].concat();
                self.say(Command::Pass, line)
            }
            (Command::Apop | Command::Pass, Reply::Ok(_)) => self.say(Command::Stat, b"STAT\r\n".to_vec()),
            (Command::Stat, Reply::Ok(text)) => {
                self.stat_count = number(text.fields().next()).unwrap_or(0);
                self.say(Command::Uidl, b"UIDL\r\n".to_vec())
            }
            (Command::Uidl, Reply::Ok(_)) => {
                self.has_uidl = true;
                self.list(Command::Uidl)
            }
            (Command::Uidl, Reply::Err(_)) if self.plan.options.leave => {
                self.quit_because(SyncError::NoUidl, None)
            }
            (Command::Uidl, Reply::Err(_)) => self.say(Command::List, b"LIST\r\n".to_vec()),
            (Command::List, Reply::Ok(_)) => self.list(Command::List),
            (Command::List, Reply::Err(_)) => {
                let count = self.stat_count.min(u32::try_from(MESSAGES_MAX).unwrap_or(u32::MAX));
                (1..=count).for_each(|number| self.plan_message(number, 0));
                self.next_message()
            }
            (Command::Retr, Reply::Ok(_)) => match self.current.take() {
                Some(message) => {
                    self.state = State::Message(message.clone());
                    Action::Receive(message)
                }
                None => self.next_message(),
            },
            (Command::Retr, Reply::Err(_)) => {
                self.tally.failed += 1;
                self.next_message()
            }
            (Command::Quit, _) => self.finish(),
            (command, Reply::Err(text)) => self.quit_because(refused(command, text), None),
            // DELE has its own state.
            (Command::Dele, Reply::Ok(_)) => self.next_message(),
        }
    }

    fn log_in(&mut self) -> Action {
        let options = self.plan.options;
        match self.stamp.take() {
            Some(stamp) if options.apop || options.apop_only => {
                let digest = apop_digest(&stamp, &self.plan.password);
                let line = [b"APOP ", self.plan.user.as_slice(), b" ", digest.as_bytes(), b"\r\n"].concat();
                self.say(Command::Apop, line)
            }
            // The clear password is what FAPOP forbids (decision 222).
            None if options.apop_only => self.quit_because(SyncError::NoApop, None),
            _ => self.say_user(),
        }
    }

    fn say_user(&mut self) -> Action {
        let line = [b"USER ", self.plan.user.as_slice(), b"\r\n"].concat();
        self.say(Command::User, line)
    }

    fn say(&mut self, command: Command, line: Vec<u8>) -> Action {
        self.state = State::Reply(command);
        Action::Exchange(line)
    }

    fn list(&mut self, command: Command) -> Action {
        self.rows = 0;
        self.state = State::Listing(command);
        Action::Exchange(Vec::new())
    }

    fn on_row(&mut self, command: Command, line: &[u8]) -> Action {
        if line == b"." {
            return match command {
                Command::Uidl => self.say(Command::List, b"LIST\r\n".to_vec()),
                _ => self.next_message(),
            };
        }
        self.rows += 1;
        if self.rows > MESSAGES_MAX {
            return Action::Finished(Err(SyncError::TooManyMessages));
        }
        let mut fields = line.fields();
        let (number, value) = (number(fields.next()), fields.next().unwrap_or_default());
        let Some(number) = number else {
            return Action::Finished(Err(SyncError::BadRow { command, line: shown(line) }));
        };
        match command {
            Command::Uidl if is_uid(value) => drop(self.uids.insert(number, value.into())),
            Command::Uidl => {}
            _ => self.plan_message(number, size(value)),
        }
        self.state = State::Listing(command);
        Action::Exchange(Vec::new())
    }

    /// Decides whether a listed message is fetched.
    fn plan_message(&mut self, number: u32, size_bytes: u64) {
        // A number that comes twice would be fetched twice.
        if !self.present.insert(number) {
            return;
        }
        let uid = self.uids.get(&number).cloned();
        if self.plan.options.leave {
            match &uid {
                Some(uid) if self.plan.seen.contains(uid) => return,
                Some(_) => {}
                // What cannot be remembered would come again at every run.
                None => return self.tally.failed += 1,
            }
        }
        if size_bytes > MESSAGE_BYTES_MAX {
            self.tally.failed += 1;
            return;
        }
        self.waiting.push_back(Message { number, uid });
    }

    fn next_message(&mut self) -> Action {
        let next = if self.is_leaving_early { None } else { self.waiting.pop_front() };
        let Some(message) = next else { return self.say(Command::Quit, b"QUIT\r\n".to_vec()) };
        let line = format!("RETR {}\r\n", message.number);
        self.current = Some(message);
        self.say(Command::Retr, line.into_bytes())
    }

    fn quit_because(&mut self, failure: SyncError, refused: Option<Message>) -> Action {
        if let Some(message) = refused {
            tracing::debug!(number = message.number, "the message stays on the server and will come again");
        }
        self.failure = Some(failure);
        self.say(Command::Quit, b"QUIT\r\n".to_vec())
    }

    fn finish(&mut self) -> Action {
        Action::Finished(self.failure.take().map_or(Ok(()), Err))
    }

    /// Whether only the reply to QUIT is missing.
    pub(super) fn is_quitting(&self) -> bool {
        matches!(self.state, State::Reply(Command::Quit))
    }

    /// As the reply to QUIT: the server may close without one.
    pub(super) fn on_closed(&mut self) -> Action {
        self.finish()
    }
}

/// A status line.
enum Reply<'a> {
    Ok(&'a [u8]),
    Err(&'a [u8]),
}

impl<'a> Reply<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let is = |word: &[u8]| line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        if is(b"+OK") {
            Some(Self::Ok(line[3..].trim()))
        } else if is(b"-ERR") {
            Some(Self::Err(line[4..].trim()))
        } else {
            None
        }
    }
}

/// The greeting's `<...>`, brackets included, when it can be a message id (RFC 1939 §7): a stamp with other octets is
/// how passwords are fished for.
fn time_stamp(greeting: &[u8]) -> Option<Vec<u8>> {
    let open = greeting.find_byte(b'<')?;
    let close = greeting[open..].find_byte(b'>')? + open;
    let stamp = &greeting[open..=close];
    let is_message_id = stamp.contains(&b'@') && stamp.iter().all(u8::is_ascii_graphic);
    is_message_id.then(|| stamp.to_vec())
}

fn is_uid(value: &[u8]) -> bool {
    (1..=UID_BYTES_MAX).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic)
}

fn number(field: Option<&[u8]>) -> Option<u32> {
    field?.to_str().ok()?.parse().ok()
}

/// A size that is no number is unknown, which is 0.
fn size(value: &[u8]) -> u64 {
    value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn refused(command: Command, text: &[u8]) -> SyncError {
    SyncError::Refused { command, text: shown(text) }
}

fn shown(line: &[u8]) -> BString {
    line[..line.len().min(SHOWN_BYTES_MAX)].into()
}

#[cfg(test)]
mod tests;
