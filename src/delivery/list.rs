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
use crate::mailroot::schema::user as variables;
use crate::mailroot::{Account, Fact, MailRoot, Snapshot, Step, Trail};
use crate::message::HeaderScanner;
use crate::status::number;

/// Fans out. Blocks.
pub(super) fn deliver(job: &Job, account: &Account) -> Fate {
    let own = account.address();
    if has_passed(&job.head, &own) {
        return job.end_of_loop();
    }
    if let Some(reason) = cannot_be_read(&job.snapshot, account) {
        tracing::error!(list = account.address(), "{MLUSERS} {reason}: its mail waits");
        job.attempt.log(&plain_entry(number::FILE_OPEN, format!("List {own} : {MLUSERS} {reason}")));
        return Fate::Again;
    }
    let settings = job.snapshot.user_settings(account);
    let copies = copies(&job.snapshot, account, &mut ());
    for address in &copies.invalid {
        let line = format!("List {} : invalid address \"{address}\"", account.address());
        job.attempt.log(&plain_entry(number::ADDRESS_SYNTAX, line));
    }
    let sender = copies.sender.unwrap_or_else(|| job.file.reverse_path.clone());
    let recipients = copies.recipients;
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

/// Why nobody can tell who the members are. A list without the file is not one without members: its mail waits until
/// the file is back, as in XMail (`mailroot.md` 6), instead of going to nobody.
fn cannot_be_read(snapshot: &Snapshot, account: &Account) -> Option<&'static str> {
    let members = snapshot.list_members(account);
    match (members.exists(), members.is_unreadable()) {
        (_, true) => Some("cannot be read"),
        (false, _) => Some("is missing"),
        (true, false) => None,
    }
}

/// What a list gives out.
pub(super) struct Copies {
    /// `ListSender`; `None`: the message's own sender stays.
    pub(super) sender: Option<ReversePath>,
    /// Who gets a copy, in file order.
    pub(super) recipients: Vec<ForwardPath>,
    /// Members that receive and have no valid address.
    pub(super) invalid: Vec<String>,
}

/// What a list gives out of each message. May block.
pub(super) fn copies(snapshot: &Snapshot, account: &Account, trail: &mut impl Trail) -> Copies {
    let settings = snapshot.user_settings(account);
    let members = snapshot.list_members(account);
    let sender = settings.text(&variables::LIST_SENDER).and_then(|sender| {
        ReversePath::parse(sender.as_bytes())
            .inspect_err(|error| tracing::warn!(list = account.address(), %error, "ListSender is ignored"))
            .ok()
    });
    let (mut recipients, mut invalid) = (Vec::new(), Vec::new());
    for member in members.receiving() {
        match ForwardPath::parse(member.address.as_bytes()) {
            Ok(path) => recipients.push(path),
            Err(_) => invalid.push(member.address.to_string()),
        }
    }
    let file = || MailRoot::account_directory(account).join(MLUSERS);
    trail.note(|| {
        let row = settings.citation(&variables::LIST_SENDER).filter(|_| sender.is_some());
        Step::new(Fact::ListCopies {
            list: account.address(),
            sender: sender.as_ref().map(ToString::to_string),
            receiving: recipients.len(),
            invalid: invalid.len(),
        })
        .by(file(), 0)
        .by_all(row)
    });
    for member in members.receiving().take(MEMBERS_NOTED_MAX) {
        let fact = || Fact::ListMember { address: member.address.to_string() };
        trail.note(|| Step::new(fact()).by(file(), member.line));
    }
    Copies { sender, recipients, invalid }
}

/// So many members are named one by one when somebody asks what a list does; of the others there is the number. Ours.
pub(super) const MEMBERS_NOTED_MAX: usize = 10;

const MLUSERS: &str = "mlusers.tab";

fn has_passed(head: &[u8], own: &str) -> bool {
    HeaderScanner::new(head)
        .any(|field| field.is("X-Deliver-To") && field.value().eq_ignore_ascii_case(own.as_bytes()))
}
