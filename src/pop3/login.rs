//! Letting a client in: the account, what it may do, its mailbox locked and listed. Blocks; no tokio here.
//!
//! Order (`mailflow.md` 9.2): the proof, `PopEnable`, the account's `pop3.ipmap.tab`, the lock. The client is not told
//! which of the first three failed.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use super::session::{Answer, LogIn, Message, Proof};
use crate::auth::{self, check_account};
use crate::mailbox::{MailboxError, MailboxLock, Mailboxes, StoredMessage};
use crate::mailroot::schema::user as variables;
use crate::mailroot::{Account, Snapshot};

/// A mailbox that this session has to itself. The messages are in the order of their numbers.
#[derive(Debug)]
pub(super) struct OpenMailbox {
    pub(super) messages: Vec<Arc<StoredMessage>>,
    /// Held for its `Drop`, which gives the mailbox back.
    _lock: MailboxLock,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visitor<'a> {
    pub(super) peer: IpAddr,
    /// The greeting's time stamp.
    pub(super) stamp: &'a str,
    /// An external program has looked at the proof already and found it right.
    pub(super) is_vouched_for: bool,
}

/// Lets the client in or not.
pub(super) fn log_in(
    mailboxes: &Mailboxes,
    snapshot: &Snapshot,
    login: &LogIn,
    visitor: Visitor<'_>,
) -> (Answer, Option<OpenMailbox>) {
    let Some(account) = permitted(snapshot, login, visitor) else { return (Answer::Denied, None) };
    match open(mailboxes, snapshot, &account, visitor.peer) {
        Ok(Some((mailbox, messages))) => (Answer::LoggedIn(messages), Some(mailbox)),
        Ok(None) => (Answer::InUse, None),
        Err(error) => {
            tracing::error!("log-in of {}: {error}", account.address());
            (Answer::Failed, None)
        }
    }
}

/// The account, if the proof is right and it may log in by POP3 from there.
fn permitted(snapshot: &Snapshot, login: &LogIn, visitor: Visitor<'_>) -> Option<Arc<Account>> {
    let account = if visitor.is_vouched_for {
        snapshot.account(&login.domain, &login.name).cloned()
    } else {
        let proof = match &login.proof {
            Proof::Password(password) => auth::Proof::Password(password.as_bytes()),
            Proof::Apop(digest) => {
                auth::Proof::Apop { stamp: visitor.stamp.as_bytes(), digest: digest.as_bytes() }
            }
        };
        check_account(snapshot, &login.domain, &login.name, &proof)
    }?;
    let is_enabled = snapshot.user_settings(&account).flag(&variables::POP_ENABLE);
    let is_near = snapshot.pop3_ipmap_of(&account).verdict(visitor.peer).allowed;
    (is_enabled && is_near).then_some(account)
}

/// Locks and lists; `None` when another session has the mailbox.
fn open(
    mailboxes: &Mailboxes,
    snapshot: &Snapshot,
    account: &Account,
    peer: IpAddr,
) -> Result<Option<(OpenMailbox, Vec<Message>)>, MailboxError> {
    let Some(lock) = mailboxes.lock(account)? else { return Ok(None) };
    let scan_cur = snapshot.user_settings(account).integer(&variables::POP3_SCAN_CUR) > 0;
    let mut mailbox = OpenMailbox { messages: Vec::new(), _lock: lock };
    let mut messages = Vec::new();
    for stored in mailboxes.list(account, scan_cur)? {
        match mailboxes.wire_size(&stored) {
            Ok(size_bytes) => {
                messages.push(Message { uid: stored.file_name.clone(), size_bytes });
                mailbox.messages.push(stored);
            }
            // Another program has taken it since the directory was read.
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if let Err(error) = mailboxes.record_login(account, peer) {
        // POP-before-SMTP misses this log-in; the client's mail does not depend on it.
        tracing::warn!("{error}");
    }
    Ok(Some((mailbox, messages)))
}
