//! Every text the SMTP server says, in one place: XMail's words (`mailflow.md` 3.3) behind RFC 3463 codes (decision 4).
//!
//! Greetings and answers to HELO and EHLO carry no enhanced code (RFC 2034 §3), nor do 3yz replies.

use bstr::{BStr, BString};

use super::session::{SpoolFailure, Verified};
use crate::address::{Mailbox, PathError};
use crate::auth::AuthSyntax;
use crate::mailroot::ServerTab;
use crate::mailroot::schema::server as variables;
use crate::policy::{RecipientRefusal, Refusal, SenderRefusal};
use crate::status::{EnhancedCode, Reply, number, product};

const SERVICE: &str = "ESMTP Server";

fn reply(code: u16, (class, subject, detail): (u8, u16, u16), text: impl Into<BString>) -> Reply {
    Reply::enhanced(code, EnhancedCode(class, subject, detail), text)
}

/// `[Tabmail 0.1.0 ESMTP Server]`.
pub fn server_name() -> String {
    product(SERVICE)
}

/// 220. `stamp` is `<seconds.id@domain>`.
pub fn greeting(domain: &str, stamp: &str, date: &str) -> Reply {
    Reply::new(220, format!("{domain} {stamp} {} service ready; {date}", server_name()))
}

/// 421 at `-SX`.
pub fn too_busy() -> Reply {
    Reply::new(421, format!("{} - Server too busy, retry later", server_name()))
}

/// 421 when the server stops.
pub fn stopping() -> Reply {
    reply(421, (4, 3, 2), format!("{} service closing transmission channel", server_name()))
}

/// Instead of the greeting: the operator's words, or XMail's.
pub fn refused(refusal: &Refusal, server: &ServerTab) -> Reply {
    let own_words = |variable| server.text(variable).map(str::to_owned);
    let words = match refusal {
        Refusal::IpMap => own_words(&variables::SMTP_MSG_IP_BAN),
        Refusal::Spammer => own_words(&variables::SMTP_MSG_IP_BAN_SPAMMERS),
        Refusal::Map(zone) => Some(match own_words(&variables::SMTP_MSG_IP_BAN_MAPS) {
            Some(words) => format!("{words} ({zone})"),
            None => format!("550 Denied due inclusion of your IP inside ({zone})"),
        }),
        _ => None,
    };
    let default = || {
        let code = refusal.xmail_code();
        let text = format!("{} service not available (-{code}), closing transmission channel", server_name());
        Reply::new(421, text)
    };
    words.map_or_else(default, |words| configured(&words, Reply::new(554, words.as_str())))
}

/// A complete reply that an operator wrote, code included. Without a code it becomes the text of `otherwise`; without an
/// enhanced code it gets that of `otherwise` in its own class.
fn configured(words: &str, otherwise: Reply) -> Reply {
    let Some(own) = Reply::parse_rejection(words.as_bytes()) else {
        return Reply { lines: vec![words.into()], ..otherwise };
    };
    match otherwise.enhanced {
        Some(EnhancedCode(_, subject, detail)) if own.enhanced_code().is_none() => {
            let class = if own.is_permanent() { 5 } else { 4 };
            own.with_enhanced(EnhancedCode(class, subject, detail))
        }
        _ => own,
    }
}

/// HELO and the first line of EHLO: 250 without an enhanced code.
pub fn hello(lines: impl IntoIterator<Item = String>) -> Reply {
    Reply::multi_line(250, lines)
}

/// HELO, EHLO with wrong arguments.
pub fn bad_hello() -> Reply {
    Reply::new(501, "Syntax error in parameters or arguments")
}

/// HELO, EHLO when they are not allowed.
pub fn hello_out_of_sequence() -> Reply {
    Reply::new(503, "Bad sequence of commands")
}

/// 250 OK.
pub fn ok() -> Reply {
    reply(250, (2, 0, 0), "OK")
}

