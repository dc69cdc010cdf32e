//! Whole commands out of octets as they come: lines and the literals inside them (RFC 9051 section 4.3, RFC 7888).
//!
//! Shape of one command: `line ({n} CRLF n octets line)* CRLF`, with `{n+}` where the client does not wait and `~{n}`
//! where the octets may be NUL. Framing comes before grammar, so that no bad command makes us lose our place.
//!
//! Messages of APPEND are not gathered: [`Step::AppendLiteral`] hands them to the caller, who reads that many octets
//! from the connection, calls [`Assembler::message_received`] and goes on feeding:
//!
//! ```text
//! feed "a APPEND x {5}CRLF"  -> AppendLiteral { text: "a APPEND x ", size 5, synchronising }   send "+ ", read 5
//! message_received           feed "CRLF"      -> AppendEnd("")
//!                            feed " {7}CRLF"  -> AppendLiteral { text: " ", size 7, .. }         the next message
//! refuse                     instead of reading a message, or after one: the rest of the command is dropped
//! ```
//!
//! Line ends: CR LF, LF, and any CRs before LF, as everywhere in this server (mailflow.md 1.2).
//!
//! Limits: [`Limits`]. What is over them is refused before it is sent where the client waits, else swallowed in no
//! memory up to [`SWALLOW_OCTETS_MAX`]. An idle assembler holds no buffer.

use memchr::memchr;

use super::grammar::{SyntaxError, recover_tag};

/// Gathers the commands of one connection.
#[derive(Debug, Default)]
pub struct Assembler {
    limits: Limits,
    /// The command so far: lines, announcements (ending in CR LF) and literals.
    text: Vec<u8>,
    /// Where the current line begins in `text`.
    line_start: usize,
    /// Octets of literals in `text`.
    literal_octets: u64,
    /// The tag, once the first message of an APPEND was announced.
    append: Option<Option<String>>,
    state: State,
}

/// What follows from the octets fed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// All octets were taken; feed more.
    NeedMore,
    /// The client waits to send a literal: send a continuation (`+ `), then feed on.
    Continue,
    /// A whole command without its line end, for [`super::grammar::parse`].
    Complete(Vec<u8>),
    /// A message of APPEND is next; nothing may be fed before [`Assembler::message_received`] or
    /// [`Assembler::refuse`].
    AppendLiteral(AppendLiteral),
    /// The end of an APPEND: what stood between the last message and the line end, for
    /// [`super::grammar::parse_append_end`].
    AppendEnd(Vec<u8>),
    /// A command over a limit is gone; answer `BAD`. The connection can go on.
    TooLong(SyntaxError),
    /// More is announced than can be swallowed: say `BYE` and close.
    Hopeless(SyntaxError),
    /// What [`Assembler::refuse`] refused is gone; now the tagged answer can be sent.
    Refused,
}

/// A message that is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendLiteral {
    /// What stands before it, without the announcement: for [`super::grammar::parse_append_head`], or
    /// [`super::grammar::parse_append_next`] after the first.
    pub text: Vec<u8>,
    /// The message's size in octets, as announced: any number, of which nothing was checked if `synchronising`.
    pub size_octets: u64,
    /// The client waits for a continuation (`+ `) before it sends.
    pub synchronising: bool,
    /// `~{n}`: NUL may occur (RFC 3516).
    pub literal8: bool,
}

/// How much of a command is held in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a command outside literals, announcements included.
    pub line_octets_max: usize,
    /// Octets of one literal that is no message.
    pub literal_octets_max: u64,
    /// Octets of all such literals of a command.
    pub literals_octets_max: u64,
    /// Octets of a literal the client sends without waiting, messages included.
    pub non_synchronising_octets_max: u64,
}

#[derive(Debug, Default)]
enum State {
    /// In a line.
    #[default]
    Line,
    /// In a literal, with so many octets to come.
    Literal(usize),
    /// Before a message, which is the caller's to read.
    Message { size_octets: u64, synchronising: bool },
    /// In a command that is dropped.
    Swallow(Swallow),
    /// Nothing can be made of this connection's octets any more.
    Lost(SyntaxError),
}

