//! What a session asks of the tables' files, the disk, the passwords and the DNS.
//!
//! Everything here may block or wait; `answer` puts what blocks on a blocking thread.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::outside;
use super::serve::Services;
use super::session::{
    Answer, FilterVerdict, LoginVerdict, Opening, Question, Quota, SpoolFailure, SubmitFailure, Verified,
};
use crate::address::Mailbox;
use crate::auth::{Credentials, Proof, check_account, check_smtp_auth, split_login};
use crate::clock::Clock;
use crate::dns::Presence;
use crate::mailbox::Mailboxes;
use crate::mailroot::authentication::SmtpPerms;
use crate::mailroot::schema::user as variables;
use crate::mailroot::{Account, AccountKind, Fact, MailRoot, Snapshot, Step, Trail};
use crate::policy::recipient::recipient;
use crate::policy::{Asker, Grant, Recipient, RecipientRefusal, quota_verdict};
use crate::spool::{Origin, Spool, SpoolError};
use crate::tab::wildcard;

/// Runs on a blocking thread; `None` when the task was lost, which happens only at a hurried stop.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// Answers every question but [`Question::Submit`] and [`Question::Filter`], for which the caller has the data.
pub(super) async fn answer(services: &Services, peer: IpAddr, question: Question) -> Answer {
    match question {
        Question::SenderDomain(domain) => {
            Answer::SenderDomain(match services.resolver.has_mx_or_address(domain.as_str()).await {
                Presence::Yes => Some(true),
                Presence::No => Some(false),
                Presence::Unknown(_) => None,
            })
        }
        Question::PopBeforeSmtp { snapshot, sender } => {
            let (clock, lifetime) = (services.clock.clone(), services.limits.pop_auth_lifetime);
            let found =
                blocking(move || pop_before_smtp(&snapshot, &sender, peer, &clock, lifetime, &mut ())).await;
            Answer::PopBeforeSmtp(found.flatten())
        }
        Question::Open => {
            // Two small reads and a write that stay in the system's cache: less than waking another thread.
            Answer::Open(open(&services.spool, services.clock.mail_date()))
        }
        Question::Login { snapshot, mechanism, credentials } => {
            // XMail's order (`mailflow.md` 3.10): external programs, accounts, `smtpauth.tab`.
            let row = snapshot.smtp_ext_auth.for_mechanism(mechanism.name());
            if let Some(row) = row {
                let directory = &services.temp_directory;
                return Answer::Login(outside::verdict(row, mechanism, &credentials, directory).await);
            }
            let verdict = blocking(move || login(&snapshot, &credentials)).await;
            Answer::Login(verdict.unwrap_or(LoginVerdict::Unavailable))
        }
        Question::Recipient { snapshot, mailbox, asker, size_bytes } => {
            // A few looks at files that the system remembers: less than waking another thread.
            let found = find(&snapshot, &services.mailboxes, &mailbox, &asker, &mut ());
            if !found.as_ref().is_ok_and(has_quota) {
                return Answer::Recipient(found);
            }
            // Measuring a mailbox reads whole directories.
            let mailboxes = services.mailboxes.clone();
            let verdict = blocking(move || {
                let found = found?;
                fits_quota(&snapshot, &mailboxes, &found, size_bytes, &mut ()).map(|()| found)
            });
            Answer::Recipient(verdict.await.unwrap_or(Err(RecipientRefusal::WillNotFit)))
        }
        Question::Verify { snapshot, mailbox } => {
            Answer::Verify(blocking(move || verify(&snapshot, &mailbox)).await.flatten())
        }
        Question::FlushQueue(pattern) => {
            let moved = services.spool.outbox().flush(|first_part| flushes(&pattern, first_part));
            tracing::info!(pattern, moved, "ETRN");
            Answer::FlushQueue
        }
        Question::Filter(_) => Answer::Filter(FilterVerdict::Unavailable),
        Question::Submit(_) => Answer::Submit(Err(SubmitFailure::Spool(SpoolFailure::Disk))),
    }
}

