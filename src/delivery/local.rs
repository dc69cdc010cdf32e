//! Delivery into the mailbox of an account (`mailflow.md` 4.4).
//!
//! ```text
//! Return-Path: <sender>        unless the message has one; then neither field is written
//! Delivered-To: account address
//! the message as it came       a missing blank line between headers and body is put in
//! ```
//!
//! CRLF throughout (decision 45), dot-stuffed as spooled (decision 1). The message's own header bytes stay
//! (decision 44), with one exception: for a sender in `extaliases.tab` the reply address is the local one.

use std::io::{Cursor, Read};
use std::sync::Arc;

use bstr::ByteSlice;

use super::attempt::{Fate, Job};
use super::failure::plain_entry;
use crate::mailbox::folder::FolderName;
use crate::mailbox::{Delivered, Delivery, Kind, Mailboxes, Safety};
use crate::mailroot::schema::user;
use crate::mailroot::{Account, Snapshot};
use crate::message::{HeaderEnd, HeaderScanner, header_end, mailbox_prefix};
use crate::net::dots::{ToCrlf, Transformed};
use crate::status::number;

/// Delivers, logs, and says how the attempt ends. Blocks.
pub(super) fn deliver(job: &Job, account: &Account) -> Fate {
    if is_full(&job.snapshot, &job.services.mailboxes, account) {
        let line = "Message rejected due to account mailbox quota".to_owned();
        job.attempt.log(&plain_entry(number::MAILBOX_FULL, line));
        return Fate::failed("User maximum mailbox size reached");
    }
    let folder = job.junk_rule.as_ref().and_then(|_| junk_folder(job, account));
    // A folder may be renamed or removed with its messages before the journal looks for the file: there it is safe at once.
    let is_for_later = job.attempt.is_journaled() && folder.is_none();
    let safety = if is_for_later { Safety::Later } else { Safety::Now };
    match put(job, account, folder.as_ref(), safety) {
        // `Before`: a crash came between mailbox and spool; the log line may have been lost with it.
        Ok(delivered) => {
            job.log_smail("LOCAL", &account.address(), b"");
            match delivered {
                Delivered::Now(stored) if safety == Safety::Later => Fate::Stored(stored),
                Delivered::Now(_) | Delivered::Before => Fate::Done,
            }
        }
        Err(reason) => {
            tracing::error!(account = account.address(), %reason, "mailbox delivery failed");
            job.attempt.log(&plain_entry(FILE_CREATE, format!("Mailbox delivery failed: {reason}")));
            Fate::Again
        }
    }
}

/// Whether what is stored fills the quota already (`mailflow.md` 4.4). This message does not count: the SMTP server has
/// answered 250 for it after looking at its size (decision 9), and mail that we answered for is delivered. A mailbox that
/// cannot be read is not full.
pub(super) fn is_full(snapshot: &Snapshot, mailboxes: &Mailboxes, account: &Account) -> bool {
    let Some(limit) = snapshot.user_settings(account).mailbox_bytes_max() else { return false };
    let stored = mailboxes.quota_usage(account).map(|usage| usage.bytes).unwrap_or(0);
    stored >= limit
}

fn put(
    job: &Job,
    account: &Account,
    folder: Option<&FolderName>,
    safety: Safety,
) -> Result<Delivered, String> {
    let mut message = job.file.data().map_err(|error| error.to_string())?;
    let sender = job.file.reverse_path.mailbox();
    let local = sender
        .and_then(|sender| job.snapshot.ext_aliases.get(sender.domain.as_str(), sender.local_part.as_str()));
    let local = local.map(|row| format!("{}@{}", row.name, row.domain));
    let shown = local.clone().unwrap_or_else(|| job.file.reverse_path.to_string());
    let mut prefix = mailbox_prefix(&job.head, &shown, &account.address());
    prefix.extend(job.junk_rule.iter().flat_map(|rule| junk_fields(rule)));

    let is_whole = job.head.len() as u64 == job.file.data_bytes();
    let head = headers_for_mailbox(&job.head, is_whole, local.as_deref());
    let skipped = std::io::copy(&mut message.by_ref().take(head.replaced as u64), &mut std::io::sink());
    skipped.map_err(|error| error.to_string())?;
    let mut data = Transformed::new(Cursor::new(head.text).chain(message), ToCrlf::default());
    let delivery = Delivery {
        name: job.attempt.name().file_name(),
        prefix: &prefix,
        data: &mut data,
        folder,
        may_have_arrived: job.attempt.may_have_been_delivered(),
        safety,
    };
    job.services.mailboxes.deliver(account, delivery).map_err(|error| error.to_string())
}

/// Whether the account has its junk in a folder, and not in INBOX.
pub(super) fn takes_junk_apart(snapshot: &Snapshot, mailboxes: &Mailboxes, account: &Account) -> bool {
    mailboxes.kind() == Kind::Maildir && snapshot.user_settings(account).flag(&user::JUNK_FOLDER)
}

/// The folder for junk, if the account wants it apart. Where it cannot be had the mail goes into INBOX: it is marked.
fn junk_folder(job: &Job, account: &Account) -> Option<FolderName> {
    let mailboxes = &job.services.mailboxes;
    if !takes_junk_apart(&job.snapshot, mailboxes, account) {
        return None;
    }
    let found = mailboxes.folders(&Arc::new(account.clone())).junk();
    found
        .inspect_err(
            |error| tracing::warn!(account = account.address(), %error, "there is no folder for junk"),
        )
        .ok()
}

