//! The outgoing SMTP dialogue as a value: replies in, what to send next out (`mailflow.md` 4.7, RFC 5321 §3).
//!
//! ```text
//! greeting  EHLO | HELO  [STARTTLS EHLO]  [AUTH]  *( MAIL RCPT DATA message )  QUIT
//! ```
//!
//! Nothing here waits or touches a socket: [`Dialogue::on_reply`] takes a whole reply and says what follows. MAIL, RCPT
//! and DATA go out together when the server offers PIPELINING (RFC 2920). A transaction ends in
//! [`Action::Finished`]; the dialogue then is ready for another one, or [`Dialogue::is_ready`] says it is not.

use std::time::Duration;

use crate::auth::{ClientExchange, Mechanism};
use crate::mailroot::routing::NeedTls;
use crate::status::{Reply, number};

use super::failure::Failure;

/// The longest wait for the greeting (RFC 5321 §4.5.3.2.1).
pub(super) const GREETING_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// The longest wait for replies to EHLO, HELO, STARTTLS and AUTH; the RFC names none, this is MAIL's.
pub(super) const COMMAND_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// MAIL and RCPT (RFC 5321 §4.5.3.2.2, §4.5.3.2.3).
pub(super) const ENVELOPE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// DATA until 354 (RFC 5321 §4.5.3.2.4).
pub(super) const DATA_TIMEOUT: Duration = Duration::from_secs(2 * 60);
/// The final dot until its reply (RFC 5321 §4.5.3.2.6).
pub(super) const FINAL_DOT_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// How we present ourselves to one server.
#[derive(Clone)]
pub(super) struct Plan {
    /// The name in EHLO.
    pub(super) helo: String,
    /// Whether STARTTLS is used.
    pub(super) need_tls: NeedTls,
    /// The log-in, if `userauth/smtp` has one: mechanism, user, password.
    pub(super) login: Option<(Mechanism, Vec<u8>, Vec<u8>)>,
}

/// One message to one recipient, as the wire needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Envelope {
    /// The reverse-path without brackets.
    pub(super) mail_from: String,
    /// The forward-path without brackets.
    pub(super) rcpt_to: String,
    /// Bytes of the message as stored.
    pub(super) size_bytes: u64,
    /// The message came with `BODY=8BITMIME`.
    pub(super) is_8bit: bool,
    /// An address is not ASCII, or the message came with `SMTPUTF8`.
    pub(super) needs_smtputf8: bool,
}

/// What the shell does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send these bytes (maybe none), then wait this long at most for one reply.
    Exchange(Vec<u8>, Duration),
    /// Do the TLS handshake, then call [`Dialogue::on_tls`].
    StartTls,
    /// The server knows us; begin a transaction with [`Dialogue::begin`].
    Ready,
    /// Send the message, the final dot, and wait for a reply.
    SendMessage,
    /// The transaction (or the attempt to get to one) is over: the final reply, or why not.
    Finished(Result<Reply, Failure>),
}

/// The client's side of one connection.
pub(super) struct Dialogue {
    plan: Plan,
    state: State,
    offers: Offers,
    is_tls: bool,
}

enum State {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Auth(ClientExchange),
    Ready,
    Transaction { envelope: Envelope, step: Step, is_pipelined: bool, refused: Option<Failure> },
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Mail,
    Rcpt,
    Data,
    Message,
    /// An empty message after a refused recipient and an accepted DATA (RFC 2920 §3.1).
    EmptyMessage,
}

/// What EHLO offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Offers {
    starttls: bool,
    pipelining: bool,
    eight_bit: bool,
    smtputf8: bool,
    /// `Some(0)`: SIZE without a limit.
    size: Option<u64>,
}

impl Offers {
    fn of(reply: &Reply) -> Self {
        let mut offers = Self::default();
        for line in reply.lines.iter().skip(1) {
            let mut words = line.split(|&byte| byte == b' ' || byte == b'=').filter(|word| !word.is_empty());
            let Some(keyword) = words.next() else { continue };
            match keyword.to_ascii_uppercase().as_slice() {
                b"STARTTLS" => offers.starttls = true,
                b"PIPELINING" => offers.pipelining = true,
                b"8BITMIME" => offers.eight_bit = true,
                b"SMTPUTF8" => offers.smtputf8 = true,
                b"SIZE" => offers.size = Some(words.next().and_then(decimal).unwrap_or(0)),
                _ => {}
            }
        }
        offers
    }
}