/// The account of the sender, if its `.ipconn` names the peer and is young enough (`mailroot.md` 12.7, decision 25).
pub fn pop_before_smtp(
    snapshot: &Snapshot,
    sender: &Mailbox,
    peer: IpAddr,
    clock: &Clock,
    lifetime: Duration,
    trail: &mut impl Trail,
) -> Option<(String, Grant)> {
    let resolved = snapshot.resolve(sender.domain.as_str(), sender.local_part.as_str())?;
    let file = snapshot.root().path().join(MailRoot::account_directory(&resolved.account)).join(IP_CONN);
    let modified = std::fs::metadata(&file).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let now = u64::try_from(clock.unix_secs()).ok()?;
    if now.saturating_sub(modified.as_secs()) > lifetime.as_secs() {
        return None;
    }
    let text = std::fs::read_to_string(&file).ok()?;
    let address: IpAddr = text.trim().parse().ok()?;
    if address.to_canonical() != peer.to_canonical() {
        return None;
    }
    if !snapshot.user_settings(&resolved.account).flag(&variables::SMTP_ENABLE) {
        return None;
    }
    let account = resolved.account.address();
    trail.note(|| {
        let file = MailRoot::account_directory(&resolved.account).join(IP_CONN);
        Step::new(Fact::PopBeforeSmtp { account: account.clone() }).by(file, 0)
    });
    Some((account, Grant::of_account(snapshot, &resolved.account, trail)))
}

/// The file of the last POP3 log-in in an account's directory.
const IP_CONN: &str = ".ipconn";

fn open(spool: &Spool, date: String) -> Result<Opening, SpoolFailure> {
    match spool.next_number(Origin::Smtp) {
        Ok(number) => Ok(Opening { number: number.to_string(), date }),
        Err(error) => Err(failure(&error)),
    }
}

fn login(snapshot: &Snapshot, credentials: &Credentials) -> LoginVerdict {
    let proof = match credentials {
        Credentials::Password { password, .. } => Proof::Password(password),
        Credentials::CramMd5 { challenge, digest, .. } => Proof::CramMd5 { challenge, digest },
    };
    let account = |domain: &str, name: &str| check_account(snapshot, domain, name, &proof);
    let row = |user: &[u8]| check_smtp_auth(snapshot, user, &proof);
    let grant = granted(snapshot, credentials.user(), account, row, &mut ());
    grant.map_or(LoginVerdict::Refused, LoginVerdict::Granted)
}

/// What a log-in name gets (`mailflow.md` 3.10): the account of that name first, then the row of `smtpauth.tab`. Both are
/// found by the caller, who knows what was proved. May block.
pub fn granted(
    snapshot: &Snapshot,
    user: &[u8],
    account: impl FnOnce(&str, &str) -> Option<Arc<Account>>,
    row: impl FnOnce(&[u8]) -> Option<SmtpPerms>,
    trail: &mut impl Trail,
) -> Option<Grant> {
    let found = std::str::from_utf8(user).ok().and_then(|user| match split_login(user) {
        (name, Some(domain)) => account(domain, name),
        (_, None) => None,
    });
    match found {
        Some(account) => {
            let user = snapshot.user_settings(&account);
            if !user.flag(&variables::SMTP_ENABLE) {
                let row = user.citation(&variables::SMTP_ENABLE);
                trail.note(|| Step::new(Fact::SendDisabled).by_all(row));
                return None;
            }
            Some(Grant::of_account(snapshot, &account, trail))
        }
        None => row(user).map(Grant::of_perms),
    }
}

/// Whether a recipient is accepted, its mailbox included. May block.
///
/// # Errors
/// [`RecipientRefusal`].
pub fn accept(
    snapshot: &Snapshot,
    mailboxes: &Mailboxes,
    mailbox: &Mailbox,
    asker: &Asker,
    size_bytes: u64,
    trail: &mut impl Trail,
) -> Result<Recipient, RecipientRefusal> {
    let found = find(snapshot, mailboxes, mailbox, asker, trail)?;
    fits_quota(snapshot, mailboxes, &found, size_bytes, trail).map(|()| found)
}

/// A recipient and, for a user, its mailbox; without a look at the quota.
fn find(
    snapshot: &Snapshot,
    mailboxes: &Mailboxes,
    mailbox: &Mailbox,
    asker: &Asker,
    trail: &mut impl Trail,
) -> Result<Recipient, RecipientRefusal> {
    let found = recipient(snapshot, mailbox, asker, trail)?;
    if let Recipient::Local { account, .. } = &found
        && account.kind == AccountKind::User
    {
        refuse_without_mailbox(mailboxes, account).inspect_err(|_| {
            let directory = mailboxes.directory(account);
            let relative = directory.strip_prefix(snapshot.root().path()).map(Path::to_owned);
            let directory = relative.unwrap_or(directory);
            trail.note(|| Step::new(Fact::NoMailboxDirectory { directory }));
        })?;
    }
    Ok(found)
}

fn has_quota(found: &Recipient) -> bool {
    matches!(found, Recipient::Local { account, mailbox_bytes_max: Some(_) } if account.kind == AccountKind::User)
}