/// The fields by which mail readers and their rules know junk (`jdmail.md` JD-56).
fn junk_fields(rule: &str) -> Vec<u8> {
    let name: String = rule.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
    format!("X-Spam-Flag: YES\r\nX-Spam-Rule: {name}\r\n").into_bytes()
}

/// What stands for the first `replaced` bytes of the message.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    text: Vec<u8>,
    replaced: usize,
}

/// `head` is the beginning of the message; `reply_to` the local address of an outside sender.
fn headers_for_mailbox(head: &[u8], is_whole: bool, reply_to: Option<&str>) -> Head {
    let end = header_end(head);
    let Some(body) = body_of(head, is_whole, end) else { return Head { text: Vec::new(), replaced: 0 } };
    let is_missing_blank = !matches!(end, HeaderEnd::BlankLine { .. });
    if reply_to.is_none() && !is_missing_blank {
        return Head { text: Vec::new(), replaced: 0 };
    }
    let fields_end = HeaderScanner::new(head).last().map_or(0, |field| field.whole.end);
    let mut text = match reply_to {
        Some(address) => with_reply_to(&head[..fields_end], address),
        None => head[..fields_end].to_vec(),
    };
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    Head { text, replaced: body }
}

/// Where the body begins; `None` when that is not known for sure, because the prefix ends first. The body of a whole
/// message of headers only is empty, and begins at its end.
fn body_of(head: &[u8], is_whole: bool, end: HeaderEnd) -> Option<usize> {
    match end {
        HeaderEnd::BlankLine { body } => Some(body),
        HeaderEnd::NotAHeader { body } => head[body..].contains(&b'\n').then_some(body),
        HeaderEnd::EndOfInput => is_whole.then_some(head.len()),
    }
}

/// The address between the last `<` and `>` of each `Reply-To` is replaced, or the whole value; without the field it
/// is added at the end (golden `smtp_aliases`).
fn with_reply_to(fields: &[u8], address: &str) -> Vec<u8> {
    let mut text = Vec::with_capacity(fields.len() + address.len() + 16);
    let mut found = false;
    for field in HeaderScanner::new(fields) {
        let whole = &fields[field.whole.clone()];
        if !field.is("Reply-To") {
            text.extend_from_slice(whole);
            continue;
        }
        found = true;
        let value = field.raw_value;
        let bracketed =
            value.rfind_byte(b'<').zip(value.rfind_byte(b'>')).filter(|(open, close)| open < close);
        let name_end =
            whole.len() - whole.find_byte(b':').map_or(whole.len(), |colon| whole.len() - colon - 1);
        text.extend_from_slice(&whole[..name_end]);
        match bracketed {
            Some((open, close)) => {
                text.extend_from_slice(&value[..=open]);
                text.extend_from_slice(address.as_bytes());
                text.extend_from_slice(&value[close..]);
            }
            None => text.extend_from_slice(format!(" {address}").as_bytes()),
        }
        text.extend_from_slice(b"\r\n");
    }
    if !found {
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(format!("Reply-To: <{address}>\r\n").as_bytes());
    }
    text
}

/// XMail's `Unable to create file` (`mailflow.md` 16).
const FILE_CREATE: i32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, reply_to: Option<&str>, expected: &str) {
        let head = headers_for_mailbox(message.as_bytes(), true, reply_to);
        let text = [&head.text[..], &message.as_bytes()[head.replaced..]].concat();
        assert_eq!(text.as_bstr(), expected.as_bytes().as_bstr(), "{message:?} {reply_to:?}");
    }

    #[test]
    fn the_message_stays_as_it_is_without_an_outside_alias() {
        check("A:\r\nSubject:x\r\n\r\nbody\r\n", None, "A:\r\nSubject:x\r\n\r\nbody\r\n");
    }

    /// golden `smtp_data`, connections `empty` and `headers-only`
    #[test]
    fn headers_alone_get_their_blank_line_unless_more_may_follow() {
        check("Subject: x\r\n", None, "Subject: x\r\n\r\n");
        check("", None, "\r\n");
        assert_eq!(headers_for_mailbox(b"Subject: x\r\n", false, None).replaced, 0);
    }

    #[test]
    fn a_missing_blank_line_is_put_in() {
        check("A: b\r\nno header\r\nx: y\r\n", None, "A: b\r\n\r\nno header\r\nx: y\r\n");
        check("no header\r\n", None, "\r\nno header\r\n");
    }

    #[test]
    fn an_outside_sender_gets_the_local_reply_address() {
        let local = Some("alice@example.test");
        check("A: b\r\n\r\nx", local, "A: b\r\nReply-To: <alice@example.test>\r\n\r\nx");
        check(
            "Reply-To: Al <a@b.c> (x)\r\nA: b\r\n\r\nx",
            local,
            "Reply-To: Al <alice@example.test> (x)\r\nA: b\r\n\r\nx",
        );
        check("reply-to:a@b.c\r\n\r\nx", local, "reply-to: alice@example.test\r\n\r\nx");
    }
}
