//! Whether a recipient is accepted, and where it leads (`mailflow.md` 3.6).

use std::net::IpAddr;
use std::sync::Arc;

use crate::address::Mailbox;
use crate::mailroot::schema::user as variables;
use crate::mailroot::{Account, AccountKind, Citation, Fact, MailRoot, Snapshot, Step, Trail, UserSettings};

/// Who asks for a recipient.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The client's address.
    pub peer: IpAddr,
    /// Permission `R`.
    pub may_relay: bool,
    /// The envelope sender, empty when null.
    pub sender: String,
    /// The log-in name, if somebody is logged in.
    pub login: Option<String>,
}

/// An accepted recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// An account of ours; for users the mailbox limit in bytes (`MaxMBSize`).
    Local {
        /// The account, aliases resolved.
        account: Arc<Account>,
        /// The limit of its mailbox; `None`: there is none.
        mailbox_bytes_max: Option<u64>,
    },
    /// A command file in `cmdaliases/`.
    CommandAlias,
    /// Mail that goes elsewhere.
    Remote,
}

/// Why a recipient is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipientRefusal {
    /// The domain is ours and knows no such name.
    NoMailbox,
    /// `ReceiveEnable` is 0.
    Disabled,
    /// A list with `ClosedML` that the sender may not post to.
    ListClosed,
    /// The domain is not ours and the client may not relay.
    RelayDenied,
    /// The mailbox is full already.
    MailboxFull,
    /// The message as declared with SIZE= does not fit (decision 9).
    WillNotFit,
}

/// Resolves a recipient. Quota is not looked at: see [`quota_verdict`]. May block.
///
/// # Errors
/// [`RecipientRefusal`].
pub fn recipient(
    snapshot: &Snapshot,
    mailbox: &Mailbox,
    asker: &Asker,
    trail: &mut impl Trail,
) -> Result<Recipient, RecipientRefusal> {
    let (name, domain) = (mailbox.local_part.as_str(), mailbox.domain.as_str());
    if snapshot.cmdalias_noting(domain, name, trail).is_some() {
        return Ok(Recipient::CommandAlias);
    }
    if !snapshot.handles_noting(domain, trail) {
        let relays = may_relay(snapshot, domain, asker, trail);
        return if relays { Ok(Recipient::Remote) } else { Err(RecipientRefusal::RelayDenied) };
    }
    let resolved = snapshot.resolve_noting(domain, name, trail).ok_or(RecipientRefusal::NoMailbox)?;
    let account = resolved.account;
    let user = snapshot.user_settings(&account);
    if !user.flag(&variables::RECEIVE_ENABLE) {
        trail.note(|| Step::new(Fact::ReceiveDisabled).by_all(user.citation(&variables::RECEIVE_ENABLE)));
        return Err(RecipientRefusal::Disabled);
    }
    if account.kind == AccountKind::User {
        let mailbox_bytes_max = user.mailbox_bytes_max();
        return Ok(Recipient::Local { account, mailbox_bytes_max });
    }
    if user.flag(&variables::CLOSED_ML) {
        let members = snapshot.list_members(&account);
        let poster = members.poster(&asker.sender, asker.login.as_deref());
        let is_open = poster.is_none() && is_open_to(snapshot, &account, &user, asker);
        trail.note(|| {
            let file = || MailRoot::account_directory(&account).join("mlusers.tab");
            Step::new(Fact::ClosedList { may_post: is_open || poster.is_some() })
                .by_all(user.citation(&variables::CLOSED_ML))
                .by_all(user.citation(&variables::DOMAIN_MAY_POST).filter(|_| is_open))
                .by_all(poster.map(|member| Citation::new(file(), member.line)))
        });
        if poster.is_none() && !is_open {
            return Err(RecipientRefusal::ListClosed);
        }
    }
    Ok(Recipient::Local { account, mailbox_bytes_max: None })
}