fn decimal(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

impl Dialogue {
    /// A dialogue that waits for the greeting.
    pub(super) fn new(plan: Plan) -> (Self, Action) {
        let dialogue = Self { plan, state: State::Greeting, offers: Offers::default(), is_tls: false };
        (dialogue, Action::Exchange(Vec::new(), GREETING_TIMEOUT))
    }

    /// Whether another transaction can begin on this connection.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// Takes a reply.
    pub(super) fn on_reply(&mut self, reply: &Reply) -> Action {
        if reply.code == SERVICE_CLOSING && !matches!(self.state, State::Transaction { .. }) {
            return self.over(Failure::reply(number::SERVER_RESPONSE, reply));
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Greeting if reply.is_positive() => self.ehlo(),
            State::Ehlo if reply.is_positive() => self.greeted(reply),
            State::Ehlo => {
                self.state = State::Helo;
                self.send(&format!("HELO {}", self.plan.helo), COMMAND_TIMEOUT)
            }
            State::Helo if reply.is_positive() => {
                self.offers = Offers::default();
                self.secured()
            }
            State::StartTls if reply.is_positive() => Action::StartTls,
            // NeedTLS=1 goes on in clear.
            State::StartTls if self.plan.need_tls == NeedTls::IfOffered => self.secured(),
            State::Auth(exchange) => self.on_auth(exchange, reply),
            State::Transaction { envelope, step, is_pipelined, refused } => {
                self.on_transaction(reply, envelope, step, is_pipelined, refused)
            }
            State::Greeting | State::Helo | State::StartTls | State::Ready | State::Over => {
                self.over(Failure::reply(number::SERVER_RESPONSE, reply))
            }
        }
    }

    /// The refusal a pipelined transaction has met already, while replies to the commands behind it are still to come.
    pub(super) fn refusal(&self) -> Option<Failure> {
        match &self.state {
            State::Transaction { refused, .. } => refused.clone(),
            _ => None,
        }
    }

    /// The handshake succeeded: everything the server said before is forgotten (RFC 3207 §4.2).
    pub(super) fn on_tls(&mut self) -> Action {
        self.is_tls = true;
        self.ehlo()
    }

    /// Begins a transaction. Only when [`Dialogue::is_ready`].
    pub(super) fn begin(&mut self, envelope: Envelope) -> Action {
        if envelope.needs_smtputf8 && !self.offers.smtputf8 {
            let reason = "553 5.6.7 The remote server does not accept internationalized addresses";
            return Action::Finished(Err(Failure::permanent(number::SERVER_RESPONSE, reason)));
        }
        // XMail also refuses a message of exactly the limit (decision 146; RFC 1870 §4 allows it).
        if self.offers.size.is_some_and(|limit| limit > 0 && envelope.size_bytes > limit) {
            let reason = crate::status::xmail_error_text(number::MESSAGE_TOO_BIG_FOR_PEER);
            return Action::Finished(Err(Failure::permanent(number::MESSAGE_TOO_BIG_FOR_PEER, reason)));
        }
        let is_pipelined = self.offers.pipelining;
        let mut commands = self.mail_command(&envelope);
        if is_pipelined {
            commands.push_str(&format!("RCPT TO:<{}>\r\nDATA\r\n", envelope.rcpt_to));
        }
        self.state = State::Transaction { envelope, step: Step::Mail, is_pipelined, refused: None };
        Action::Exchange(commands.into_bytes(), ENVELOPE_TIMEOUT)
    }

    fn mail_command(&self, envelope: &Envelope) -> String {
        let mut command = format!("MAIL FROM:<{}>", envelope.mail_from);
        if self.offers.size.is_some() {
            command.push_str(&format!(" SIZE={}", envelope.size_bytes));
        }
        if envelope.is_8bit && self.offers.eight_bit {
            command.push_str(" BODY=8BITMIME");
        }
        if envelope.needs_smtputf8 {
            command.push_str(" SMTPUTF8");
        }
        command.push_str("\r\n");
        command
    }

    fn ehlo(&mut self) -> Action {
        self.state = State::Ehlo;
        self.send(&format!("EHLO {}", self.plan.helo), COMMAND_TIMEOUT)
    }

    fn greeted(&mut self, reply: &Reply) -> Action {
        self.offers = Offers::of(reply);
        if self.is_tls || self.plan.need_tls == NeedTls::No || !self.offers.starttls {
            return self.secured();
        }
        self.state = State::StartTls;
        self.send("STARTTLS", COMMAND_TIMEOUT)
    }

    /// As secure as it gets: log in where there is a log-in.
    fn secured(&mut self) -> Action {
        if self.plan.need_tls == NeedTls::Required && !self.is_tls {
            let reason = crate::status::xmail_error_text(number::TLS_NOT_OFFERED);
            return self.over(Failure::permanent(number::TLS_NOT_OFFERED, reason));
        }
        let Some((mechanism, user, password)) = &self.plan.login else {
            self.state = State::Ready;
            return Action::Ready;
        };
        let exchange = ClientExchange::new(*mechanism, user, password);
        let command = exchange.command();
        self.state = State::Auth(exchange);
        self.send(&command, COMMAND_TIMEOUT)
    }

    fn on_auth(&mut self, mut exchange: ClientExchange, reply: &Reply) -> Action {
        if reply.is_positive() {
            self.state = State::Ready;
            return Action::Ready;
        }
        let challenge = reply.lines.first().map(|line| line.to_vec()).unwrap_or_default();
        if reply.code == AUTH_CONTINUE
            && let Ok(answer) = exchange.answer(&challenge)
        {
            self.state = State::Auth(exchange);
            return self.send(&answer, COMMAND_TIMEOUT);
        }
        self.over(Failure::reply(number::SMTP_CLIENT_AUTH, reply))
    }

    fn on_transaction(
        &mut self,
        reply: &Reply,
        envelope: Envelope,
        step: Step,
        is_pipelined: bool,
        mut refused: Option<Failure>,
    ) -> Action {
        let (accepted, error) = match step {
            Step::Mail => (reply.is_positive(), number::MAIL_FROM_REFUSED),
            Step::Rcpt => (reply.is_positive(), number::RCPT_TO_REFUSED),
            Step::Data => (reply.code / 100 == 3, number::DATA_REFUSED),
            Step::Message | Step::EmptyMessage => (reply.is_positive(), number::SERVER_RESPONSE),
        };
        if !accepted && refused.is_none() {
            refused = Some(Failure::reply(error, reply));
        }
        // The first refusal counts; the replies to what went out with it are only read.
        let (next, wait) = match (step, is_pipelined, &refused) {
            (Step::Mail, true, _) => (Step::Rcpt, ENVELOPE_TIMEOUT),
            (Step::Rcpt, true, _) => (Step::Data, DATA_TIMEOUT),
            (Step::Mail, false, None) => (Step::Rcpt, ENVELOPE_TIMEOUT),
            (Step::Rcpt, false, None) => (Step::Data, DATA_TIMEOUT),
            (Step::Data, _, None) => (Step::Message, FINAL_DOT_TIMEOUT),
            (Step::Data, true, Some(_)) if accepted => (Step::EmptyMessage, FINAL_DOT_TIMEOUT),
            _ => return self.end_transaction(reply, refused),
        };
        let command = match next {
            Step::Rcpt if !is_pipelined => format!("RCPT TO:<{}>\r\n", envelope.rcpt_to),
            Step::Data if !is_pipelined => "DATA\r\n".to_owned(),
            Step::EmptyMessage => ".\r\n".to_owned(),
            _ => String::new(),
        };
        self.state = State::Transaction { envelope, step: next, is_pipelined, refused };
        match next {
            Step::Message => Action::SendMessage,
            _ => Action::Exchange(command.into_bytes(), wait),
        }
    }

    fn end_transaction(&mut self, reply: &Reply, refused: Option<Failure>) -> Action {
        match refused {
            // The server may hold half a transaction: the connection is not used again.
            Some(failure) => self.over(failure),
            None => {
                self.state = State::Ready;
                Action::Finished(Ok(reply.clone()))
            }
        }
    }

    fn over(&mut self, failure: Failure) -> Action {
        self.state = State::Over;
        Action::Finished(Err(failure))
    }

    fn send(&self, line: &str, wait: Duration) -> Action {
        Action::Exchange(format!("{line}\r\n").into_bytes(), wait)
    }
}

/// What the smail log calls the remote id: the text between `<` and `>` of the final reply, else the reply after its
/// code.
pub(super) fn remote_id(reply: &Reply) -> Vec<u8> {
    let text = reply.lines.last().map(|line| line.to_vec()).unwrap_or_default();
    let between = || {
        let open = text.iter().position(|&byte| byte == b'<')? + 1;
        let close = text[open..].iter().position(|&byte| byte == b'>')? + open;
        Some(text[open..close].to_vec())
    };
    between().unwrap_or(text)
}

const SERVICE_CLOSING: u16 = 421;

const AUTH_CONTINUE: u16 = 334;

#[cfg(test)]
mod tests;