#[derive(Debug)]
struct Swallow {
    /// Octets of a literal to come.
    literal: u64,
    /// The end of the current line, as much as an announcement can have.
    tail: Vec<u8>,
    /// Octets dropped or announced so far.
    octets: u64,
    /// What to say when the command has gone by; without, the caller knows it.
    problem: Option<SyntaxError>,
}

/// `{n}`, `{n+}`, `~{n}` or `~{n+}` at the end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Announcement {
    /// Octets of the line before it.
    at: usize,
    size_octets: u64,
    synchronising: bool,
    literal8: bool,
}

impl Assembler {
    /// An assembler at the beginning of a command.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Other limits from here on; before and after authentication they may differ.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether nothing of a command has come yet.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Line) && self.text.is_empty() && self.append.is_none()
    }

    /// Takes octets up to the next event: how many were taken, and the event. [`Step::NeedMore`] takes all.
    pub fn feed(&mut self, octets: &[u8]) -> (usize, Step) {
        let mut used = 0;
        loop {
            let (taken, step) = self.advance(&octets[used..]);
            used += taken;
            match step {
                Some(step) => return (used, step),
                None if used == octets.len() && !self.can_advance_without_input() => {
                    return (used, Step::NeedMore);
                }
                None => {}
            }
        }
    }

    /// The message announced last was read; the octets after it are fed next.
    pub fn message_received(&mut self) {
        if matches!(self.state, State::Message { .. }) {
            self.state = State::Line;
        }
    }

    /// Drops the rest of an APPEND, with the message just announced if it was not received.
    /// [`Step::Refused`] if that is done at once, [`Step::NeedMore`] if octets come that must be fed until `Refused`.
    pub fn refuse(&mut self) -> Step {
        if self.is_idle() {
            return Step::Refused;
        }
        match std::mem::take(&mut self.state) {
            // The client waits and will not send it.
            State::Message { synchronising: true, .. } => {
                self.reset();
                Step::Refused
            }
            State::Message { size_octets, .. } => self.swallow(size_octets, None).unwrap_or(Step::NeedMore),
            State::Lost(problem) => {
                self.state = State::Lost(problem.clone());
                Step::Hopeless(problem)
            }
            State::Swallow(swallow) => {
                self.state = State::Swallow(swallow);
                Step::NeedMore
            }
            State::Line | State::Literal(_) => self.swallow(0, None).unwrap_or(Step::NeedMore),
        }
    }

    fn can_advance_without_input(&self) -> bool {
        matches!(self.state, State::Literal(0))
    }

    fn advance(&mut self, octets: &[u8]) -> (usize, Option<Step>) {
        match &mut self.state {
            State::Line => self.take_line(octets),
            State::Literal(left) => {
                let taken = octets.len().min(*left);
                *left -= taken;
                if *left == 0 {
                    self.state = State::Line;
                }
                self.text.extend_from_slice(&octets[..taken]);
                self.line_start = self.text.len();
                (taken, None)
            }
            // Octets that are the caller's: none are taken, so that none are lost.
            State::Message { .. } => (0, Some(Step::NeedMore)),
            State::Swallow(swallow) => {
                let (taken, over) = swallow.take(octets);
                (taken, over.then(|| self.swallowed()).flatten())
            }
            State::Lost(problem) => (octets.len(), Some(Step::Hopeless(problem.clone()))),
        }
    }

    fn take_line(&mut self, octets: &[u8]) -> (usize, Option<Step>) {
        let end = memchr(b'\n', octets);
        let line = &octets[..end.unwrap_or(octets.len())];
        let outside_literals = self.text.len() as u64 - self.literal_octets;
        let room = (self.limits.line_octets_max as u64).saturating_sub(outside_literals);
        if line.len() as u64 > room {
            let fits = usize::try_from(room).unwrap_or(usize::MAX);
            self.text.extend_from_slice(&line[..fits]);
            let problem = format!("a command has at most {} octets", self.limits.line_octets_max);
            let tail = self.text[self.line_start..].to_vec();
            let step = self.swallow(0, Some(problem));
            if let State::Swallow(swallow) = &mut self.state {
                swallow.keep_tail(&tail);
            }
            return (fits, step);
        }
        self.text.extend_from_slice(line);
        match end {
            Some(end) => (end + 1, self.end_line()),
            None => (octets.len(), None),
        }
    }

    fn end_line(&mut self) -> Option<Step> {
        while self.text.len() > self.line_start && self.text.ends_with(b"\r") {
            self.text.pop();
        }
        let Some(announced) = Announcement::find(&self.text[self.line_start..]) else {
            let text = std::mem::take(&mut self.text);
            let is_append = self.append.is_some();
            self.reset();
            return Some(if is_append { Step::AppendEnd(text) } else { Step::Complete(text) });
        };
        if let Some(problem) = self.excess(announced) {
            if announced.synchronising {
                let problem = self.problem(problem);
                self.reset();
                return Some(Step::TooLong(problem));
            }
            return self.swallow(announced.size_octets, Some(problem));
        }
        if self.is_message(announced) {
            Some(self.announce_message(announced))
        } else {
            self.begin_literal(announced)
        }
    }

    fn begin_literal(&mut self, announced: Announcement) -> Option<Step> {
        self.text.extend_from_slice(b"\r\n");
        self.line_start = self.text.len();
        self.literal_octets += announced.size_octets;
        // `excess` has seen that it is small.
        self.state = State::Literal(usize::try_from(announced.size_octets).unwrap_or(0));
        announced.synchronising.then_some(Step::Continue)
    }

    fn announce_message(&mut self, announced: Announcement) -> Step {
        let Announcement { at, size_octets, synchronising, literal8 } = announced;
        let mut text = std::mem::take(&mut self.text);
        text.truncate(self.line_start + at);
        let tag = self.append.take().unwrap_or_else(|| recover_tag(&text));
        self.reset();
        self.append = Some(tag);
        self.state = State::Message { size_octets, synchronising };
        Step::AppendLiteral(AppendLiteral { text, size_octets, synchronising, literal8 })
    }

    /// Whether what is announced is a message: any literal of an APPEND after its mailbox name.
    fn is_message(&self, announced: Announcement) -> bool {
        let mut words = self.text[..self.line_start + announced.at].splitn(3, |&octet| octet == b' ');
        let is_append = words.nth(1).is_some_and(|verb| verb.eq_ignore_ascii_case(b"APPEND"));
        self.append.is_some() || is_append && words.next().is_some_and(|arguments| !arguments.is_empty())
    }

    /// Why a literal cannot be had.
    fn excess(&self, announced: Announcement) -> Option<String> {
        let size = announced.size_octets;
        let limits = &self.limits;
        if !announced.synchronising && size > limits.non_synchronising_octets_max {
            let limit = limits.non_synchronising_octets_max;
            return Some(format!("a non-synchronising literal has at most {limit} octets"));
        }
        if self.is_message(announced) {
            return None;
        }
        if size > limits.literal_octets_max {
            return Some(format!("a literal has at most {} octets here", limits.literal_octets_max));
        }
        (self.literal_octets.saturating_add(size) > limits.literals_octets_max)
            .then(|| format!("the literals of a command have at most {} octets", limits.literals_octets_max))
    }

    fn problem(&self, reason: String) -> SyntaxError {
        SyntaxError { tag: self.append.clone().unwrap_or_else(|| recover_tag(&self.text)), reason }
    }

    /// Begins to drop the command, with a literal of `literal` octets first.
    fn swallow(&mut self, literal: u64, reason: Option<String>) -> Option<Step> {
        let problem = reason.map(|reason| self.problem(reason));
        let lost = self.problem("more octets than can be dropped".to_owned());
        self.reset();
        if literal > SWALLOW_OCTETS_MAX {
            self.state = State::Lost(lost.clone());
            return Some(Step::Hopeless(lost));
        }
        self.append = Some(lost.tag);
        self.state = State::Swallow(Swallow { literal, tail: Vec::new(), octets: literal, problem });
        None
    }

    /// The command that was dropped has ended, or too much of it came.
    fn swallowed(&mut self) -> Option<Step> {
        let State::Swallow(swallow) = std::mem::take(&mut self.state) else { return None };
        if swallow.octets > SWALLOW_OCTETS_MAX {
            let lost = self.problem("more octets than can be dropped".to_owned());
            self.reset();
            self.state = State::Lost(lost.clone());
            return Some(Step::Hopeless(lost));
        }
        self.reset();
        Some(swallow.problem.map_or(Step::Refused, Step::TooLong))
    }

    fn reset(&mut self) {
        *self = Self::new(self.limits);
    }
}