/// MAIL was accepted.
pub fn sender_ok() -> Reply {
    reply(250, (2, 1, 0), "OK")
}

/// RCPT was accepted.
pub fn recipient_ok() -> Reply {
    reply(250, (2, 1, 5), "OK")
}

/// **The message is ours**: on stable storage.
pub fn received(number: &str) -> Reply {
    reply(250, (2, 0, 0), format!("OK <{number}>"))
}

/// A chunk that is not the last was received (RFC 3030 §2).
pub fn chunk_ok(octets: u64) -> Reply {
    reply(250, (2, 0, 0), format!("{octets} octets received"))
}

/// 354.
pub fn start_data() -> Reply {
    Reply::new(354, "Start mail input; end with <CRLF>.<CRLF>")
}

/// 214, three lines. STARTTLS only where it works.
pub fn help(has_starttls: bool) -> Reply {
    let starttls = if has_starttls { " STARTTLS" } else { "" };
    Reply::multi_line(
        214,
        [
            format!("HELO EHLO MAIL RCPT DATA AUTH{starttls}"),
            "RSET VRFY ETRN NOOP HELP QUIT".to_owned(),
            "For more information please visit : http://www.xmailserver.org".to_owned(),
        ],
    )
    .with_enhanced(EnhancedCode(2, 0, 0))
}

/// 221.
pub fn goodbye() -> Reply {
    reply(221, (2, 0, 0), format!("{} service closing transmission channel", server_name()))
}

/// 220 before the handshake.
pub fn start_tls() -> Reply {
    reply(220, (2, 0, 0), "Ready to start TLS")
}

/// `EnableSMTP-TLS` is 0.
pub fn no_tls() -> Reply {
    reply(454, (4, 7, 0), "TLS not available")
}

/// TLS is on already, or there is no certificate.
pub fn no_tls_now() -> Reply {
    reply(454, (4, 7, 0), "TLS not available due to temporary reason")
}

/// 500: no such command.
pub fn unrecognized() -> Reply {
    reply(500, (5, 5, 2), "Syntax error, command unrecognized")
}

/// 500: decision 7.
pub fn line_too_long() -> Reply {
    reply(500, (5, 5, 2), "Line too long")
}

/// 501: argument count and the like.
pub fn bad_arguments() -> Reply {
    reply(501, (5, 5, 4), "Syntax error in parameters or arguments")
}

/// 503: not now.
pub fn out_of_sequence() -> Reply {
    reply(503, (5, 5, 1), "Bad sequence of commands")
}

/// 503: `WantTLS`.
pub fn tls_needed() -> Reply {
    reply(503, (5, 7, 10), "Bad sequence of commands (TLS needed for this session)")
}

/// 501: the path of MAIL (`is_sender`) or RCPT cannot be read.
pub fn bad_path(error: PathError, is_sender: bool) -> Reply {
    let enhanced = match (error, is_sender) {
        (PathError::NonAscii, _) => (5, 6, 7),
        (_, true) => (5, 1, 7),
        (_, false) => (5, 1, 3),
    };
    reply(501, enhanced, format!("Syntax error in parameters or arguments: (-{})", error.xmail_code()))
}

/// 501: a null sender while `AllowNullSender` is 0.
pub fn bad_return_path() -> Reply {
    reply(501, (5, 1, 7), "Syntax error in return path")
}

/// 501: a null recipient.
pub fn bad_forward_path() -> Reply {
    reply(501, (5, 1, 3), "Syntax error in forward path")
}

/// 555: `BODY=BINARYMIME`, which EHLO does not offer; binary data would be broken here (RFC 3030 §3).
pub fn no_binary() -> Reply {
    reply(555, (5, 6, 1), "BINARYMIME not supported")
}

/// 505: `CheckMailerDomain`.
pub fn no_sender_domain() -> Reply {
    reply(505, (5, 1, 8), "Your domain has no DNS/MX entries")
}