/// Whether a user's mailbox takes so much more. Blocks when there is a quota.
fn fits_quota(
    snapshot: &Snapshot,
    mailboxes: &Mailboxes,
    found: &Recipient,
    size_bytes: u64,
    trail: &mut impl Trail,
) -> Result<(), RecipientRefusal> {
    let Recipient::Local { account, mailbox_bytes_max: Some(limit_bytes) } = found else { return Ok(()) };
    if account.kind != AccountKind::User {
        return Ok(());
    }
    let stored_bytes = stored_bytes(mailboxes, account);
    trail.note(|| {
        let row = snapshot.user_settings(account).citation(&variables::MAX_MB_SIZE);
        Step::new(Fact::Quota { stored_bytes, limit_bytes: *limit_bytes, message_bytes: size_bytes })
            .by_all(row)
    });
    quota_verdict(stored_bytes, *limit_bytes, size_bytes)
}

/// An account without its mailbox directory takes no mail, as XMail has it (golden boxes_wrongmode).
fn refuse_without_mailbox(mailboxes: &Mailboxes, account: &Account) -> Result<(), RecipientRefusal> {
    let directory = mailboxes.directory(account);
    match std::fs::metadata(&directory) {
        Ok(found) if found.is_dir() => return Ok(()),
        // It cannot be looked at, which says nothing about what is there: mail waits in the queue until it can.
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(());
        }
        _ => {}
    }
    tracing::warn!(account = account.address(), "{}: is missing; mail is refused", directory.display());
    Err(RecipientRefusal::MailboxFull)
}

/// A mailbox that cannot be measured takes mail: delivery will find out what is wrong with it, and keeps the mail.
fn stored_bytes(mailboxes: &Mailboxes, account: &Account) -> u64 {
    match mailboxes.quota_usage(account) {
        Ok(usage) => usage.bytes,
        Err(error) => {
            tracing::warn!(account = account.address(), %error, "mailbox size unknown");
            0
        }
    }
}

/// Whether the message can go to somebody (decision 9). When only some mailboxes are too small it is accepted, as XMail
/// accepts it: SMTP has one reply for all, and one full mailbox must not lose the others their mail.
pub fn fits(
    mailboxes: &Mailboxes,
    quotas: &[(Mailbox, Quota)],
    recipients: usize,
    bytes: u64,
) -> Result<(), SubmitFailure> {
    let too_small = |quota: &Quota| {
        quota_verdict(stored_bytes(mailboxes, &quota.account), quota.bytes_max, bytes).is_err()
    };
    match quotas.first() {
        Some((first, _))
            if quotas.len() == recipients && quotas.iter().all(|(_, quota)| too_small(quota)) =>
        {
            Err(SubmitFailure::MailboxFull(first.clone()))
        }
        _ => Ok(()),
    }
}

/// Accounts before command aliases, the other way round than RCPT (golden `smtp_aliases`).
fn verify(snapshot: &Snapshot, mailbox: &Mailbox) -> Option<Verified> {
    let (domain, name) = (mailbox.domain.as_str(), mailbox.local_part.as_str());
    let Some(resolved) = snapshot.resolve(domain, name) else {
        let address = mailbox.to_string();
        return snapshot.cmdalias(domain, name).map(|_| Verified::CommandAlias { address });
    };
    let account = resolved.account;
    let user = snapshot.user_settings(&account);
    let real_name = user.text(&variables::REAL_NAME).unwrap_or("Unknown").to_owned();
    Some(Verified::Account { real_name, address: account.address() })
}

/// ETRN's pattern: with `@` on the whole first path part, else on its domain (`mailflow.md` 2.8).
fn flushes(pattern: &str, first_part: &str) -> bool {
    let text = match pattern.contains('@') {
        true => first_part,
        false => first_part.rsplit('@').next().unwrap_or(first_part),
    };
    wildcard::matches(pattern.as_bytes(), text.as_bytes())
}

/// What a client may know of what the disk did.
pub(super) fn failure(error: &SpoolError) -> SpoolFailure {
    tracing::error!(%error, "mail not accepted");
    match error {
        SpoolError::Disk { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
        {
            SpoolFailure::DiskFull
        }
        _ => SpoolFailure::Disk,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etrn_patterns() {
        assert!(flushes("example.test", "bob@Example.test"));
        assert!(flushes("*.test", "@relay.test"));
        assert!(!flushes("example.test", "bob@sub.example.test"));
        assert!(flushes("*@example.test", "bob@example.test"));
        assert!(!flushes("@example.test", "bob@example.test"));
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let disk =
            |kind: io::ErrorKind| SpoolError::Disk { action: "write", path: "x".into(), source: kind.into() };
        assert_eq!(failure(&disk(io::ErrorKind::StorageFull)), SpoolFailure::DiskFull);
        assert_eq!(failure(&disk(io::ErrorKind::PermissionDenied)), SpoolFailure::Disk);
        assert_eq!(failure(&SpoolError::Stopping), SpoolFailure::Disk);
    }
}
