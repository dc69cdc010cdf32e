//! Whether a proof belongs to an account: the tables and the password together.
//!
//! A wrong password and an unknown user are the same answer. Accounts stored with a hash have no clear password, so
//! digests never match for them (decision 18). Checking a hash costs tens of milliseconds: callers on async threads
//! use `spawn_blocking`.

use std::sync::Arc;

use super::password::{apop_matches, clear_password, constant_time_eq, cram_md5_matches, password_matches};
use crate::mailroot::authentication::SmtpPerms;
use crate::mailroot::{Account, Snapshot};

/// What a client offers to show that it knows the password.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// The password itself.
    Password(&'a [u8]),
    /// RFC 2195: HMAC-MD5 of the challenge.
    CramMd5 {
        /// The challenge as sent, before base64.
        challenge: &'a [u8],
        /// The hex digest.
        digest: &'a [u8],
    },
    /// RFC 1939 §7: MD5 of stamp and password.
    Apop {
        /// The time stamp of the greeting, with its angle brackets.
        stamp: &'a [u8],
        /// The hex digest.
        digest: &'a [u8],
    },
}

/// Splits a log-in name at the first `@`, else the first `:`, else the first `%` (`mailflow.md` 3.10, 9.2).
///
/// ```
/// use tabmail::auth::split_login;
/// assert_eq!(split_login("anna@home.test"), ("anna", Some("home.test")));
/// assert_eq!(split_login("anna%home.test"), ("anna", Some("home.test")));
/// assert_eq!(split_login("anna"), ("anna", None));
/// ```
pub fn split_login(login: &str) -> (&str, Option<&str>) {
    let split = ['@', ':', '%'].into_iter().find_map(|separator| login.split_once(separator));
    split.map_or((login, None), |(name, domain)| (name, Some(domain)))
}

/// The account, if it exists and the proof is right. Aliases cannot log in, alias domains can. An account without a
/// password cannot log in: nothing would be proved.
pub fn check_account(
    snapshot: &Snapshot,
    domain: &str,
    name: &str,
    proof: &Proof<'_>,
) -> Option<Arc<Account>> {
    let account = snapshot.account(domain, name)?;
    if account.password.is_empty() {
        return None;
    }
    let right = match proof {
        Proof::Password(given) => password_matches(&account.password, given).unwrap_or_else(|error| {
            tracing::warn!("mailusers.tab:{}: the password cannot be used: {error}", account.line);
            false
        }),
        digest => clear_password(&account.password).is_some_and(|clear| digest.matches_clear(&clear)),
    };
    right.then(|| Arc::clone(account))
}

/// An account and its password in clear, for exchanges that need it (SCRAM). `None` where there is no account, or its
/// password is empty, hashed or unreadable.
pub fn clear_account(snapshot: &Snapshot, domain: &str, name: &str) -> Option<(Arc<Account>, Vec<u8>)> {
    let account = snapshot.account(domain, name)?;
    let password = clear_password(&account.password).filter(|clear| !clear.is_empty())?;
    Some((Arc::clone(account), password))
}

/// The permissions of the first row of `smtpauth.tab` whose user and password match exactly (`mailroot.md` 12.2).
pub fn check_smtp_auth(snapshot: &Snapshot, user: &[u8], proof: &Proof<'_>) -> Option<SmtpPerms> {
    snapshot.smtp_auth.find(user).find(|row| proof.matches_clear(&row.password)).map(|row| row.perms)
}

impl Proof<'_> {
    fn matches_clear(&self, clear: &[u8]) -> bool {
        match self {
            Self::Password(given) => constant_time_eq(clear, given),
            Self::CramMd5 { challenge, digest } => cram_md5_matches(clear, challenge, digest),
            Self::Apop { stamp, digest } => apop_matches(stamp, clear, digest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{apop_digest, cram_md5_digest, hash_password, xmail_encode};
    use crate::mailroot::MailRoot;

    fn snapshot(password: &str) -> (tempfile::TempDir, Snapshot) {
        let dir = tempfile::tempdir().unwrap();
        let users = format!("\"home.test\"\t\"anna\"\t\"{password}\"\t1\t\"anna\"\t\"U\"\n");
        std::fs::write(dir.path().join("mailusers.tab"), users).unwrap();
        std::fs::write(dir.path().join("smtpauth.tab"), "\"Relay\"\t\"s3cret\"\t\"MR\"\n").unwrap();
        std::fs::write(dir.path().join("aliasdomain.tab"), "\"alias.test\"\t\"home.test\"\n").unwrap();
        let snapshot = Snapshot::load(&MailRoot::new(dir.path()));
        (dir, snapshot)
    }

    fn accepts(snapshot: &Snapshot, domain: &str, name: &str, proof: Proof<'_>) -> bool {
        check_account(snapshot, domain, name, &proof).is_some()
    }

    #[test]
    fn every_proof_of_the_right_password_is_accepted() {
        let (_dir, snapshot) = snapshot(&xmail_encode(b"pw"));
        let cram = cram_md5_digest(b"pw", b"<1.2@x>");
        let apop = apop_digest(b"<1.2@x>", b"pw");
        assert!(accepts(&snapshot, "HOME.test", "Anna", Proof::Password(b"pw")));
        assert!(accepts(&snapshot, "alias.test", "anna", Proof::Password(b"pw")));
        assert!(!accepts(&snapshot, "home.test", "anna", Proof::Password(b"PW")));
        assert!(!accepts(&snapshot, "home.test", "bert", Proof::Password(b"pw")));
        let proof = Proof::CramMd5 { challenge: b"<1.2@x>", digest: cram.as_bytes() };
        assert!(accepts(&snapshot, "home.test", "anna", proof));
        assert!(accepts(
            &snapshot,
            "home.test",
            "anna",
            Proof::Apop { stamp: b"<1.2@x>", digest: apop.as_bytes() }
        ));
        assert!(!accepts(
            &snapshot,
            "home.test",
            "anna",
            Proof::Apop { stamp: b"<2.2@x>", digest: apop.as_bytes() }
        ));
    }

    #[test]
    fn a_hashed_password_proves_itself_but_no_digest() {
        let (_dir, snapshot) = snapshot(&hash_password(b"pw").unwrap());
        let apop = apop_digest(b"<1.2@x>", b"pw");
        assert!(accepts(&snapshot, "home.test", "anna", Proof::Password(b"pw")));
        assert!(!accepts(
            &snapshot,
            "home.test",
            "anna",
            Proof::Apop { stamp: b"<1.2@x>", digest: apop.as_bytes() }
        ));
    }

    #[test]
    fn empty_and_broken_passwords_let_nobody_in() {
        for stored in ["", "1d0", "zz"] {
            let (_dir, snapshot) = snapshot(stored);
            for given in [&b""[..], b"x"] {
                assert!(!accepts(&snapshot, "home.test", "anna", Proof::Password(given)), "{stored:?}");
            }
        }
    }

    #[test]
    fn smtpauth_is_case_sensitive() {
        let (_dir, snapshot) = snapshot("");
        assert!(check_smtp_auth(&snapshot, b"Relay", &Proof::Password(b"s3cret")).is_some());
        assert!(check_smtp_auth(&snapshot, b"relay", &Proof::Password(b"s3cret")).is_none());
    }
}