/// 451: the DNS does not say. XMail answers 505, which makes a name server's bad day the end of good mail.
pub fn unknown_sender_domain() -> Reply {
    reply(451, (4, 4, 3), "Your domain has no DNS/MX entries")
}

/// 504: `spam-address.tab`.
pub fn spam_address(server: &ServerTab) -> Reply {
    let default = reply(504, (5, 7, 1), "You are registered as spammer");
    match server.text(&variables::SMTP_MSG_IP_BAN_SPAM_ADDRESS) {
        Some(words) => configured(words, default),
        None => default,
    }
}

/// MAIL is refused for who the client is or is not.
pub fn sender_refused(refusal: &SenderRefusal, server: &ServerTab) -> Reply {
    let forbidden = reply(551, (5, 7, 1), "Server access forbidden by your IP");
    let words = match refusal {
        SenderRefusal::Spammer => server.text(&variables::SMTP_MSG_IP_BAN_SPAMMERS),
        SenderRefusal::IpMap => server.text(&variables::SMTP_MSG_IP_BAN),
        SenderRefusal::Map(_) | SenderRefusal::NoPtr => None,
        SenderRefusal::AuthenticationRequired => {
            return reply(530, (5, 7, 0), "Server use forbidden");
        }
    };
    match words {
        Some(words) => configured(words, forbidden),
        None => forbidden,
    }
}

/// 552: the size limit.
pub fn too_big() -> Reply {
    reply(552, (5, 3, 4), "Message exceeds fixed maximum message size")
}

/// 552: `-Sr`.
pub fn too_many_recipients() -> Reply {
    reply(552, (5, 5, 3), "Too many recipients")
}

/// RCPT is refused.
pub fn recipient_refused(refusal: RecipientRefusal, mailbox: &Mailbox, sender: &str) -> Reply {
    match refusal {
        RecipientRefusal::NoMailbox => reply(550, (5, 1, 1), format!("Mailbox unavailable <{mailbox}>")),
        RecipientRefusal::Disabled => reply(550, (5, 2, 1), format!("Account disabled <{mailbox}>")),
        RecipientRefusal::ListClosed => {
            reply(557, (5, 7, 2), format!("Access denied <{mailbox}> for user <{sender}>"))
        }
        RecipientRefusal::RelayDenied => reply(550, (5, 7, 1), "Relay denied"),
        RecipientRefusal::MailboxFull => mailbox_full(mailbox),
        RecipientRefusal::WillNotFit => reply(452, (4, 2, 2), storage_exceeded(mailbox)),
    }
}

/// 552: a mailbox is full, or the message turned out not to fit (decision 9).
pub fn mailbox_full(mailbox: &Mailbox) -> Reply {
    reply(552, (5, 2, 2), storage_exceeded(mailbox))
}

fn storage_exceeded(mailbox: &Mailbox) -> String {
    format!("Requested mail action aborted: exceeded storage allocation - <{mailbox}>")
}

/// 550: NUL, or a bare CR or LF under `SMTP-BareLF` = `reject` (decision 2).
pub fn bad_content() -> Reply {
    reply(550, (5, 5, 2), "Bare CR, bare LF or NUL in mail data")
}

/// 451, or 452 for a full disk.
pub fn local_error(failure: SpoolFailure) -> Reply {
    match failure {
        SpoolFailure::DiskFull => reply(452, (4, 3, 1), aborted(number::LOW_DISK)),
        SpoolFailure::Disk => reply(451, (4, 3, 0), aborted(FILE_WRITE)),
    }
}

/// 451 for something missing in the configuration, or a DNS that does not answer.
pub fn aborted_with(code: i32) -> Reply {
    reply(451, (4, 3, 0), aborted(code))
}

/// XMail's error 100, `RootDomain config var not found`.
pub const NO_ROOT_DOMAIN: i32 = 100;

/// XMail's error 21, `Unable to write file`.
const FILE_WRITE: i32 = 21;

