//! Notices about mail that could not be delivered (`mailflow.md` 4.9): their text, pure, and who gets one.
//!
//! ```text
//! Date, X-MessageId, X-SmtpMessageId, From, To, Subject, X-MailerServer, X-MailerError
//!
//! [<00>] one line for programs   [<01>] what and whom   [<02>] reason   [<03>] note (temporary)
//! [<04>] slog                    [<05>] the message's headers and first lines
//! ```
//!
//! A notice that nobody gets takes no message number (decision 141). CRLF throughout and dot-stuffed as stored (decision 1): the quoted message is stuffed already, the rest is stuffed
//! here. The marks `[<0n>]` and `XMail bounce:` are kept verbatim, programs look for them.

use crate::mailroot::Snapshot;
use crate::message::{HEADER_BLOCK_BYTES_MAX, header_end};
use crate::net;
use crate::net::dots::{Stuffer, ToCrlf, Transform};
use crate::status::{PRODUCT, VERSION};

/// How much of a message is read for section 5 besides its headers, in bytes. Ours: notices stay small.
pub(super) const QUOTED_BODY_BYTES_MAX: usize = 64 * 1024;

/// How much of a message a notice may look at.
pub(super) const QUOTED_BYTES_MAX: usize = HEADER_BLOCK_BYTES_MAX + QUOTED_BODY_BYTES_MAX;

/// Which of the three kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// To the sender, copy to `ErrorsAdmin`.
    Permanent,
    /// To the sender, copy to `TempErrorsAdmin`.
    Temporary,
    /// To `PostMaster` only.
    Root,
}

/// What a notice tells.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Now, as a mail date.
    pub(super) date: String,
    /// The spool name of the message.
    pub(super) spool_name: String,
    /// Its number, as `S1F`.
    pub(super) number: String,
    /// `RootDomain`, or the server's own name.
    pub(super) root_domain: String,
    /// `PostMaster`.
    pub(super) postmaster: String,
    /// Who is told.
    pub(super) addressee: String,
    /// The message's sender, without brackets.
    pub(super) sender: String,
    /// The message's recipient, route included.
    pub(super) recipient: String,
    /// Who refused it.
    pub(super) server: Option<String>,
    /// Why; lines separated by CRLF.
    pub(super) reason: Option<String>,
    /// Section 3.
    pub(super) note: Option<Note>,
    /// Section 4, LF lines.
    pub(super) slog: Option<Vec<u8>>,
    /// Section 5, stuffed as stored.
    pub(super) quoted: Vec<u8>,
}

/// What the temporary kind says about the future.
#[derive(Clone, Debug, Default)]
pub(super) struct Note {
    /// When this attempt began.
    pub(super) tried: String,
    /// Its number.
    pub(super) attempts: u32,
    /// When the next one is due.
    pub(super) next: String,
}

impl Facts {
    /// The notice as it is stored.
    pub(super) fn to_stored(&self) -> Vec<u8> {
        let mut stored = stuffed(self.head().as_bytes());
        if let Some(slog) = &self.slog {
            stored.extend(stuffed(b"[<04>] Here is listed the message log file:\n\n"));
            stored.extend(stuffed(slog));
            stored.extend_from_slice(b"\r\n\r\n");
        }
        stored.extend_from_slice(b"[<05>] Here is listed the initial part of the message:\r\n\r\n");
        let mut to_crlf = ToCrlf::default();
        to_crlf.push(&self.quoted, &mut stored);
        to_crlf.finish(&mut stored);
        stored
    }

