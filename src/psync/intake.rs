//! A fetched message on its way into the queue: its envelope from its headers, one copy for each recipient
//! (`mailflow.md` 8, 2.2). Blocks.

use super::Services;
use super::addresses::{self, RECIPIENTS_MAX};
use super::client::Outcome;
use super::error::SyncError;
use crate::address::{Mailbox, ReversePath};
use crate::mailroot::Snapshot;
use crate::mailroot::links::{LinkTarget, Pop3Link};
use crate::mailroot::schema::server as variables;
use crate::message::HEADER_BLOCK_BYTES_MAX;
use crate::spool::{Header, MailData, NewMessage, Origin, SpoolError};

/// Puts a message into the queue, for the link's recipients or for `Pop3SyncErrorAccount`, or says that it must stay
/// where it is. `number` is the message's in its session, for the log.
pub(super) fn take(
    services: &Services,
    link: &Pop3Link,
    number: u32,
    data: &MailData,
) -> Result<Outcome, SyncError> {
    let snapshot = services.tables.fresh();
    let path = || snapshot.root().path().join("tmp");
    let head = data.head(HEADER_BLOCK_BYTES_MAX).map_err(|source| SpoolError::Disk {
        action: "read",
        path: path(),
        source,
    })?;
    let recipients = handled_recipients(&snapshot, link, &head);
    let (recipients, outcome) = match (recipients.len(), error_account(&snapshot)) {
        (1..=RECIPIENTS_MAX, _) => (recipients, Outcome::Queued),
        (count, Some(account)) => {
            tracing::warn!(
                line = link.line, host = %link.remote_host, user = %link.remote_user, number,
                "pop3links.tab: a message has {count} recipients here; it goes to {account}"
            );
            (vec![account], Outcome::SetAside)
        }
        (count, None) => {
            tracing::warn!(
                line = link.line, host = %link.remote_host, user = %link.remote_user, number,
                "pop3links.tab: a message has {count} recipients here and stays on the server; Pop3SyncErrorAccount would take it"
            );
            return Ok(Outcome::Left);
        }
    };
    let messages = messages(services, &recipients, &addresses::sender(&head))?;
    services.spool.submit_blocking(&messages, data)?;
    Ok(outcome)
}

/// The recipients in domains that we handle or have a command file for; an account must exist.
fn handled_recipients(snapshot: &Snapshot, link: &Pop3Link, head: &[u8]) -> Vec<Mailbox> {
    if let LinkTarget::Account { domain } = &link.target
        && snapshot.account(domain, &link.local_name).is_none()
    {
        return Vec::new();
    }
    let tags = snapshot.server.text(&variables::FETCH_HDR_TAGS).unwrap_or_default();
    let mut recipients = addresses::recipients(link, tags, head);
    recipients.retain(|recipient| {
        let domain = recipient.domain.as_str();
        snapshot.handles(domain) || snapshot.custdomain(domain).is_some()
    });
    recipients
}

fn error_account(snapshot: &Snapshot) -> Option<Mailbox> {
    let text = snapshot.server.text(&variables::POP3_SYNC_ERROR_ACCOUNT)?;
    let account = Mailbox::parse(text.as_bytes());
    if let Err(error) = &account {
        tracing::error!("server.tab: Pop3SyncErrorAccount: {error}: {text:?}");
    }
    account.ok()
}

/// One message for each recipient, without trace fields (golden `psync_at_domain`).
fn messages(
    services: &Services,
    recipients: &[Mailbox],
    sender: &ReversePath,
) -> Result<Vec<NewMessage>, SpoolError> {
    let number = services.spool.next_number(Origin::Pop3Sync)?.to_string();
    let date = services.clock.mail_date();
    let message = |recipient: &Mailbox| NewMessage {
        header: Header {
            trace: format!("[127.0.0.1]:0;[127.0.0.1]:0;{date}").into(),
            smtp_domain: recipient.domain.as_str().into(),
            number: number.as_str().into(),
            mail_from: format!("MAIL FROM: <{sender}>").into(),
            rcpt_to: format!("RCPT TO: <{recipient}>").into(),
        },
        trace_fields: "".into(),
    };
    Ok(recipients.iter().map(message).collect())
}