fn aborted(code: i32) -> String {
    format!("Requested action aborted: (-{code}) local error in processing")
}

/// 451: a filter of this server does not work and mail is to wait (decision 12).
pub fn filter_unavailable() -> Reply {
    aborted_with(number::EXTERNAL_PROGRAM)
}

/// The first line of a filter's `.rej` file as the complete reply; without a 4yz or 5yz code of its own it gets 554 5.7.1
/// (decision 13).
pub fn of_filter(line: &BStr) -> Reply {
    Reply::parse_rejection(line).unwrap_or_else(|| reply(554, (5, 7, 1), line.to_owned()))
}

/// 554 of a filter without words of its own.
pub fn transaction_failed() -> Reply {
    reply(554, (5, 7, 1), "Transaction failed")
}

/// 550 of a post-rcpt filter without words of its own.
pub fn recipient_rejected() -> Reply {
    reply(550, (5, 7, 1), "Recipient rejected")
}

/// 334.
pub fn challenge(text: &str) -> Reply {
    Reply::new(334, text)
}

/// 235.
pub fn authenticated() -> Reply {
    reply(235, (2, 7, 0), "Authentication successful")
}

/// 535: wrong user or password (decision 5).
pub fn authentication_failed() -> Reply {
    reply(535, (5, 7, 8), "Authentication failed")
}

/// 454: the check itself failed (decision 5).
pub fn authentication_unavailable() -> Reply {
    reply(454, (4, 7, 0), "Authentication failed")
}

/// 504: unknown mechanism.
pub fn unknown_mechanism() -> Reply {
    reply(504, (5, 5, 4), "Unrecognized authentication type")
}

/// 538: the mechanism is offered under TLS only (decision 5, RFC 4954 §6).
pub fn encryption_required() -> Reply {
    reply(538, (5, 7, 11), "Encryption required for requested authentication mechanism")
}

/// The dialogue of AUTH went wrong.
pub fn bad_authentication(error: AuthSyntax) -> Reply {
    let text = "Syntax error in parameters or arguments";
    match error {
        AuthSyntax::Cancelled => reply(501, (5, 7, 0), text),
        AuthSyntax::Base64 => reply(501, (5, 5, 2), text),
        AuthSyntax::UnexpectedInitialResponse => reply(501, (5, 7, 0), text),
        AuthSyntax::Message => authentication_failed(),
        AuthSyntax::TooLong => reply(500, (5, 5, 6), "Line too long"),
    }
}

/// 252: VRFY is not enabled.
pub fn not_verified() -> Reply {
    reply(252, (2, 5, 0), "Argument not checked")
}

/// 550: VRFY found nothing.
pub fn verified_nothing() -> Reply {
    reply(550, (5, 1, 1), "String does not match anything")
}

/// 250 of VRFY.
pub fn verified(found: &Verified) -> Reply {
    let text = match found {
        Verified::Account { real_name, address } => format!("{real_name} <{address}>"),
        Verified::CommandAlias { address } => format!("Local account <{address}>"),
    };
    reply(250, (2, 1, 5), text)
}

/// 501: ETRN is not enabled.
pub fn etrn_not_accepted() -> Reply {
    reply(501, (5, 7, 1), "Command not accepted")
}

/// 250 of ETRN.
pub fn queue_started(pattern: &str) -> Reply {
    reply(250, (2, 0, 0), format!("Queueing for '{pattern}' has been started"))
}

/// `CustomSMTPMessage` behind the last line of an error reply (`mailflow.md` 3.2).
pub fn with_suffix(mut reply: Reply, server: &ServerTab) -> Reply {
    if let (Some(suffix), Some(last)) = (server.text(&variables::CUSTOM_SMTP_MESSAGE), reply.lines.last_mut())
    {
        last.extend_from_slice(b" - ");
        last.extend_from_slice(suffix.as_bytes());
    }
    reply
}
