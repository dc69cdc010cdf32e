//! Log-ins that a program decides: `userauth/pop3/*.tab` (`mailflow.md` 12.1, `mailroot.md` 12.4, golden
//! pop3_extauth).
//!
//! The program gets `USER`, `DOMAIN`, `PASSWD` (APOP: the digest) and `PATH` (empty) as macros and says yes by exit
//! code 0. Every other end, also that it could not be started or took longer than [`programs::TIME_LIMIT`], is a no. The account
//! must exist all the same, which is for `login` to see.

use super::session::{LogIn, Proof};
use crate::auth::programs::{self, Action, ProgramCall};
use crate::exec::Exit;
use crate::mailroot::Snapshot;

/// What a program says of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No program is asked: the password in `mailusers.tab` counts.
    NotAsked,
    /// The proof is right.
    Yes,
    /// It is not, or nobody knows.
    No,
}

/// Asks the program for the domain, if there is one.
pub(super) async fn verdict(snapshot: &Snapshot, login: &LogIn) -> Verdict {
    let (Proof::Password(given) | Proof::Apop(given)) = &login.proof;
    let call = ProgramCall {
        action: Action::UserAuth,
        domain: &login.domain,
        user: &login.name,
        password: given.as_bytes(),
        path: None,
    };
    match programs::run(snapshot, &call).await {
        None => Verdict::NotAsked,
        Some(Ok(Exit::Code(0))) => Verdict::Yes,
        Some(Ok(_)) => Verdict::No,
        Some(Err(error)) => {
            tracing::warn!("userauth/pop3 for {}: {error}", login.domain);
            Verdict::No
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::MailRoot;

    async fn check(table: &str, domain: &str, proof: Proof, expected: Verdict) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("userauth/pop3")).unwrap();
        std::fs::write(dir.path().join("userauth/pop3/home.test.tab"), table).unwrap();
        let snapshot = Snapshot::load(&MailRoot::new(dir.path()));
        let login = LogIn { name: "anna".to_owned(), domain: domain.to_owned(), proof };
        assert_eq!(verdict(&snapshot, &login).await, expected, "{table:?}");
    }

    fn password(text: &str) -> Proof {
        Proof::Password(text.to_owned())
    }

    #[tokio::test]
    async fn the_exit_code_decides() {
        let table = |script: &str| {
            format!(
                "\"UserAuth\"\t\"/bin/sh\"\t\"-c\"\t\"{script}\"\t\"x\"\t\"@@USER\"\t\"@@DOMAIN\"\t\"@@PASSWD\"\t\"@@PATH\"\n"
            )
        };
        let script = "[ \\\"\\$1,\\$2,\\$3,\\$4\\\" = anna,home.test,secret, ]";
        check(&table(script), "home.test", password("secret"), Verdict::Yes).await;
        check(&table(script), "home.test", password("other"), Verdict::No).await;
        check(&table(script), "home.test", Proof::Apop("secret".to_owned()), Verdict::Yes).await;
        check(&table(script), "other.test", password("secret"), Verdict::NotAsked).await;
        check(&table("kill -9 \\$\\$"), "home.test", password("secret"), Verdict::No).await;
        check("\"userauth\"\t\"/nonexistent/program\"\n", "home.test", password("x"), Verdict::No).await;
        check("\"useradd\"\t\"/bin/true\"\n", "home.test", password("x"), Verdict::NotAsked).await;
    }
}