    /// Header fields and sections 0 to 3, LF lines.
    fn head(&self) -> String {
        let Self { spool_name, root_domain, number, .. } = self;
        let reason = self.reason.as_deref().unwrap_or_default();
        let mut text = format!(
            "Date: {date}\nX-MessageId: <{spool_name}>\nX-SmtpMessageId: <{number}>\n\
             From: {root_domain} PostMaster <{postmaster}>\nTo: {addressee}\n\
             Subject: Error sending message [{spool_name}] from [{root_domain}]\n\
             X-MailerServer: {PRODUCT} {VERSION}\n\
             X-MailerError: Message = [{spool_name}] Server = [{root_domain}]\n\n\
             [<00>] XMail bounce: Rcpt=[{recipient}];Error=[{reason}]\n\n\n\
             [<01>] Error sending message [{spool_name}] from [{root_domain}].\n\n\
             ID:        <{number}>\nMail From: <{sender}>\nRcpt To:   <{recipient}>\n",
            date = self.date,
            postmaster = self.postmaster,
            addressee = self.addressee,
            recipient = self.recipient,
            sender = self.sender,
        );
        if let Some(server) = &self.server {
            text.push_str(&format!("Server:    <{server}> [{server}]\n"));
        }
        text.push_str("\n\n");
        if self.reason.is_some() {
            text.push_str(&format!("[<02>] The reason of the delivery failure was:\n\n{reason}\n\n\n"));
        }
        if let Some(note) = &self.note {
            text.push_str(&note.to_text());
        }
        text
    }
}

impl Note {
    fn to_text(&self) -> String {
        format!(
            "[<03>] Note:\n\n\
             ** This is a temporary error and you do not have to resend the message\n\
             ** The system tried to send the message at      : {}\n\
             ** The current number of delivery attempts is   : {}\n\
             ** The system will try to resend the message at : {}\n\n\n\n",
            self.tried, self.attempts, self.next
        )
    }
}

/// Text of ours to stored form: CRLF, dots doubled.
fn stuffed(text: &[u8]) -> Vec<u8> {
    let mut dotted = Vec::with_capacity(text.len() + 64);
    let mut stuffer = Stuffer::default();
    stuffer.push(text, &mut dotted);
    let mut stored = Vec::with_capacity(dotted.len() + 64);
    let mut to_crlf = ToCrlf::default();
    to_crlf.push(&dotted, &mut stored);
    to_crlf.finish(&mut stored);
    stored
}

/// Section 5: the headers, a blank line, and so many lines of the body. `message` is its beginning, as stored.
pub(super) fn quoted(message: &[u8], body_lines: usize) -> Vec<u8> {
    let body = header_end(message).body_start(message);
    let headers = &message[..body];
    let headers = headers.strip_suffix(b"\r\n\r\n").map_or(headers, |_| &headers[..headers.len() - 2]);
    let headers = headers.strip_suffix(b"\n\n").map_or(headers, |_| &headers[..headers.len() - 1]);
    let mut text = headers.to_vec();
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text.extend(message[body..].split_inclusive(|&byte| byte == b'\n').take(body_lines).flatten());
    text
}

/// Whether the quoted part says that it is itself about a notice of ours (`mailflow.md` 4.9): such mail gets none.
pub(super) fn is_loop(quoted: &[u8], root_domain: &str) -> bool {
    quoted.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"X-MailerError")).any(|line| {
        let last = line.iter().rposition(|&byte| byte == b'[').map(|at| &line[at + 1..]);
        last.is_some_and(|text| {
            text.len() >= root_domain.len()
                && text[..root_domain.len()].eq_ignore_ascii_case(root_domain.as_bytes())
        })
    })
}

/// From whom notices come: `RootDomain` and `PostMaster`, or the host's own name for what is missing (decision 42).
pub(super) fn own_names(snapshot: &Snapshot) -> (String, String) {
    let root = snapshot.server.root_domain().map_or_else(net::host_name, ToOwned::to_owned);
    let postmaster =
        snapshot.server.postmaster().map_or_else(|| format!("postmaster@{root}"), ToOwned::to_owned);
    (root, postmaster)
}

/// Whether `NotifyTryPattern` (`1,4,9`) lists this attempt.
pub(super) fn is_notified_try(pattern: &str, attempt: u32) -> bool {
    pattern.split(',').any(|number| number.trim().parse() == Ok(attempt))
}

#[cfg(test)]
mod tests;
