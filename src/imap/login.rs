//! Letting a client in: the account, and whether it may use IMAP from there. Blocks; no tokio here.
//!
//! Order as in POP3 (`mailflow.md` 9.2): the proof, `ImapEnable`, the account's `imap.ipmap.tab`. The client is not told
//! which of them failed. Programs in `userauth/pop3` are not asked (`mailflow.md` 12.1): they are for POP3. There is no
//! lock: any number of sessions may use a mailbox.

use std::net::IpAddr;
use std::sync::Arc;

use crate::auth::{Proof, ScramError, ScramExchange, check_account, clear_account, split_login};
use crate::mailbox::Mailboxes;
use crate::mailroot::schema::user as variables;
use crate::mailroot::{Account, Snapshot};

/// The local part and the domain of a log-in name as typed; names without a domain get that of the session.
///
/// Not UTF-8: no account is called so, and the name is empty.
pub fn name_and_domain(typed: &[u8], default_domain: &str) -> (String, String) {
    let (name, domain) = split_login(std::str::from_utf8(typed).unwrap_or_default());
    (name.to_owned(), domain.unwrap_or(default_domain).to_owned())
}

/// The account, if the proof is right and it may log in by IMAP from there.
pub fn permitted(
    snapshot: &Snapshot,
    domain: &str,
    name: &str,
    proof: &Proof<'_>,
    peer: IpAddr,
) -> Option<Arc<Account>> {
    check_account(snapshot, domain, name, proof).filter(|account| may_enter(snapshot, account, peer))
}

/// The account and the server's last message, if the client's last message of SCRAM is right and the account may log in
/// by IMAP from there. Takes milliseconds, as long for a name that is nobody's as for an account.
///
/// # Errors
/// Why not; the client hears no difference between them.
pub fn permitted_by_scram(
    snapshot: &Snapshot,
    domain: &str,
    name: &str,
    exchange: ScramExchange,
    client_final: &[u8],
    peer: IpAddr,
) -> Result<(Arc<Account>, String), ScramError> {
    let found = clear_account(snapshot, domain, name);
    let password = found.as_ref().map(|(_, password)| password.as_slice());
    let server_final = exchange.finish(client_final, password)?;
    let account = found.map(|(account, _)| account).filter(|account| may_enter(snapshot, account, peer));
    Ok((account.ok_or(ScramError::Proof)?, server_final))
}

fn may_enter(snapshot: &Snapshot, account: &Account, peer: IpAddr) -> bool {
    snapshot.user_settings(account).flag(&variables::IMAP_ENABLE)
        && snapshot.imap_ipmap_of(account).verdict(peer).allowed
}

/// Notes the log-in for POP-before-SMTP, as POP3 does. The client's mail does not depend on it.
pub fn record(mailboxes: &Mailboxes, account: &Account, peer: IpAddr) {
    if let Err(error) = mailboxes.record_login(account, peer) {
        tracing::warn!("{error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{ClientFirst, ScramMechanism, hash_password, scram_answer, xmail_encode};
    use crate::mailroot::MailRoot;
    use crate::net::ChannelBindings;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn snapshot(stored: &str, user_tab: &str, ipmap: &str) -> (tempfile::TempDir, Snapshot) {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("domains/home.test/anna");
        std::fs::create_dir_all(&home).unwrap();
        let users = format!("\"home.test\"\t\"anna\"\t\"{stored}\"\t1\t\"anna\"\t\"U\"\n");
        std::fs::write(dir.path().join("mailusers.tab"), users).unwrap();
        std::fs::write(home.join("user.tab"), user_tab).unwrap();
        std::fs::write(home.join("imap.ipmap.tab"), ipmap).unwrap();
        std::fs::create_dir_all(dir.path().join("userauth/pop3")).unwrap();
        let program = "\"userauth\"\t\"/bin/false\"\n";
        std::fs::write(dir.path().join("userauth/pop3/home.test.tab"), program).unwrap();
        let snapshot = Snapshot::load(&MailRoot::new(dir.path()));
        (dir, snapshot)
    }

    fn check(user_tab: &str, ipmap: &str, given: &[u8], expected: bool) {
        let stored = xmail_encode(b"pw");
        let (_dir, snapshot) = snapshot(&stored, user_tab, ipmap);
        let by_password = permitted(&snapshot, "home.test", "anna", &Proof::Password(given), PEER);
        assert_eq!(by_password.is_some(), expected, "{user_tab:?} {ipmap:?}");
        assert_eq!(by_scram(&snapshot, "anna", given), expected, "SCRAM: {user_tab:?} {ipmap:?}");
    }

    fn by_scram(snapshot: &Snapshot, name: &str, given: &[u8]) -> bool {
        let first = format!("n,,n={name},r=client");
        let first = ClientFirst::parse(ScramMechanism::Sha256, &ChannelBindings::default(), first.as_bytes())
            .unwrap();
        let bare = format!("n={name},r=client");
        let (exchange, server_first) = first.challenge(&[7; 16], "server");
        let client_final = scram_answer(&bare, &server_first, b"n,,", given);
        permitted_by_scram(snapshot, "home.test", name, exchange, client_final.as_bytes(), PEER).is_ok()
    }

    /// The program in `userauth/pop3` would say no to all of them.
    #[test]
    fn the_proof_the_variable_and_the_address_decide() {
        let deny = "\"127.0.0.0/8\"\t\"-\"\t\"DENY\"\t\"1\"\n";
        check("", "", b"pw", true);
        check("", "", b"PW", false);
        check("\"PopEnable\"\t\"0\"\n", "", b"pw", true);
        check("\"ImapEnable\"\t\"0\"\n", "", b"pw", false);
        check("", deny, b"pw", false);
    }

    #[test]
    fn scram_needs_a_readable_password() {
        let hash = hash_password(b"pw").unwrap();
        for (stored, name, expected) in
            [(xmail_encode(b"pw"), "anna", true), (hash, "anna", false), (String::new(), "anna", false)]
        {
            let (_dir, snapshot) = snapshot(&stored, "", "");
            assert_eq!(by_scram(&snapshot, name, b"pw"), expected, "{stored}");
            assert!(!by_scram(&snapshot, "nobody", b"pw"));
        }
    }

    #[test]
    fn names_are_split_as_in_pop3() {
        for (typed, expected) in [
            (&b"anna"[..], ("anna", "default.test")),
            (b"anna@home.test", ("anna", "home.test")),
            (b"anna%home.test", ("anna", "home.test")),
            (b"\xff", ("", "default.test")),
        ] {
            let (name, domain) = name_and_domain(typed, "default.test");
            assert_eq!((name.as_str(), domain.as_str()), expected);
        }
    }
}
