//! Mailing lists: one new message per member that receives (`mailflow.md` 4.5).
//!
//! All copies enter the spool in one submission, so that all or none of them are queued: a list message that is tried
//! again after a failure reaches nobody twice. A crash between the submission and the removal of the list message
//! still does.
//!
//! Memory: 1.2 kB per member at most (measured, the queue's share included): 12 MB for 10,000 members. The content is
//! held once.
//! Limits: none of its own; `mlusers.tab` as a whole is in the snapshot.
//!
//! A list that contains itself, directly or through others, gives each reader one copy: copies for lists carry
//! `X-Deliver-To: <this list>`, and a message that comes back with it is a mail loop, told to the sender.

use super::attempt::{Fate, Job};
use super::failure::plain_entry;
use crate::address::{ForwardPath, ReversePath};
use crate::mailroot::Account;
use crate::mailroot::schema::user as variables;
use crate::message::HeaderScanner;
use crate::status::number;

/// Fans out. Blocks.
pub(super) fn deliver(job: &Job, account: &Account) -> Fate {
    let own = account.address();
    if has_passed(&job.head, &own) {
        return job.end_of_loop();
    }
    let settings = job.snapshot.user_tab(account);
    let members = job.snapshot.list_members(account);
    let sender = settings.text(&variables::LIST_SENDER).and_then(|sender| {
        ReversePath::parse(sender.as_bytes())
            .inspect_err(|error| tracing::warn!(list = account.address(), %error, "ListSender is ignored"))
            .ok()
    });
    let sender = sender.unwrap_or_else(|| job.file.reverse_path.clone());
    let mut recipients = Vec::new();
    for member in members.receiving() {
        match ForwardPath::parse(member.address.as_bytes()) {
            Ok(path) => recipients.push(path),
            Err(_) => {
                let line = format!("List {} : invalid address \"{}\"", account.address(), member.address);
                job.attempt.log(&plain_entry(number::ADDRESS_SYNTAX, line));
            }
        }
    }
    if recipients.is_empty() {
        // A list without readers takes its mail, as XMail's does.
        return Fate::Done;
    }
    let reply_to = match settings.flag(&variables::USE_REPLY_TO) {
        true => format!("Reply-To: {}\r\n", job.file.forward_path.path().first_part()),
        false => String::new(),
    };
    let fields = |member: &ForwardPath| [&job.hop_field(&own, member), reply_to.as_bytes()].concat();
    match job.copy_to(&sender, &recipients, fields) {
        Ok(()) => Fate::Done,
        Err(error) => {
            tracing::error!(list = account.address(), %error, "the list's copies are not queued");
            Fate::Again
        }
    }
}

fn has_passed(head: &[u8], own: &str) -> bool {
    HeaderScanner::new(head)
        .any(|field| field.is("X-Deliver-To") && field.value().eq_ignore_ascii_case(own.as_bytes()))
}