/// Whether a list takes mail of its whole domain, and the asker has logged in to an account there (JD-47). An address in
/// MAIL FROM is no proof of that.
fn is_open_to(snapshot: &Snapshot, list: &Account, settings: &UserSettings, asker: &Asker) -> bool {
    let login = asker.login.as_deref().filter(|_| settings.flag(&variables::DOMAIN_MAY_POST));
    let named = login.and_then(|login| login.rsplit_once('@'));
    let found = named.and_then(|(name, domain)| snapshot.resolve(domain, name));
    found.is_some_and(|found| found.account.domain.eq_ignore_ascii_case(&list.domain))
}

/// Permission `R`, a custom domain, or `smtprelay.tab`. May block.
pub fn may_relay(snapshot: &Snapshot, domain: &str, asker: &Asker, trail: &mut impl Trail) -> bool {
    if asker.may_relay {
        trail.note(|| Step::new(Fact::RelayByPermission));
        return true;
    }
    if let Some(row) = snapshot.smtp_relay.matching(asker.peer) {
        trail.note(|| Step::new(Fact::RelayByAddress { peer: asker.peer }).by("smtprelay.tab", row.line));
        return true;
    }
    if let Some((path, _)) = snapshot.custdomain_at(domain) {
        let fact = || Fact::RelayToCustomDomain { domain: domain.to_owned() };
        trail.note(|| Step::new(fact()).by(path, 0));
        return true;
    }
    trail.note(|| Step::new(Fact::RelayDenied));
    false
}

