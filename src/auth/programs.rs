//! Programs that know accounts: `userauth/pop3/<domain>.tab` (`mailroot.md` 12.4, `mailflow.md` 12.1, golden
//! `pop3_extauth`).
//!
//! | action | when | macros that have a value |
//! | --- | --- | --- |
//! | `userauth` | a POP3 log-in; the exit code decides | `USER`, `DOMAIN`, `PASSWD` (APOP: the digest) |
//! | `useradd`, `useredit` | after an account was added, or its password changed | `USER`, `DOMAIN`, `PASSWD`, `PATH` |
//! | `userdel` | after an account's rows went, before its directory goes | `USER`, `DOMAIN`, `PATH` |
//! | `domaindrop` | after a domain's rows went, before its directories go | `DOMAIN` |
//!
//! Limits: [`TIME_LIMIT`]. What an end means is for the caller.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use bstr::BString;

use crate::exec::{self, Command, ExecError, Exit, macros};
use crate::mailroot::Snapshot;

/// How long a program may take (`mailflow.md` 12.1).
pub const TIME_LIMIT: Duration = Duration::from_secs(60);

/// What a program is asked or told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramCall<'a> {
    /// Which row of the table is meant.
    pub action: Action,
    /// The domain: chooses the table, and `DOMAIN`.
    pub domain: &'a str,
    /// `USER`; empty for `domaindrop`.
    pub user: &'a str,
    /// `PASSWD`, in clear; empty where it is not known.
    pub password: &'a [u8],
    /// `PATH`: the account's directory, absolute.
    pub path: Option<&'a Path>,
}

/// The first column of `userauth/pop3/*.tab`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Is this log-in right?
    UserAuth,
    /// There is a new account.
    UserAdd,
    /// An account has a new password.
    UserEdit,
    /// An account goes.
    UserDel,
    /// A domain goes with its accounts.
    DomainDrop,
}

impl Action {
    /// The word in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::UserAuth => "userauth",
            Self::UserAdd => "useradd",
            Self::UserEdit => "useredit",
            Self::UserDel => "userdel",
            Self::DomainDrop => "domaindrop",
        }
    }
}

/// Runs the program for the call and waits for its end, [`TIME_LIMIT`] at most; `None` when no row names one.
///
/// # Errors
/// Inside the option: [`ExecError`], when the program gave no exit status.
pub async fn run(snapshot: &Snapshot, call: &ProgramCall<'_>) -> Option<Result<Exit, ExecError>> {
    let table = snapshot.pop3_ext_auth(call.domain)?;
    let row = table.for_action(call.action.name())?;
    let args = macros::expand(&row.args, |name| value(call, name));
    let program = OsStr::from_bytes(&row.program);
    Some(exec::run(Command::new(program, args), Some(TIME_LIMIT)).await)
}

fn value(call: &ProgramCall<'_>, name: &str) -> Option<BString> {
    match name {
        "USER" => Some(call.user.into()),
        "DOMAIN" => Some(call.domain.into()),
        "PASSWD" => Some(call.password.into()),
        "PATH" => call.path.map(|path| path.as_os_str().as_bytes().into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::MailRoot;

    /// Every argument in brackets, as the program of the recording writes them.
    async fn check(rows: &str, call: ProgramCall<'_>, expected: Option<&str>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("userauth/pop3")).unwrap();
        let log = dir.path().join("pa.log");
        let script = format!("printf '[%s]' \\\"\\$@\\\" > {}", log.display());
        let rows = rows.replace("RUN", &format!("\"/bin/sh\"\t\"-c\"\t\"{script}\"\t\"pa\""));
        std::fs::write(dir.path().join("userauth/pop3/home.test.tab"), rows).unwrap();
        let snapshot = Snapshot::load(&MailRoot::new(dir.path()));
        let ran = run(&snapshot, &call).await.map(|end| end.unwrap());
        assert_eq!(ran, expected.map(|_| Exit::Code(0)), "{call:?}");
        assert_eq!(std::fs::read_to_string(log).ok().as_deref(), expected, "{call:?}");
    }

    const CALL: ProgramCall<'_> = ProgramCall {
        action: Action::UserEdit,
        domain: "home.test",
        user: "anna",
        password: b"a $(USER)",
        path: None,
    };

    #[tokio::test]
    async fn the_first_row_of_the_action_gets_the_values() {
        let rows = "\"UserAdd\"\tRUN\t\"1\"\n\"useredit\"\tRUN\t\"$(USER)-$(DOMAIN)\"\t\"@@PASSWD\"\t\"@@PATH\"\t\"@@X\"\n\
                    \"useredit\"\tRUN\t\"second\"\n\"domaindrop\"\tRUN\t\"@@DOMAIN\"\t\"@@USER\"\n";
        check(rows, CALL, Some("[anna-home.test][a $(USER)][][]")).await;
        let with_path = ProgramCall { path: Some(Path::new("/r/domains/home.test/anna")), ..CALL };
        check(rows, with_path, Some("[anna-home.test][a $(USER)][/r/domains/home.test/anna][]")).await;
        check(rows, ProgramCall { action: Action::UserAdd, ..CALL }, Some("[1]")).await;
        let drop = ProgramCall { action: Action::DomainDrop, user: "", password: b"", ..CALL };
        check(rows, drop, Some("[home.test][]")).await;
        check(rows, ProgramCall { action: Action::UserDel, ..CALL }, None).await;
        check(rows, ProgramCall { domain: "other.test", ..CALL }, None).await;
    }
}