impl Swallow {
    /// Drops octets up to the end of the literal or line: how many, and whether that is the end of it all.
    fn take(&mut self, octets: &[u8]) -> (usize, bool) {
        if self.literal > 0 {
            let taken = usize::try_from(self.literal).unwrap_or(usize::MAX).min(octets.len());
            self.literal -= taken as u64;
            return (taken, false);
        }
        let end = memchr(b'\n', octets);
        let line = &octets[..end.unwrap_or(octets.len())];
        self.octets += line.len() as u64;
        self.keep_tail(line);
        let Some(end) = end else { return (octets.len(), self.octets > SWALLOW_OCTETS_MAX) };
        let text_len = self.tail.iter().rposition(|&octet| octet != b'\r').map_or(0, |last| last + 1);
        let line = &self.tail[..text_len];
        let announced = Announcement::find(line).filter(|announced| !announced.synchronising);
        self.tail.clear();
        let Some(announced) = announced else { return (end + 1, true) };
        self.literal = announced.size_octets;
        self.octets = self.octets.saturating_add(announced.size_octets);
        (end + 1, self.octets > SWALLOW_OCTETS_MAX)
    }

    fn keep_tail(&mut self, line: &[u8]) {
        let line = &line[line.len().saturating_sub(ANNOUNCEMENT_OCTETS_MAX)..];
        self.tail.extend_from_slice(line);
        let excess = self.tail.len().saturating_sub(ANNOUNCEMENT_OCTETS_MAX);
        self.tail.drain(..excess);
    }
}