/// Whether a message of this size (0: not known) fits a mailbox (decision 9). A full mailbox is full for good, as
/// XMail has it; one that could take a smaller message is a matter of time.
///
/// # Errors
/// [`RecipientRefusal::MailboxFull`], [`RecipientRefusal::WillNotFit`].
pub fn quota_verdict(
    stored_bytes: u64,
    limit_bytes: u64,
    message_bytes: u64,
) -> Result<(), RecipientRefusal> {
    if stored_bytes >= limit_bytes {
        return Err(RecipientRefusal::MailboxFull);
    }
    if stored_bytes.saturating_add(message_bytes) > limit_bytes {
        return Err(RecipientRefusal::WillNotFit);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::{MailRoot, made};

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| made::write(root.path(), name, text);
        write("domains.tab", "\"home.test\"\n");
        write("aliasdomain.tab", "\"alias.test\"\t\"home.test\"\n");
        write("aliases.tab", "\"home.test\"\t\"al\"\t\"anna\"\n");
        let user = |name: &str, kind: &str| {
            format!("\"home.test\"\t\"{name}\"\t\"00\"\t1\t\"{name}\"\t\"{kind}\"\n")
        };
        write(
            "mailusers.tab",
            &[user("anna", "U"), user("off", "U"), user("list", "M"), user("open", "M")].concat(),
        );
        write("domains/home.test/anna/user.tab", "\"MaxMBSize\"\t\"2\"\n");
        write("domains/home.test/off/user.tab", "\"ReceiveEnable\"\t\"0\"\n");
        write("domains/home.test/list/user.tab", "\"ClosedML\"\t\"1\"\n");
        write("domains/home.test/open/user.tab", "\"ClosedML\"\t\"1\"\n\"DomainMayPost\"\t\"1\"\n");
        write(
            "domains/home.test/list/mlusers.tab",
            "\"w@x.test\"\t\"RW\"\n\"a@x.test\"\t\"RA\"\n\"r@x.test\"\t\"R\"\n",
        );
        write("cmdaliases/home.test/cmd.tab", "\"mailbox\"\n");
        write("cmdaliases/far.test/cmd.tab", "\"mailbox\"\n");
        write("custdomains/.cust.test.tab", "\"redirect\"\t\"anna@home.test\"\n");
        write("smtprelay.tab", "\"192.0.2.0/24\"\n");
        root
    }

    fn asker() -> Asker {
        let peer = "127.0.0.1".parse().unwrap();
        Asker { peer, may_relay: false, sender: "s@x.test".into(), login: None }
    }

    fn check(mailbox: &str, asker: &Asker, expected: &str) {
        let root = root();
        let snapshot = Snapshot::load(&MailRoot::new(root.path()));
        let verdict = match recipient(&snapshot, &Mailbox::parse(mailbox.as_bytes()).unwrap(), asker, &mut ())
        {
            Ok(Recipient::Local { account, mailbox_bytes_max }) => {
                format!("{} {mailbox_bytes_max:?}", account.address())
            }
            other => format!("{other:?}"),
        };
        assert_eq!(verdict, expected, "{mailbox}");
    }

    #[test]
    fn local_names_lead_to_accounts() {
        check("anna@home.test", &asker(), "anna@home.test Some(2048)");
        check("AL@Home.Test", &asker(), "anna@home.test Some(2048)");
        check("anna@alias.test", &asker(), "anna@home.test Some(2048)");
        check("nobody@home.test", &asker(), "Err(NoMailbox)");
        check("off@home.test", &asker(), "Err(Disabled)");
    }

    #[test]
    fn command_aliases_need_neither_domain_nor_account() {
        check("CMD@home.test", &asker(), "Ok(CommandAlias)");
        check("cmd@far.test", &asker(), "Ok(CommandAlias)");
        check("other@far.test", &asker(), "Err(RelayDenied)");
    }

    #[test]
    fn relaying_needs_a_reason() {
        check("x@remote.test", &asker(), "Err(RelayDenied)");
        check("x@sub.cust.test", &asker(), "Ok(Remote)");
        check("x@cust.test", &asker(), "Err(RelayDenied)");
        check("x@remote.test", &Asker { may_relay: true, ..asker() }, "Ok(Remote)");
        check("x@remote.test", &Asker { peer: "192.0.2.9".parse().unwrap(), ..asker() }, "Ok(Remote)");
        // A peer that may relay still cannot reach names that are not here.
        check("nobody@home.test", &Asker { may_relay: true, ..asker() }, "Err(NoMailbox)");
    }

    #[test]
    fn a_closed_list_takes_mail_from_writers_and_named_log_ins() {
        check("list@home.test", &asker(), "Err(ListClosed)");
        check("list@home.test", &Asker { sender: "w@x.test".into(), ..asker() }, "list@home.test None");
        check("list@home.test", &Asker { sender: "r@x.test".into(), ..asker() }, "Err(ListClosed)");
        check("list@home.test", &Asker { login: Some("a@x.test".into()), ..asker() }, "list@home.test None");
    }

    /// JD-47.
    #[test]
    fn a_list_may_be_open_to_who_has_logged_in_to_its_domain() {
        let with_login = |login: &str| Asker { login: Some(login.into()), ..asker() };
        check("open@home.test", &with_login("anna@home.test"), "open@home.test None");
        check("open@home.test", &with_login("anna@alias.test"), "open@home.test None");
        check("open@home.test", &with_login("carl@far.test"), "Err(ListClosed)");
        check("open@home.test", &with_login("nobody@home.test"), "Err(ListClosed)");
        check("open@home.test", &with_login("anna"), "Err(ListClosed)");
        // Anybody can write an address of the domain into MAIL FROM.
        check("open@home.test", &Asker { sender: "anna@home.test".into(), ..asker() }, "Err(ListClosed)");
        check("list@home.test", &with_login("anna@home.test"), "Err(ListClosed)");
    }

    #[test]
    fn a_full_mailbox_differs_from_a_message_that_does_not_fit() {
        assert_eq!(quota_verdict(100, 200, 0), Ok(()));
        assert_eq!(quota_verdict(100, 200, 100), Ok(()));
        assert_eq!(quota_verdict(100, 200, 101), Err(RecipientRefusal::WillNotFit));
        assert_eq!(quota_verdict(200, 200, 0), Err(RecipientRefusal::MailboxFull));
        assert_eq!(quota_verdict(1, 200, u64::MAX), Err(RecipientRefusal::WillNotFit));
    }
}