impl Announcement {
    /// The announcement `line` ends with. It stands after a space or a parenthesis: `x{5}` is a bad atom.
    fn find(line: &[u8]) -> Option<Self> {
        let inner = line.strip_suffix(b"}")?;
        let (digits_end, synchronising) = match inner.strip_suffix(b"+") {
            Some(inner) => (inner.len(), false),
            None => (inner.len(), true),
        };
        let open = inner.iter().rposition(|&octet| octet == b'{')?;
        let digits = line.get(open + 1..digits_end)?;
        if line.len() - open > ANNOUNCEMENT_OCTETS_MAX - 2 || digits.is_empty() {
            return None;
        }
        let size_octets = digits.iter().try_fold(0_u64, |size, digit| {
            // A number that is too large is very large.
            digit.is_ascii_digit().then(|| size.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
        })?;
        let literal8 = line[..open].ends_with(b"~");
        let at = open - usize::from(literal8);
        matches!(line[..at].last(), Some(b' ' | b'(')).then_some(Self {
            at,
            size_octets,
            synchronising,
            literal8,
        })
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_octets_max: LINE_OCTETS_MAX,
            literal_octets_max: LITERAL_OCTETS_MAX,
            literals_octets_max: LITERALS_OCTETS_MAX,
            non_synchronising_octets_max: NON_SYNCHRONISING_OCTETS_MAX,
        }
    }
}

/// Octets of a command outside literals. RFC 7162 section 4 asks for 8,192; clients write longer sequence sets.
pub const LINE_OCTETS_MAX: usize = 64 * 1024;

/// Octets of a literal that is no message: names, passwords, search strings, metadata. Ours.
pub const LITERAL_OCTETS_MAX: u64 = 64 * 1024;

/// Octets of all such literals of one command. Ours.
pub const LITERALS_OCTETS_MAX: u64 = 256 * 1024;

/// Octets of a literal sent without waiting: LITERAL- (RFC 7888 section 5).
pub const NON_SYNCHRONISING_OCTETS_MAX: u64 = 4096;

/// Octets of a refused command that are read and dropped before the connection is given up. Ours: a large mail.
pub const SWALLOW_OCTETS_MAX: u64 = 64 * 1024 * 1024;

/// Octets of an announcement with what decides about it: ` ~{` 20 digits `+}` and some CRs. Longer ones are none.
const ANNOUNCEMENT_OCTETS_MAX: usize = 32;

#[cfg(test)]
mod tests;
